"""Puts a deployment's certificate policy together: the network's own, and what pki/policy.yaml changes.

Composition only: what a setting means is trus.pki.policy's, how it is written is
trus.settings.policy's. Names that do not exist and contradictions are problems of the file, told
all at once like those of trus.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from trus.admin.commands import COMMANDS
from trus.issuing.approvals import approvable
from trus.pki.policy import DEFAULT_POLICY, Policy
from trus.pki.profiles import Birth, KeyKind, Profile
from trus.settings.loading import load_as
from trus.settings.model import BackendSettings
from trus.settings.policy import PolicySettings, ProfileSettings
from trus.settings.problems import Problem, SettingsInvalid
from trus.settings.values import Duration

#: What `trus init` writes: everything that can be changed, as a comment, with its usual value.
EXAMPLE: Final = """\
# The certificate policy of this deployment. What is left out stays as docs/reference/keys.md and
# docs/security/certificate-policy.md say; docs/reference/policy.md lists every setting.
# `trus check-config` names everything that is wrong here at once; the backend reads it at its start.

activation:
  # A code may be used for this long.
  validity: 7d

# approvals:
#   # An order that nobody approved ends after this.
#   validity: 24h
#   # Commands that are carried out once another admin has approved them.
#   commands:
#     - name: ADMIN-ADD
#     - name: ADMIN-ROLES
#     - name: KEY-ROTATE
#
# quotas:
#   shop_a_day: 500
#   network_a_day: 20000
#   live: 12
#
# profiles:
#   - name: pos-identity
#     lifetime: 1095d
#     renewal: 90d
#     # Admins who must agree to each certificate beside the one who opened its activation.
#     approvals: 1
"""


def policy_of(backend: BackendSettings) -> Policy:
    """Return the policy that a backend's settings name. Raises SettingsInvalid with every problem."""
    return DEFAULT_POLICY if backend.identity.policy is None else load_policy(backend.identity.policy)


def load_policy(path: Path) -> Policy:
    """Return the policy of the file `path`. Raises SettingsInvalid with every problem."""
    settings = load_as(PolicySettings, path)
    problems = list(_unknown(settings))
    policy = apply(settings)
    problems += [Problem(each.place, each.found, each.expected) for each in policy.contradictions()]
    if problems:
        raise SettingsInvalid(path, problems)
    return policy


def apply(settings: PolicySettings, usual: Policy = DEFAULT_POLICY) -> Policy:
    """Return `usual` with everything changed that the settings name; unknown profiles change nothing."""
    changed = {each.name: each for each in settings.profiles}
    activation, validity, quotas = settings.activation, settings.validity, settings.quotas
    return msgspec.structs.replace(
        usual,
        profiles=tuple(_profile(each, changed.get(each.name)) for each in usual.profiles),
        activation_validity=_span(activation.validity, usual.activation_validity),
        activation_failures=_given(activation.failures, usual.activation_failures),
        ocsp_validity=_span(validity.ocsp, usual.ocsp_validity),
        crl_validity=_span(validity.crl, usual.crl_validity),
        root_crl_validity=_span(validity.root_crl, usual.root_crl_validity),
        order_validity=_span(settings.approvals.validity, usual.order_validity),
        orders={**usual.orders, **{each.name: each.approvals for each in settings.approvals.commands}},
        quotas=msgspec.structs.replace(
            usual.quotas,
            shop_a_day=_given(quotas.shop_a_day, usual.quotas.shop_a_day),
            network_a_day=_given(quotas.network_a_day, usual.quotas.network_a_day),
            live=_given(quotas.live, usual.quotas.live),
        ),
    )


def _unknown(settings: PolicySettings) -> Iterator[Problem]:
    profiles = [each.name for each in DEFAULT_POLICY.profiles]
    for number, profile in enumerate(settings.profiles):
        if profile.name not in profiles:
            yield Problem(f"profiles[{number}].name", repr(profile.name), f"one of {', '.join(profiles)}")
    for number, order in enumerate(settings.approvals.commands):
        command = COMMANDS.get(order.name)
        if command is None or not approvable(command):
            place = f"approvals.commands[{number}].name"
            yield Problem(place, repr(order.name), "a command that changes something and names no person")


def _profile(usual: Profile, changed: ProfileSettings | None) -> Profile:
    if changed is None:
        return usual
    return msgspec.structs.replace(
        usual,
        lifetime=_span(changed.lifetime, usual.lifetime),
        renewal=_span(changed.renewal, usual.renewal),
        approvals=_given(changed.approvals, usual.approvals),
        keys=usual.keys if changed.keys is None else tuple(KeyKind(word) for word in changed.keys),
        births=usual.births if changed.births is None else tuple(Birth(word) for word in changed.births),
    )


def _span(given: Duration | None, usual: timedelta) -> timedelta:
    return usual if given is None else timedelta(seconds=given.seconds)


def _given(given: Any, usual: int) -> int:
    return usual if given is None else int(given)
