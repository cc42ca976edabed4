"""Names what a deployment may change of the certificate policy, in its file pki/policy.yaml.

Knows no profile and no command: whether the names in the file exist, and whether the policy makes
sense as a whole, is looked at where it is put together (trus.cli.policy). What the file leaves
out stays as the network has it. docs/reference/policy.md is written from this module.
"""
# ruff: noqa: RUF009 - setting() and section() are attrs.field()

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from trus.settings import kinds
from trus.settings.kinds import Kind
from trus.settings.problems import Misfit, show
from trus.settings.sections import Section, section, setting
from trus.settings.values import Duration


def usual(kind: Kind) -> Kind:
    """Return the kind whose absence, None, leaves the network's own value."""
    return attrs.evolve(kind, write=lambda value, base: None if value is None else kind.write(value, base))


def words(*known: str) -> Kind:
    """Return the kind of lists of some of the `known` words, at least one, each once."""
    expected = f"a list of {', '.join(known)}"

    def parse(value: object, _base: Path) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or len(set(map(str, value))) != len(value):
            raise Misfit(show(value), expected)
        for each in value:
            if each not in known:
                raise Misfit(show(each), expected)
        return tuple(value)

    return Kind(expected, parse, lambda value, _base: list(value))


PROFILE: Final = kinds.text(r"[a-z][a-z-]{1,39}", "a profile of docs/reference/keys.md")
COMMAND: Final = kinds.text(r"[A-Z][A-Z0-9-]{1,30}", "a command of the console that changes something")
#: More would only make sure that nothing is ever approved.
APPROVALS: Final = kinds.whole(0, 5, "a number of other admins")


@attrs.frozen(kw_only=True)
class ProfileSettings(Section):
    """What differs in one profile."""

    name: str = setting(PROFILE, "The profile.")
    lifetime: Duration | None = setting(
        usual(kinds.duration("1h", "10950d")), "How long its certificates are valid.", None
    )
    renewal: Duration | None = setting(
        usual(kinds.duration("0s", "3650d")), "Its holder may renew when less than this is left.", None
    )
    approvals: int | None = setting(usual(APPROVALS), "Admins who must agree beside the one who ordered it.", None)
    keys: tuple[str, ...] | None = setting(
        usual(words("p256", "ed25519")), "The kinds of keys that it may bear; the sealed session needs p256.", None
    )
    births: tuple[str, ...] | None = setting(
        usual(words("device", "backend")), "Where its key pairs may be made.", None
    )


@attrs.frozen(kw_only=True)
class CommandApproval(Section):
    """A command of the console that others must approve before it is carried out."""

    name: str = setting(COMMAND, "The command.")
    approvals: int = setting(kinds.whole(1, 5, "a number of other admins"), "How many others must approve.", 1)


@attrs.frozen(kw_only=True)
class ApprovalSettings(Section):
    """Dual control at the console."""

    validity: Duration | None = setting(
        usual(kinds.duration("5m", "30d")), "An order that nobody approved ends after this.", None
    )
    commands: tuple[CommandApproval, ...] = section("Commands that others must approve.", ())


@attrs.frozen(kw_only=True)
class ActivationSettings(Section):
    """Activation codes."""

    validity: Duration | None = setting(usual(kinds.duration("1m", "90d")), "A code may be used for this long.", None)
    failures: int | None = setting(
        usual(kinds.whole(1, 20)), "Wrong codes for one holder before its activation is locked.", None
    )


@attrs.frozen(kw_only=True)
class QuotaSettings(Section):
    """How many certificates may be issued. A day is the last 24 hours."""

    shop_a_day: int | None = setting(usual(kinds.whole(1, 1_000_000)), "To the devices of one shop, a day.", None)
    network_a_day: int | None = setting(usual(kinds.whole(1, 10_000_000)), "To all devices, a day.", None)
    live: int | None = setting(usual(kinds.whole(1, 100)), "Good certificates that one holder may have.", None)


@attrs.frozen(kw_only=True)
class ValiditySettings(Section):
    """How long what the authorities sign about certificates is believed."""

    ocsp: Duration | None = setting(usual(kinds.duration("10m", "30d")), "An OCSP answer.", None)
    crl: Duration | None = setting(usual(kinds.duration("1h", "365d")), "A revocation list of TLS.", None)
    root_crl: Duration | None = setting(
        usual(kinds.duration("1d", "1825d")), "The off-line root's list, which takes a ceremony to renew.", None
    )


@attrs.frozen(kw_only=True)
class PolicySettings(Section):
    """The certificate policy of this deployment, where it differs from the network's own."""

    activation: ActivationSettings = section("Activation codes.", attrs.Factory(ActivationSettings))
    quotas: QuotaSettings = section("How many certificates may be issued.", attrs.Factory(QuotaSettings))
    validity: ValiditySettings = section("Lists and answers.", attrs.Factory(ValiditySettings))
    approvals: ApprovalSettings = section("Dual control at the console.", attrs.Factory(ApprovalSettings))
    profiles: tuple[ProfileSettings, ...] = section("Profiles that differ.", ())

    def misfits(self) -> Iterator[Misfit]:
        """Yield a profile or a command that is named twice."""
        yield from _twice([each.name for each in self.profiles], "profiles")
        yield from _twice([each.name for each in self.approvals.commands], "approvals", "commands")


def _twice(names: Sequence[str], *place: str) -> Iterator[Misfit]:
    for number, name in enumerate(names):
        if name in names[:number]:
            yield Misfit(f"{name} again", "each name once", (*place, number, "name"))
