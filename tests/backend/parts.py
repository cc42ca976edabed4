"""A backend's front without sockets: real sessions and seals, a scripted core, a real device side."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from trus.backend.batching import OnAnswer
from trus.backend.sessions import DeviceConnection
from trus.backend.surroundings import Outlet
from trus.core import messages as core
from trus.core.messages import Answer, BackendIdentity, Request
from trus.protocol.effects import Effect, Established, Mode, NeedSignature, NeedVerification, Refused, Send
from trus.protocol.initiator import Expected, Initiator
from trus.protocol.link import Opened, Port
from trus.protocol.session import SealedSession
from trus.protocol.tickets import TicketKeys
from trus.values import BusinessDate, DeviceRole, PeerIdentity

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = BusinessDate("2026-11-20")
BINDING = b"\x07" * 32
TERMINAL = PeerIdentity(DeviceRole.POS, "T0000001", "0a", "SHOP1")
BACKEND = PeerIdentity(DeviceRole.BACKEND, "backend", "01")


class FixedClock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()


class CountingEntropy:
    """Bytes that never repeat and are always the same."""

    def __init__(self) -> None:
        self.drawn = 0

    def draw(self, count: int) -> bytes:
        self.drawn += 1
        digest = hashes.Hash(hashes.SHAKE256(count))
        digest.update(self.drawn.to_bytes(8, "big"))
        return digest.finalize()


def certificate(name: str) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """Return a key and a certificate for it (DER); who may be what is judged by the core."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return key, built.public_bytes(Encoding.DER)


class ScriptedCore:
    """Signs and verifies at once; money requests wait until the test answers them."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self.key = key
        self.asked: list[tuple[Request, OnAnswer]] = []
        self.standing: Answer = core.PeerVerified(TERMINAL, DAY)
        self.verified: Answer = core.PeerVerified(TERMINAL, DAY)
        self.down = False

    def ask(self, request: Request, on_answer: OnAnswer) -> None:
        if self.down:
            on_answer(core.Failed("91", "core-down"))
            return
        match request:
            case core.SignHandshake():
                on_answer(core.Signature(self.key.sign(request.payload, ec.ECDSA(hashes.SHA256()))))
            case core.VerifyPeer():
                on_answer(self.verified)
            case core.CheckStanding():
                on_answer(self.standing)
            case _:
                self.asked.append((request, on_answer))

    def answer(self, answer: Answer) -> Request:
        request, on_answer = self.asked.pop(0)
        on_answer(answer)
        return request


class Around:
    """trus.backend.surroundings.Surroundings."""

    def __init__(self, scripted: ScriptedCore, chain: list[bytes]) -> None:
        self.clock = FixedClock()
        self.entropy = CountingEntropy()
        self.tickets = TicketKeys(self.clock, self.entropy)
        self.name = "backend-1"
        self.currency = "USD"
        self.max_dialogues = 64
        self.idle_seconds = 300
        self.material: BackendIdentity | None = BackendIdentity(chain, b"", "backend", 3600)
        self.ask: Callable[[Request, OnAnswer], None] = scripted.ask

    def identity(self) -> BackendIdentity | None:
        return self.material

    def business_date(self) -> BusinessDate:
        return DAY


class Bench:
    """One device connection of a front, and the device at the other end."""

    def __init__(self, exporter: bytes = BINDING) -> None:
        backend_key, backend_chain = certificate("backend")
        self.device_key, self.device_chain = certificate("T0000001")
        self.core = ScriptedCore(backend_key)
        self.around = Around(self.core, [backend_chain])
        self.lines: list[bytes] = []
        self.closed: list[str] = []
        self.authenticated = 0
        opened = Opened(17, Port.DEVICE, "192.0.2.1:4711", exporter, "fp", "pos")
        self.front = DeviceConnection(
            opened, self.around, Outlet(self.lines.append, self._count_authenticated, self.closed.append)
        )
        self.refused: list[Refused] = []
        self.established: Established | None = None

    def _count_authenticated(self) -> None:
        self.authenticated += 1

    def send(self, line: bytes) -> None:
        """Hand a line (CR LF included) to the front."""
        self.front.line_received(line[:-2])

    def heard(self) -> list[bytes]:
        """Return and forget what the front has said, without line ends."""
        lines = [line[:-2] for line in self.lines]
        self.lines.clear()
        return lines

    def connect(self, mode: Mode = Mode.FULL) -> SealedSession:
        """Make a handshake; return the device's side of the session."""
        initiator = Initiator(
            to="backend",
            mode=mode,
            expected=Expected(DeviceRole.BACKEND),
            clock=self.around.clock,
            entropy=self.around.entropy,
            chain=(self.device_chain,),
            channel_binding=BINDING,
        )
        self._follow(initiator, initiator.start())
        assert self.established is not None
        self.heard()
        return self.established.session

    def _follow(self, initiator: Initiator, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self.send(effect.line)
                    for line in self.heard():
                        self._follow(initiator, initiator.receive(line))
                case NeedVerification():
                    self._follow(initiator, initiator.provide_verification(BACKEND))
                case NeedSignature():
                    signature = self.device_key.sign(effect.payload, ec.ECDSA(hashes.SHA256()))
                    self._follow(initiator, initiator.provide_signature(signature))
                case Established():
                    self.established = effect
                case Refused():
                    self.refused.append(effect)
                case _:
                    raise AssertionError(effect)

    def shake(self) -> None:
        """Make a handshake that may be refused."""
        initiator = Initiator(
            to="backend",
            mode=Mode.FULL,
            expected=Expected(DeviceRole.BACKEND),
            clock=self.around.clock,
            entropy=self.around.entropy,
            chain=(self.device_chain,),
            channel_binding=BINDING,
        )
        self._follow(initiator, initiator.start())
