"""Gives a device its individual certificate against an activation code (TR-15), once.

Decides nothing about who may have one: an operator opened the activation, and what the
certificate says comes from it. Of the device's request only the key is taken. A code used again
with the same key answers the same certificate, so that a lost answer costs nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trus.certificates.chains import serial_text
from trus.clock import Clock, Entropy
from trus.errors import IdentityRefused, KeyNotFound
from trus.hsm.ports import ObjectStore
from trus.pki.activation import ActivationCodes, make_code
from trus.pki.authority import individual_names
from trus.pki.csr import ProvenKey, prove
from trus.pki.directory import lookup_keys
from trus.pki.generations import Generations
from trus.pki.ports import Activation, ActivationStore, CertificateRecord, CertificateRegister
from trus.pki.profiles import ACTIVATION_VALIDITY, DEVICE_PROFILES, MAX_ACTIVATION_FAILURES
from trus.pki.validation import BLOCKED, demand_good
from trus.values import DeviceRole, Frozen, PeerIdentity

#: The reasons that this module adds to those of activation, csr and validation.
NOT_OPENED: Final = "no-activation"
LOCKED: Final = "activation-locked"
OVER: Final = "activation-expired"
WRONG_CODE: Final = "wrong-code"
USED: Final = "activation-used"


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
        codes: ActivationCodes,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._generations = generations
        self._objects = objects
        self._activations = activations
        self._register = register
        self._codes = codes
        self._clock = clock
        self._entropy = entropy

    def open(self, role: DeviceRole, name: str, shop: str, model: str, validity: timedelta | None) -> str:
        """Open an activation, in place of an earlier one of the same holder, and return its code.

        Raises IdentityRefused("wrong-role") for a role that does not enrol, ValueError for a name,
        shop or model that a certificate cannot bear.
        """
        if role not in DEVICE_PROFILES:
            raise IdentityRefused("wrong-role")
        individual_names(role, name, shop, model)
        code = make_code(self._entropy)
        expires = self._clock.now() + (ACTIVATION_VALIDITY if validity is None else validity)
        hashed = self._codes.hash(role, name, code)
        self._activations.open_activation(Activation(role, name, shop, model, hashed, expires))
        return code

    def redeem(self, role: DeviceRole, name: str, code: str, request: bytes) -> Issued:
        """Return the certificate for the key of a PKCS#10 request. Raises IdentityRefused."""
        activation = self._demand_code(role, name, code)
        proven = prove(request)
        if self._register.blocked([(role, name)]):
            raise IdentityRefused(BLOCKED)
        if activation.serial:
            return self._again(activation, proven)
        return self._issue(activation, proven)

    def _demand_code(self, role: DeviceRole, name: str, code: str) -> Activation:
        """Return the activation that the code opens; a wrong code is counted before it is refused."""
        activation = self._activations.activation(role, name)
        # The hash is computed for unknown holders too: the time tells nobody which names exist.
        matches = self._codes.matches(b"" if activation is None else activation.code_hash, role, name, code)
        if activation is None:
            raise IdentityRefused(NOT_OPENED)
        if activation.failures >= MAX_ACTIVATION_FAILURES:
            raise IdentityRefused(LOCKED)
        if not matches:
            self._activations.count_failure(role, name, activation.failures + 1)
            raise IdentityRefused(WRONG_CODE)
        if self._clock.now() >= activation.expires:
            raise IdentityRefused(OVER)
        return activation

    def _again(self, activation: Activation, proven: ProvenKey) -> Issued:
        if activation.key_digest != proven.digest:
            raise IdentityRefused(USED)
        record = self._register.certificates([activation.serial]).get(activation.serial)
        if record is None:
            raise KeyNotFound(f"the register has lost certificate {activation.serial}")
        demand_good(record, self._clock.now())
        peer = PeerIdentity(record.role, record.name, record.serial, record.shop, record.model)
        certificate = x509.load_der_x509_certificate(self._objects.certificate(record.handle))
        return Issued(peer, self._generations.chain(certificate), record.not_after)

    def _issue(self, activation: Activation, proven: ProvenKey) -> Issued:
        role, name = activation.role, activation.name
        names = individual_names(role, name, activation.shop, activation.model)
        certificate = self._generations.current.issue(proven.key, DEVICE_PROFILES[role], names)
        der = certificate.public_bytes(Encoding.DER)
        peer = PeerIdentity(role, name, serial_text(certificate), activation.shop, activation.model)
        handle = f"{role.value}/{name}/{peer.serial}"
        # The store first: a certificate without a row is never believed, a row without one is a fault.
        self._objects.put_certificate(handle, der)
        record = record_of(certificate, peer, handle, proven.digest)
        redeemed = msgspec.structs.replace(activation, key_digest=proven.digest, serial=peer.serial)
        self._activations.complete(redeemed, record)
        return Issued(peer, self._generations.chain(certificate), record.not_after)
