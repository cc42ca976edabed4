"""The pages about keys and certificates say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from trus.certificates import chains, oids, staples
from trus.cli.ca import ca_group
from trus.cli.provisioning import AUDIT_KEY_LABEL
from trus.core.keyring import CARD_LABEL, PIN_LABEL
from trus.hsm.datakeys import DATABASE_KEY_LABEL
from trus.ledger.compose import FIELD_KEY_LABEL, FILE_KEY_LABEL, LOOKUP_KEY_LABEL
from trus.pki import activation, csr, examination, profiles, steps, validation
from trus.pki.channel import ADMIN, ADMIN_HOST, BACKEND_HOST, CHANNEL, GATEWAY_HOST
from trus.pki.describe import fill
from trus.pki.identity import BACKEND_KEY, INDIVIDUAL, RENEW_AHEAD

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "keys.md").read_text(encoding="utf-8")


DOCS = Path(__file__).parents[2] / "docs"
POLICY = (DOCS / "security" / "certificate-policy.md").read_text(encoding="utf-8")
CEREMONY = (DOCS / "how-to" / "ca-ceremony.md").read_text(encoding="utf-8")
#: The chapters of RFC 3647 section 6.
OUTLINE = (
    "Introduction",
    "Publication and repositories",
    "Identification and authentication",
    "Life-cycle operations",
    "Facility, management and operational controls",
    "Technical controls",
    "Profiles",
    "Assessment",
    "Other matters",
)


class PolicyPageTests(SynchronousTestCase):
    """docs/security/certificate-policy.md and docs/how-to/ca-ceremony.md."""

    def test_its_tables_are_the_policy(self) -> None:
        """The certificate policy's tables are written from the profiles, the steps and the figures in force."""
        self.assertEqual(fill(POLICY), POLICY)
        for part in ("identifiers", "profiles", "issuance", "figures", "steps"):
            self.assertIn(f"<!-- generated: {part} -->", POLICY)

    def test_its_chapters_are_the_outlines(self) -> None:
        """The policy follows the outline of RFC 3647, chapter by chapter."""
        chapters = re.findall(r"^## (\d) (.+)$", POLICY, re.MULTILINE)
        self.assertEqual(chapters, [(str(number), title) for number, title in enumerate(OUTLINE, 1)])

    def test_every_step_is_explained(self) -> None:
        """Every step of the examination is in the policy, and its words are in the key reference."""
        names = [
            each.name
            for each in vars(steps).values()
            if isinstance(each, type) and each.__name__ not in ("Step",) and hasattr(each, "check")
        ]
        self.assertEqual(len(names), 8)
        for name in names:
            self.assertIn(f"| {name} |", POLICY)
            self.assertIn(f"| {name} | `", PAGE)

    def test_every_ceremony_is_described(self) -> None:
        """Each command of `trus ca` is on the page that goes through the ceremonies, with options that exist."""
        for name in ca_group.commands:
            self.assertIn(name, CEREMONY)
        options = {option for each in ca_group.commands.values() for one in each.params for option in one.opts}
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", CEREMONY):
            self.assertIn(option, options)


class KeysPageTests(SynchronousTestCase):
    """docs/reference/keys.md."""

    def test_its_tables_are_the_policy(self) -> None:
        """The tables of profiles, figures and object identifiers are what the code issues by."""
        self.assertEqual(fill(PAGE), PAGE)
        for part in ("profiles", "issuance", "figures", "identifiers"):
            self.assertIn(f"<!-- generated: {part} -->", PAGE)
        self.assertIn(f"`{oids.ARC}`", PAGE)

    def test_it_names_every_key_and_label(self) -> None:
        """Every key of a fresh token and every data key is on the page."""
        authorities = [f"{label}-ca" for label in (INDIVIDUAL, CHANNEL, ADMIN)]
        keys = [DATABASE_KEY_LABEL, PIN_LABEL, CARD_LABEL, BACKEND_KEY, AUDIT_KEY_LABEL, *authorities]
        data_keys = [FILE_KEY_LABEL, FIELD_KEY_LABEL, LOOKUP_KEY_LABEL, activation.HASH_LABEL]
        for label in keys + data_keys:
            self.assertIn(f"| `{label}` |", PAGE)
        for host in (GATEWAY_HOST, BACKEND_HOST, ADMIN_HOST):
            self.assertIn(f"`{host}`", PAGE)

    def test_it_explains_every_refusal(self) -> None:
        """Every word that a log can bear about a certificate or a code is explained."""
        words = [
            value
            for module in (chains, staples, validation, examination, steps, activation, csr)
            for name, value in vars(module).items()
            if name.isupper()
            and not name.startswith("_")
            and isinstance(value, str)
            and name not in ("HASH_LABEL", "PROFILE")
        ]
        self.assertGreater(len(set(words)), 15)
        for word in set(words):
            self.assertIn(f"`{word}`", PAGE)

    def test_its_figures_are_the_codes(self) -> None:
        """Times and counts on the page are the constants of the policy."""
        text = " ".join(PAGE.split())
        for figure in (
            f"An OCSP answer holds for {profiles.OCSP_VALIDITY.days * 24} hours",
            f"a revocation list holds for {profiles.CRL_VALIDITY.days} days",
            f"renews its own certificate {RENEW_AHEAD.days} days before its end",
            f"| a code is good for | {profiles.ACTIVATION_VALIDITY.days} days |",
            f"| wrong codes before the activation is locked | {profiles.MAX_ACTIVATION_FAILURES} |",
        ):
            self.assertIn(figure, text)
