"""Writes the tables of docs/reference/keys.md that the code knows better than any author.

Adds nothing that the policy does not say; a test compares the page with what this returns.
"""

from __future__ import annotations

from datetime import timedelta

from cryptography.x509.oid import ExtendedKeyUsageOID

from trus.certificates.oids import ADMIN_POLICY, ARC, CHANNEL_POLICY, CHANNEL_USAGE, DEVICE_USAGE, INDIVIDUAL_POLICY
from trus.pki.profiles import ALL_PROFILES, Profile

_YEAR_DAYS = 365


def _names() -> dict[str, str]:
    names = {
        ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string: "clientAuth",
        ExtendedKeyUsageOID.SERVER_AUTH.dotted_string: "serverAuth",
    }
    for label, usages in (("individual", DEVICE_USAGE), ("channel", CHANNEL_USAGE)):
        for role, usage in usages.items():
            names[usage.dotted_string] = f"{label} {role.value}"
    return names


def _lifetime(lifetime: timedelta) -> str:
    years, rest = divmod(lifetime.days, _YEAR_DAYS)
    unit = "year" if years == 1 else "years"
    return f"{years} {unit}" if rest == 0 else f"{lifetime.days} days"


def profiles_table() -> str:
    """Return the table of certificate profiles, in Markdown."""
    rows = ["| profile | lasts | extended key usage | key usage |", "|---|---|---|---|"]
    return "\n".join([*rows, *(_profile_row(profile) for profile in ALL_PROFILES)])


def _profile_row(profile: Profile) -> str:
    names = _names()
    usages = ", ".join(names[usage] for usage in profile.usages) or "none"
    if profile.critical_usage:
        usages += " (critical)"
    if profile.is_authority:
        key_usage = f"signs certificates, lists and OCSP answers; path length {profile.path_length}"
    else:
        key_usage = "digitalSignature"
    return f"| {profile.name} | {_lifetime(profile.lifetime)} | {usages} | {key_usage} |"


def identifiers_table() -> str:
    """Return the table of private object identifiers, in Markdown; ARC stands for the arc."""
    rows = ["| object identifier | is |", "|---|---|"]
    for policy, text in (
        (INDIVIDUAL_POLICY, "policy: issued by the individual authority"),
        (CHANNEL_POLICY, "policy: issued by the channel authority"),
        (ADMIN_POLICY, "policy: issued by the admins' authority"),
    ):
        rows.append(f"| `{_short(policy.dotted_string)}` | {text} |")
    for label, usages in (("individual", DEVICE_USAGE), ("channel", CHANNEL_USAGE)):
        for role, usage in usages.items():
            rows.append(f"| `{_short(usage.dotted_string)}` | extended key usage: {label} {role.value} |")
    return "\n".join(rows)


def _short(dotted: str) -> str:
    return dotted.replace(ARC, "ARC")
