"""Opens the two-way TLS channels of the network and refuses whoever does not belong (TR-14).

Knows nothing of what travels inside, issues no certificate and opens no socket. A port names the
roles that it admits. The role is the one URI subject alternative name `urn:trus:channel:ROLE` of
the peer's certificate, confirmed by the role's extended key usage; it is checked inside the
handshake, before any byte is delivered.

A maintainer must not break: TLS 1.3 only; no session is ever resumed, since a resumed one skips
the revocation list; with revocation lists, every authority of a chain needs a list in force.
Sources: RFC 8446, RFC 5280 section 6, RFC 9525 (server names).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from trus.errors import ConfigurationError
from trus.net.credentials import ChannelCredentials
from trus.net.peers import VERIFY_ERRORS, ChannelConnection, Refusal, examine, is_ip_address
from trus.values import ChannelRole

#: Leaf, two issuers, root: nothing here needs a longer chain.
MAX_CHAIN_DEPTH: Final = 3


_VerifyCallback = Callable[[SSL.Connection, crypto.X509, int, int, int], bool]


def _verifier(roles: Collection[ChannelRole], purpose: x509.ObjectIdentifier, host: str | None) -> _VerifyCallback:
    """Return OpenSSL's callback: it may only turn an acceptance into a refusal, and never raises."""

    def verify(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, accepted: int) -> bool:
        if not isinstance(connection, ChannelConnection):
            return False
        if not accepted:
            connection.refusal = VERIFY_ERRORS.get(error, Refusal.CERTIFICATE)
            return False
        if depth > 0:
            return True
        finding = examine(certificate.to_cryptography(), roles, purpose, host)
        if isinstance(finding, Refusal):
            connection.refusal = finding
            return False
        connection.peer = finding
        return True

    return verify


def _context(
    credentials: ChannelCredentials,
    anchors: Collection[x509.Certificate],
    crls: Collection[x509.CertificateRevocationList],
    verify: _VerifyCallback,
) -> SSL.Context:
    if not anchors:
        raise ConfigurationError("a channel needs at least one authority to trust")
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    # No resumption by either means: neither stateless tickets nor a server's own cache.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    try:
        context.use_privatekey(credentials.key)
        context.use_certificate(credentials.chain[0])
        for issuer in credentials.chain[1:]:
            context.add_extra_chain_cert(issuer)
        context.check_privatekey()
        store = context.get_cert_store()
        if store is None:
            raise ConfigurationError("the TLS library offers no certificate store")
        for anchor in anchors:
            store.add_cert(crypto.X509.from_cryptography(anchor))
        flags = crypto.X509StoreFlags.X509_STRICT
        for crl in crls:
            store.add_crl(crl)
            flags |= crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL
        store.set_flags(flags)
    except (SSL.Error, crypto.Error) as problem:
        raise ConfigurationError("the TLS library refused the channel's certificates") from problem
    context.set_verify_depth(MAX_CHAIN_DEPTH)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
    return context


@implementer(IOpenSSLServerConnectionCreator)
class ServerChannel:
    """The listening end: admits peers of the given roles, and nobody without a certificate.

    `anchors` default to the authorities that came with the credentials. An admin port passes its
    own issuing authority instead. `crls` empty means that revocation is not checked.
    """

    def __init__(
        self,
        credentials: ChannelCredentials,
        roles: Collection[ChannelRole],
        *,
        anchors: Collection[x509.Certificate] | None = None,
        crls: Sequence[x509.CertificateRevocationList] = (),
    ) -> None:
        self._verify = _verifier(frozenset(roles), ExtendedKeyUsageOID.CLIENT_AUTH, None)
        self.reload(credentials, anchors=anchors, crls=crls)

    def reload(
        self,
        credentials: ChannelCredentials,
        *,
        anchors: Collection[x509.Certificate] | None = None,
        crls: Sequence[x509.CertificateRevocationList] = (),
    ) -> None:
        """Use other credentials, anchors and lists from the next connection on.

        Raises ConfigurationError, and then leaves what is in use untouched.
        """
        trusted = credentials.authorities if anchors is None else anchors
        self._context = _context(credentials, trusted, crls, self._verify)
        self.crls_expire = earliest_crl_expiry(crls)

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return a connection in accepting state; Twisted calls this for every peer."""
        return ChannelConnection(self._context, None)

    def wrap(self, factory: IProtocolFactory, clock: IReactorTime) -> TLSMemoryBIOFactory:
        """Return a factory that speaks TLS and hands clear bytes to `factory`'s protocols."""
        return TLSMemoryBIOFactory(self, False, factory, clock)


@implementer(IOpenSSLClientConnectionCreator)
class ClientChannel:
    """The connecting end: insists on a server of the given role that speaks for `server_name`.

    `server_name` is a DNS name or an IP address that the server's certificate must carry as a
    subject alternative name (RFC 9525); a common name is never looked at.
    """

    def __init__(
        self,
        credentials: ChannelCredentials,
        role: ChannelRole,
        server_name: str,
        *,
        anchors: Collection[x509.Certificate] | None = None,
        crls: Sequence[x509.CertificateRevocationList] = (),
    ) -> None:
        self._server_name = server_name
        self._verify = _verifier(frozenset((role,)), ExtendedKeyUsageOID.SERVER_AUTH, server_name)
        self.reload(credentials, anchors=anchors, crls=crls)

    def reload(
        self,
        credentials: ChannelCredentials,
        *,
        anchors: Collection[x509.Certificate] | None = None,
        crls: Sequence[x509.CertificateRevocationList] = (),
    ) -> None:
        """Use other credentials, anchors and lists from the next connection on.

        Raises ConfigurationError, and then leaves what is in use untouched.
        """
        trusted = credentials.authorities if anchors is None else anchors
        self._context = _context(credentials, trusted, crls, self._verify)
        self.crls_expire = earliest_crl_expiry(crls)

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return a connection in connecting state; Twisted calls this for every connection."""
        connection = ChannelConnection(self._context, None)
        if not is_ip_address(self._server_name):
            connection.set_tlsext_host_name(self._server_name.encode("ascii"))
        return connection

    def wrap(self, factory: IProtocolFactory, clock: IReactorTime) -> TLSMemoryBIOFactory:
        """Return a factory that speaks TLS and hands clear bytes to `factory`'s protocols."""
        return TLSMemoryBIOFactory(self, True, factory, clock)


def earliest_crl_expiry(crls: Collection[x509.CertificateRevocationList]) -> datetime | None:
    """Return when the first of the lists runs out (aware, UTC): from then on everybody is refused.

    None when there is no list, or none says when its successor is due.
    """
    moments = [crl.next_update_utc for crl in crls if crl.next_update_utc is not None]
    return min(moments, default=None)
