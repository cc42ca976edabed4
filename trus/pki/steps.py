"""The checks before a certificate is issued, one class a step, each with its reasons.

Every step trusts those before it and nothing else: what a certificate will say comes from the
activation that an operator opened, and of a device's request only its key is believed. The code
comes first, so that who has none learns nothing, and its wrong ones are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, Protocol

from trus.certificates.oids import parse_urn
from trus.errors import IdentityRefused
from trus.pki.activation import ActivationCodes
from trus.pki.csr import prove
from trus.pki.examination import Approval, ApprovalDesk, ApprovalWanted, Case, IssuanceRegister, Step
from trus.pki.policy import Policy
from trus.pki.ports import Activation, CertificateState
from trus.pki.profiles import BACKDATE, Birth, kind_of
from trus.pki.validation import BLOCKED
from trus.pki.weakkeys import weak_keys
from trus.values import DeviceRole

#: The reasons that this module adds to those of activation, csr and validation.
NOT_OPENED: Final = "no-activation"
LOCKED: Final = "activation-locked"
OVER: Final = "activation-expired"
WRONG_CODE: Final = "wrong-code"
USED: Final = "activation-used"
BIRTH: Final = "birth-not-allowed"
KEY_KIND: Final = "key-not-allowed"
WEAK_KEY: Final = "weak-key"
KEY_TAKEN: Final = "key-already-used"
BAD_NAME: Final = "name-not-allowed"
OTHER_NAMES: Final = "request-names-another"
MOVED: Final = "holder-moved"
TOO_MANY: Final = "too-many-certificates"
SHOP_QUOTA: Final = "shop-quota"
NETWORK_QUOTA: Final = "network-quota"
UNAPPROVED: Final = "approval-wanted"
DISAPPROVED: Final = "approval-refused"

_DAY: Final = timedelta(days=1)


class Activations(Protocol):
    """What the first step needs of the store of activations."""

    def activation(self, role: DeviceRole, name: str) -> Activation | None:
        """Return the activation opened for this holder, None when there is none."""
        ...

    def count_failure(self, role: DeviceRole, name: str, failures: int) -> None:
        """Set the number of wrong codes given for this holder, durably."""
        ...


class CodeStep:
    """The activation code: right, in time, not locked, for this holder, shop and model."""

    name = "code"

    def __init__(self, activations: Activations, codes: ActivationCodes, policy: Policy) -> None:
        self._activations = activations
        self._codes = codes
        self._most = policy.activation_failures

    def check(self, case: Case) -> None:
        """Find the activation; a wrong code is counted before it is refused."""
        asked = case.asked
        found = self._activations.activation(asked.role, asked.name)
        # The hash is computed for unknown holders too: the time tells nobody which names exist.
        stored, shop, model = (b"", "", "") if found is None else (found.code_hash, found.shop, found.model)
        matches = self._codes.matches(stored, asked.role, asked.name, asked.code, shop, model)
        if found is None:
            raise IdentityRefused(NOT_OPENED)
        if found.failures >= self._most:
            raise IdentityRefused(LOCKED)
        if not matches:
            self._activations.count_failure(asked.role, asked.name, found.failures + 1)
            raise IdentityRefused(WRONG_CODE)
        if case.now >= found.expires:
            raise IdentityRefused(OVER)
        case.activation = found


class PossessionStep:
    """Possession: who asks has proven to have the key, and a used code serves no other key.

    A pair that the backend shall make proves nothing and is handed over once: its code is used up.
    """

    name = "possession"

    def check(self, case: Case) -> None:
        """Take the key out of the request, where the device made it."""
        asked = case.asked
        if asked.birth not in case.profile.births:
            raise IdentityRefused(BIRTH)
        if asked.birth is Birth.DEVICE:
            case.proven = prove(asked.request)
        if case.opened.serial:
            if case.proven is None or case.proven.digest != case.opened.key_digest:
                raise IdentityRefused(USED)
            case.repeats = True


class KeyStep:
    """The key's quality: of a kind that the profile allows, not known to everybody, nobody else's.

    That a point lies on its curve was seen when the request was read (SP 800-186 appendix D.1).
    """

    name = "key"

    def __init__(self, register: IssuanceRegister, weak: Callable[[], frozenset[bytes]] = weak_keys) -> None:
        self._register = register
        self._weak = weak

    def check(self, case: Case) -> None:
        """Refuse a key that should not be certified."""
        if case.proven is None:
            return
        if kind_of(case.proven.key) not in case.profile.keys:
            raise IdentityRefused(KEY_KIND)
        if case.proven.digest in self._weak():
            raise IdentityRefused(WEAK_KEY)
        holder = (case.asked.role, case.asked.name)
        for used in self._register.of_key(case.proven.digest):
            # A holder may come back with its own key and a new code: its answer was lost. Not with a revoked one.
            if (used.role, used.name) != holder or (used.state is CertificateState.REVOKED and not case.repeats):
                raise IdentityRefused(KEY_TAKEN)


class NameStep:
    """The names: as the profile rules, and nothing in the request that speaks of somebody else."""

    name = "name"

    def check(self, case: Case) -> None:
        """Compare what the request says of its holder, if it says anything, with the activation."""
        if not case.profile.names_holder(case.asked.name):
            raise IdentityRefused(BAD_NAME)
        if case.proven is None:
            return
        opened = case.opened
        true = {opened.role.value: opened.name, "shop": opened.shop, "model": opened.model}
        for uri in case.proven.uris:
            parsed = parse_urn(uri)
            if parsed is None or true.get(parsed[0]) != parsed[1]:
                raise IdentityRefused(OTHER_NAMES)


class HolderStep:
    """The holder: registered, active, and still where it was when the activation was opened."""

    name = "holder"

    def __init__(
        self,
        blocked: Callable[[Sequence[tuple[DeviceRole, str]]], frozenset[tuple[DeviceRole, str]]],
        register: IssuanceRegister,
    ) -> None:
        self._blocked = blocked
        self._register = register

    def check(self, case: Case) -> None:
        """Refuse a blocked holder, and one that has moved to another shop."""
        holder = (case.asked.role, case.asked.name)
        if self._blocked([holder]):
            raise IdentityRefused(BLOCKED)
        shop = self._register.shop_of(*holder)
        if shop is not None and case.opened.shop and shop != case.opened.shop:
            raise IdentityRefused(MOVED)


class DuplicateStep:
    """Duplicates: a holder has only so many good certificates at a time."""

    name = "duplicate"

    def __init__(self, register: IssuanceRegister, policy: Policy) -> None:
        self._register = register
        self._most = policy.quotas.live

    def check(self, case: Case) -> None:
        """Refuse one certificate too many; an operator revokes an old one first."""
        if case.repeats:
            return
        if self._register.live_certificates(case.asked.role, case.asked.name, case.now) >= self._most:
            raise IdentityRefused(TOO_MANY)


class QuotaStep:
    """Quotas: what one shop, and the network, may be issued in 24 hours."""

    name = "quota"

    def __init__(self, register: IssuanceRegister, policy: Policy) -> None:
        self._register = register
        self._quotas = policy.quotas

    def check(self, case: Case) -> None:
        """Refuse what a stolen list of codes would need."""
        if case.repeats:
            return
        since = case.now - _DAY - BACKDATE
        shop = case.opened.shop
        if shop and self._register.issued_since(since, shop) >= self._quotas.shop_a_day:
            raise IdentityRefused(SHOP_QUOTA)
        if self._register.issued_since(since) >= self._quotas.network_a_day:
            raise IdentityRefused(NETWORK_QUOTA)


class ApprovalStep:
    """Approval: where the profile wants it, admins other than the one who opened the activation agree first."""

    name = "approval"

    def __init__(self, desk: ApprovalDesk) -> None:
        self._desk = desk

    def check(self, case: Case) -> None:
        """Refuse until enough have agreed; the device asks again with the same code and key."""
        if case.repeats or not case.profile.approvals:
            return
        opened, proven = case.opened, case.proven
        wanted = ApprovalWanted(
            subject=case.subject,
            role=opened.role,
            name=opened.name,
            shop=opened.shop,
            model=opened.model,
            key="" if proven is None else proven.digest.hex(),
            ordered_by=opened.opened_by,
            needed=case.profile.approvals,
        )
        approval = self._desk.approval(wanted)
        if approval is Approval.REFUSED:
            raise IdentityRefused(DISAPPROVED)
        if approval is Approval.WAITING:
            raise IdentityRefused(UNAPPROVED)


class NoApprovals:
    """The desk of a deployment without a console: nobody can agree, so that what needs it is refused."""

    def approval(self, wanted: ApprovalWanted) -> Approval:
        """Return REFUSED."""
        return Approval.REFUSED


def usual_steps(
    *,
    activations: Activations,
    codes: ActivationCodes,
    register: IssuanceRegister,
    blocked: Callable[[Sequence[tuple[DeviceRole, str]]], frozenset[tuple[DeviceRole, str]]],
    approvals: ApprovalDesk,
    policy: Policy,
) -> tuple[Step, ...]:
    """Return the steps of an enrolment, in their order: the cheap and secret first, the lasting last."""
    return (
        CodeStep(activations, codes, policy),
        PossessionStep(),
        KeyStep(register),
        NameStep(),
        HolderStep(blocked, register),
        DuplicateStep(register, policy),
        QuotaStep(register, policy),
        ApprovalStep(approvals),
    )
