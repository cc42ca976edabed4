"""Gives a device its next certificate, asked for inside its sealed session, and retires the one before (TR-15).

Trusts the session: who asks has just proven the present certificate's key. What the next one will say
comes from the register and not from the request, of which the key alone is taken. The next certificate
is pending until the device has shown it in a handshake; from then on the former ones are superseded.
Until then both are good, so that neither a lost answer nor a device that loses its disk costs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trus.certificates.chains import serial_text
from trus.clock import Clock
from trus.errors import IdentityRefused
from trus.hsm.ports import ObjectStore
from trus.pki.authority import individual_names
from trus.pki.csr import prove
from trus.pki.enrolment import Issued, record_of
from trus.pki.examination import WRONG_ROLE, Asked, Case, IssuanceRegister, Step
from trus.pki.generations import Generations
from trus.pki.policy import Policy
from trus.pki.ports import Activation, CertificateRecord, CertificateRegister, CertificateState
from trus.pki.profiles import Birth, Profile
from trus.pki.steps import BIRTH, HolderStep, KeyStep, NameStep, QuotaStep
from trus.pki.validation import UNKNOWN, demand_good
from trus.values import DeviceRole, PeerIdentity

#: The reason that this module adds: the renewal window has not begun.
TOO_EARLY: Final = "too-early"
#: The step under which that is audited.
WINDOW: Final = "window"
#: Why a former certificate is revoked (RFC 5280 section 5.3.1).
SUPERSEDED: Final = "superseded"


class RenewalRegister(CertificateRegister, IssuanceRegister, Protocol):
    """What renewals need of the register."""

    def register_renewal(self, record: CertificateRecord, former: str) -> None:
        """Store the row of a certificate that renews the one of serial `former`, pending, with its event.

        Others of the holder that are pending are revoked as superseded: their answers were lost.
        """
        ...

    def confirm(self, serials: Sequence[str]) -> list[str]:
        """Make pending certificates good and revoke their holders' other good ones as superseded.

        Returns the serials of those revoked; certificates that are not pending are passed over.
        """
        ...

    def renewal_refused(self, role: DeviceRole, name: str, step: str, reason: str, address: str) -> None:
        """Leave an event in the audit: a renewal was refused."""
        ...


class Renewal:
    """Renewals of individual certificates."""

    def __init__(
        self,
        *,
        generations: Generations,
        objects: ObjectStore,
        register: RenewalRegister,
        policy: Policy,
        clock: Clock,
    ) -> None:
        self._generations = generations
        self._objects = objects
        self._register = register
        self._policy = policy
        self._clock = clock
        self._steps: tuple[Step, ...] = (
            KeyStep(register),
            NameStep(),
            HolderStep(register.blocked, register),
            QuotaStep(register, policy),
        )

    def renew(self, peer: PeerIdentity, request: bytes, address: str = "") -> Issued:
        """Return the next certificate of a session's holder, for the key of its PKCS#10 request (DER).

        The same key again answers the same certificate. A refusal is in the audit with its step.
        Raises IdentityRefused, KeyStoreUnavailable.
        """
        step = "standing"
        try:
            record = self._standing(peer)
            profile = self._policy.device(peer.role)
            if profile is None:
                raise IdentityRefused(WRONG_ROLE)
            step = "possession"
            case = self._case(record, profile, request, address)
            again = self._issued_before(record, case)
            if again is not None:
                return self._answer(again)
            step = WINDOW
            self._demand_window(record, profile)
            for each in self._steps:
                step = each.name
                each.check(case)
        except IdentityRefused as refusal:
            self._register.renewal_refused(peer.role, peer.name, step, refusal.reason, address)
            raise
        return self._issue(record, case)

    def confirm(self, peers: Sequence[PeerIdentity]) -> list[str]:
        """Note that these holders have proven their certificates' keys; return the serials superseded by that."""
        return self._register.confirm([peer.serial for peer in peers]) if peers else []

    def _standing(self, peer: PeerIdentity) -> CertificateRecord:
        record = self._register.certificates([peer.serial]).get(peer.serial)
        if record is None or (record.role, record.name) != (peer.role, peer.name):
            raise IdentityRefused(UNKNOWN)
        demand_good(record, self._clock.now())
        return record

    def _case(self, record: CertificateRecord, profile: Profile, request: bytes, address: str) -> Case:
        if Birth.DEVICE not in profile.births:
            raise IdentityRefused(BIRTH)
        # The session stands in the place of a code: what the certificate says, the register knows.
        known = Activation(record.role, record.name, record.shop, record.model, b"", self._clock.now())
        asked = Asked(record.role, record.name, "", request, address=address)
        return Case(asked, self._clock.now(), profile, known, prove(request))

    def _issued_before(self, record: CertificateRecord, case: Case) -> CertificateRecord | None:
        """Return what this key was issued by an earlier request whose answer was lost, None otherwise."""
        if case.proven is None:
            return None
        now = self._clock.now()
        for each in self._register.of_key(case.proven.digest):
            same = (each.role, each.name) == (record.role, record.name) and each.serial != record.serial
            if same and each.state is CertificateState.PENDING and now <= each.not_after:
                return each
        return None

    def _demand_window(self, record: CertificateRecord, profile: Profile) -> None:
        """Refuse before the window, unless a newer generation issues by now: then every holder should move on."""
        if record.not_after - self._clock.now() <= profile.renewal:
            return
        certificate = x509.load_der_x509_certificate(self._objects.certificate(record.handle))
        if self._generations.is_current(certificate):
            raise IdentityRefused(TOO_EARLY)

    def _issue(self, record: CertificateRecord, case: Case) -> Issued:
        if case.proven is None:
            raise LookupError("a renewal without a request")
        names = individual_names(record.role, record.name, record.shop, record.model)
        certificate = self._generations.current.issue(case.proven.key, case.profile, names)
        peer = PeerIdentity(record.role, record.name, serial_text(certificate), record.shop, record.model)
        handle = f"{record.role.value}/{record.name}/{peer.serial}"
        # The store first: a certificate without a row is never believed, a row without one is a fault.
        self._objects.put_certificate(handle, certificate.public_bytes(Encoding.DER))
        issued = record_of(certificate, peer, handle, case.proven.digest)
        self._register.register_renewal(issued, record.serial)
        return Issued(peer, self._generations.chain(certificate), issued.not_after)

    def _answer(self, record: CertificateRecord) -> Issued:
        certificate = x509.load_der_x509_certificate(self._objects.certificate(record.handle))
        peer = PeerIdentity(record.role, record.name, record.serial, record.shop, record.model)
        return Issued(peer, self._generations.chain(certificate), record.not_after)
