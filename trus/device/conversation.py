"""Turns the lines of one connection into a sealed session with the backend, and its messages.

Opens no sockets and knows no purchase. It resumes by ticket when it has one and falls back
to a full handshake when the backend declines the ticket; the individual key signs here and
the backend's chain is verified here, against the anchor provisioned with the device. A
session that ends takes its connection with it: the owner opens another one.
Specification: docs/protocol.md, "The handshake", "Resumption", "Resumption in place".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from trus.clock import Clock, Entropy
from trus.device.trust import DeviceTrust
from trus.protocol.effects import Delivered, Effect, Enrolled, Established, Mode, Refused, Send, Terms
from trus.protocol.errors import ErrorCode, RemoteProtocolError, SessionEnded
from trus.protocol.handshake import EnrolmentRequest, Expected, Initiator, run
from trus.protocol.messages import Kind, Message, peek
from trus.protocol.session import SealedSession
from trus.protocol.tickets import StoredTicket
from trus.values import DeviceRole, PeerIdentity, Secret

#: Whom a device opens a session to.
BACKEND: Final = "backend"
#: Words of the gateway after which the session cannot be used any more.
ENDING_NOTICES: Final = frozenset({"backend-lost", "unreachable", "unknown-session", "going-down"})
#: The shortest remaining life for which a ticket is worth trying, in seconds.
TICKET_MARGIN_SECONDS: Final = 30


class Write(NamedTuple):
    """Send this line (CR LF included)."""

    line: bytes


class Up(NamedTuple):
    """The sealed session stands; `ticket` resumes it on another connection."""

    session: SealedSession
    terms: Terms
    ticket: StoredTicket | None


class Renewed(NamedTuple):
    """The session goes on under new keys; `ticket` replaces the one before."""

    ticket: StoredTicket | None


class Certified(NamedTuple):
    """The certificate asked for (chain, DER, leaf first, no root)."""

    chain: tuple[bytes, ...]


class PairDelivered(Secret, frozen=True):
    """The pair that the backend made, with its certificates: PKCS#12 and its passphrase."""

    p12: bytes
    passphrase: str


class Heard(NamedTuple):
    """The backend said this inside the session."""

    message: Message


class Over(NamedTuple):
    """Nothing more will come of this connection.

    `code` is what was said or heard on the wire, None when nothing was; `reason` is a fixed
    word for the log.
    """

    code: ErrorCode | None
    reason: str


Happening = Write | Up | Renewed | Certified | PairDelivered | Heard | Over


class Identity(Protocol):
    """A device's own individual certificate and its key."""

    @property
    def chain(self) -> Sequence[bytes]:
        """DER, leaf first, without the root."""
        ...

    def sign(self, payload: bytes) -> bytes:
        """Return the DER ECDSA P-256 SHA-256 signature of `payload`."""
        ...


class KeyIdentity:
    """An individual certificate whose P-256 key is in this process's memory."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, chain: Sequence[bytes] = ()) -> None:
        """Take the key, and the chain once there is one (DER, leaf first, no root)."""
        self._key = key
        self.chain = tuple(chain)

    def sign(self, payload: bytes) -> bytes:
        """Return the DER ECDSA P-256 SHA-256 signature of `payload`."""
        return self._key.sign(payload, ec.ECDSA(hashes.SHA256()))


class Conversation:
    """One connection to the gateway, seen from the device."""

    def __init__(
        self,
        *,
        identity: Identity,
        trust: DeviceTrust,
        clock: Clock,
        entropy: Entropy,
        channel_binding: bytes,
        ticket: StoredTicket | None = None,
        enrolment: EnrolmentRequest | None = None,
    ) -> None:
        """Prepare to speak over a TLS connection whose RFC 9266 exporter is `channel_binding`.

        With an `enrolment` the conversation ends in Certified, or PairDelivered, instead of Up.
        """
        self._identity = identity
        self._trust = trust
        self._clock = clock
        self._entropy = entropy
        self._binding = channel_binding
        self._ticket = ticket
        self._enrolment = enrolment
        self._handshake: Initiator | None = None
        self._session: SealedSession | None = None
        self._resuming = False
        self._rekeying = False
        self._over = False

    @property
    def session(self) -> SealedSession | None:
        """The session, once it stands."""
        return self._session

    def start(self) -> list[Happening]:
        """Say the first line of the handshake."""
        ticket = self._ticket
        usable = ticket is not None and ticket.expires > self._clock.now().timestamp() + TICKET_MARGIN_SECONDS
        self._resuming = usable and self._enrolment is None
        mode = Mode.ENROL if self._enrolment is not None else Mode.RESUME if self._resuming else Mode.FULL
        self._handshake = Initiator(
            to=BACKEND,
            mode=mode,
            expected=Expected(DeviceRole.BACKEND),
            clock=self._clock,
            entropy=self._entropy,
            chain=self._identity.chain if mode is Mode.FULL else (),
            channel_binding=self._binding,
            ticket=ticket if mode is Mode.RESUME else None,
            enrolment=self._enrolment,
        )
        return self._shake(self._handshake, self._handshake.start())

    def line(self, line: bytes) -> list[Happening]:
        """Take a line (without CR LF) from the gateway or the backend."""
        if self._over:
            return []
        if self._session is not None:
            return self._sealed(self._session, line)
        try:
            head = peek(line)
        except RemoteProtocolError as error:
            return self._end(error.code, "malformed")
        if head.kind is Kind.INFO and head.verb == "NOTICE":
            return []  # a word from the gateway; the connection's end tells the rest
        if head.session is None or self._handshake is None:
            return self._end(None, "gateway")
        return self._shake(self._handshake, self._handshake.receive(line))

    def refresh(self, *, now: bool = False) -> list[Happening]:
        """Replace the session's keys when they are old, or `now`; to be called now and then."""
        session = self._session
        if session is None or self._over or self._rekeying:
            return []
        if not now and not session.needs_rekey(self._clock.now()):
            return []
        self._rekeying = True
        return [Write(session.start_rekey())]

    def bye(self) -> list[Happening]:
        """End the session in good order; nothing may be said after it."""
        session = self._session
        if session is None or self._over:
            return []
        self._over = True
        try:
            return [Write(session.seal(Kind.INFO, "BYE", {"reason": "done"}, {}))]
        except SessionEnded:
            return []

    def verify(self, chain: tuple[bytes, ...], staple: bytes | None, role: DeviceRole) -> PeerIdentity:
        """Return the holder of the backend's chain (the protocol's PeerVerifier)."""
        return self._trust.verify(chain, role, staple, self._clock.now())

    def _shake(self, handshake: Initiator, effects: list[Effect]) -> list[Happening]:
        happenings: list[Happening] = []
        for effect in run(handshake, effects, self._identity, self):
            match effect:
                case Send():
                    happenings.append(Write(effect.line))
                case Established():
                    self._session, self._handshake = effect.session, None
                    happenings.append(Up(effect.session, effect.terms, effect.ticket))
                case Enrolled():
                    self._over = True
                    happenings.append(Certified(effect.chain))
                case Delivered():
                    self._over = True
                    happenings.append(PairDelivered(effect.p12, effect.passphrase))
                case Refused() if self._resuming and effect.code is ErrorCode.TICKET:
                    self._ticket = None
                    happenings += self.start()
                case Refused():
                    happenings += self._end(effect.code, effect.reason)
                case _:
                    happenings += self._end(None, "handshake")
        return happenings

    def _sealed(self, session: SealedSession, line: bytes) -> list[Happening]:
        try:
            message = session.open(line)
        except SessionEnded as ended:
            return self._end(None, ended.reason)
        except RemoteProtocolError as error:
            # A genuine line that makes no sense: the backend is told, the session goes on.
            return [Write(session.seal(Kind.INFO, "ERROR", {"code": error.code.value}, {}, dialogue=error.dialogue))]
        match message.kind, message.verb:
            case Kind.INFO, "NOTICE":
                return self._noticed(message)
            case Kind.INFO, "BYE":
                return self._end(None, "bye")
            case Kind.DATA, "REKEY":
                self._rekeying = False
                return [Write(session.finish_rekey()), Renewed(session.ticket)]
            case _:
                return [Heard(message)]

    def _noticed(self, message: Message) -> list[Happening]:
        """Take the gateway's word; it changes no transaction, but it may end the session."""
        code = message.fields.get("code", "")
        return self._end(None, code) if code in ENDING_NOTICES else []

    def _end(self, code: ErrorCode | None, reason: str) -> list[Happening]:
        self._over = True
        if self._session is not None:
            self._session.end(reason)
        return [Over(code, reason)]
