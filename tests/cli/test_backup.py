"""`trus officer`, `trus backup` and `trus restore` on a network that takes payments."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.integration.network import PROJECT, Network, Process, demand
from trus.backup.errors import BackupRefused
from trus.cli.audit import audit
from trus.cli.layout import Layout
from trus.cli.restore import check_date, known_heads, open_keys
from trus.device.client import TerminalClient
from trus.device.home import DeviceHome
from trus.device.journal import FileJournal
from trus.device.restored import known_epoch, list_after_restoration
from trus.errors import LedgerError
from trus.values import Why

TRUS = str(Path(sys.executable).with_name("trus"))


def trus(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run([TRUS, *map(str, arguments)], cwd=PROJECT, capture_output=True, text=True, check=False)


class BackupCommandCase(TestCase):
    """One network, two officers."""

    timeout = 240

    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self.network.remove)
        self.safe = self.network.folder / "safe"
        for name in ("ada", "bob"):
            self.passphrase(name).parent.mkdir(exist_ok=True)
            self.passphrase(name).write_text(f"the passphrase of {name}\n")
            made = trus("officer", "new", name, "--out", self.safe, "--passphrase-file", self.passphrase(name))
            self.assertEqual((made.returncode, made.stderr), (0, ""))

    def passphrase(self, name: str) -> Path:
        return self.network.folder / "secrets" / name

    def backup_arguments(self, target: str) -> list[str]:
        config = str(self.network.layout.config)
        officers = [word for name in ("ada", "bob") for word in ("--officer", str(self.safe / f"{name}.pem"))]
        return ["backup", "--config", config, "--to", str(self.safe / target), *officers]

    def restore(self, into: Path, last_head: object, *more: str) -> subprocess.CompletedProcess[str]:
        keys = [word for name in ("bob", "ada") for word in ("--officer-key", str(self.safe / f"{name}.key"))]
        passphrases = [
            word for name in ("bob", "ada") for word in ("--officer-passphrase-file", str(self.passphrase(name)))
        ]
        pin = ["--pin-file", str(self.network.layout.pin_file)]
        source = ["--from", str(self.safe / "one.trus"), "--into", str(into)]
        return trus("restore", *source, *keys, *passphrases, *pin, "--last-head", last_head, *more)

    @inlineCallbacks
    def test_the_whole_way(self) -> Generator[Deferred[Any], Any, None]:
        """A backup is made beside payments; after a disaster what is restored serves the same cards and terminals."""
        yield Deferred.fromCoroutine(self._lose_everything())

    async def _lose_everything(self) -> None:
        self.network.start()
        town = await self.network.small_town(reactor, employees=3)
        home = await self.network.enrolled(reactor, town, "T0000001")
        client = self.network.terminal(reactor, home)
        await client.start()
        first, second = town.cards[:2]
        self.assertEqual((await client.purchase(1250, first["track2"], first["pin"])).code, "00")
        running = getProcessOutputAndValue(
            TRUS, self.backup_arguments("one.trus"), env=dict(os.environ), path=str(PROJECT)
        )
        ended: list[tuple[bytes, bytes, int]] = []
        running.addCallback(ended.append)
        paid = 0
        while not ended:
            answer = await client.purchase(1, second["track2"], second["pin"])
            self.assertEqual(answer.code, "00")
            paid += 1
        self.assertEqual(ended[0][2], 0, ended[0][1])
        self.assertIn(b"last signed head", ended[0][0])
        self.assertGreater(paid, 2)
        await self._on_record(town)
        await client.stop()
        await town.admin.close()
        self.network.stop()
        heads = sorted(self.network.layout.heads.glob("*.jsonl"))[-1]

        # What came after the backup is lost, and only who accepts that gets the older state.
        restored = self.network.folder / "restored"
        refused = self.restore(restored, heads)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("events are lost; --accept-loss restores it nevertheless", refused.stderr)
        self.assertFalse(restored.exists())
        done = self.restore(restored, heads, "--accept-loss")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("epoch 1", done.stdout)
        self.assertTrue(audit(restored / "trus.yaml").sound)

        # The restored network takes the lost one's place.
        self.network.layout.root.rename(self.network.folder / "lost")
        restored.rename(self.network.layout.root)
        await self._serve_again(home, first)

    async def _on_record(self, town: Any) -> None:
        for _ in range(100):
            rows = (await demand(town.admin, "BACKUPS")).rows
            if rows:
                break
            await deferLater(reactor, 0.1)
        self.assertEqual((len(rows), rows[0]["versions"]), (1, "1"))
        refused = await town.admin.order("KEY-DESTROY", {"version": "1"})
        self.assertEqual(refused.code, "62")

    async def _serve_again(self, home: Any, card: dict[str, str]) -> None:
        layout = Layout(self.network.layout.root)
        conf = layout.token_conf.read_text("utf-8")
        layout.token_conf.write_text(conf.replace(str(self.network.folder / "restored"), str(layout.root)), "utf-8")
        (self.network.folder / "lost" / "admins").rename(layout.admins)
        process = Process(layout.config, "restored")
        self.network.processes = [process]
        process.wait_ready()
        journal = home.journal()
        self.addCleanup(journal.close)
        client = self.network.terminal(reactor, home, journal=journal)
        await client.start()
        await self._list_what_was_lost(home, client, journal)
        self.assertEqual((await client.purchase(100, card["track2"], card["pin"])).code, "00")
        balance = await client.balance(card["track2"], card["pin"])
        self.assertEqual(balance.balance, 10_000 - 1_250 - 100)
        admin = await self.network.admin(reactor)
        health = {row["part"]: row["state"] for row in (await demand(admin, "HEALTH")).rows}
        self.assertEqual((health["restore-epoch"], health["database"]), ("1", "ok"))
        orders = (await admin.order("ORDERS", {"admin": "restore"})).rows
        self.assertEqual([row["order"] for row in orders], ["RESTORE"])
        await client.stop()
        await admin.close()
        self.network.stop()
        self.assertTrue(audit(layout.config).sound)

    async def _list_what_was_lost(self, home: DeviceHome, client: TerminalClient, journal: FileJournal) -> None:
        """The terminal hears of the restoration and lists its batch: what the backup did not hold is named, once."""
        self.assertEqual((client.terms.epoch, known_epoch(home)), (1, 0))
        listed = len(journal.memory.items)
        answer = await list_after_restoration(home, client, journal)
        assert answer is not None
        self.assertEqual((answer.code, answer.balanced), ("00", False))
        self.assertGreater(answer.differing, 0)
        self.assertLess(answer.differing, listed)
        self.assertEqual({each.why for each in answer.differences}, {Why.MISSING_AT_HOST})
        self.assertEqual({each.terminal.amount for each in answer.differences if each.terminal}, {1})
        self.assertEqual((len(journal.memory.items), known_epoch(home)), (0, 1))
        self.assertIsNone(await list_after_restoration(home, client, journal))


class WordsCase(SynchronousTestCase):
    """What the commands refuse before they open anything."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def test_officers(self) -> None:
        """An officer's files are made once and privately; who a certificate is of can be shown."""
        secret = self.folder / "secret"
        secret.write_text("long enough to be one\n")
        made = trus("officer", "new", "Ada Lovelace", "--out", self.folder / "o", "--passphrase-file", secret)
        self.assertEqual(made.returncode, 0, made.stderr)
        key, certificate = self.folder / "o" / "ada-lovelace.key", self.folder / "o" / "ada-lovelace.pem"
        self.assertEqual((key.stat().st_mode & 0o777, certificate.stat().st_mode & 0o777), (0o600, 0o600))
        shown = trus("officer", "show", certificate)
        self.assertEqual(shown.stdout.splitlines()[0], "Ada Lovelace")
        self.assertIn(shown.stdout.splitlines()[1].strip(), made.stdout)
        again = trus("officer", "new", "Ada Lovelace", "--out", self.folder / "o", "--passphrase-file", secret)
        self.assertEqual((again.returncode, again.stderr.count("\n")), (1, 1))
        secret.write_text("\n")
        self.assertEqual(trus("officer", "new", "B", "--out", self.folder, "--passphrase-file", secret).returncode, 1)

    def test_heads(self) -> None:
        """The demanded head is a digest, a file of exported lines, or plainly none; anything else is refused."""
        self.assertEqual(known_heads("none"), ())
        self.assertEqual(known_heads("AB" * 32)[0].digest, b"\xab" * 32)
        self.assertRaises(FileNotFoundError, known_heads, str(self.folder / "missing.jsonl"))
        for text in ("", "{}", "no head", '{"document":"{}","signature":"00"}'):
            (self.folder / "heads.jsonl").write_text(text)
            self.assertRaises(LedgerError, known_heads, str(self.folder / "heads.jsonl"))

    def test_keys(self) -> None:
        """Two keys are needed, and a passphrase for each or none."""
        path = self.folder / "key"
        for keys, passphrases in (((path,), ()), ((path, path, path), ()), ((path, path), (path,))):
            self.assertRaises(BackupRefused, open_keys, keys, passphrases)

    def test_dates(self) -> None:
        """A business date is one of the calendar."""
        check_date("2026-11-20")
        for text in ("2026-13-01", "2026-1-1", "yesterday", ""):
            self.assertRaises(BackupRefused, check_date, text)
