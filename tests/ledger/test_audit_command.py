"""`trus audit` on a real deployment: SoftHSM, SQLCipher, exported heads."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from trus.cli.audit import audit, show
from trus.cli.compose import open_books
from trus.cli.database_keys import TokenKeySource
from trus.cli.heads import AUDIT_KEY_LABEL, TokenHeadSigner, TokenHeadVerifier
from trus.cli.keystore import open_token
from trus.cli.layout import InitOptions
from trus.cli.provisioning import provision
from trus.clock import SystemClock, SystemEntropy
from trus.errors import ConfigurationError, KeyStoreError, StorageFailed, WrongDatabaseKey
from trus.hsm.datakeys import DATABASE_KEY_LABEL
from trus.hsm.ports import KeyPurpose
from trus.ledger.findings import Check
from trus.ledger.heads import HeadLog
from trus.settings.loading import load

ROOT = Path(__file__).resolve().parents[2]


class AuditCommandCase(SynchronousTestCase):
    """A deployment as `trus init` makes it, with two signed heads."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        self.made = provision(folder / "net", InitOptions(), SystemClock(), SystemEntropy())
        self.config = Path(self.made.config)
        settings = load(self.config).backend
        assert settings is not None
        self.settings = settings
        clock = SystemClock()
        with open_token(settings) as keys:
            ledger = open_books(settings, TokenKeySource(keys), clock, SystemEntropy()).ledger
            heads = HeadLog(ledger, TokenHeadSigner(keys), settings.database.heads)
            heads.sign(clock.now())
            ledger.advance_day(clock.now())
            with ledger.order(clock.now()) as unit:
                unit.connection.exec_driver_sql("UPDATE writer_slot SET holder = ''")
            ledger.close()

    def run_audit(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the command in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "trus.cli.main", "audit", "--config", str(self.config), *options],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
        )

    def tamper(self, statement: str) -> None:
        with open_token(self.settings) as keys:
            ledger = open_books(self.settings, TokenKeySource(keys), SystemClock(), SystemEntropy()).ledger
            with ledger.order(SystemClock().now()) as unit:
                unit.connection.exec_driver_sql(statement)
            ledger.close()

    def test_sound(self) -> None:
        """A sound ledger: a table with a line for each check, and exit code 0."""
        done = self.run_audit()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for check in Check:
            self.assertIn(check.value, done.stdout)
        self.assertIn("1 signed heads: the ledger is sound", done.stdout)
        self.assertNotIn("wrong", done.stdout)

    def test_finding(self) -> None:
        """A tampered ledger: the row that does not hold is named, and the exit code is 1; JSON says the same."""
        self.tamper("UPDATE event SET actor = 'nobody' WHERE sequence = 1")
        done = self.run_audit()
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"event [0-9]{14}: its link \(slot 1, sequence 1\) does not follow")
        self.assertIn("NOT SOUND", done.stdout)
        told = self.run_audit("--json")
        self.assertEqual(told.returncode, 1)
        report = json.loads(told.stdout)
        self.assertFalse(report["sound"])
        [finding] = report["findings"]
        self.assertEqual(finding["check"], "chain unbroken")
        self.assertIn(finding["row"], done.stdout)

    def test_many_findings(self) -> None:
        """Findings that are not listed are counted."""
        report = audit(self.config)
        counts = {**report.counts, Check.CHAIN: 70}
        shown = io.StringIO()
        console = Console(file=shown, width=120)
        show(type(report)(report.ledger, 70, 0, 1, report.examined, counts, report.findings), console)
        self.assertIn("70 wrong", shown.getvalue())
        self.assertIn("... and 70 more", shown.getvalue())

    def test_wrong_token(self) -> None:
        """TR-13: without the token's PIN, or under another K_DB, one clear sentence and exit code 1."""
        with open_token(self.settings) as keys:
            keys.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
            keys.destroy(keys.find(DATABASE_KEY_LABEL, 1))
        self.assertRaises(WrongDatabaseKey, audit, self.config)
        done = self.run_audit()
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"\Atrus: the database .* open under any version of K_DB in the token \(2\)\n\Z")
        self.settings.token.pin_file.write_text("wrong-pin\n")
        self.assertRaises(KeyStoreError, audit, self.config)

    def test_missing_database(self) -> None:
        """A database that is not there is told in one sentence."""
        Path(self.made.database).unlink()
        failure = self.assertRaises(StorageFailed, audit, self.config)
        self.assertIn("there is no database", str(failure))

    def test_no_backend(self) -> None:
        """A gateway's configuration has no ledger to audit."""
        text = self.config.read_text()
        self.config.write_text(text[: text.index("\nbackend:")] + "\n")
        self.assertRaises(ConfigurationError, audit, self.config)

    def test_head_keys(self) -> None:
        """TR-17: heads are signed by a key that never leaves the token; other names and signatures do not verify."""
        with open_token(self.settings) as keys:
            signer, verifier = TokenHeadSigner(keys), TokenHeadVerifier(keys)
            signature = signer.sign(b"payload")
            self.assertEqual(signer.name, f"{AUDIT_KEY_LABEL}/1")
            self.assertTrue(verifier.verify(signer.name, b"payload", signature))
            self.assertFalse(verifier.verify(signer.name, b"other", signature))
            self.assertFalse(verifier.verify(signer.name, b"payload", b"noise"))
            for name in (f"{AUDIT_KEY_LABEL}/2", f"{AUDIT_KEY_LABEL}/x", f"{DATABASE_KEY_LABEL}/1", ""):
                self.assertFalse(verifier.verify(name, b"payload", signature), name)
            attributes = keys.attributes(keys.find(AUDIT_KEY_LABEL))
            self.assertEqual((attributes.extractable, attributes.sensitive, attributes.sign), (False, True, True))
