"""The certificate policy of the network as frozen data: who gets which certificate, and for how long.

Issues nothing. docs/reference/keys.md explains the choices; a test compares its table with this
module. Sources: RFC 5280 section 4.2.1 for the extensions, RFC 6960 for OCSP.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from cryptography import x509
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

_YEAR: Final = timedelta(days=365)


class Profile(Frozen, frozen=True):
    """One kind of certificate. `usages` are dotted extended key usages; `critical_usage` marks that extension."""

    name: str
    lifetime: timedelta
    policy: str
    usages: tuple[str, ...] = ()
    critical_usage: bool = False
    path_length: int | None = None  #: None for a holder's certificate, else an authority's

    @property
    def is_authority(self) -> bool:
        """Whether holders of this profile may issue certificates."""
        return self.path_length is not None

    def key_usage(self) -> x509.KeyUsage:
        """Return the key usage: an authority signs certificates, lists and OCSP answers; a holder signs."""
        return x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=self.is_authority,
            crl_sign=self.is_authority,
            encipher_only=False,
            decipher_only=False,
        )


def _authority(name: str, years: int, policy: x509.ObjectIdentifier, path_length: int) -> Profile:
    return Profile(name, years * _YEAR, policy.dotted_string, path_length=path_length)


def _individual(name: str, role: DeviceRole, lifetime: timedelta) -> Profile:
    usages = (DEVICE_USAGE[role].dotted_string,)
    return Profile(name, lifetime, INDIVIDUAL_POLICY.dotted_string, usages, critical_usage=True)


def _channel(
    name: str, role: ChannelRole, lifetime: timedelta, *purposes: x509.ObjectIdentifier, admin: bool = False
) -> Profile:
    usages = (*(purpose.dotted_string for purpose in purposes), CHANNEL_USAGE[role].dotted_string)
    return Profile(name, lifetime, (ADMIN_POLICY if admin else CHANNEL_POLICY).dotted_string, usages)


_CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH

#: Path length 1: an issuing authority can come under the same anchor without touching any device.
INDIVIDUAL_AUTHORITY: Final = _authority("individual-authority", 20, INDIVIDUAL_POLICY, 1)
CHANNEL_AUTHORITY: Final = _authority("channel-authority", 20, CHANNEL_POLICY, 0)
ADMIN_AUTHORITY: Final = _authority("admin-authority", 20, ADMIN_POLICY, 0)

BACKEND_IDENTITY: Final = _individual("backend-identity", DeviceRole.BACKEND, _YEAR)
#: One profile for each role that a device can enrol in.
DEVICE_PROFILES: Final = {
    DeviceRole.POS: _individual("pos-identity", DeviceRole.POS, 3 * _YEAR),
    DeviceRole.CARD: _individual("card-identity", DeviceRole.CARD, 3 * _YEAR),
}

#: The front door: a server, for devices. Its key differs from the link's.
GATEWAY_DOOR: Final = _channel("gateway", ChannelRole.GATEWAY, 2 * _YEAR, _SERVER)
#: The gateway towards the backend: a client. A stolen front-door key cannot pose as a link.
GATEWAY_LINK: Final = _channel("gateway-link", ChannelRole.GATEWAY, 2 * _YEAR, _CLIENT)
BACKEND_LINK: Final = _channel("backend", ChannelRole.BACKEND, 2 * _YEAR, _SERVER)
POS_CHANNEL: Final = _channel("pos", ChannelRole.POS, 3 * _YEAR, _CLIENT)
CARD_CHANNEL: Final = _channel("card", ChannelRole.CARD, 3 * _YEAR, _CLIENT)
WEBSITE_CHANNEL: Final = _channel("website", ChannelRole.WEBSITE, 2 * _YEAR, _CLIENT)
ADMIN_CLIENT: Final = _channel("admin", ChannelRole.ADMIN, _YEAR, _CLIENT, admin=True)
#: The backend's end of the admins' TLS, under the admins' own authority.
ADMIN_SERVER: Final = _channel("backend-admin", ChannelRole.BACKEND, 2 * _YEAR, _SERVER, admin=True)

#: Every profile, for the documentation.
ALL_PROFILES: Final = (
    INDIVIDUAL_AUTHORITY,
    BACKEND_IDENTITY,
    *DEVICE_PROFILES.values(),
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
