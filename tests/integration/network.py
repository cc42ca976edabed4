"""A whole network for a test: provisioned in a scratch folder, real processes, real sockets.

Everything is what an operator would run: `trus init`'s provisioning, gateway and backend under
twistd, the console over two-way TLS, terminals with their own homes. Only the ports are drawn.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS

from trus.admin.client import AdminClient, AdminReply
from trus.cli.layout import InitOptions, Layout
from trus.cli.provisioning import provision
from trus.clock import SystemClock, SystemEntropy
from trus.device.client import TerminalClient
from trus.device.enrolment import enrol
from trus.device.home import DeviceHome, TerminalSettings
from trus.device.journal import FileJournal
from trus.device.requests import Timing
from trus.net.contexts import ClientChannel
from trus.net.credentials import from_pkcs12, load_authorities
from trus.pki.channel import ADMIN_HOST, GATEWAY_HOST
from trus.settings.loading import load
from trus.values import ChannelRole

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Process:
    """One twistd, its log, and how it ended."""

    def __init__(
        self, config: Path, name: str, environment: Mapping[str, str] | None = None, limits: Any = None
    ) -> None:
        self.log = config.parent / f"{name}.log"
        self.ready = config.parent / f"{name}.ready"
        self.ready.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("twistd")),
                    *["-n", "--pidfile=", "trus", "--config", str(config), "--ready-file", str(self.ready)],
                ],
                stdout=log,
                stderr=log,
                cwd=PROJECT,
                env={**os.environ, **(environment or {})},
                preexec_fn=limits,
            )

    def wait_ready(self) -> None:
        """Return when every role is ready; raises when the process ends before."""
        deadline = time.monotonic() + START_SECONDS
        while not self.ready.exists():
            if self.popen.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"twistd did not become ready:\n{self.text()}")
            time.sleep(0.05)

    def wait(self) -> int:
        """Wait for the end of a process that should end by itself; return its exit code."""
        return self.popen.wait(START_SECONDS)

    def text(self) -> str:
        """Return the log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Stop it as an operator does."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Kill it, as a machine that fails does."""
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait(10)


class Network:
    """A deployment with its processes."""

    def __init__(self, split: bool = False, environment: Mapping[str, str] | None = None) -> None:
        """`split` runs gateway and backend as two processes from two files; `environment` is added to each one's."""
        self.folder = Path(tempfile.mkdtemp(prefix="trus-network-"))
        self.layout = Layout(self.folder / "net")
        devices, admins, links, directory = free_ports(4)
        options = InitOptions(devices_port=devices, admin_port=admins, link_port=links, directory_port=directory)
        provision(self.layout.root, options, SystemClock(), SystemEntropy())
        self.devices_port, self.admin_port, self.link_port = devices, admins, links
        self.directory_port = directory
        self.split = split
        self.environment = environment
        self.processes: list[Process] = []
        self.configs = self._split() if split else [self.layout.config]

    def _split(self) -> list[Path]:
        text = self.layout.config.read_text(encoding="utf-8")
        head, gateway, backend = _sections(text)
        files = []
        for name, section in (("backend", backend), ("gateway", gateway)):
            file = self.layout.root / f"{name}.yaml"
            file.write_text(head + section, encoding="utf-8")
            load(file)
            files.append(file)
        return files

    def start(self) -> None:
        """Start every process and wait until they are ready."""
        self.processes = [Process(config, config.stem, self.environment) for config in self.configs]
        for process in self.processes:
            process.wait_ready()

    def stop(self) -> None:
        """Stop every process."""
        for process in reversed(self.processes):
            process.stop()
        self.processes = []

    def remove(self) -> None:
        """Stop everything and leave nothing behind."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def logs(self) -> str:
        """Return all logs."""
        return "".join(file.read_text(encoding="utf-8", errors="replace") for file in self.layout.root.glob("*.log"))

    # ------------------------------------------------------------------------- its people

    async def admin(self, reactor: Any) -> AdminClient:
        """Log in as the first admin."""
        passphrase = (self.layout.root / "admins" / "admin.pass").read_bytes().strip()
        credentials = from_pkcs12((self.layout.root / "admins" / "admin.p12").read_bytes(), passphrase)
        anchors = load_authorities((self.layout.root / "pki" / "admin-ca.pem").read_bytes())
        channel = ClientChannel(credentials, ChannelRole.BACKEND, ADMIN_HOST, anchors=anchors)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.admin_port)
        return await AdminClient.connect(wrapClientTLS(channel, endpoint), reactor)

    async def small_town(self, reactor: Any, employees: int = 2, purse: str = "100.00") -> Town:
        """Register a company, its employees with cards and money, a shop and a terminal."""
        admin = await self.admin(reactor)
        today = SystemClock().now().date().isoformat()
        await demand(admin, "COMPANY-ADD", id="ACME", name="Acme")
        await demand(
            admin,
            "POLICY-SET",
            **{"company": "ACME", "valid-from": today, "week-days": "1-7", "opens": "00:00", "closes": "24:00"},
        )
        people = ";".join(f"E{number}|Zoë{number}|Ωmega" for number in range(employees))
        await demand(admin, "EMPLOYEES-ADD", company="ACME", people=people)
        whole, _, decimals = purse.partition(".")
        await demand(admin, "COMPANY-FUND", company="ACME", amount=f"{int(whole) * employees + 1}.{decimals}")
        await demand(admin, "REFILL", company="ACME", amount=purse)
        issued = await demand(admin, "CARD-ISSUE", company="ACME")
        await demand(admin, "SHOP-ADD", id="BISTRO", name="Bistro", mcc="5812")
        file = self.layout.root / "personalisation" / issued.rows[0]["file"]
        with file.open(encoding="utf-8", newline="") as text:
            cards = list(csv.DictReader(text))
        return Town(self, admin, cards)

    async def enrolled(self, reactor: Any, town: Town, name: str) -> DeviceHome:
        """Register a terminal of the shop and give it its certificate."""
        reply = await demand(town.admin, "TERMINAL-ADD", id=name, shop="BISTRO")
        pki = self.layout.root / "pki"
        home = DeviceHome.prepare(
            self.folder / "terminals" / name,
            TerminalSettings(name, "127.0.0.1", self.devices_port, GATEWAY_HOST),
            anchor=(pki / "individual-ca.pem").read_bytes(),
            channel=(pki / "pos.p12").read_bytes(),
            passphrase=(pki / "pos.pass").read_bytes().strip(),
        )
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.devices_port)
        code = reply.rows[0]["activation-code"]
        await enrol(home, code, endpoint=endpoint, reactor=reactor, clock=SystemClock(), entropy=SystemEntropy())
        return home

    def terminal(
        self, reactor: Any, home: DeviceHome, timing: Timing | None = None, journal: FileJournal | None = None
    ) -> TerminalClient:
        """Return a client of an enrolled terminal, not yet started."""
        return TerminalClient(
            terminal=home.terminal,
            identity=home.identity(),
            trust=home.trust(),
            channel=home.channel(),
            endpoint=TCP4ClientEndpoint(reactor, "127.0.0.1", self.devices_port),
            reactor=reactor,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            journal=journal or home.journal(),
            timing=timing,
        )


class Town:
    """Who lives in a network, and the console through which they came."""

    def __init__(self, network: Network, admin: AdminClient, cards: list[dict[str, str]]) -> None:
        self.network = network
        self.admin = admin
        self.cards = cards


async def demand(admin: AdminClient, verb: str, **arguments: str) -> AdminReply:
    """Give a command that must be carried out."""
    reply = await admin.order(verb, arguments)
    if not reply.ok:
        raise AssertionError(f"{verb}: {reply.code} {reply.text}")
    return reply


def _sections(text: str) -> tuple[str, str, str]:
    """Cut a configuration of both roles into what they share, the gateway's and the backend's."""
    head, gateway, backend, current = [], [], [], "head"
    for line in text.splitlines(keepends=True):
        if line.startswith("gateway:"):
            current = "gateway"
        elif line.startswith("backend:"):
            current = "backend"
        elif line[:1].isalpha():
            current = "head"
        {"head": head, "gateway": gateway, "backend": backend}[current].append(line)
    return "".join(head), "".join(gateway), "".join(backend)
