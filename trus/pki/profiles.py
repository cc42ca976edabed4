"""The kinds of certificates of the network as frozen data: what each says, for how long, and who decides.

Issues nothing. What a deployment may change is in trus.pki.policy; what others rely on (usages,
names, path lengths, object identifiers) is here and the same everywhere. The tables of
docs/reference/keys.md and docs/security/certificate-policy.md are written from this module.
Sources: RFC 5280 section 4.2.1 for the extensions, RFC 6960 for OCSP.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from trus.certificates.oids import ADMIN_POLICY, CHANNEL_POLICY, CHANNEL_USAGE, DEVICE_USAGE, INDIVIDUAL_POLICY
from trus.values import ChannelRole, DeviceRole, Frozen

#: Certificates begin this long before they are issued: clocks of terminals run behind.
BACKDATE: Final = timedelta(hours=1)
#: An OCSP answer is believed for this long, and made anew when half of it is gone.
OCSP_VALIDITY: Final = timedelta(hours=24)
#: A revocation list is believed for this long: past it every TLS client is refused.
CRL_VALIDITY: Final = timedelta(days=90)
#: An activation code may be used for this long unless told.
ACTIVATION_VALIDITY: Final = timedelta(days=7)
#: Wrong codes for one holder before its activation is locked.
MAX_ACTIVATION_FAILURES: Final = 5

_DAY: Final = timedelta(days=1)
_YEAR: Final = timedelta(days=365)


class KeyKind(StrEnum):
    """The kinds of keys that certificates of the network may bear."""

    P256 = "p256"  #: ECDSA on P-256 with SHA-256 (FIPS 186-5)
    ED25519 = "ed25519"  #: RFC 8410; where the token has it


class KeyUse(StrEnum):
    """What a certificate's key may do (RFC 5280 section 4.2.1.3); the word is the extension's bit."""

    SIGNATURE = "digitalSignature"
    CERTIFICATES = "keyCertSign"
    LISTS = "cRLSign"


class Birth(StrEnum):
    """Where a holder's key pair is made (TR-17).

    A device's pair that is made at the backend is handed over once and kept wrapped under a key of the
    token; a channel's is handed over in its bundle and kept nowhere.
    """

    DEVICE = "device"  #: in the device, which never lets it go
    BACKEND = "backend"  #: at the backend, which hands it over
    TOKEN = "token"  # noqa: S105 - in the token that uses it, which never lets it go


class Profile(Frozen, frozen=True):
    """One kind of certificate.

    `usages` are dotted extended key usages; `critical_usage` marks that extension. `names` is the
    pattern of the holder's name and `urns` are the kinds of URN that the certificate may bear. A
    holder may ask for its next certificate when less than `renewal` is left of this one.
    `approvals` counts the admins who must agree beside the one who orders it. `no_check` tells
    clients not to ask after the revocation of an OCSP signer (RFC 6960 section 4.2.2.2.1).
    """

    name: str
    lifetime: timedelta
    policy: str
    usages: tuple[str, ...] = ()
    critical_usage: bool = False
    path_length: int | None = None  #: None for a holder's certificate, else an authority's
    key_uses: tuple[KeyUse, ...] = (KeyUse.SIGNATURE,)
    keys: tuple[KeyKind, ...] = (KeyKind.P256,)
    names: str = r"[ -~]{1,64}"
    urns: tuple[str, ...] = ()
    renewal: timedelta = timedelta(0)
    approvals: int = 0
    births: tuple[Birth, ...] = (Birth.TOKEN,)
    no_check: bool = False

    @property
    def is_authority(self) -> bool:
        """Whether holders of this profile may issue certificates."""
        return self.path_length is not None

    def key_usage(self) -> x509.KeyUsage:
        """Return the key usage extension."""
        return x509.KeyUsage(
            digital_signature=KeyUse.SIGNATURE in self.key_uses,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=KeyUse.CERTIFICATES in self.key_uses,
            crl_sign=KeyUse.LISTS in self.key_uses,
            encipher_only=False,
            decipher_only=False,
        )

    def names_holder(self, name: str) -> bool:
        """Say whether a holder of this profile may be called `name`."""
        return re.fullmatch(self.names, name, re.ASCII) is not None


def kind_of(key: object) -> KeyKind | None:
    """Return the kind of a public key, None when the network uses no such keys."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return KeyKind.P256
    return KeyKind.ED25519 if isinstance(key, ed25519.Ed25519PublicKey) else None


_AUTHORITY_USES: Final = (KeyUse.SIGNATURE, KeyUse.CERTIFICATES, KeyUse.LISTS)
#: ISO 8583 field 41; a card's own reference; what a backend and an admin may be called.
_TERMINAL_NAME: Final = r"[A-Z0-9]{8}"
_CARD_NAME: Final = r"[A-Z0-9]{12}"
_PARTY_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}"
_ADMIN_NAME: Final = r"[a-z0-9][a-z0-9._-]{0,31}"


def _authority(
    name: str,
    lifetime: timedelta,
    policy: x509.ObjectIdentifier,
    path_length: int,
    *,
    key_uses: tuple[KeyUse, ...] = _AUTHORITY_USES,
    renewal: timedelta = timedelta(0),
    approvals: int = 0,
) -> Profile:
    return Profile(
        name,
        lifetime,
        policy.dotted_string,
        path_length=path_length,
        key_uses=key_uses,
        renewal=renewal,
        approvals=approvals,
    )


def _individual(
    name: str,
    role: DeviceRole,
    lifetime: timedelta,
    names: str,
    renewal: timedelta,
    *births: Birth,
) -> Profile:
    urns = (role.value, "shop", "model") if role is DeviceRole.POS else (role.value,)
    return Profile(
        name,
        lifetime,
        INDIVIDUAL_POLICY.dotted_string,
        (DEVICE_USAGE[role].dotted_string,),
        critical_usage=True,
        names=names,
        urns=urns,
        renewal=renewal,
        births=births or (Birth.TOKEN,),
    )


def _channel(
    name: str,
    role: ChannelRole,
    lifetime: timedelta,
    *purposes: x509.ObjectIdentifier,
    admin: bool = False,
    names: str = r"[ -~]{1,64}",
) -> Profile:
    usages = (*(purpose.dotted_string for purpose in purposes), CHANNEL_USAGE[role].dotted_string)
    policy = (ADMIN_POLICY if admin else CHANNEL_POLICY).dotted_string
    return Profile(
        name, lifetime, policy, usages, names=names, urns=("channel",), renewal=60 * _DAY, births=(Birth.BACKEND,)
    )


_CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH

#: The root of individual certificates: off line, signs issuing authorities and their list, nothing else.
INDIVIDUAL_ROOT: Final = _authority(
    "individual-root",
    20 * _YEAR,
    INDIVIDUAL_POLICY,
    1,
    key_uses=(KeyUse.CERTIFICATES, KeyUse.LISTS),
    renewal=5 * _YEAR,
    approvals=1,
)
#: What issues individual certificates: its successor comes while it still outlives what it issues.
INDIVIDUAL_ISSUING: Final = _authority(
    "individual-issuing", 6 * _YEAR, INDIVIDUAL_POLICY, 0, renewal=3 * _YEAR, approvals=1
)
#: A root that issues by itself: for small networks and tests; path length 1 lets an issuing authority come later.
INDIVIDUAL_AUTHORITY: Final = _authority("individual-authority", 20 * _YEAR, INDIVIDUAL_POLICY, 1)
CHANNEL_AUTHORITY: Final = _authority("channel-authority", 20 * _YEAR, CHANNEL_POLICY, 0)
ADMIN_AUTHORITY: Final = _authority("admin-authority", 20 * _YEAR, ADMIN_POLICY, 0)

#: Signs revocation lists in an authority's name, with a key of its own (RFC 5280 section 5).
CRL_SIGNER: Final = Profile(
    "crl-signer", _YEAR, INDIVIDUAL_POLICY.dotted_string, key_uses=(KeyUse.LISTS,), renewal=30 * _DAY
)
#: Answers OCSP in an authority's name (RFC 6960 section 4.2.2.2).
OCSP_SIGNER: Final = Profile(
    "ocsp-signer",
    90 * _DAY,
    INDIVIDUAL_POLICY.dotted_string,
    (ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string,),
    renewal=30 * _DAY,
    no_check=True,
)

BACKEND_IDENTITY: Final = _individual("backend-identity", DeviceRole.BACKEND, _YEAR, _PARTY_NAME, 60 * _DAY)
_ANYWHERE: Final = (Birth.DEVICE, Birth.BACKEND)
#: One profile for each role that a device can enrol in.
DEVICE_PROFILES: Final = {
    DeviceRole.POS: _individual("pos-identity", DeviceRole.POS, 3 * _YEAR, _TERMINAL_NAME, 90 * _DAY, *_ANYWHERE),
    DeviceRole.CARD: _individual("card-identity", DeviceRole.CARD, 3 * _YEAR, _CARD_NAME, 90 * _DAY, *_ANYWHERE),
}

#: The front door: a server, for devices. Its key differs from the link's.
GATEWAY_DOOR: Final = _channel("gateway", ChannelRole.GATEWAY, 2 * _YEAR, _SERVER)
#: The gateway towards the backend: a client. A stolen front-door key cannot pose as a link.
GATEWAY_LINK: Final = _channel("gateway-link", ChannelRole.GATEWAY, 2 * _YEAR, _CLIENT)
BACKEND_LINK: Final = _channel("backend", ChannelRole.BACKEND, 2 * _YEAR, _SERVER)
POS_CHANNEL: Final = _channel("pos", ChannelRole.POS, 3 * _YEAR, _CLIENT)
CARD_CHANNEL: Final = _channel("card", ChannelRole.CARD, 3 * _YEAR, _CLIENT)
WEBSITE_CHANNEL: Final = _channel("website", ChannelRole.WEBSITE, 2 * _YEAR, _CLIENT)
ADMIN_CLIENT: Final = _channel("admin", ChannelRole.ADMIN, _YEAR, _CLIENT, admin=True, names=_ADMIN_NAME)
#: The backend's end of the admins' TLS, under the admins' own authority.
ADMIN_SERVER: Final = _channel("backend-admin", ChannelRole.BACKEND, 2 * _YEAR, _SERVER, admin=True)

#: Every profile, in the order of the documentation.
ALL_PROFILES: Final = (
    INDIVIDUAL_ROOT,
    INDIVIDUAL_ISSUING,
    INDIVIDUAL_AUTHORITY,
    BACKEND_IDENTITY,
    *DEVICE_PROFILES.values(),
    CRL_SIGNER,
    OCSP_SIGNER,
    CHANNEL_AUTHORITY,
    GATEWAY_DOOR,
    GATEWAY_LINK,
    BACKEND_LINK,
    POS_CHANNEL,
    CARD_CHANNEL,
    WEBSITE_CHANNEL,
    ADMIN_AUTHORITY,
    ADMIN_CLIENT,
    ADMIN_SERVER,
)
