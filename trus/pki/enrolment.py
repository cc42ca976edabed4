"""Gives a device its individual certificate against an activation code (TR-15), once.

Decides nothing about who may have one: an operator opened the activation, the steps of the
examination look at everything else, and what the certificate says comes from the activation. Of
the device's request only the key is taken. A code used again with the same key answers the same
certificate, so that a lost answer costs nothing.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Final, NoReturn

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from trus.certificates.chains import serial_text
from trus.clock import Clock, Entropy
from trus.errors import IdentityRefused, KeyNotFound, KeyStoreError
from trus.hsm.ports import EscrowedPair, EscrowStore, ObjectStore
from trus.pki.activation import ActivationCodes, make_code
from trus.pki.authority import HolderKey, individual_names
from trus.pki.csr import key_digest
from trus.pki.directory import lookup_keys
from trus.pki.examination import WRONG_ROLE, Asked, Case, Refusal, Validation
from trus.pki.generations import Generations
from trus.pki.policy import Policy
from trus.pki.ports import Activation, ActivationStore, CertificateRecord, CertificateRegister
from trus.pki.steps import BIRTH, PossessionStep
from trus.pki.validation import demand_good
from trus.values import DeviceRole, Frozen, PeerIdentity, Secret

#: A passphrase carries 160 bits.
_PASSPHRASE_BYTES: Final = 20


class Issued(Frozen, frozen=True):
    """A certificate chain (DER, leaf first, no root) and the identity that it proves."""

    peer: PeerIdentity
    chain: list[bytes]
    not_after: datetime


def record_of(certificate: x509.Certificate, peer: PeerIdentity, handle: str, key_digest: bytes) -> CertificateRecord:
    """Return the register's row of a certificate that the key store keeps under `handle`."""
    return CertificateRecord(
        serial=peer.serial,
        role=peer.role,
        name=peer.name,
        shop=peer.shop,
        model=peer.model,
        handle=handle,
        key_digest=key_digest,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        keys=lookup_keys(certificate),
    )


class Delivered(Secret, frozen=True):
    """A pair that was made here, with its certificate, as it is handed to its holder: PKCS#12 and its passphrase."""

    peer: PeerIdentity
    p12: bytes
    passphrase: str


class Enrolment:
    """Activations, and the certificates that they bring."""

    def __init__(
        self,
        *,
        generations: Generations,
        objects: ObjectStore,
        activations: ActivationStore,
        register: CertificateRegister,
        validation: Validation,
        codes: ActivationCodes,
        policy: Policy,
        clock: Clock,
        entropy: Entropy,
        escrow: EscrowStore | None = None,
    ) -> None:
        """`escrow` makes and keeps pairs for devices; without it no pair is born here."""
        self._generations = generations
        self._objects = objects
        self._activations = activations
        self._register = register
        self._validation = validation
        self._codes = codes
        self._policy = policy
        self._clock = clock
        self._entropy = entropy
        self._escrow = escrow

    def open(
        self, role: DeviceRole, name: str, shop: str, model: str, validity: timedelta | None, opened_by: str
    ) -> str:
        """Open an activation, in place of an earlier one of the same holder, and return its code.

        Raises IdentityRefused("wrong-role") for a role that does not enrol, ValueError for a name,
        shop or model that a certificate cannot bear.
        """
        if self._policy.device(role) is None:
            raise IdentityRefused(WRONG_ROLE)
        individual_names(role, name, shop, model)
        code = make_code(self._entropy)
        expires = self._clock.now() + (self._policy.activation_validity if validity is None else validity)
        hashed = self._codes.hash(role, name, code, shop, model)
        self._activations.open_activation(Activation(role, name, shop, model, hashed, expires, opened_by=opened_by))
        return code

    def redeem(self, asked: Asked) -> Issued:
        """Return the certificate for the key of a device's request.

        A request that is refused is in the audit with step and reason. Raises IdentityRefused.
        """
        case = self._examine(asked)
        if case.proven is None:
            raise LookupError("a pair of the backend's is not redeemed by a request")
        if case.repeats:
            return self._again(case.opened)
        certificate, peer, handle = self._issue(case, case.proven.key)
        record = self._complete(case, certificate, peer, handle, case.proven.digest)
        return Issued(peer, self._generations.chain(certificate), record.not_after)

    def deliver(self, asked: Asked) -> Delivered:
        """Make a pair in the key store, keep it there wrapped, certify it and return it for its holder, once (TR-17).

        The passphrase is drawn for this delivery and kept nowhere. Raises IdentityRefused, KeyStoreError.
        """
        if self._escrow is None:
            self._refuse(asked, Refusal(PossessionStep.name, BIRTH))
        case = self._examine(asked)
        pair = self._pair(self._escrow, f"pair/{asked.role.value}/{asked.name}/{case.opened.code_hash[:8].hex()}")
        key = load_der_public_key(pair.public_key)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise KeyStoreError("the key store made a pair of another kind than P-256")
        certificate, peer, handle = self._issue(case, key)
        passphrase = base64.b32encode(self._entropy.draw(_PASSPHRASE_BYTES)).decode("ascii").lower()
        p12 = self._escrow.export_pkcs12(pair.label, self._generations.chain(certificate), passphrase)
        # Commit, then speak: a pair whose row is not durable is handed to nobody, and made use of by the next try.
        self._complete(case, certificate, peer, handle, key_digest(key))
        return Delivered(peer, p12, passphrase)

    def _examine(self, asked: Asked) -> Case:
        verdict = self._validation.examine(asked)
        if isinstance(verdict, Refusal):
            self._refuse(asked, verdict)
        return verdict.case

    def _refuse(self, asked: Asked, refusal: Refusal) -> NoReturn:
        self._activations.refused(asked.role, asked.name, refusal.step, refusal.reason, asked.address)
        raise IdentityRefused(refusal.reason)

    @staticmethod
    def _pair(escrow: EscrowStore, label: str) -> EscrowedPair:
        """Return a new pair, or the one of an attempt with this code that was never completed."""
        try:
            return escrow.pair(label)
        except KeyNotFound:
            return escrow.make_pair(label)

    def _again(self, activation: Activation) -> Issued:
        record = self._register.certificates([activation.serial]).get(activation.serial)
        if record is None:
            raise KeyNotFound(f"the register has lost certificate {activation.serial}")
        demand_good(record, self._clock.now())
        peer = PeerIdentity(record.role, record.name, record.serial, record.shop, record.model)
        certificate = x509.load_der_x509_certificate(self._objects.certificate(record.handle))
        return Issued(peer, self._generations.chain(certificate), record.not_after)

    def _issue(self, case: Case, key: HolderKey) -> tuple[x509.Certificate, PeerIdentity, str]:
        activation = case.opened
        role, name = activation.role, activation.name
        names = individual_names(role, name, activation.shop, activation.model)
        certificate = self._generations.current.issue(key, case.profile, names)
        peer = PeerIdentity(role, name, serial_text(certificate), activation.shop, activation.model)
        handle = f"{role.value}/{name}/{peer.serial}"
        # The store first: a certificate without a row is never believed, a row without one is a fault.
        self._objects.put_certificate(handle, certificate.public_bytes(Encoding.DER))
        return certificate, peer, handle

    def _complete(
        self, case: Case, certificate: x509.Certificate, peer: PeerIdentity, handle: str, digest: bytes
    ) -> CertificateRecord:
        record = record_of(certificate, peer, handle, digest)
        redeemed = msgspec.structs.replace(case.opened, key_digest=digest, serial=peer.serial)
        self._activations.complete(redeemed, record, case.asked.birth.value)
        return record
