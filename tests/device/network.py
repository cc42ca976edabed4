"""A gateway and backend small enough for a terminal's tests: real TLS, real seals, scripted money."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.trial import unittest

from tests.net.authority import Authority as ChannelAuthority
from tests.pki.escrow import MemoryEscrow
from tests.pki.registers import MemoryRegister
from trus.backend.batching import OnAnswer
from trus.backend.sessions import DeviceConnection as Front
from trus.backend.surroundings import Outlet
from trus.clock import SystemClock, SystemEntropy
from trus.core import messages as core
from trus.core.messages import Answer, BackendIdentity, Request
from trus.device.client import TerminalClient
from trus.device.enrolment import enrol
from trus.device.home import DeviceHome, TerminalSettings
from trus.device.journal import MemoryJournal
from trus.device.requests import Timing
from trus.errors import IdentityRefused
from trus.hsm.datakeys import DATABASE_KEY_LABEL, DataKeys
from trus.hsm.memory import MemoryStore
from trus.hsm.ports import KeyPurpose
from trus.net.contexts import ServerChannel
from trus.net.lines import Ending, LineLimits, LineProtocol
from trus.net.peers import exporter
from trus.pki.authority import Authority
from trus.pki.identity import INDIVIDUAL, IdentityService, create_backend_identity
from trus.pki.profiles import INDIVIDUAL_AUTHORITY
from trus.protocol.buffer import MAX_OPENING_LINE_BYTES, MAX_SEALED_LINE_BYTES, LineBuffer
from trus.protocol.link import Opened, Port
from trus.protocol.messages import Kind
from trus.protocol.tickets import TicketKeys
from trus.values import BusinessDate, ChannelRole, DeviceRole

GATEWAY = "gateway.example"
DAY = BusinessDate("2026-11-20")
PASSPHRASE = b"p12-passphrase"
#: For the tests in which nobody answers; the others wait as long as a shop would.
QUICK = Timing(answer=0.3, give_up=3.0, pin=1.0, reversal_first=0.1, reversal_most=0.3)


class Door(LineProtocol):
    """A device's connection, gateway and link left out."""

    def __init__(self, network: SmallNetwork) -> None:
        self._network = network
        self._lines_in = LineBuffer(MAX_OPENING_LINE_BYTES)
        super().__init__(reactor, self._lines_in, LineLimits())  # type: ignore[arg-type]
        self._front: Front | None = None

    def opened(self) -> None:
        self._network.doors.append(self)
        opened = Opened(len(self._network.doors), Port.DEVICE, "127.0.0.1:1", exporter(self.transport), "fp", "pos")
        outlet = Outlet(self._say, lambda: self._lines_in.raise_limit(MAX_SEALED_LINE_BYTES), lambda _: self.hang_up())
        self._front = Front(opened, self._network, outlet)
        if self._network.greeting:
            self.send(self._network.greeting)

    def lines_received(self, lines: list[bytes]) -> None:
        assert self._front is not None
        for line in lines:
            self._network.heard.append(line)
            self._front.line_received(line)

    def bye(self) -> None:
        """Have the backend end its sessions in good order."""
        assert self._front is not None
        for opened in self._front._sessions.values():
            self.send(opened.session.seal(Kind.INFO, "BYE", {"reason": "restart"}, {})[:-2])

    def _say(self, line: bytes) -> None:
        if self._network.mute:
            self._network.mute -= 1
            self.abort()
        else:
            self.send(line[:-2])

    def closed(self, ending: Ending, reason: Failure) -> None:
        if self in self._network.doors:
            self._network.doors.remove(self)
        if self._front is not None:
            self._front.closed()


class SmallNetwork:
    """Listens on loopback; implements trus.backend.sessions.Surroundings.

    `decide` answers money requests; None means silence. `mute` counts lines that are lost
    together with their connection.
    """

    name = "backend-1"
    currency = "USD"
    max_dialogues = 64
    idle_seconds = 300

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.entropy = SystemEntropy()
        self.tickets = TicketKeys(self.clock, self.entropy)
        self.doors: list[Door] = []
        self.heard: list[bytes] = []
        self.mute = 0
        self.greeting = b""
        self.requests: list[Request] = []
        self.decide: Callable[[Request], Answer | None] = lambda _: core.Outcome("approved", "00", "A1B2C3")
        store = MemoryStore(self.entropy)
        store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
        register = MemoryRegister()
        individual = Authority.create(
            store, store, INDIVIDUAL, INDIVIDUAL_AUTHORITY, "individual", self.clock, self.entropy
        )
        create_backend_identity(store, store, individual, register, "backend")
        self.anchor = individual.pem()
        self.escrow = MemoryEscrow()
        self.identities = IdentityService(
            name="backend",
            keys=store,
            objects=store,
            data_keys=DataKeys(store),
            activations=register,
            register=register,
            clock=self.clock,
            entropy=self.entropy,
            escrow=self.escrow,
        )
        self.channel = ChannelAuthority()
        self._port: IListeningPort | None = None
        self.port = 0

    async def open(self, host: str = GATEWAY) -> None:
        """Listen; the gateway's certificate speaks for `host`."""
        credentials = self.channel.issue(ChannelRole.GATEWAY, hosts=(host,))
        server = ServerChannel(credentials, (ChannelRole.POS,), crls=(self.channel.revocation_list(),))
        factory = Factory.forProtocol(lambda: Door(self))
        endpoint = TCP4ServerEndpoint(reactor, self.port, interface="127.0.0.1")
        self._port = await endpoint.listen(server.wrap(factory, reactor))  # type: ignore[arg-type]
        self.port = self._port.getHost().port  # type: ignore[attr-defined]

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        for door in list(self.doors):
            door.abort()
        if self._port is not None:
            await self._port.stopListening()
            self._port = None
        while self.doors:
            await pause(0.01)

    def endpoint(self) -> TCP4ClientEndpoint:
        return TCP4ClientEndpoint(reactor, "127.0.0.1", self.port, timeout=5)

    def channel_file(self, role: ChannelRole = ChannelRole.POS) -> bytes:
        """Return pos.p12 as a deployment provisions it."""
        made = self.channel.issue(role, name="all POS")
        return pkcs12.serialize_key_and_certificates(
            b"pos", made.key, made.chain[0], made.authorities, BestAvailableEncryption(PASSPHRASE)
        )

    def code(self, terminal: str = "T0000001") -> str:
        return self.identities.open_activation(DeviceRole.POS, terminal, shop="CANTEEN1", model="VX")

    def home(self, path: Path, terminal: str = "T0000001", **changes: Any) -> DeviceHome:
        """Return a prepared home that is not enrolled yet."""
        settings = TerminalSettings(terminal, "127.0.0.1", self.port or 1, changes.pop("server_name", GATEWAY))
        given = {"anchor": self.anchor, "channel": self.channel_file(), "passphrase": PASSPHRASE, **changes}
        return DeviceHome.prepare(path, settings, **given)

    # ------------------------------------------------- trus.backend.sessions.Surroundings

    def identity(self) -> BackendIdentity | None:
        material = self.identities.material()
        return BackendIdentity(material.chain, material.staple, material.name, material.valid_seconds)

    def business_date(self) -> BusinessDate:
        return DAY

    def ask(self, request: Request, on_answer: OnAnswer) -> None:
        answer = self._answer(request)
        if answer is not None:
            reactor.callLater(0, on_answer, answer)  # type: ignore[attr-defined]

    def _answer(self, request: Request) -> Answer | None:
        try:
            match request:
                case core.SignHandshake():
                    return core.Signature(self.identities.sign([request.payload])[0])
                case core.VerifyPeer():
                    return core.PeerVerified(self.identities.verify(request.chain, DeviceRole(request.role)), DAY)
                case core.CheckStanding():
                    self.identities.standing(request.peer)
                    return core.PeerVerified(request.peer, DAY)
                case core.Enrol() if not request.csr:
                    made = self.identities.deliver(DeviceRole(request.role), request.name, request.code)
                    return core.PairMade(made.peer, made.p12, made.passphrase, DAY)
                case core.Enrol():
                    issued = self.identities.enrol(DeviceRole(request.role), request.name, request.code, request.csr)
                    return core.Enrolled(issued.peer, issued.chain, DAY)
                case _:
                    self.requests.append(request)
                    return self.decide(request)
        except IdentityRefused as refused:
            return core.Refused("63", refused.reason)


def pause(seconds: float) -> Deferred[None]:
    """Let the reactor run."""
    waited: Deferred[None] = Deferred()
    reactor.callLater(seconds, waited.callback, None)  # type: ignore[attr-defined]
    return waited


class NetworkCase(unittest.TestCase):
    """A network that listens, and a folder for homes."""

    timeout = 90

    async def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.network = SmallNetwork()
        await self.network.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.network.close()))

    async def enrolled(self, terminal: str = "T0000001") -> DeviceHome:
        home = self.network.home(self.folder / terminal, terminal)
        await self.enrol(home, self.network.code(terminal))
        return home

    def enrol(self, home: DeviceHome, code: str, pair_from_backend: bool = False) -> Awaitable[None]:
        return enrol(
            home,
            code,
            endpoint=self.network.endpoint(),
            reactor=reactor,  # type: ignore[arg-type]
            clock=SystemClock(),
            entropy=SystemEntropy(),
            pair_from_backend=pair_from_backend,
        )

    def client(self, home: DeviceHome, **changes: Any) -> TerminalClient:
        given = {"journal": MemoryJournal(), "endpoint": self.network.endpoint(), **changes}
        made = TerminalClient(
            terminal=home.terminal,
            identity=home.identity(),
            trust=home.trust(),
            channel=home.channel(),
            reactor=reactor,  # type: ignore[arg-type]
            clock=SystemClock(),
            entropy=SystemEntropy(),
            **given,
        )
        self.addCleanup(made.stop)
        return made
