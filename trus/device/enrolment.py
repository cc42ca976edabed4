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
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from trus.certificates.oids import urn
from trus.clock import Clock, Entropy
from trus.device.connection import DeviceConnection
from trus.device.conversation import Certified, Conversation, Happening, KeyIdentity, Over
from trus.device.home import DeviceHome
from trus.errors import TrusError
from trus.protocol.errors import MEANINGS, ErrorCode
from trus.protocol.handshake import EnrolmentRequest
from trus.values import DeviceRole

_MEANING: Final = {code.value: text for code, text in MEANINGS.items()}


class NotEnrolled(TrusError):
    """The terminal has no certificate; `why` is a fixed word."""

    def __init__(self, why: str) -> None:
        super().__init__(_MEANING.get(why, f"the backend could not be reached through the gateway: {why}"))
        self.why = why


class _Attempt:
    """One connection that ends in a certificate or in a reason."""

    def __init__(self) -> None:
        self.result: Deferred[tuple[bytes, ...]] = Deferred()
        self._told = False

    def happened(self, connection: DeviceConnection, happenings: Sequence[Happening]) -> None:
        for happening in happenings:
            if isinstance(happening, Certified):
                self._tell(happening.chain)
                connection.farewell()
            elif isinstance(happening, Over):
                self._tell(NotEnrolled(happening.code.value if happening.code else happening.reason))

    def gone(self, connection: DeviceConnection, why: str) -> None:
        self._tell(NotEnrolled(why))

    def _tell(self, outcome: tuple[bytes, ...] | NotEnrolled) -> None:
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
) -> None:
    """Exchange the activation code for the certificate, verify it and keep it in `home`.

    `endpoint` reaches the gateway over plain TCP. Raises NotEnrolled, IdentityRefused when
    what was issued is not this terminal's certificate, and ConfigurationError.
    """
    key, trust = home.key(), home.trust()
    request = EnrolmentRequest(DeviceRole.POS, home.terminal, certificate_request(key, home.terminal), code)

    def converse(binding: bytes) -> Conversation:
        return Conversation(
            identity=KeyIdentity(key),
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
    chain = await attempt.result
    holder = trust.verify(chain, DeviceRole.POS, None, clock.now())
    if holder.name != home.terminal:
        raise NotEnrolled(ErrorCode.REFUSED)
    home.keep_chain(chain)
