"""Gives a device its individual certificate against an activation code (TR-15), once.

Decides nothing about who may have one: an operator opened the activation, the steps of the
examination look at everything else, and what the certificate says comes from the activation. Of
the device's request only the key is taken. A code used again with the same key answers the same
certificate, so that a lost answer costs nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trus.certificates.chains import serial_text
from trus.clock import Clock, Entropy
from trus.errors import IdentityRefused, KeyNotFound
from trus.hsm.ports import ObjectStore
from trus.pki.activation import ActivationCodes, make_code
from trus.pki.authority import individual_names
from trus.pki.csr import ProvenKey
from trus.pki.directory import lookup_keys
from trus.pki.examination import WRONG_ROLE, Asked, Case, Refusal, Validation
from trus.pki.generations import Generations
from trus.pki.policy import Policy
from trus.pki.ports import Activation, ActivationStore, CertificateRecord, CertificateRegister
from trus.pki.validation import demand_good
from trus.values import DeviceRole, Frozen, PeerIdentity


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
    ) -> None:
        self._generations = generations
        self._objects = objects
        self._activations = activations
        self._register = register
        self._validation = validation
        self._codes = codes
        self._policy = policy
        self._clock = clock
        self._entropy = entropy

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
        verdict = self._validation.examine(asked)
        if isinstance(verdict, Refusal):
            self._activations.refused(asked.role, asked.name, verdict.step, verdict.reason, asked.address)
            raise IdentityRefused(verdict.reason)
        case = verdict.case
        if case.proven is None:
            raise LookupError("a pair of the backend's is not redeemed by a request")
        return self._again(case.opened) if case.repeats else self._issue(case, case.proven)

    def _again(self, activation: Activation) -> Issued:
        record = self._register.certificates([activation.serial]).get(activation.serial)
        if record is None:
            raise KeyNotFound(f"the register has lost certificate {activation.serial}")
        demand_good(record, self._clock.now())
        peer = PeerIdentity(record.role, record.name, record.serial, record.shop, record.model)
        certificate = x509.load_der_x509_certificate(self._objects.certificate(record.handle))
        return Issued(peer, self._generations.chain(certificate), record.not_after)

    def _issue(self, case: Case, proven: ProvenKey) -> Issued:
        activation = case.opened
        role, name = activation.role, activation.name
        names = individual_names(role, name, activation.shop, activation.model)
        certificate = self._generations.current.issue(proven.key, case.profile, names)
        peer = PeerIdentity(role, name, serial_text(certificate), activation.shop, activation.model)
        handle = f"{role.value}/{name}/{peer.serial}"
        # The store first: a certificate without a row is never believed, a row without one is a fault.
        self._objects.put_certificate(handle, certificate.public_bytes(Encoding.DER))
        record = record_of(certificate, peer, handle, proven.digest)
        redeemed = msgspec.structs.replace(activation, key_digest=proven.digest, serial=peer.serial)
        self._activations.complete(redeemed, record, case.asked.birth.value)
        return Issued(peer, self._generations.chain(certificate), record.not_after)
