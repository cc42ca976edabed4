"""docs/how-to/back-up-and-restore.md and docs/how-to/rotate-the-database-key.md, typed as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import yaml
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.network import PROJECT, Network, Process
from trus.admin.commands import COMMANDS
from trus.backup.manifest import Manifest
from trus.cli.audit import audit
from trus.cli.backup import EXPIRY_DAYS
from trus.cli.policy import policy_of
from trus.core.jobs import RETRY_SECONDS
from trus.ledger.facts import OLDEST_REQUEST_DAYS
from trus.ledger.rotation import ROWS_A_STEP
from trus.ledger.rotation_file import COPY_SUFFIX, PAGES_A_STEP
from trus.settings.loading import load

DOCS: Final = PROJECT / "docs"
BACKUP: Final = (DOCS / "how-to" / "back-up-and-restore.md").read_text("utf-8")
ROTATION: Final = (DOCS / "how-to" / "rotate-the-database-key.md").read_text("utf-8")
FORMAT: Final = (DOCS / "reference" / "backup-format.md").read_text("utf-8")


def blocks(page: str, kind: str = "sh") -> list[str]:
    """Return the blocks of a kind of a page, in order."""
    found = re.findall(r"^```([a-z]*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [text for named, text in found if named == kind]


class PageCase(SynchronousTestCase):
    """A network that does not run."""

    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self.network.remove)
        self.folder = self.network.folder

    def typed(self, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Type lines into a shell in a folder."""
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def done(self, script: str, folder: Path) -> str:
        """Type what must succeed; return what it printed."""
        result = self.typed(script, folder)
        self.assertEqual(result.returncode, 0, script + result.stderr)
        return result.stdout


class BackupPageTests(PageCase):
    """Back up, and restore."""

    def test_as_it_stands(self) -> None:
        """The page's commands back a network up and restore it; what they make starts and is sound."""
        new, back_up, restore = blocks(BACKUP)
        self.network.start()
        self.network.stop()  # so that the ledger has a signed head
        for name in ("Ada", "Bob"):
            passphrase = self.folder / f"{name.lower()}.pass"
            passphrase.write_text(f"the passphrase of {name}\n")
            line = new.strip().replace("Ada", name).replace("ada", name.lower())
            self.done(f"{line} --passphrase-file {passphrase}", self.folder)
            shutil.copy(self.folder / name.lower() / f"{name.lower()}.pem", self.network.layout.root)
        self.assertIn("Ada", self.done("trus officer show ada.pem", self.network.layout.root))
        backups = self.folder / "backups"
        backups.mkdir()
        made = self.done(back_up.replace("/backups/", f"{backups}/"), self.network.layout.root)
        [listed] = re.findall(r"not in it: (.*)", made)
        self.assertEqual(listed, "admins, root-token, the token's PIN")
        for name in ("ada", "bob"):
            shutil.copy(self.folder / name / f"{name}.key", backups)
        [heads] = self.network.layout.heads.glob("heads-*.jsonl")
        shutil.copy(heads, backups / "heads-2026-11.jsonl")
        shutil.copy(self.network.layout.pin_file, backups / "token-pin")
        into = self.folder / "srv"
        passphrases = " ".join(f"--officer-passphrase-file {self.folder / name}.pass" for name in ("ada", "bob"))
        ordered, doctor, start = (
            each.replace("/srv/trus", str(into)) for each in restore.replace("\\\n", "").splitlines()
        )
        self.assertIn("epoch 1", self.done(f"{ordered} {passphrases}", backups))
        self.done(doctor, into)
        self.assertEqual(start.split()[:3], ["twistd", "-n", "trus"])
        process = Process(into / "trus.yaml", "restored")
        self.addCleanup(process.kill)
        process.wait_ready()
        process.stop()
        self.assertTrue(audit(into / "trus.yaml").sound)

    def test_what_it_says(self) -> None:
        """Each sentence of a refusal that the page quotes is one of the program's; its figures are as well."""
        sources = "".join(
            path.read_text("utf-8")
            for part in ("backup", "cli", "ledger")
            for path in (PROJECT / "trus" / part).glob("*.py")
        )
        for sentence in (
            "this backup needs both officers",
            "the backup was altered, or is not whole",
            "database and token do not belong together",
            "was not made by the holder of its token",
            "the backup's ledger is not sound",
            "their histories differ",
        ):
            self.assertIn(f"{sentence}", BACKUP)
            self.assertIn(sentence, sources)
        self.assertIn(f"`--days {EXPIRY_DAYS}`", BACKUP)
        for verb in re.findall(r"`([A-Z-]{6,})`", BACKUP):
            self.assertIn(verb, {*COMMANDS, "RESTORE"}, verb)


class RotationPageTests(PageCase):
    """Change the database's master key."""

    def test_as_it_stands(self) -> None:
        """The page's commands show the version, change it, and are refused the old one's end while it is needed."""
        status, change, destroy = blocks(ROTATION)
        root = self.network.layout.root
        self.assertEqual(self.done(status, root), blocks(ROTATION, "")[0])
        self.assertIn("version 2: file,rows", self.done(change, root))
        refused = self.typed(destroy, root)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("requests that may be repeated", refused.stdout + refused.stderr)

    def test_approvals(self) -> None:
        """The page's policy puts both orders under approval, as the policy's reader understands it."""
        [text] = blocks(ROTATION, "yaml")
        self.assertEqual(
            yaml.safe_load(text)["approvals"]["commands"], [{"name": "KEY-ROTATE"}, {"name": "KEY-DESTROY"}]
        )
        (self.network.layout.pki / "policy.yaml").write_text(text, "utf-8")
        backend = load(self.network.layout.config).backend
        assert backend is not None
        self.assertEqual(set(policy_of(backend).orders), {"KEY-ROTATE", "KEY-DESTROY"})
        self.assertEqual(self.typed(blocks(ROTATION)[1], self.network.layout.root).returncode, 1)

    def test_what_it_says(self) -> None:
        """Figures, files, reasons and events of the page are the program's."""
        self.assertIn(f"{ROWS_A_STEP} rows at a time", ROTATION)
        self.assertIn(f"{PAGES_A_STEP * 2048 // 1024} KiB at a time", ROTATION)
        self.assertEqual(RETRY_SECONDS, 60.0)
        self.assertIn("tried again every minute", ROTATION)
        self.assertIn(f"`trus.db{COPY_SUFFIX}`", ROTATION)
        self.assertIn(f"{OLDEST_REQUEST_DAYS} business dates", ROTATION)
        sources = "".join(path.read_text("utf-8") for path in (PROJECT / "trus" / "ledger").glob("rotation*.py"))
        for event in ("KEY-ROTATE", "KEY-ROWS", "KEY-FILE", "KEY-DESTROY"):
            self.assertIn(f"`{event}`", ROTATION)
            self.assertIn(f'"{event}"', sources)


class FormatPageTests(SynchronousTestCase):
    """The format of a backup; tests.backup opens an archive by it."""

    def test_manifest(self) -> None:
        """Every field of a manifest stands on the page, and no other."""
        table = FORMAT[FORMAT.index("## Manifest") :]
        cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        named = {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}
        self.assertEqual(named, set(Manifest.__struct_fields__))
