"""A port that cannot be opened fails the start, with one clear sentence."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ServerEndpoint, UNIXServerEndpoint
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from trus.errors import KeyStoreUnavailable
from trus.net.listening import ClearStart, ListenFailed, LoudStreamService

ROOT = Path(__file__).resolve().parents[2]


@implementer(IStreamServerEndpoint)
class Dawdling:
    """An endpoint that never makes up its mind."""

    cancelled = False

    def listen(self, protocolFactory: object) -> Deferred[Any]:
        return Deferred(lambda _: setattr(self, "cancelled", True))


class Noting(Service):
    """Notes that it was started and stopped; fails to start when told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.stopped = False

    def startService(self) -> None:
        if self.failure is not None:
            raise self.failure
        super().startService()

    def stopService(self) -> None:
        self.stopped = True


def loopback(port: int) -> TCP4ServerEndpoint:
    """Return an endpoint on loopback."""
    return TCP4ServerEndpoint(reactor, port, interface="127.0.0.1")


class LoudStreamServiceTests(TestCase):
    @inlineCallbacks
    def test_port_of_choice(self) -> Generator[Any, Any, None]:
        """Port 0 opens a free port whose number can be asked for, until it is closed."""
        service = LoudStreamService(loopback(0), Factory(), "device port")
        self.assertRaises(ListenFailed, lambda: service.port)
        service.startService()
        self.assertGreater(service.port, 0)
        self.assertTrue(service.running)
        yield service.stopService()
        self.assertRaises(ListenFailed, lambda: service.port)

    @inlineCallbacks
    def test_port_in_use(self) -> Generator[Any, Any, None]:
        """A port that is in use fails the start with a sentence that names it."""
        first = LoudStreamService(loopback(0), Factory(), "first")
        first.startService()
        second = LoudStreamService(loopback(first.port), Factory(), "device port tcp:7001")
        failure = self.assertRaises(ListenFailed, second.startService)
        self.assertEqual(str(failure), "cannot open the device port tcp:7001: address already in use")
        self.assertFalse(second.running)
        yield second.stopService()
        yield first.stopService()

    @inlineCallbacks
    def test_not_tcp(self) -> Generator[Any, Any, None]:
        """A port that is no TCP port opens, and says that it has no number."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        service = LoudStreamService(UNIXServerEndpoint(reactor, f"{folder}/port"), Factory(), "local port")
        service.startService()
        self.assertRaises(ListenFailed, lambda: service.port)
        yield service.stopService()

    def test_unknown_later(self) -> None:
        """An endpoint that cannot tell at once whether its port opens fails the start."""
        endpoint = Dawdling()
        service = LoudStreamService(endpoint, Factory(), "odd port")
        self.assertRaises(ListenFailed, service.startService)
        self.assertTrue(endpoint.cancelled)


class ClearStartTests(SynchronousTestCase):
    def root(self, *services: Service) -> ClearStart:
        """Return a root with these services."""
        root = ClearStart()
        for service in services:
            service.setServiceParent(root)
        return root

    def test_reason_becomes_the_exit(self) -> None:
        """A service that cannot start ends the program with its reason; those before it are stopped."""
        said = io.StringIO()
        self.patch(sys, "__stderr__", said)
        before, after = Noting(), Noting()
        root = self.root(before, Noting(KeyStoreUnavailable("the token is not there")), after)
        ending = self.assertRaises(SystemExit, root.startService)
        self.assertEqual(ending.code, 1)
        self.assertEqual(said.getvalue(), "trus: the token is not there\n")
        self.assertEqual((before.stopped, after.stopped), (True, False))

    def test_bug_keeps_its_traceback(self) -> None:
        """A bug is not dressed up as an operator's mistake."""
        self.assertRaises(ZeroDivisionError, self.root(Noting(ZeroDivisionError())).startService)

    def test_good_start(self) -> None:
        """Services that can start do."""
        service = Noting()
        root = self.root(service)
        root.privilegedStartService()
        root.startService()
        self.assertTrue(service.running)


class TwistdTests(SynchronousTestCase):
    def test_exit_of_a_real_daemon(self) -> None:
        """Under twistd a port in use means: one clear line on standard error, no traceback, exit status 1."""
        program = """
            import socket
            from twisted.application.service import Application
            from twisted.internet import reactor
            from twisted.internet.endpoints import TCP4ServerEndpoint
            from twisted.internet.protocol import Factory
            from trus.net.listening import ClearStart, LoudStreamService

            taken = socket.socket()
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            application = Application("trus")
            root = ClearStart()
            root.setServiceParent(application)
            endpoint = TCP4ServerEndpoint(reactor, taken.getsockname()[1], interface="127.0.0.1")
            root.keep_open = taken
            LoudStreamService(endpoint, Factory(), "device port").setServiceParent(root)
        """
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        script = folder / "daemon.tac"
        script.write_text(textwrap.dedent(program))
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        command += ["--nodaemon", "--pidfile=", f"--python={script.resolve()}"]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("trus: cannot open the device port: address already in use", done.stderr)
        self.assertNotIn("Traceback", done.stderr + done.stdout)
