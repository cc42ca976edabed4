"""Examines a request for a certificate, step by step, before anything is issued (TR-15).

Issues nothing and stores nothing but what a step says that it does. Each step has a name and gives
one fixed reason; the first that refuses ends the examination, so that a wrong code learns nothing of
what comes after it. The steps are in trus.pki.steps, in the order of `usual_steps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

import attrs

from trus.clock import Clock
from trus.errors import IdentityRefused
from trus.pki.csr import ProvenKey
from trus.pki.policy import Policy
from trus.pki.ports import Activation, CertificateRecord
from trus.pki.profiles import Birth, Profile
from trus.values import DeviceRole, Frozen, Secret

#: The step that refuses what no profile is for.
PROFILE: Final = "profile"
WRONG_ROLE: Final = "wrong-role"


class Asked(Secret, frozen=True):
    """What a device asks: for whom, with which code, for the key of which PKCS#10 request (DER).

    With birth at the backend there is no request. `address` is for the audit.
    """

    role: DeviceRole
    name: str
    code: str
    request: bytes = b""
    birth: Birth = Birth.DEVICE
    address: str = ""


@attrs.define
class Case:
    """A request under examination, and what the steps so far have found out.

    `repeats` says that the code was used before, by the same key: the same certificate is the answer,
    and nothing is issued.
    """

    asked: Asked
    now: datetime
    profile: Profile
    activation: Activation | None = None
    proven: ProvenKey | None = None
    repeats: bool = False

    @property
    def opened(self) -> Activation:
        """The activation. Raises LookupError before the step that finds it."""
        if self.activation is None:
            raise LookupError("no step has found the activation yet")
        return self.activation

    @property
    def subject(self) -> str:
        """What an approval is for: this holder with this key, or with this code where no key exists yet."""
        bound = self.opened.code_hash if self.proven is None else self.proven.digest
        return f"{self.asked.role.value}/{self.asked.name}/{bound.hex()}"


class Passed(NamedTuple):
    """Every step is content."""

    case: Case


class Refusal(Frozen, frozen=True):
    """A step refused; both are fixed words, for the audit and never for the peer."""

    step: str
    reason: str


class Step(Protocol):
    """One check."""

    @property
    def name(self) -> str:
        """The fixed word under which a refusal is audited."""
        ...

    def check(self, case: Case) -> None:
        """Look at the case, and note in it what later steps need. Raises IdentityRefused."""
        ...


class Approval(StrEnum):
    """How far the approval of a request is."""

    WAITING = "waiting"
    GIVEN = "given"
    REFUSED = "refused"


class ApprovalWanted(Frozen, frozen=True):
    """A device's request that admins must agree to; `ordered_by` opened its activation."""

    subject: str
    role: DeviceRole
    name: str
    shop: str
    model: str
    key: str
    ordered_by: str
    needed: int


class ApprovalDesk(Protocol):
    """Where admins agree to requests of devices."""

    def approval(self, wanted: ApprovalWanted) -> Approval:
        """Return how far the approval is; one that nobody asked for before is asked for now."""
        ...


class IssuanceRegister(Protocol):
    """What the steps ask the register."""

    def of_key(self, digest: bytes) -> Sequence[CertificateRecord]:
        """Return the rows of certificates for a key (SHA-256 of SubjectPublicKeyInfo), whatever their state."""
        ...

    def live_certificates(self, role: DeviceRole, name: str, now: datetime) -> int:
        """Return how many certificates of a holder are good and have not ended."""
        ...

    def issued_since(self, since: datetime, shop: str = "") -> int:
        """Return how many certificates for devices begin after `since`: of one shop, or of all."""
        ...

    def shop_of(self, role: DeviceRole, name: str) -> str | None:
        """Return the shop that a holder belongs to now, None for one that belongs to none."""
        ...


class Validation:
    """The steps, in their order."""

    def __init__(self, steps: Sequence[Step], policy: Policy, clock: Clock) -> None:
        self._steps = tuple(steps)
        self._policy = policy
        self._clock = clock

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the steps, in the order in which they are taken."""
        return (PROFILE, *(step.name for step in self._steps))

    def examine(self, asked: Asked) -> Passed | Refusal:
        """Return the case when every step is content, else which step refused and why.

        Raises what a step cannot do: KeyStoreUnavailable, StorageFailed.
        """
        profile = self._policy.device(asked.role)
        if profile is None:
            return Refusal(PROFILE, WRONG_ROLE)
        case = Case(asked, self._clock.now(), profile)
        for step in self._steps:
            try:
                step.check(case)
            except IdentityRefused as refusal:
                return Refusal(step.name, refusal.reason)
        return Passed(case)
