"""Says who is at the other end of a channel, or why nobody was let in (TR-14).

Opens no connection and trusts no certificate whose chain OpenSSL has not verified before. Reads
the role, the purposes and the names of a leaf; every malformed extension is a refusal.
Sources: RFC 5280 section 4.2.1, RFC 9266, RFC 9525.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import attrs
from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from service_identity.exceptions import CertificateError, VerificationError
from service_identity.hazmat import (
    DNS_ID,
    CertificatePattern,
    DNSPattern,
    IPAddress_ID,
    IPAddressPattern,
    verify_service_identity,
)
from twisted.internet import address
from twisted.internet.interfaces import ITransport
from twisted.protocols.tls import TLSMemoryBIOProtocol

from trus.certificates.oids import CHANNEL_USAGE, parse_urn
from trus.errors import TrusError
from trus.values import ChannelRole

#: RFC 9266, section 4.2.
EXPORTER_LABEL: Final = b"EXPORTER-Channel-Binding"
EXPORTER_BYTES: Final = 32
_ROLES: Final = {role.value: role for role in ChannelRole}


class Refusal(StrEnum):
    """Why a peer was refused in the handshake: fixed words for the log."""

    NO_CERTIFICATE = "no-certificate"
    FOREIGN = "foreign"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    REVOKED = "revoked"
    NO_REVOCATION_LIST = "no-revocation-list"
    WRONG_PURPOSE = "wrong-purpose"
    WRONG_ROLE = "wrong-role"
    WRONG_NAME = "wrong-name"
    CERTIFICATE = "certificate"
    HANDSHAKE = "handshake"


#: X509_V_ERR_* numbers (openssl x509_vfy.h) that have a word of their own.
VERIFY_ERRORS: Final = {
    2: Refusal.FOREIGN,
    3: Refusal.NO_REVOCATION_LIST,
    9: Refusal.NOT_YET_VALID,
    10: Refusal.EXPIRED,
    11: Refusal.NO_REVOCATION_LIST,
    12: Refusal.NO_REVOCATION_LIST,
    18: Refusal.FOREIGN,
    19: Refusal.FOREIGN,
    20: Refusal.FOREIGN,
    21: Refusal.FOREIGN,
    23: Refusal.REVOKED,
    26: Refusal.WRONG_PURPOSE,
}


@attrs.frozen
class ChannelPeer:
    """The verified other end of a channel.

    `name` is the subject's common name (an admin's, a host's); `serial` the certificate's serial
    number in lower-case hexadecimal; `not_after` aware, UTC.
    """

    role: ChannelRole
    name: str
    serial: str
    not_after: datetime


class ChannelNotVerified(TrusError):
    """The transport has no verified peer: it is not a channel, or its handshake is not complete."""


class ChannelConnection(SSL.Connection):
    """A TLS connection that remembers what its handshake found out about the peer.

    A class of our own, since Twisted keeps OpenSSL's application data for itself.
    """

    peer: ChannelPeer | None = None
    refusal: Refusal | None = None


def channel_role(certificate: x509.Certificate) -> ChannelRole | None:
    """Return the one role that a certificate speaks for, None unless it is exactly one known role.

    Raises ValueError for extensions that cannot be parsed.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    parsed = (parse_urn(uri) for uri in names.get_values_for_type(x509.UniformResourceIdentifier))
    words = [urn[1] for urn in parsed if urn is not None and urn[0] == "channel"]
    return _ROLES.get(words[0]) if len(words) == 1 else None


def _purposes(certificate: x509.Certificate) -> Collection[x509.ObjectIdentifier]:
    try:
        return frozenset(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return frozenset()


def is_ip_address(host: str) -> bool:
    """Return whether `host` is an IPv4 or IPv6 address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _speaks_for_host(certificate: x509.Certificate, host: str) -> bool:
    """Match DNS names and addresses; service_identity's own extraction stumbles over our URNs."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    patterns: list[CertificatePattern] = [
        DNSPattern.from_bytes(name.encode("ascii")) for name in names.get_values_for_type(x509.DNSName)
    ]
    patterns += [
        IPAddressPattern(entry)
        for entry in names.get_values_for_type(x509.IPAddress)
        if isinstance(entry, IPv4Address | IPv6Address)
    ]
    wanted = IPAddress_ID(host) if is_ip_address(host) else DNS_ID(host)
    try:
        verify_service_identity(patterns, [wanted], [])
    except (VerificationError, CertificateError):
        return False
    return True


def examine(
    certificate: x509.Certificate, roles: Collection[ChannelRole], purpose: x509.ObjectIdentifier, host: str | None
) -> ChannelPeer | Refusal:
    """Judge a leaf whose chain is already good; every malformed extension is a refusal."""
    try:
        role = channel_role(certificate)
        purposes = _purposes(certificate)
        if purpose not in purposes:
            return Refusal.WRONG_PURPOSE
        if role is None or role not in roles or CHANNEL_USAGE[role] not in purposes:
            return Refusal.WRONG_ROLE
        if host is not None and not _speaks_for_host(certificate, host):
            return Refusal.WRONG_NAME
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, CertificateError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return Refusal.CERTIFICATE
    name = str(names[0].value) if len(names) == 1 else ""
    return ChannelPeer(role, name, f"{certificate.serial_number:x}", certificate.not_valid_after_utc)


class ProvenChannel(ABC):
    """A transport that knows its peer without TLS: the simulation's network, and nothing else, makes one.

    OpenSSL's randomness cannot be seeded, so TLS stays out of a network that must replay.
    """

    peer: ChannelPeer | None = None
    refusal: Refusal | None = None

    @abstractmethod
    def export_keying_material(self, label: bytes, olen: int, context: bytes) -> bytes:
        """Return `olen` bytes that both ends of this connection compute and nobody else (RFC 9266)."""
        raise NotImplementedError


def _connection(transport: object) -> ChannelConnection | ProvenChannel | None:
    if isinstance(transport, ProvenChannel):
        return transport
    if not isinstance(transport, TLSMemoryBIOProtocol):
        return None
    handle: object = transport.getHandle()
    return handle if isinstance(handle, ChannelConnection) else None


def channel_peer(transport: object) -> ChannelPeer:
    """Return the verified peer of a channel; call it in handshakeCompleted or later.

    Raises ChannelNotVerified before that, and for a transport that is no channel.
    """
    connection = _connection(transport)
    if connection is None or connection.peer is None or connection.refusal is not None:
        raise ChannelNotVerified("the transport has no verified peer")
    return connection.peer


def channel_refusal(transport: object, reason: BaseException | None = None) -> Refusal | None:
    """Say why this side refused the peer; call it in connectionLost with its reason's value.

    Returns None when the handshake did not fail here: the peer refused us, or simply left.
    """
    connection = _connection(transport)
    if connection is not None and connection.refusal is not None:
        return connection.refusal
    if isinstance(reason, SSL.Error) and reason.args and isinstance(reason.args[0], list):
        texts = [str(entry[-1]) for entry in reason.args[0] if entry]
        if any("did not return a certificate" in text for text in texts):
            return Refusal.NO_CERTIFICATE
        if not any("alert" in text for text in texts):
            return Refusal.HANDSHAKE
    return None


def exporter(transport: object) -> bytes:
    """Return the 32 bytes that bind what travels inside to this very connection (RFC 9266).

    Both ends compute the same; nobody else can. Raises ChannelNotVerified as channel_peer does.
    """
    connection = _connection(transport)
    if connection is None or connection.peer is None or connection.refusal is not None:
        raise ChannelNotVerified("the transport has no verified peer")
    return connection.export_keying_material(EXPORTER_LABEL, EXPORTER_BYTES, b"")


def peer_address(transport: object) -> str:
    """Return the peer's `address:port`, IPv6 in brackets; "local" for anything that is not TCP."""
    peer: object = transport.getPeer() if ITransport.providedBy(transport) else None
    if isinstance(peer, address.IPv6Address):
        return f"[{peer.host}]:{peer.port}"
    if isinstance(peer, address.IPv4Address):
        return f"{peer.host}:{peer.port}"
    return "local"
