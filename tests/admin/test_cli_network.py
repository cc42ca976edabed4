"""`trus admin` against a whole network: gateway, backend, token and ciphered ledger."""

from __future__ import annotations

import csv
import json
import os
import pty
import select
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.network import Network
from trus.cli.admin_place import place_of
from trus.errors import ConfigurationError

#: Seconds for a command of a machine under load.
PATIENCE = 60.0


class NetworkTests(SynchronousTestCase):
    """A network of its own for each of these tests."""

    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self.network.remove)
        self.network.start()

    def trus(self, *words: str, typed: str | None = None) -> tuple[int, str, str]:
        """Run `trus admin` and return its exit code and what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "trus.cli.main", "admin", "--config", str(self.network.layout.config), *words],
            input=typed,
            stdin=subprocess.DEVNULL if typed is None else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def objects(self, *words: str, typed: str | None = None) -> list[dict[str, Any]]:
        _, said, _ = self.trus("--json", *words, typed=typed)
        return [json.loads(line) for line in said.splitlines()]

    def test_commands_of_programs_and_people(self) -> None:
        """DC-6, TR-1: one command or many, through gateway, TLS and core, for people and for programs.

        Exit code 0 means that all were carried out, 1 that one was refused. Cards are issued into
        a file of mode 0600 on the backend's host; the console and the logs never show a number.
        """
        code, said, _ = self.trus("SHOP-ADD", "id=ONE", "name=Chez [b]Paul", "mcc=5812")
        self.assertEqual(code, 0)
        self.assertIn("Chez [b]Paul", said)
        code, said, _ = self.trus("SHOP-ADD", "id=ONE", "name=Chez Paul", "mcc=5812")
        self.assertEqual((code, said), (1, "94: That shop exists.\n"))

        lines = [
            "WHOAMI",
            "COMPANY-ADD MANY Many",
            *(f"EMPLOYEE-ADD MANY E{number} Zoë Ωmega" for number in range(200)),
            "CARD-ISSUE MANY",
            "CARDS MANY",
            "HEALTH",
        ]
        replies = self.objects(typed="\n".join(lines))
        self.assertEqual([reply["code"] for reply in replies], ["00"] * len(lines))
        self.assertEqual(replies[0]["text"], "You are admin.")
        [issued], cards, parts = (reply["rows"] for reply in replies[-3:])
        self.assertEqual((issued["count"], len(cards)), ("200", 50))
        states = {row["part"]: row["state"] for row in parts}
        self.assertEqual((states["token"], states["database"]), ("ok", "ok"))

        file = self.network.layout.root / "personalisation" / issued["file"]
        self.assertEqual([stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)], [0o600, 0o700])
        with file.open(newline="", encoding="utf-8") as text:
            numbers = [row["track2"].partition("=")[0] for row in csv.DictReader(text)]
        shown = json.dumps(replies) + self.network.logs()
        self.assertEqual([number for number in numbers if number in shown], [])

        code, said, complaint = self.trus("--file", "-", typed="DAY\n# nothing\n\nNOPE\nquit\nDAY\n")
        self.assertEqual(code, 1)
        self.assertIn("line 4:", said)
        self.assertIn("1 of 2 commands were refused", complaint)

    def test_mistakes_are_one_sentence(self) -> None:
        """A console that cannot be reached or believed, and certificates that are none, are one sentence and exit 1.

        Without a name the only admin is meant; with several one must be named.
        """
        pki = self.network.layout.pki
        for words, sentence in (
            (("--address", "127.0.0.1:1", "DAY"), "cannot be reached"),
            (("--anchor", str(pki / "channel-ca.pem"), "DAY"), "not of the admins' authority"),
            (("--as", "nobody", "DAY"), "nobody.p12 cannot be read"),
            (("--p12", str(pki / "pos.p12"), "DAY"), "may not accept this certificate, or no backend runs"),
            (("--passphrase-file", str(pki / "pos.pass"), "DAY"), "password is wrong"),
            (("DAY", "a\nb"), "does not take"),
            (("--file", "/nowhere/at/all"), "no such file"),
        ):
            code, said, complaint = self.trus(*words)
            self.assertEqual((code, said), (1, ""), words)
            self.assertIn(sentence, complaint)
            self.assertNotIn("Traceback", complaint)
        place = place_of(self.network.layout.config)
        self.assertEqual((place.bundle.name, place.port), ("admin.p12", self.network.admin_port))
        self.network.layout.admin_bundle("second").write_bytes(b"")
        error = self.assertRaises(ConfigurationError, place_of, self.network.layout.config)
        self.assertIn("--as NAME", str(error))

    def test_a_conversation_at_a_terminal(self) -> None:
        """DC-6: at a terminal `trus admin` prompts, answers, remembers commands, and leaves with \\q."""
        state = Path(self.mktemp()).absolute()
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = subprocess.Popen(
            [sys.executable, "-m", "trus.cli.main", "admin", "--config", str(self.network.layout.config)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "XDG_STATE_HOME": str(state), "TERM": "dumb"},
        )
        os.close(theirs)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        screen = self._until(ours, "trus=> ")
        self.assertIn("you are admin", screen)
        os.write(ours, b"day\r")
        self.assertIn("The business date is", self._until(ours, "The business date is"))
        os.write(ours, b"\\q\r")
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertEqual((state / "trus" / "admin_history").read_text().splitlines(), ["day"])

    def _until(self, terminal: int, words: str) -> str:
        """Read the terminal until it shows `words`."""
        seen = ""
        deadline = time.monotonic() + PATIENCE
        while words not in seen:
            if not select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"the terminal never showed {words!r}: {seen!r}")
            seen += os.read(terminal, 4096).decode("utf-8", "replace")
        return seen
