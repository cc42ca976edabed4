"""docs/reference/directory.md and docs/how-to/revoke-a-device.md say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from trus.admin.commands import COMMANDS
from trus.admin.commands_certificates import EXPIRING_DAYS, REVOCATION_REASONS
from trus.core.directory import MAX_KEPT_SECONDS
from trus.gateway.directory import CERTIFICATE_ATTRIBUTES, LIST_ATTRIBUTES
from trus.pki.directory import MAX_FOUND
from trus.pki.responder import ANSWER_VALIDITY, MAX_ASKED, MAX_NONCE_BYTES
from trus.pki.revocation import DELTA_VALIDITY, FULL_AT_ONCE, FULL_VALIDITY
from trus.settings.model_directory import DirectoryPortSettings

DOCS = Path(__file__).resolve().parents[2] / "docs"


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.page = " ".join((DOCS / "reference" / "directory.md").read_text("utf-8").split())

    def test_figures(self) -> None:
        """Every figure of the reference page is the program's."""
        for text in (
            f"{DirectoryPortSettings().port} in what `trus init` writes",
            f"at most {MAX_KEPT_SECONDS} seconds",
            f"At most {MAX_FOUND} certificates",
            f"| full | {FULL_VALIDITY.days} days |",
            f"| delta | {DELTA_VALIDITY.total_seconds() / 3600:.0f} hours |",
            f"more than {FULL_AT_ONCE} entries",
            f"up to {MAX_ASKED} certificates",
            f"1 to {MAX_NONCE_BYTES} octets",
            f"believed for {ANSWER_VALIDITY.seconds // 60} minutes",
        ):
            self.assertIn(text, self.page)

    def test_attributes(self) -> None:
        """The attributes by which certificates and lists are found are all named, and no other."""
        for what, attributes in (("certificates", CERTIFICATE_ATTRIBUTES), ("lists", LIST_ATTRIBUTES)):
            [named] = re.findall(rf"Attributes of {what}: (.*?)\.", self.page)
            self.assertEqual(set(re.findall(r"`(\w+)`", named)), set(attributes))

    def test_reasons_and_commands(self) -> None:
        """The how-to's reasons are those of the console, and every command that it shows exists."""
        page = (DOCS / "how-to" / "revoke-a-device.md").read_text("utf-8")
        shown: dict[str, str] = {}
        for words, listed in re.findall(r"^\| (`.*?`) \| (\w+) \|$", page, re.MULTILINE):
            shown.update(dict.fromkeys(re.findall(r"`(\w+)`", words), listed))
        self.assertEqual(shown, {**REVOCATION_REASONS, "unspecified": "none"})
        for verb in re.findall(r"^> ([A-Z-]+)", page, re.MULTILINE):
            self.assertIn(verb, COMMANDS)
        self.assertIn(f"within {EXPIRING_DAYS} days", page)
