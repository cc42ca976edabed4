"""What an operator sees of `twistd -n trus`: real processes, real ports, real exit codes (DC-1)."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import IServiceMaker
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.plugin import getPlugins
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.gateway.deployment import GatewayCase, until
from trus.protocol.link import Opened
from trus.settings import NetworkSettings, Settings, dump

PROJECT = Path(__file__).resolve().parents[1]


class Twistd(ProcessProtocol):
    """One run of twistd: what it says, and how it ends."""

    def __init__(self) -> None:
        self.out = b""
        self.err = b""
        self.ended: Deferred[int] = Deferred()
        self.running = True

    def outReceived(self, data: bytes) -> None:
        self.out += data

    def errReceived(self, data: bytes) -> None:
        self.err += data

    def processEnded(self, reason: Failure) -> None:
        self.running = False
        end = reason.value
        self.ended.callback(-end.signal if end.signal is not None else end.exitCode)


class PluginTests(SynchronousTestCase):
    """twistd knows the plugin."""

    def test_is_found(self) -> None:
        """DC-1: twistd finds exactly one plugin of the name trus."""
        found = [plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "trus"]
        self.assertEqual([plugin.module for plugin in found], ["trus.tap"])


class RunningTests(GatewayCase):
    """Starting, failing to start, and stopping."""

    def run_twistd(self, *arguments: str, daemon: bool = False) -> Twistd:
        """Start twistd in the test's folder."""
        process = Twistd()
        words = [str(Path(sys.executable).with_name("twistd")), *([] if daemon else ["-n"]), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        spawn: Any = reactor
        handle = spawn.spawnProcess(process, words[0], words, environment, str(self.folder))

        async def end() -> None:
            if process.running:
                handle.signalProcess("KILL")
                await until(lambda: not process.running)

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        self.handle = handle
        return process

    def write(self, settings: Settings) -> str:
        """Write a configuration into the test's folder, and return its name."""
        (self.folder / "trus.yaml").write_text(dump(settings, self.folder.absolute()))
        return "trus.yaml"

    async def gateway_file(self, **changes: Any) -> tuple[str, Any]:
        """Write a gateway's configuration; return its name and the backend that it links to."""
        backend, port = await self.start_backend()
        gateway = attrs.evolve(self.gateway_settings([port]), **changes)
        return self.write(Settings(network=NetworkSettings(name="test"), gateway=gateway)), backend

    async def test_serves_until_stopped(self) -> None:
        """A gateway says when it is ready, and where; serves; and on SIGTERM ends in order, by that signal."""
        config, backend = await self.gateway_file()
        ready = self.folder / "ready.json"
        twistd = self.run_twistd("trus", "--config", config, "--ready-file", "ready.json")
        await until(lambda: ready.exists() or not twistd.running, 20)
        content = json.loads(ready.read_text())
        line = f"gateway ready: devices on {content['gateway']['devices']}, admins on {content['gateway']['admins']}"
        await until(lambda: line in twistd.out.decode() or not twistd.running, 20)
        self.assertIn(line, twistd.out.decode())
        self.assertEqual(content["pid"], self.handle.pid)
        await self.connect(content["gateway"]["admins"])
        await backend.next(Opened)
        self.handle.signalProcess("TERM")
        self.assertEqual(await twistd.ended, -signal.SIGTERM)
        self.assertEqual(sorted(path.name for path in self.folder.glob("*.json")), [])
        self.assertEqual(sorted(path.name for path in self.folder.glob("*.pid")), [])
        self.assertNotIn("Traceback", twistd.out.decode() + twistd.err.decode())

    async def test_waits_for_its_backend(self) -> None:
        """A gateway whose backend is not there starts, says so, and is ready when the backend comes."""
        backend, port = await self.start_backend()
        await backend.close()
        gateway = self.gateway_settings([port])
        config = self.write(Settings(network=NetworkSettings(name="test"), gateway=gateway))
        twistd = self.run_twistd("trus", "--config", config)
        await until(lambda: b"backend-1 cannot be reached: connection refused" in twistd.out, 20)
        self.assertNotIn(b"gateway ready", twistd.out)
        await self.start_backend(port)
        await until(lambda: b"gateway ready" in twistd.out, 20)
        self.handle.signalProcess("TERM")
        self.assertEqual(await twistd.ended, -signal.SIGTERM)

    async def test_port_that_is_taken(self) -> None:
        """A port that cannot be opened fails the start: one clear line, exit code 1, no PID file left."""
        _, twistd, taken = await self.start_on_taken_port()
        self.assertEqual(await twistd.ended, 1)
        line = f"trus: cannot open the device port 127.0.0.1:{taken}: address already in use\n"
        self.assertEqual(twistd.err.decode(), line)
        self.assertEqual(list(self.folder.glob("*.pid")), [])

    async def test_port_that_is_taken_by_a_daemon(self) -> None:
        """As a daemon the failed start is told to the shell by exit code 1, and stands in the log."""
        _, twistd, taken = await self.start_on_taken_port(daemon=True)
        self.assertEqual(await twistd.ended, 1)
        log = (self.folder / "twistd.log").read_text()
        self.assertIn(f"trus cannot start: cannot open the device port 127.0.0.1:{taken}: address already in use", log)
        self.assertNotIn("Traceback", log)
        # The shell hears the exit code from the first process; the daemon tidies up on its own way out.
        await until(lambda: not list(self.folder.glob("*.pid")), 20)

    async def start_on_taken_port(self, *, daemon: bool = False) -> tuple[str, Twistd, int]:
        """Start a gateway on a port that this test has taken."""
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = self.gateway_settings([1])
        devices = attrs.evolve(settings.devices, port=port)
        config = self.write(
            Settings(network=NetworkSettings(name="test"), gateway=attrs.evolve(settings, devices=devices))
        )
        return config, self.run_twistd("trus", "--config", config, daemon=daemon), port

    async def test_configuration_that_is_wrong(self) -> None:
        """Every problem of the configuration is told at once, on standard error, with exit code 1."""
        (self.folder / "bad.yaml").write_text("network: {name: 'a b', colour: red}\ngateway: 7\n")
        twistd = self.run_twistd("trus", "--config", "bad.yaml")
        self.assertEqual(await twistd.ended, 1)
        lines = twistd.err.decode().splitlines()
        self.assertRegex(lines[0], r"\Atrus: .*bad\.yaml has 3 problems:\Z")
        self.assertEqual(len(lines), 4)

    async def test_configuration_that_is_missing(self) -> None:
        """Without --config the start fails with one line."""
        twistd = self.run_twistd("trus")
        self.assertEqual(await twistd.ended, 1)
        self.assertEqual(twistd.err, b"trus: say which configuration: twistd -n trus --config FILE\n")

    async def test_certificate_that_does_not_open(self) -> None:
        """A wrong passphrase fails the start with one line that names the file, not the passphrase."""
        config, _ = await self.gateway_file()
        (self.folder / "gateway.pass").write_text("wrong horse\n")
        twistd = self.run_twistd("trus", "--config", config)
        self.assertEqual(await twistd.ended, 1)
        text = twistd.err.decode()
        self.assertRegex(text, r"\Atrus: the certificate file /.*/gateway\.p12 cannot be opened: .*\n\Z")
        self.assertNotIn("wrong horse", text + twistd.out.decode())

    async def test_interrupt(self) -> None:
        """Control-C stops a gateway in order."""
        config, _ = await self.gateway_file()
        twistd = self.run_twistd("trus", "--config", config)
        await until(lambda: b"gateway ready" in twistd.out, 20)
        os.kill(self.handle.pid, signal.SIGINT)
        await twistd.ended
        self.assertIn(b"Main loop terminated", twistd.out)
        self.assertNotIn(b"Traceback", twistd.out + twistd.err)
