"""The certificate policy in force: the profiles, and every time, number and approval around them.

Reads no file and issues nothing: `trus.settings.policy` reads a deployment's pki/policy.yaml, and
whoever starts the backend hands the result to those who need it. What is not named there stays as
DEFAULT_POLICY says. A policy that contradicts itself says so in one sentence a contradiction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

from trus.pki.profiles import (
    ACTIVATION_VALIDITY,
    ALL_PROFILES,
    CRL_VALIDITY,
    DEVICE_PROFILES,
    INDIVIDUAL_ISSUING,
    INDIVIDUAL_ROOT,
    MAX_ACTIVATION_FAILURES,
    OCSP_VALIDITY,
    KeyKind,
    Profile,
)
from trus.values import DeviceRole, Frozen

#: Whoever orders, and one who agrees: the fewest people who open the root's token.
CEREMONY_OFFICERS: Final = 2


class Contradiction(Frozen, frozen=True):
    """One thing of a policy that cannot be: where, what it says, what is expected."""

    place: str
    found: str
    expected: str


class Quotas(Frozen, frozen=True):
    """How many certificates may be issued; a stolen list of codes is worth no more than this.

    A day is the last 24 hours. `live` counts a holder's certificates that are good and have not ended.
    """

    shop_a_day: int = 500
    network_a_day: int = 20_000
    live: int = 12


class Policy(Frozen, frozen=True):
    """Everything that a deployment may decide about its certificates.

    `orders` names the console's commands that others must approve, each with the number of others.
    """

    profiles: tuple[Profile, ...] = ALL_PROFILES
    activation_validity: timedelta = ACTIVATION_VALIDITY
    activation_failures: int = MAX_ACTIVATION_FAILURES
    ocsp_validity: timedelta = OCSP_VALIDITY
    crl_validity: timedelta = CRL_VALIDITY
    root_crl_validity: timedelta = timedelta(days=365)
    order_validity: timedelta = timedelta(hours=24)
    orders: Mapping[str, int] = {}
    quotas: Quotas = Quotas()

    def profile(self, name: str) -> Profile:
        """Return the profile of that name. Raises KeyError."""
        for each in self.profiles:
            if each.name == name:
                return each
        raise KeyError(name)

    def of(self, usual: Profile) -> Profile:
        """Return what this policy makes of one of the usual profiles."""
        return self.profile(usual.name)

    def device(self, role: DeviceRole) -> Profile | None:
        """Return the profile that a device of this role enrols in, None for a role that does not enrol."""
        usual = DEVICE_PROFILES.get(role)
        return None if usual is None else self.of(usual)

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield what this policy cannot mean."""
        for each in self.profiles:
            yield from _of_profile(each)
        root, issuing = self.of(INDIVIDUAL_ROOT), self.of(INDIVIDUAL_ISSUING)
        if issuing.lifetime > root.lifetime:
            yield _longer(issuing, root)
        for device in map(self.of, DEVICE_PROFILES.values()):
            if device.lifetime > issuing.lifetime:
                yield _longer(device, issuing)
        if self.ocsp_validity > self.crl_validity:
            yield Contradiction(
                "validity.ocsp", days(self.ocsp_validity), f"at most the lists' {days(self.crl_validity)}"
            )


def _of_profile(profile: Profile) -> Iterator[Contradiction]:
    place = f"profiles.{profile.name}"
    if profile.renewal >= profile.lifetime:
        yield Contradiction(
            f"{place}.renewal", days(profile.renewal), f"less than the lifetime, {days(profile.lifetime)}"
        )
    if profile.name in _NEEDS_OFFICERS and profile.approvals < CEREMONY_OFFICERS - 1:
        yield Contradiction(f"{place}.approvals", str(profile.approvals), f"at least {CEREMONY_OFFICERS - 1}")
    if KeyKind.P256 not in profile.keys:
        # The only suite of the sealed session and the store's signing keys are P-256.
        yield Contradiction(f"{place}.keys", " ".join(profile.keys), "p256 among them")
    if profile.approvals and profile.name not in _APPROVABLE:
        # Bundles are made by whoever holds the token; what lets an admin in is ADMIN-ADD.
        yield Contradiction(f"{place}.approvals", str(profile.approvals), "approvals for devices and the root alone")
    if profile.births != _FIXED_BIRTHS.get(profile.name, profile.births):
        yield Contradiction(f"{place}.births", " ".join(profile.births), "births for the profiles of devices alone")


_DEVICES: Final = frozenset(each.name for each in DEVICE_PROFILES.values())
_NEEDS_OFFICERS: Final = frozenset({INDIVIDUAL_ROOT.name, INDIVIDUAL_ISSUING.name})
_APPROVABLE: Final = _DEVICES | _NEEDS_OFFICERS
#: Only a device's pair may be made in one place or another.
_FIXED_BIRTHS: Final = {each.name: each.births for each in ALL_PROFILES if each.name not in _DEVICES}


def _longer(below: Profile, above: Profile) -> Contradiction:
    place = f"profiles.{below.name}.lifetime"
    return Contradiction(place, days(below.lifetime), f"at most that of {above.name}, {days(above.lifetime)}")


def days(span: timedelta) -> str:
    """Return a span as people read it: "3 years", "90 days", "24 hours"."""
    seconds = int(span.total_seconds())
    for unit, length in (("year", 31_536_000), ("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds and seconds % length == 0 and (unit != "day" or seconds > length):
            count = seconds // length
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{seconds} seconds"


#: The policy of a deployment that changes nothing.
DEFAULT_POLICY: Final = Policy()
