"""Writes the tables of the pages about keys and certificates that the code knows better than any author.

Adds nothing that the policy does not say; a test compares the pages with what this writes. Run
`python -m trus.pki.describe FILE` after changing a profile.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from cryptography.x509.oid import ExtendedKeyUsageOID

from trus.certificates.oids import ADMIN_POLICY, ARC, CHANNEL_POLICY, CHANNEL_USAGE, DEVICE_USAGE, INDIVIDUAL_POLICY
from trus.pki.policy import DEFAULT_POLICY, days
from trus.pki.profiles import ALL_PROFILES, BACKDATE, Profile
from trus.pki.steps import (
    ApprovalStep,
    CodeStep,
    DuplicateStep,
    HolderStep,
    KeyStep,
    NameStep,
    PossessionStep,
    QuotaStep,
)

_BLOCK: Final = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end of generated: \2 -->)", re.DOTALL)


def _usage_names() -> dict[str, str]:
    names = {
        ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string: "clientAuth",
        ExtendedKeyUsageOID.SERVER_AUTH.dotted_string: "serverAuth",
        ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string: "OCSPSigning",
    }
    for label, usages in (("individual", DEVICE_USAGE), ("channel", CHANNEL_USAGE)):
        for role, usage in usages.items():
            names[usage.dotted_string] = f"{label} {role.value}"
    return names


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def profiles_table() -> str:
    """Return the table of what each profile's certificates say, in Markdown."""
    return _table(
        ("profile", "lasts", "extended key usage", "key usage", "path length"),
        (
            (f"`{each.name}`", days(each.lifetime), _usages(each), " ".join(each.key_uses), _path(each))
            for each in ALL_PROFILES
        ),
    )


def issuance_table() -> str:
    """Return the table of how each profile's certificates come to be, in Markdown."""
    return _table(
        ("profile", "keys", "born in", "holder's name", "URNs", "renewal", "further approvals"),
        (
            (
                f"`{each.name}`",
                " ".join(each.keys),
                " or ".join(each.births),
                "the network's" if each.is_authority else f"`{each.names}`",
                " ".join(each.urns) or "none",
                f"from {days(each.renewal)} before its end" if each.renewal else "none",
                str(each.approvals),
            )
            for each in ALL_PROFILES
        ),
    )


def figures_table() -> str:
    """Return the table of the policy's other figures, in Markdown."""
    policy = DEFAULT_POLICY
    quotas = policy.quotas
    return _table(
        ("what", "figure"),
        (
            ("a certificate begins before its issue by", days(BACKDATE)),
            ("an activation code is good for", days(policy.activation_validity)),
            ("wrong codes before an activation is locked", str(policy.activation_failures)),
            ("an OCSP answer is believed for", days(policy.ocsp_validity)),
            ("a revocation list of TLS is believed for", days(policy.crl_validity)),
            ("the off-line root's list is believed for", days(policy.root_crl_validity)),
            ("an order that waits for approval ends after", days(policy.order_validity)),
            ("certificates for the devices of one shop, in 24 hours", str(quotas.shop_a_day)),
            ("certificates for all devices, in 24 hours", str(quotas.network_a_day)),
            ("good certificates that one holder may have", str(quotas.live)),
        ),
    )


def _usages(profile: Profile) -> str:
    names = _usage_names()
    usages = ", ".join(names[usage] for usage in profile.usages) or "none"
    return usages + (" (critical)" if profile.critical_usage else "")


def _path(profile: Profile) -> str:
    return "" if profile.path_length is None else str(profile.path_length)


def steps_table() -> str:
    """Return the table of the checks before an issuance, in Markdown: the first sentence of each step."""
    steps = (CodeStep, PossessionStep, KeyStep, NameStep, HolderStep, DuplicateStep, QuotaStep, ApprovalStep)
    return _table(("step", "examines"), ((step.name, _first_sentence(step)) for step in steps))


def _first_sentence(step: type) -> str:
    text = " ".join((step.__doc__ or "").split("\n\n")[0].split())
    return text.partition(": ")[2].rstrip(".")


def identifiers_table() -> str:
    """Return the table of private object identifiers, in Markdown; ARC stands for the arc."""
    rows = [
        (f"`{_short(policy.dotted_string)}`", text)
        for policy, text in (
            (INDIVIDUAL_POLICY, "policy: issued by the individual authority"),
            (CHANNEL_POLICY, "policy: issued by the channel authority"),
            (ADMIN_POLICY, "policy: issued by the admins' authority"),
        )
    ]
    for label, usages in (("individual", DEVICE_USAGE), ("channel", CHANNEL_USAGE)):
        for role, usage in usages.items():
            rows.append((f"`{_short(usage.dotted_string)}`", f"extended key usage: {label} {role.value}"))
    return _table(("object identifier", "is"), rows)


def _short(dotted: str) -> str:
    return dotted.replace(ARC, "ARC")


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "profiles": profiles_table,
    "issuance": issuance_table,
    "figures": figures_table,
    "steps": steps_table,
    "identifiers": identifiers_table,
}


def fill(page: str) -> str:
    """Return the page with every generated part as the policy says it now. Raises KeyError for an unknown part."""
    return _BLOCK.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n\n{match[3]}", page)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(fill(path.read_text("utf-8")), "utf-8")
