"""The channel authority and the admins' authority: TLS certificates and their PKCS#12 bundles (TR-14).

Certifies no terminal and no card by name: one channel certificate serves all POS, one all virtual
cards. The authorities' keys stay in the token, each under a label of its own, apart from the
individual authority's; the holders' keys are made here, leave in a bundle and are kept nowhere.
"""

from __future__ import annotations

import base64
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from trus.certificates.oids import channel_urn
from trus.clock import Entropy
from trus.pki import profiles
from trus.pki.authority import Authority, Names
from trus.pki.policy import Policy
from trus.pki.profiles import Profile
from trus.values import ChannelRole, Frozen, Secret

#: Labels in the key store.
CHANNEL: Final = "channel"
ADMIN: Final = "admin"

#: The names that servers prove in TLS; clients check them, whatever address they dialled.
GATEWAY_HOST: Final = "gateway.trus.internal"
BACKEND_HOST: Final = "backend.trus.internal"
ADMIN_HOST: Final = "admin.trus.internal"

#: A passphrase carries 160 bits, so the bundle's key derivation need not slow a guesser down.
_PASSPHRASE_BYTES: Final = 20
_KDF_ROUNDS: Final = 2_048


class BundlePlan(Frozen, frozen=True):
    """A bundle to make: its file's stem, its profile, role, common name and hosts."""

    stem: str
    profile: Profile
    role: ChannelRole
    common_name: str
    hosts: tuple[str, ...] = ()

    def names(self) -> Names:
        """Return what the certificate names: the role's URN and the hosts."""
        return Names(self.common_name, (channel_urn(self.role),), self.hosts)

    def under(self, policy: Policy) -> BundlePlan:
        """Return the plan with its profile as a deployment's policy has it."""
        return msgspec.structs.replace(self, profile=policy.of(self.profile))


#: What the channel authority issues at provisioning; one of each for the whole network.
CHANNEL_BUNDLES: Final = (
    BundlePlan("gateway", profiles.GATEWAY_DOOR, ChannelRole.GATEWAY, "gateway", (GATEWAY_HOST,)),
    BundlePlan("gateway-link", profiles.GATEWAY_LINK, ChannelRole.GATEWAY, "gateway link"),
    BundlePlan("backend", profiles.BACKEND_LINK, ChannelRole.BACKEND, "backend", (BACKEND_HOST,)),
    BundlePlan("pos", profiles.POS_CHANNEL, ChannelRole.POS, "all POS"),
    BundlePlan("card", profiles.CARD_CHANNEL, ChannelRole.CARD, "all virtual cards"),
    BundlePlan("website", profiles.WEBSITE_CHANNEL, ChannelRole.WEBSITE, "website"),
)
#: The backend's end of the admins' TLS, issued by the admins' authority.
ADMIN_SERVER_BUNDLE: Final = BundlePlan(
    "backend-admin", profiles.ADMIN_SERVER, ChannelRole.BACKEND, "backend admin", (ADMIN_HOST,)
)


def admin_plan(name: str) -> BundlePlan:
    """Return the plan of an admin's own bundle; the common name is how the backend knows the admin."""
    return BundlePlan(name, profiles.ADMIN_CLIENT, ChannelRole.ADMIN, name)


class Bundle(Secret, frozen=True):
    """A holder's key and certificate as made: PKCS#12 (DER), its passphrase, and both in PEM."""

    pkcs12: bytes
    passphrase: str
    certificate_pem: bytes
    key_pem: bytes
    serial: int


def make_bundle(authority: Authority, plan: BundlePlan, entropy: Entropy, passphrase: str = "") -> Bundle:
    """Make a key pair, certify it and wrap both with the authority's root (RFC 7292); draw a passphrase unless told.

    Encryption is PBES2 with AES-256 and the MAC is HMAC-SHA256. The PEM key is in the clear: whoever
    writes it down writes it for its owner alone. Raises KeyStoreUnavailable.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = authority.issue(key.public_key(), plan.profile, plan.names())
    passphrase = passphrase or base64.b32encode(entropy.draw(_PASSPHRASE_BYTES)).decode("ascii").lower()
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_KDF_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(passphrase.encode("ascii"))
    )
    friendly = plan.stem.encode("utf-8")
    sealed = pkcs12.serialize_key_and_certificates(friendly, key, certificate, [authority.certificate], encryption)
    return Bundle(
        pkcs12=sealed,
        passphrase=passphrase,
        certificate_pem=certificate.public_bytes(Encoding.PEM),
        key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        serial=certificate.serial_number,
    )


def first_revocation_list(authority: Authority) -> x509.CertificateRevocationList:
    """Return the authority's list number 1, empty."""
    return authority.revocation_list([], 1, profiles.CRL_VALIDITY)
