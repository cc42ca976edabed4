"""A small authority, a fake clock, seeded entropy, and both ends of a handshake."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from trus.errors import IdentityRefused
from trus.protocol.effects import Effect, Established, Refused, Send, Terms
from trus.protocol.handshake import Expected, Initiator, Mode, Responder, run
from trus.protocol.session import SealedSession
from trus.protocol.tickets import StoredTicket, TicketKeys
from trus.values import DeviceRole, PeerIdentity

NOON: Final = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
BINDING: Final = bytes(range(32))
TERMS: Final = Terms("2026-11-20", "USD", True, 64, 300)


class FakeClock:
    def __init__(self, start: datetime = NOON) -> None:
        self.moment = start

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class SeededEntropy:
    """SHA-256 of seed and counter: the same bytes in every run."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def draw(self, count: int) -> bytes:
        drawn = b""
        while len(drawn) < count:
            drawn += hashlib.sha256(f"{self._seed}/{self._count}".encode()).digest()
            self._count += 1
        return drawn[:count]


def private_key(seed: str) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(hashlib.sha256(b"key " + seed.encode()).digest(), "big")
    return ec.derive_private_key(number % (2**255) + 1, ec.SECP256R1())


def make_certificate(
    subject: str,
    uri: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    serial: int,
) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOON - timedelta(days=1))
        .not_valid_after(NOON + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
    )
    certificate = builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True)
    return certificate.public_bytes(serialization.Encoding.DER)


def authority_certificate() -> bytes:
    """Return the test authority's own certificate, DER."""
    key = private_key("authority")
    return make_certificate("trus test authority", "urn:trus:authority", key, "trus test authority", key, 1)


@dataclass
class Party:
    """The holder of an individual certificate."""

    role: DeviceRole
    name: str
    shop: str = ""
    model: str = ""
    signed: int = 0
    key: ec.EllipticCurvePrivateKey = field(init=False)
    chain: tuple[bytes, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.key = private_key(self.name)
        uri = f"urn:trus:{self.role}:{self.name}:{self.shop}:{self.model}"
        serial = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8], "big")
        leaf = make_certificate(self.name, uri, self.key, "trus test authority", private_key("authority"), serial)
        self.chain = (leaf,)

    def sign(self, payload: bytes) -> bytes:
        self.signed += 1
        return self.key.sign(payload, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


class Verifier:
    """Accepts what the test authority signed, and reads the holder out of the certificate."""

    def verify(self, chain: tuple[bytes, ...], staple: bytes | None, role: DeviceRole) -> PeerIdentity:
        leaf = x509.load_der_x509_certificate(chain[0])
        try:
            private_key("authority").public_key().verify(
                leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256())
            )
        except InvalidSignature:
            raise IdentityRefused("foreign") from None
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        _, _, held, name, shop, model = names.get_values_for_type(x509.UniformResourceIdentifier)[0].split(":")
        if held != role:
            raise IdentityRefused("role")
        return PeerIdentity(DeviceRole(held), name, f"{leaf.serial_number:x}", shop, model)


POS: Final = Party(DeviceRole.POS, "POS00001", "SHOP1", "VX1")
CARD: Final = Party(DeviceRole.CARD, "CARD00000001")
BACKEND: Final = Party(DeviceRole.BACKEND, "backend")
STAPLE: Final = b"OCSP response of the test authority"


class Network:
    """Time, entropy and ticket keys that both ends of a test share."""

    def __init__(self, seed: str = "network") -> None:
        self.clock = FakeClock()
        self.device_entropy = SeededEntropy(seed + "/device")
        self.backend_entropy = SeededEntropy(seed + "/backend")
        self.tickets = TicketKeys(self.clock, SeededEntropy(seed + "/tickets"))

    def initiator(
        self,
        mode: Mode = Mode.FULL,
        party: Party = POS,
        expected: Expected | None = None,
        binding: bytes | None = BINDING,
        ticket: StoredTicket | None = None,
        to: str = "backend",
    ) -> Initiator:
        return Initiator(
            to=to,
            mode=mode,
            expected=expected or Expected(DeviceRole.BACKEND, "backend"),
            clock=self.clock,
            entropy=self.device_entropy,
            chain=party.chain if mode in (Mode.FULL, Mode.DEVICE) else (),
            channel_binding=binding,
            ticket=ticket,
        )

    def responder(
        self,
        party: Party = BACKEND,
        peer_role: DeviceRole = DeviceRole.POS,
        binding: bytes | None = BINDING,
        modes: frozenset[Mode] = frozenset({Mode.FULL, Mode.RESUME, Mode.ENROL}),
        unbound_models: frozenset[str] = frozenset(),
        name: str = "backend",
    ) -> Responder:
        return Responder(
            name=name,
            chain=party.chain,
            staple=STAPLE,
            peer_role=peer_role,
            clock=self.clock,
            entropy=self.backend_entropy,
            modes=modes,
            channel_binding=binding,
            tickets=self.tickets,
            unbound_models=unbound_models,
        )

    def sessions(self, mode: Mode = Mode.FULL) -> tuple[SealedSession, SealedSession]:
        """Return an authenticated session, from the initiator's and the responder's end."""
        initiator = self.initiator()
        left, right = converse(initiator, self.responder())
        return session_in(left), session_in(right)


def lines_in(effects: Iterable[Effect]) -> list[bytes]:
    return [effect.line for effect in effects if isinstance(effect, Send)]


def session_in(effects: Iterable[Effect]) -> SealedSession:
    return next(effect.session for effect in effects if isinstance(effect, Established))


def refusals_in(effects: Iterable[Effect]) -> list[Refused]:
    return [effect for effect in effects if isinstance(effect, Refused)]


def converse(
    initiator: Initiator,
    responder: Responder,
    initiator_party: Party = POS,
    responder_party: Party = BACKEND,
    terms: Terms = TERMS,
) -> tuple[list[Effect], list[Effect]]:
    """Carry lines between both ends until neither says more; return every effect of each.

    Effects that `run` does not answer (standing, enrolment) are left to the test.
    """
    verifier = Verifier()
    left = run(initiator, initiator.start(), initiator_party, verifier)
    right: list[Effect] = []
    to_right, to_left = lines_in(left), list[bytes]()
    while to_right or to_left:
        if to_right:
            said = run(responder, responder.receive(to_right.pop(0)[:-2]), responder_party, verifier, terms)
            right += said
            to_left += lines_in(said)
        else:
            said = run(initiator, initiator.receive(to_left.pop(0)[:-2]), initiator_party, verifier)
            left += said
            to_right += lines_in(said)
    return left, right
