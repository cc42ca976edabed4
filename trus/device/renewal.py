"""Renews a terminal's certificate over its own sealed session, before the present one ends (TR-15).

Believes nothing that the backend issues before it has verified it against the anchor. The next key
is born here and on disk before it is asked for; the present certificate stays in use until a session
stood with the next one. Killed at any moment, `renew` goes on where it stopped when it is called again.

| file of the home | holds |
|---|---|
| key-next.pem | the next key: asked for, or about to be |
| chain-next.pem | the next certificate: issued, and not yet shown to the backend |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from trus.clock import Clock, Entropy
from trus.device.connection import DeviceConnection
from trus.device.conversation import Conversation, Happening, Heard, KeyIdentity, Over, Up
from trus.device.enrolment import certificate_request
from trus.device.home import CHAIN, KEY, DeviceHome, write_private
from trus.errors import ConfigurationError, TrusError
from trus.protocol.errors import ErrorCode
from trus.protocol.fields import format_octets, parse_octets
from trus.protocol.messages import Kind, Message
from trus.protocol.session import SealedSession
from trus.values import DeviceRole, ResponseCode

NEXT_KEY: Final = "key-next.pem"
NEXT_CHAIN: Final = "chain-next.pem"

#: A certificate is due in the last part of its life: one in this many. The backend's policy has the
#: last word, and a device that comes too early asks again the next time.
DUE_PART: Final = 15


class NotRenewed(TrusError):
    """The terminal keeps its certificate; `code` is the backend's (field 39), empty when none was heard.

    `refused` says that the backend would not have this terminal at all.
    """

    def __init__(self, why: str, code: str = "", *, refused: bool = False) -> None:
        super().__init__(f"the certificate was not renewed: {why}")
        self.code = code
        self.refused = refused

    @property
    def too_early(self) -> bool:
        """Whether the renewal window has not begun."""
        return self.code == ResponseCode.INVALID_TRANSACTION


class Renewal(StrEnum):
    """What `renew` did."""

    RENEWED = "renewed"
    FINISHED = "finished"  #: an earlier renewal that had been interrupted


def ends(home: DeviceHome) -> datetime:
    """Return when the present certificate ends (aware, UTC). Raises ConfigurationError."""
    return _leaf(home).not_valid_after_utc


def is_due(home: DeviceHome, now: datetime) -> bool:
    """Say whether a renewal is due at `now` (aware, UTC), or was interrupted. Raises ConfigurationError."""
    leaf = _leaf(home)
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    return (home.path / NEXT_CHAIN).exists() or leaf.not_valid_after_utc - now < life / DUE_PART


async def renew(
    home: DeviceHome,
    *,
    endpoint: IStreamClientEndpoint,
    reactor: IReactorTime,
    clock: Clock,
    entropy: Entropy,
    same_key: bool = False,
) -> Renewal:
    """Obtain the next certificate, show it to the backend, and put it in the place of the present one.

    `endpoint` reaches the gateway over plain TCP. With `same_key` the present key goes on. Raises
    NotRenewed, IdentityRefused when what was issued is not this terminal's, ConfigurationError, and
    what the network raises when the gateway does not answer.
    """

    async def visit(identity: KeyIdentity, csr: bytes) -> tuple[bytes, ...]:
        def converse(binding: bytes) -> Conversation:
            return Conversation(
                identity=identity, trust=home.trust(), clock=clock, entropy=entropy, channel_binding=binding
            )

        made = Visit("RENEW", {"csr": format_octets(csr)} if csr else {})
        factory = Factory.forProtocol(lambda: DeviceConnection(reactor, converse, made))
        await endpoint.connect(home.channel().wrap(factory, reactor))
        heard = await made.result
        return () if heard is None else tuple(map(parse_octets, heard.fields["chain"].split(",")))

    if (home.path / NEXT_CHAIN).exists():
        try:
            await visit(_next_identity(home), b"")
        except NotRenewed as problem:
            if not problem.refused:
                raise
            # Given up only for a present certificate that works: the next one may be refused for a while alone.
            await visit(home.identity(), b"")
            _discard(home)
        else:
            _take_up(home)
            return Renewal.FINISHED
    key = _next_key(home, home.key() if same_key else None)
    chain = await visit(home.identity(), certificate_request(key, home.terminal))
    holder = home.trust().verify(chain, DeviceRole.POS, None, clock.now())
    certificates = [x509.load_der_x509_certificate(each) for each in chain]
    if holder.name != home.terminal or certificates[0].public_key() != key.public_key():
        raise NotRenewed("the backend issued somebody else's certificate")
    _write(home.path / NEXT_CHAIN, b"".join(each.public_bytes(Encoding.PEM) for each in certificates))
    await visit(_next_identity(home), b"")
    _take_up(home)
    return Renewal.RENEWED


class Visit:
    """One connection: a session, and inside it one question about certificates, if there is one.

    `result` fires with the DATA that answers it, None without a question; NotRenewed when there is none.
    """

    def __init__(self, verb: str, sealed: Mapping[str, str]) -> None:
        """Ask COMMAND `verb` with these sealed fields; without fields, ask nothing."""
        self._verb = verb
        self._sealed = dict(sealed)
        self._session: SealedSession | None = None
        self._told = False
        self.result: Deferred[Message | None] = Deferred()

    def happened(self, connection: DeviceConnection, happenings: Sequence[Happening]) -> None:
        """Take what the conversation brought."""
        for happening in happenings:
            match happening:
                case Up():
                    self._session = happening.session
                    if self._sealed:
                        self._ask(connection, happening.session)
                    else:
                        self._finish(connection, lambda: self.result.callback(None))
                case Heard() if happening.message.kind is Kind.DATA:
                    heard = happening.message
                    self._finish(connection, lambda heard=heard: self.result.callback(heard))  # type: ignore[misc]
                case Heard() if happening.message.verb == "RESULT":
                    code = happening.message.fields["code"]
                    why = "it is too early" if code == ResponseCode.INVALID_TRANSACTION else f"the backend said {code}"
                    problem = NotRenewed(why, code)
                    self._finish(connection, lambda problem=problem: self.result.errback(problem))  # type: ignore[misc]
                case Over():
                    refused = happening.code is ErrorCode.REFUSED
                    problem = NotRenewed(happening.reason, refused=refused)
                    self._tell(lambda problem=problem: self.result.errback(problem))  # type: ignore[misc]
                case _:
                    pass

    def gone(self, connection: DeviceConnection, why: str) -> None:
        """Take the connection's end."""
        self._tell(lambda: self.result.errback(NotRenewed(why)))

    def _ask(self, connection: DeviceConnection, session: SealedSession) -> None:
        line = session.seal(Kind.COMMAND, self._verb, {}, self._sealed, dialogue=session.open_dialogue())
        connection.send_lines([line[:-2]])

    def _finish(self, connection: DeviceConnection, tell: Callable[[], None]) -> None:
        self._tell(tell)
        connection.farewell()

    def _tell(self, tell: Callable[[], None]) -> None:
        if not self._told:
            self._told = True
            tell()


def _leaf(home: DeviceHome) -> x509.Certificate:
    return x509.load_der_x509_certificate(home.identity().chain[0])


def _next_key(home: DeviceHome, present: ec.EllipticCurvePrivateKey | None) -> ec.EllipticCurvePrivateKey:
    """Return the next key, on disk already: the one of an earlier attempt, the present one, or a new one."""
    path = home.path / NEXT_KEY
    if path.exists() and present is None:
        return _read_key(path)
    key = present or ec.generate_private_key(ec.SECP256R1())
    _write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def _next_identity(home: DeviceHome) -> KeyIdentity:
    try:
        chain = x509.load_pem_x509_certificates((home.path / NEXT_CHAIN).read_bytes())
    except (OSError, ValueError):
        raise ConfigurationError(f"{home.path / NEXT_CHAIN} holds no readable certificate") from None
    # Of an interrupted exchange the key may be in its place already.
    for path in (home.path / NEXT_KEY, home.path / KEY):
        if path.exists():
            key = _read_key(path)
            if key.public_key() == chain[0].public_key():
                return KeyIdentity(key, [each.public_bytes(Encoding.DER) for each in chain])
    raise ConfigurationError(f"{home.path} holds no key for its next certificate")


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{path} holds no private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigurationError(f"{path} holds a key of another kind than P-256")
    return key


def _take_up(home: DeviceHome) -> None:
    """Put key and certificate into their places. Between the two, `renew` finds the key where it has gone."""
    try:
        if (home.path / NEXT_KEY).exists():
            (home.path / NEXT_KEY).replace(home.path / KEY)
        (home.path / NEXT_CHAIN).replace(home.path / CHAIN)
    except OSError as problem:
        raise ConfigurationError(f"{home.path} cannot be written to: {problem.strerror}") from problem


def _discard(home: DeviceHome) -> None:
    for name in (NEXT_CHAIN, NEXT_KEY):
        (home.path / name).unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    try:
        write_private(path, data)
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be written: {problem.strerror}") from problem
