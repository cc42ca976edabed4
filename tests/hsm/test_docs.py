"""The pages about the key store say what the code does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.softokn import make_token
from trus.backend.corelink import PIN_LOOK_SECONDS
from trus.backend.corewatch import LOOK_SECONDS, REMINDER_SECONDS, WatchLimits
from trus.cli.softhsm import PROJECT
from trus.clock import SystemEntropy
from trus.hsm import guard
from trus.hsm.memory import MemoryStore
from trus.hsm.objectfile import MAX_BODY_BYTES, ObjectFile
from trus.hsm.objects import WrappedObjectStore
from trus.hsm.ports import EscrowStore
from trus.settings.model import CoreSettings, TokenSettings

DOCS = PROJECT / "docs"


def page(name: str) -> str:
    """Return a page's text in one line, blanks as one."""
    return " ".join((DOCS / name).read_text(encoding="utf-8").split())


class PageTests(SynchronousTestCase):
    """Figures and names of the pages."""

    def test_the_format(self) -> None:
        """The file is laid out as docs/reference/keystore.md says, byte by byte."""
        text = page("reference/keystore.md")
        self.assertIn(f"at most {MAX_BODY_BYTES:,}", text)
        folder = self.mktemp()
        path = Path(folder).absolute() / "objects.db"
        store = WrappedObjectStore.open(MemoryStore(SystemEntropy()), path, SystemEntropy())
        store.make_pair("card/1")
        store.close()
        content = path.read_bytes()
        self.assertEqual(content[:16], b"trus objects 1\r\n")
        self.assertEqual(int.from_bytes(content[32:48], "big"), 1)
        self.assertEqual(content[48:52], b"tOBJ")
        length = int.from_bytes(content[52:56], "big")
        self.assertEqual(len(content), 48 + 4 + 4 + 4 + 32 + length)
        self.assertEqual(content[92], 2)
        with_file = ObjectFile(path)
        self.addCleanup(with_file.close)
        self.assertEqual(next(iter(with_file.records())), (content[60:92], content[92:]))

    def test_the_capability(self) -> None:
        """The methods of EscrowStore are those of the page."""
        text = (DOCS / "reference/keystore.md").read_text(encoding="utf-8")
        methods = [name for name, _ in inspect.getmembers(EscrowStore, inspect.isfunction) if not name.startswith("_")]
        self.assertEqual(sorted(re.findall(r"^    def (\w+)", text, re.MULTILINE)), sorted(methods))

    def test_the_times(self) -> None:
        """Deadlines, pauses and reminders are those of the page about failures."""
        text = page("explanation/when-the-token-fails.md")
        fields = {field.name: field.default for field in TokenSettings.__attrs_attrs__ + CoreSettings.__attrs_attrs__}
        limits = WatchLimits(fields["deadline"].seconds, fields["abandon"].seconds, fields["answer_deadline"].seconds)
        self.assertEqual(limits, WatchLimits())
        self.assertIn(
            f"`token.deadline` ({fields['deadline']}), `token.abandon` ({fields['abandon']}) and "
            f"`core.answer_deadline` ({fields['answer_deadline']})".replace("s)", " s)").replace("(1m)", "(1 min)"),
            text,
        )
        *first, last = [f"{pause:g}" for pause in guard.PAUSES_SECONDS]
        self.assertIn(f"The pauses are {', '.join(first)} and then {last} seconds", text)
        self.assertEqual((guard.REMINDER_SECONDS, REMINDER_SECONDS), (60, 60))
        self.assertIn("once a minute while it lasts", text)
        self.assertIn("twice a second", text)
        self.assertIn("every five seconds", text)
        self.assertEqual((LOOK_SECONDS, PIN_LOOK_SECONDS), (0.5, 5.0))

    def test_the_counters(self) -> None:
        """Every counter of the token that HEALTH shows is on the page."""
        text = page("explanation/when-the-token-fails.md")
        self.assertEqual([name for name in guard.COUNTERS if f"`{name}`" not in text], [])

    def test_the_modules(self) -> None:
        """The page of modules names the parts that an operator writes to try another one."""
        text = page("reference/hsm-matrix.md")
        for name in (make_token.__name__, "KeyStoreContract", "TokenPromises", "ObjectStoreContract"):
            self.assertIn(f"`{name}`", text)
