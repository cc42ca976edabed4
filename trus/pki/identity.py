"""Proves who the backend is and judges who its peers are, for the synchronous core.

Knows no wire and no SQL: keys come from the key store, states from the register. What it
refuses it refuses with IdentityRefused, whose reason goes to the audit and never to the peer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trus.certificates.chains import serial_text
from trus.clock import Clock, Entropy
from trus.errors import IdentityRefused, KeyNotFound, KeyStoreError
from trus.hsm.datakeys import DataKeys
from trus.hsm.ports import EscrowStore, KeyPurpose, KeyStore, ObjectStore
from trus.hsm.signing import TokenPrivateKey
from trus.pki.activation import ActivationCodes
from trus.pki.authority import Authority, individual_names
from trus.pki.csr import key_digest
from trus.pki.enrolment import Delivered, Enrolment, Issued, record_of
from trus.pki.examination import ApprovalDesk, Asked, Validation
from trus.pki.generations import Generations
from trus.pki.ocsp import answer
from trus.pki.policy import DEFAULT_POLICY, Policy
from trus.pki.ports import ActivationStore, CertificateRecord, CertificateRegister, CertificateState
from trus.pki.profiles import BACKEND_IDENTITY, Birth, Profile
from trus.pki.renewal import Renewal, RenewalRegister
from trus.pki.steps import NoApprovals, usual_steps
from trus.pki.validation import UNKNOWN, PeerValidation, Verdict, demand
from trus.values import DeviceRole, Frozen, PeerIdentity

#: Labels in the key store.
INDIVIDUAL: Final = "individual"
BACKEND_KEY: Final = "backend-identity"

#: The backend renews its own certificate when less than this is left of it.
RENEW_AHEAD: Final = BACKEND_IDENTITY.renewal


class Material(Frozen, frozen=True):
    """The backend's chain (DER, leaf first, no root), OCSP answer (DER), name and remaining validity."""

    chain: list[bytes]
    staple: bytes
    name: str
    valid_seconds: int


class IdentityRegister(RenewalRegister, Protocol):
    """The register, as the service, the examination before an issuance and renewals ask it."""


def _backend_label(name: str) -> str:
    return f"backend/{name}"


def create_backend_identity(
    keys: KeyStore, objects: ObjectStore, authority: Authority, register: CertificateRegister, name: str
) -> CertificateRecord:
    """Make the backend's identity key inside the store, certify it and register the certificate."""
    handle = keys.generate(BACKEND_KEY, KeyPurpose.SIGN)
    return _certify_backend(TokenPrivateKey(keys, handle), objects, authority, register, name)


def _certify_backend(
    key: TokenPrivateKey,
    objects: ObjectStore,
    authority: Authority,
    register: CertificateRegister,
    name: str,
    profile: Profile = BACKEND_IDENTITY,
) -> CertificateRecord:
    names = individual_names(DeviceRole.BACKEND, name)
    certificate = authority.issue(key.public_key(), profile, names)
    peer = PeerIdentity(DeviceRole.BACKEND, name, serial_text(certificate))
    label = _backend_label(name)
    record = record_of(certificate, peer, label, key_digest(key.public_key()))
    register.register(record)
    objects.put_certificate(label, certificate.public_bytes(Encoding.DER))
    return record


class IdentityService:
    """The backend's identity, the validation of its peers and their enrolment."""

    def __init__(
        self,
        *,
        name: str,
        keys: KeyStore,
        objects: ObjectStore,
        data_keys: DataKeys,
        activations: ActivationStore,
        register: IdentityRegister,
        clock: Clock,
        entropy: Entropy,
        policy: Policy = DEFAULT_POLICY,
        approvals: ApprovalDesk | None = None,
        revoked_issuers: Collection[int] = (),
        escrow: EscrowStore | None = None,
    ) -> None:
        """Find the individual authority and the identity of the backend `name` in the key store.

        `approvals` is where admins agree to what the policy wants agreed to, `revoked_issuers` the serial
        numbers on the root's list, `escrow` where pairs of devices are made. Raises KeyNotFound when the
        authority or the identity was never made.
        """
        self._name = name
        self._keys = keys
        self._objects = objects
        self._register = register
        self._clock = clock
        self._policy = policy
        self._generations = Generations(keys, objects, INDIVIDUAL, clock, entropy)
        self._key = TokenPrivateKey(keys, keys.find(BACKEND_KEY))
        self._certificate = self._load_own()
        self._renewal = Renewal(
            generations=self._generations, objects=objects, register=register, policy=policy, clock=clock
        )
        # Whoever shows a chain has signed the handshake with its key: that confirms a renewal.
        self._validation = PeerValidation(
            self._generations.roots,
            register,
            revoked_issuers,
            on_first_use=self._renewal.confirm,
            issuer_of=self._issuer_of,
        )
        codes = ActivationCodes(data_keys)
        steps = usual_steps(
            activations=activations,
            codes=codes,
            register=register,
            blocked=register.blocked,
            approvals=approvals or NoApprovals(),
            policy=policy,
        )
        self._enrolment = Enrolment(
            generations=self._generations,
            objects=objects,
            activations=activations,
            register=register,
            validation=Validation(steps, policy, clock),
            codes=codes,
            policy=policy,
            clock=clock,
            entropy=entropy,
            escrow=escrow,
        )
        self._material: Material | None = None
        self._made = clock.now()

    @property
    def policy(self) -> Policy:
        """The certificate policy in force."""
        return self._policy

    @property
    def authorities(self) -> Sequence[Authority]:
        """Every generation of the individual authority, the one that issues first."""
        return self._generations.all

    @property
    def anchor(self) -> x509.Certificate:
        """The individual authority's root, as devices are provisioned with it."""
        return self._generations.current.root

    def look_again(self, revoked_issuers: Collection[int]) -> bool:
        """Take up a newer issuing authority, and a newer list of the root, while running; say whether one is newer.

        From then on the newest generation issues, and the backend's next material is a certificate of it.
        Whatever fails, everything stays as it was. Raises KeyStoreError, ConfigurationError.
        """
        newer = self._generations.look_again()
        self._validation.believe(self._generations.roots, revoked_issuers)
        if newer:
            self._material = None
        return newer

    def _issuer_of(self, record: CertificateRecord) -> int | None:
        """Return the serial number of the authority that issued a certificate of the register, None when unknown."""
        try:
            certificate = x509.load_der_x509_certificate(self._objects.certificate(record.handle))
            if serial_text(certificate) != record.serial:
                return None
            return self._generations.of(certificate).certificate.serial_number
        except KeyNotFound:
            return None

    # ------------------------------------------------------------------- the backend itself

    def material(self) -> Material:
        """Return chain and OCSP answer; both are made anew well ahead of their end.

        `valid_seconds` is how long the answer holds from now. Raises KeyStoreUnavailable.
        """
        now = self._clock.now()
        age = now - self._made
        # Made anew when half of it is gone.
        if self._material is None or not timedelta(0) <= age < self._policy.ocsp_validity / 2:
            self._material = self._make_material(now)
            self._made = now
            age = timedelta(0)
        left = int((self._policy.ocsp_validity - age).total_seconds())
        return Material(self._material.chain, self._material.staple, self._name, left)

    def sign(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Return DER ECDSA-SHA256 signatures by the backend identity's key, in order.

        Raises KeyStoreUnavailable.
        """
        return self._keys.sign(self._key.handle, payloads)

    def _load_own(self) -> x509.Certificate:
        certificate = x509.load_der_x509_certificate(self._objects.certificate(_backend_label(self._name)))
        if certificate.public_key() != self._key.public_key():
            raise KeyStoreError("the backend's certificate does not belong to its identity key")
        return certificate

    def _make_material(self, now: datetime) -> Material:
        profile = self._policy.of(BACKEND_IDENTITY)
        ending = self._certificate.not_valid_after_utc - now < profile.renewal
        if ending or not self._generations.is_current(self._certificate):
            current = self._generations.current
            _certify_backend(self._key, self._objects, current, self._register, self._name, profile)
            self._certificate = self._load_own()
        serial = serial_text(self._certificate)
        record = self._register.certificates([serial]).get(serial)
        if record is None:
            raise IdentityRefused(UNKNOWN)
        staple = answer(self._generations.current, self._certificate, record, now, self._policy.ocsp_validity)
        chain = self._generations.chain(self._certificate)
        return Material(chain, staple, self._name, int(self._policy.ocsp_validity.total_seconds()))

    # ------------------------------------------------------------------------------- peers

    def verify(self, chain: Sequence[bytes], role: DeviceRole) -> PeerIdentity:
        """Judge a chain (DER, leaf first, no root) for `role` now. Raises IdentityRefused."""
        [verdict] = self.verify_batch([(chain, role)])
        return demand(verdict)

    def verify_batch(self, asked: Sequence[tuple[Sequence[bytes], DeviceRole]]) -> list[Verdict]:
        """Judge chains, each for its role, now: a PeerIdentity or an IdentityRefused each, in order.

        The register is read once for the whole batch.
        """
        return self._validation.judge_chains(asked, self._clock.now())

    def standing(self, peer: PeerIdentity) -> None:
        """Raise IdentityRefused unless the peer's certificate is good and its holder not blocked, now."""
        [verdict] = self.standing_batch([peer])
        demand(verdict)

    def standing_batch(self, peers: Sequence[PeerIdentity]) -> list[Verdict]:
        """Judge holders of tickets now: the PeerIdentity or an IdentityRefused each, in order, one read."""
        return self._validation.judge_standing(peers, self._clock.now())

    def epoch(self) -> int:
        """Return the number of the newest change of a holder's standing, whichever process made it."""
        return self._register.epoch()

    def changes_since(self, epoch: int) -> Sequence[tuple[DeviceRole, str]] | None:
        """Return the holders whose standing changed after `epoch`; None when it may be anybody's."""
        return self._register.changes_since(epoch)

    def open_activation(
        self,
        role: DeviceRole,
        name: str,
        *,
        shop: str = "",
        model: str = "",
        validity: timedelta | None = None,
        opened_by: str = "",
    ) -> str:
        """Open an activation and return its code, which is shown once and stored nowhere.

        `opened_by` is the admin who ordered it. Raises IdentityRefused for a role that does not enrol,
        ValueError for impossible names.
        """
        return self._enrolment.open(role, name, shop, model, validity, opened_by)

    def enrol(self, role: DeviceRole, name: str, code: str, csr: bytes, address: str = "") -> Issued:
        """Issue a certificate against an activation code and a PKCS#10 request (DER).

        The same code with the same key answers the same certificate. `address` is the device's, for the
        audit of what is refused. Raises IdentityRefused, KeyStoreUnavailable.
        """
        return self._enrolment.redeem(Asked(role, name, code, csr, address=address))

    def deliver(self, role: DeviceRole, name: str, code: str, address: str = "") -> Delivered:
        """Make a pair for a device against an activation code, keep it wrapped, and return it, once (TR-17).

        Raises IdentityRefused, KeyStoreUnavailable.
        """
        return self._enrolment.deliver(Asked(role, name, code, birth=Birth.BACKEND, address=address))

    def renew(self, peer: PeerIdentity, csr: bytes, address: str = "") -> Issued:
        """Issue the next certificate of a session's holder for a PKCS#10 request (DER), within its window.

        Raises IdentityRefused, KeyStoreUnavailable.
        """
        return self._renewal.renew(peer, csr, address)

    def certificate(self, handle: str) -> bytes:
        """Return the certificate (DER) that the key store keeps under a handle. Raises KeyNotFound."""
        return self._objects.certificate(handle)

    def revoke(self, serial: str, reason: str) -> None:
        """Revoke a certificate for ever. Raises IdentityRefused("unknown-certificate")."""
        self._set_state(serial, CertificateState.REVOKED, reason)

    def hold(self, serial: str, reason: str) -> None:
        """Suspend a certificate until it is released. Raises IdentityRefused."""
        self._set_state(serial, CertificateState.HELD, reason)

    def release(self, serial: str, reason: str) -> None:
        """Make a suspended certificate good again; a revoked one stays revoked. Raises IdentityRefused."""
        self._set_state(serial, CertificateState.GOOD, reason)

    def _set_state(self, serial: str, state: CertificateState, reason: str) -> None:
        record = self._register.certificates([serial]).get(serial)
        if record is None:
            raise IdentityRefused(UNKNOWN)
        if record.state is CertificateState.REVOKED:
            raise IdentityRefused("revoked")
        self._register.set_state(serial, state, self._clock.now(), reason)
        self._material = None  # it may have been the backend's own
