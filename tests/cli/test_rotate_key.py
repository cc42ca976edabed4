"""`trus rotate-key`, without a backend and beside one that takes payments."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.integration.network import PROJECT, Network, demand
from trus.cli.audit import audit
from trus.cli.doctor import examine
from trus.cli.keystore import open_token
from trus.cli.layout import InitOptions, Layout
from trus.cli.processes import children
from trus.cli.provisioning import provision
from trus.cli.rotate_key import backend_runs, is_done
from trus.clock import SystemClock, SystemEntropy
from trus.errors import StorageFailed
from trus.hsm.datakeys import versions_of
from trus.settings.loading import load

TRUS = str(Path(sys.executable).with_name("trus"))


def rotate_key(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [TRUS, "rotate-key", "--config", str(config), *options]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


class OfflineCase(SynchronousTestCase):
    """A deployment that does not run."""

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="trus-rotate-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.layout = Layout(folder / "net")
        provision(self.layout.root, InitOptions(), SystemClock(), SystemEntropy())
        self.config = self.layout.config

    def test_rotation(self) -> None:
        """TR-13: one command makes the new version and re-ciphers the database; --status and doctor show it."""
        before = rotate_key(self.config, "--status")
        self.assertEqual((before.returncode, before.stdout), (0, "version 1: file,rows\n"))
        done = rotate_key(self.config, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual((told["online"], told["done"]), (False, True))
        self.assertEqual([row["use"] for row in told["versions"]], ["", "file,rows"])
        self.assertIn("under version 2 of K_DB", done.stderr)
        self.assertTrue(audit(self.config).sound)
        found = " ".join(finding.text for finding in examine(load(self.config), SystemClock()))
        self.assertIn("opens under version 2 of K_DB", found)
        self.assertIn("version 1 of K_DB is needed by requests that may be repeated", found)

    def test_destruction_is_refused(self) -> None:
        """What is needed is not destroyed, and the reason is told; exit code 1."""
        rotate_key(self.config)
        refused = rotate_key(self.config, "--destroy-old")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("requests that may be repeated", refused.stderr)
        backend = load(self.config).backend
        assert backend is not None
        with open_token(backend) as store:
            self.assertEqual(versions_of(store), [1, 2])

    def test_under_approval(self) -> None:
        """Where the policy puts the order under another admin's approval, nobody goes around it with this command."""
        policy = self.layout.pki / "policy.yaml"
        policy.write_text("approvals:\n  commands:\n    - name: KEY-ROTATE\n", encoding="utf-8")
        refused = rotate_key(self.config)
        self.assertEqual(refused.returncode, 1)
        self.assertEqual(
            refused.stderr,
            "trus: the policy lets nobody order KEY-ROTATE alone: start the backend and give it there\n",
        )

    def test_no_database(self) -> None:
        """Without the database, one sentence; without a backend section, another."""
        self.layout.database.unlink()
        self.assertRaises(StorageFailed, backend_runs, self.layout.database)
        missing = rotate_key(self.config)
        self.assertEqual((missing.returncode, missing.stderr.count("\n")), (1, 1))
        self.assertIn("there is no database", missing.stderr)

    def test_done(self) -> None:
        """A rotation is done when one version serves for everything."""
        self.assertTrue(is_done([{"use": ""}, {"use": "file,rows"}]))
        self.assertFalse(is_done([{"use": "file"}, {"use": "rows"}]))
        self.assertFalse(is_done([{"use": "file,rows"}, {"use": "rows"}]))


class OnlineCase(TestCase):
    """A network that takes payments."""

    timeout = 180

    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self.network.remove)
        self.network.start()

    @inlineCallbacks
    def test_payments_go_on(self) -> Generator[Deferred[Any], Any, None]:
        """TR-13: beside a running backend the order goes to its core; every payment meanwhile is approved."""
        yield Deferred.fromCoroutine(self._rotate_under_payments())

    async def _rotate_under_payments(self) -> None:
        town = await self.network.small_town(reactor, employees=30)
        home = await self.network.enrolled(reactor, town, "T0000001")
        client = self.network.terminal(reactor, home)
        await client.start()
        config = str(self.network.layout.config)
        running = getProcessOutputAndValue(
            TRUS, ["rotate-key", "--config", config, "--json"], env=dict(os.environ), path=str(PROJECT)
        )
        ended: list[tuple[bytes, bytes, int]] = []
        running.addCallback(ended.append)
        codes, slowest, turn = [], 0.0, 0
        while not ended:
            card = town.cards[turn % len(town.cards)]
            turn += 1
            began = time.monotonic()
            answer = await client.purchase(1, card["track2"], card["pin"])
            slowest = max(slowest, time.monotonic() - began)
            codes.append(answer.code)
        out, err, code = ended[0]
        self.assertEqual((code, set(codes)), (0, {"00"}), err)
        told = json.loads(out)
        self.assertEqual((told["online"], told["done"]), (True, True))
        self.assertGreater(len(codes), 3)
        self.assertLess(slowest, 2.0)
        late = await client.purchase(1, town.cards[0]["track2"], town.cards[0]["pin"])
        self.assertEqual(late.code, "00")
        rows = (await town.admin.order("ORDERS", {"admin": "rotation"})).rows
        self.assertEqual({row["order"] for row in rows}, {"KEY-ROWS", "KEY-FILE"})
        health = {row["part"]: row["state"] for row in (await demand(town.admin, "HEALTH")).rows}
        self.assertEqual(health["database key"], "ok")
        await client.stop()
        await town.admin.close()
        self.network.stop()
        report = audit(self.network.layout.config)
        self.assertTrue(report.sound, report.findings)

    @inlineCallbacks
    def test_the_core_is_killed_again_and_again(self) -> Generator[Deferred[Any], Any, None]:
        """TR-13: a core that is killed in the middle of a rotation is started again, and carries it on by itself."""
        yield Deferred.fromCoroutine(self._kill_the_core())

    async def _kill_the_core(self) -> None:
        town = await self.network.small_town(reactor, employees=100)
        await demand(town.admin, "KEY-ROTATE")
        front = self.network.processes[0].popen.pid
        for pause in (0.02, 0.15, 0.4):
            await deferLater(reactor, pause)
            for core in children(front):
                os.kill(core, 9)
            await self._until_it_serves(town)
        for _ in range(100):
            status = await town.admin.order("KEY-STATUS", {})
            if status.ok and is_done(status.rows):
                break
            await deferLater(reactor, 0.1)
        else:
            self.fail(f"the rotation did not come to its end: {status.text}")
        await town.admin.close()
        self.network.stop()
        self.assertTrue(audit(self.network.layout.config).sound)

    async def _until_it_serves(self, town: Any) -> None:
        for _ in range(100):
            reply = await town.admin.order("KEY-STATUS", {})
            if reply.ok:
                return
            await deferLater(reactor, 0.1)
        self.fail("the core did not come back")
