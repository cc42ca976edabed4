"""Obtains a new terminal's individual certificate with its one-time activation code.

Makes no key (trus.device.home does) and keeps no code. The code travels only inside the
sealed session's enrol mode, after the backend has proven itself against the provisioned
anchor. A repetition with the same code and key gives the same certificate, so that a lost
answer costs nothing.
Specification: docs/protocol.md, "Enrolment".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from trus.certificates.oids import urn
from trus.clock import Clock, Entropy
from trus.device.connection import DeviceConnection
from trus.device.conversation import Certified, Conversation, Happening, KeyIdentity, Over, PairDelivered
from trus.device.home import DeviceHome
from trus.errors import TrusError
from trus.protocol.errors import MEANINGS, ErrorCode
from trus.protocol.handshake import EnrolmentRequest
from trus.values import DeviceRole, Secret

#: What the person at the terminal can do something about; every other code says its own meaning.
_MEANING: Final = {code.value: text for code, text in MEANINGS.items()} | {
    ErrorCode.REFUSED.value: "authentication failed: is the anchor that of this network, and is the clock right?",
    "gateway-foreign": "what answers there is no gateway of this network (gateway-foreign)",
    "gateway-wrong-role": "what answers there is of this network, but no device port (gateway-wrong-role)",
    "gateway-wrong-name": "the gateway has another name than --server-name says (gateway-wrong-name)",
}


class NotEnrolled(TrusError):
    """The terminal has no certificate; `why` is a fixed word."""

    def __init__(self, why: str) -> None:
        super().__init__(_MEANING.get(why, f"the backend could not be reached through the gateway: {why}"))
        self.why = why


class NoIdentity:
    """What a device has whose pair the backend shall make: nothing to sign with."""

    chain: tuple[bytes, ...] = ()

    def sign(self, payload: bytes) -> bytes:
        """Refuse: a handshake without a key asks for no signature."""
        raise LookupError("a device without a key was asked to sign")


class Pair(Secret, frozen=True):
    """A private key with its chain (DER, leaf first, no root)."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[bytes, ...]


def open_pair(p12: bytes, passphrase: str) -> Pair:
    """Return what a PKCS#12 bundle of the backend holds. Raises NotEnrolled when that is not a P-256 pair."""
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(p12, passphrase.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):
        raise NotEnrolled(ErrorCode.REFUSED) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1) or leaf is None:
        raise NotEnrolled(ErrorCode.REFUSED)
    return Pair(key, tuple(each.public_bytes(Encoding.DER) for each in (leaf, *others)))


class _Attempt:
    """One connection that ends in a certificate or in a reason."""

    def __init__(self) -> None:
        self.result: Deferred[Certified | PairDelivered] = Deferred()
        self._told = False

    def happened(self, connection: DeviceConnection, happenings: Sequence[Happening]) -> None:
        for happening in happenings:
            if isinstance(happening, (Certified, PairDelivered)):
                self._tell(happening)
                connection.farewell()
            elif isinstance(happening, Over):
                self._tell(NotEnrolled(happening.code.value if happening.code else happening.reason))

    def gone(self, connection: DeviceConnection, why: str) -> None:
        self._tell(NotEnrolled(why))

    def _tell(self, outcome: Certified | PairDelivered | NotEnrolled) -> None:
        if self._told:
            return
        self._told = True
        if isinstance(outcome, NotEnrolled):
            self.result.errback(outcome)
        else:
            self.result.callback(outcome)


def certificate_request(key: ec.EllipticCurvePrivateKey, terminal: str) -> bytes:
    """Return the DER PKCS#10 request (RFC 2986) of a terminal for its key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, terminal)])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(urn(DeviceRole.POS.value, terminal))])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


async def enrol(
    home: DeviceHome,
    code: str,
    *,
    endpoint: IStreamClientEndpoint,
    reactor: IReactorTime,
    clock: Clock,
    entropy: Entropy,
    pair_from_backend: bool = False,
) -> None:
    """Exchange the activation code for the certificate, verify it and keep it in `home`.

    With `pair_from_backend` the backend makes the pair as well, and keeps it in escrow. `endpoint`
    reaches the gateway over plain TCP. Raises NotEnrolled, IdentityRefused when what was issued is not
    this terminal's certificate, ConfigurationError, and what the network raises when the gateway does
    not answer.
    """
    trust = home.trust()
    key = None if pair_from_backend else home.key()
    asked = b"" if key is None else certificate_request(key, home.terminal)
    request = EnrolmentRequest(DeviceRole.POS, home.terminal, asked, code)

    def converse(binding: bytes) -> Conversation:
        return Conversation(
            identity=NoIdentity() if key is None else KeyIdentity(key),
            trust=trust,
            clock=clock,
            entropy=entropy,
            channel_binding=binding,
            enrolment=request,
        )

    attempt = _Attempt()
    factory = Factory.forProtocol(lambda: DeviceConnection(reactor, converse, attempt))
    channel = home.channel().wrap(factory, reactor)
    try:
        await endpoint.connect(channel)
    except Exception as problem:
        # Endpoints fail with many classes, all of them about reaching the address.
        raise NotEnrolled(str(problem) or type(problem).__name__) from problem
    outcome = await attempt.result
    pair = open_pair(outcome.p12, outcome.passphrase) if isinstance(outcome, PairDelivered) else None
    chain = outcome.chain if isinstance(outcome, Certified) else pair.chain if pair is not None else ()
    holder = trust.verify(chain, DeviceRole.POS, None, clock.now())
    if holder.name != home.terminal:
        raise NotEnrolled(ErrorCode.REFUSED)
    if pair is not None:
        home.keep_key(pair.key)
    home.keep_chain(chain)
