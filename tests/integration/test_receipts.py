"""Receipts on real processes: proved with the public key alone, and what tampering with the database comes to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import TestCase

from tests.integration.network import Network, Town
from trus.cli.compose import database_path
from trus.cli.database_keys import file_key
from trus.cli.keystore import open_token
from trus.device.home import DeviceHome
from trus.ledger.engine import open_engine
from trus.receipts.links import STATED
from trus.receipts.proofs import read_evidence
from trus.settings.loading import load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "verify-a-receipt.md"
TRUS = str(Path(sys.executable).with_name("trus"))


class ReceiptTests(TestCase):
    """A shop, its terminal, and somebody who holds the keys of the database."""

    timeout = 600

    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self.network.remove)
        self.network.start()
        self.shop = self.network.folder / "shop"
        self.shop.mkdir()
        shutil.copy(self.network.layout.pki / "audit-head.pem", self.shop)

    @inlineCallbacks
    def test_a_shop_can_show_it(self) -> Generator[Deferred[Any], Any, None]:
        """TR-11: what a shop was answered is proved to anybody, and what is dropped or changed is shown."""
        town, home = yield Deferred.fromCoroutine(self._open())
        yield Deferred.fromCoroutine(self._pay(town, home, 300, 1250))
        self._type_the_page(home)
        lunch = read_evidence((self.shop / "lunch.json").read_bytes())
        self.assertEqual(lunch.slip["authorized"], 1250)
        for name in STATED:
            other = 7 if isinstance(lunch.slip[name], int) else "other"
            self._write("forged", receipt=lunch.receipt, slip={**lunch.slip, name: other})
            self.assertEqual(self._verdict("forged.json", code=3), "changed", name)
        yield Deferred.fromCoroutine(town.admin.close())
        self.network.stop()
        database = database_path(self._backend())
        copy = database.with_name("copy")
        shutil.copy(database, copy)

        self.network.start()
        yield Deferred.fromCoroutine(self._pay(town, home, 400))
        self._receipt(home, "later", "--since", "lunch.json")
        self.assertEqual(self._verdict("later.json", "--head", "lunch.json"), "included")

        self.network.stop()
        self._tamper(
            f"UPDATE event SET amount = 125 WHERE rrn = '{lunch.slip['rrn']}'",
            f"DELETE FROM event WHERE rrn = '{self._slip('later')['rrn']}'",
        )
        self.network.start()
        self._receipt(home, "changed", "--number", str(lunch.slip["stan"]))
        self.assertEqual(self._verdict("changed.json", code=3), "changed")
        self._receipt(home, "dropped", code=3)
        self.assertIsNone(read_evidence((self.shop / "dropped.json").read_bytes()).proof)
        for _ in range(2):
            yield Deferred.fromCoroutine(self._pay(town, home, 100))
            self._receipt(home, "newest")
        self.assertEqual(self._verdict("dropped.json", "--head", "newest.json", code=3), "not-included")

        self.network.stop()
        for left in database.parent.glob(database.name + "*"):
            left.unlink()
        shutil.copy(copy, database)
        for exported in self.network.layout.heads.glob("heads-*.jsonl"):
            exported.unlink()
        self.network.start()
        yield Deferred.fromCoroutine(self._pay(town, home, 500))
        self._receipt(home, "set-back")
        self.assertEqual(self._verdict("set-back.json", "--head", "newest.json", code=3), "inconsistent")

    # --------------------------------------------------------------------------- what is done

    async def _open(self) -> tuple[Town, DeviceHome]:
        town = await self.network.small_town(reactor)
        return town, await self.network.enrolled(reactor, town, "T0000001")

    async def _pay(self, town: Town, home: DeviceHome, *amounts: int) -> None:
        """Pay, and close the batch."""
        client = self.network.terminal(reactor, home)
        await client.start()
        try:
            card = town.cards[0]
            for amount in amounts:
                paid = await client.purchase(amount, card["track2"], card["pin"])
                self.assertRegex(paid.proof, r"^1-[0-9]+-[0-9A-F]{32}\Z")
            self.assertTrue((await client.close_batch()).balanced)
        finally:
            await client.stop()

    def _type_the_page(self, home: DeviceHome) -> None:
        """Type the commands of docs/how-to/verify-a-receipt.md as they stand."""
        (self.shop / "T0000001").symlink_to(home.path)
        blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        self.assertEqual(len(blocks), 4)
        done = self._call(["bash", "-ec", "".join(blocks)])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("INCLUDED"), 2)
        self.assertIn('"verdict": "included"', done.stdout)

    def _receipt(self, home: DeviceHome, name: str, *more: str, code: int = 0) -> None:
        done = self._call([TRUS, "pos", "--home", str(home.path), "receipt", "--out", f"{name}.json", *more])
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)

    def _slip(self, name: str) -> dict[str, Any]:
        return read_evidence((self.shop / f"{name}.json").read_bytes()).slip

    def _write(self, name: str, **changed: Any) -> None:
        """Write another receipt file with the proof of lunch.json."""
        held = json.loads((self.shop / "lunch.json").read_text())
        (self.shop / f"{name}.json").write_text(json.dumps({**held, **changed}))

    def _verdict(self, name: str, *more: str, code: int = 0) -> str:
        """Verify with the public key alone: nothing else of the network lies within reach."""
        alone = self.network.folder / "alone"
        shutil.rmtree(alone, ignore_errors=True)
        alone.mkdir()
        for file in (name, "audit-head.pem", *(each for each in more if each.endswith(".json"))):
            shutil.copy(self.shop / file, alone)
        command = [TRUS, "verify-receipt", name, "--key", "audit-head.pem", *more, "--json"]
        done = self._call(command, alone)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        verdict: str = json.loads(done.stdout)["verdict"]
        return verdict

    def _call(self, command: list[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            command,
            cwd=folder or self.shop,
            env={**os.environ, "PATH": path, "COLUMNS": "120", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )

    def _backend(self) -> Any:
        return load(self.network.layout.config).backend

    def _tamper(self, *statements: str) -> None:
        """Change the ciphered database as somebody does who holds the token."""
        backend = self._backend()
        path = database_path(backend)
        with open_token(backend) as keys:
            key = file_key(path, keys)
        engine = open_engine(path, lambda: key)
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
            connection.commit()
        engine.dispose()
