"""Makes the bundles of admins' renewals on the backend's host, and says which admins' certificates end.

Overwrites nothing: each renewal has files of its own, and a holder lets go of the former when the new one has
been tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509

from trus.cli.layout import Layout
from trus.cli.provisioning import write_admin
from trus.clock import Clock, Entropy
from trus.errors import ConfigurationError, StorageFailed
from trus.issuing.admins import ends_of_admins, say_admins
from trus.issuing.desk import MadeCertificate
from trus.ledger.registry import Registry
from trus.pki.authority import Authority
from trus.pki.channel import ADMIN, admin_plan, make_bundle
from trus.pki.policy import Policy
from trus.pki.profiles import ADMIN_CLIENT
from trus.settings.model import BackendSettings

#: Digits of the serial number in a file's name.
_DIGITS: Final = 12


class AdminBundles:
    """Implements trus.issuing.desk.AdminCertificates in the deployment's folder of admins' bundles."""

    def __init__(self, authority: Authority, policy: Policy, layout: Layout, entropy: Entropy) -> None:
        self._authority = authority
        self._policy = policy
        self._layout = layout
        self._entropy = entropy

    def make(self, name: str) -> MadeCertificate:
        """Write the next bundle of an admin beside the former one. Raises StorageFailed, KeyStoreUnavailable."""
        bundle = make_bundle(self._authority, admin_plan(name).under(self._policy), self._entropy)
        serial = f"{bundle.serial:x}"
        stem = f"{name}-{serial[:_DIGITS]}"
        try:
            self._layout.admins.mkdir(mode=0o700, exist_ok=True)
            write_admin(self._layout, stem, bundle)
        except (OSError, ConfigurationError) as problem:
            raise StorageFailed(f"the admin's bundle cannot be written ({problem})") from None
        end = x509.load_pem_x509_certificate(bundle.certificate_pem).not_valid_after_utc
        return MadeCertificate(serial, end, str(self._layout.admin_bundle(stem)))


def find_maker(
    backend: BackendSettings, lists: Sequence[tuple[Authority, Path]], policy: Policy, entropy: Entropy
) -> AdminBundles | None:
    """Return the maker of a deployment; None when its token does not hold the key of the admins' authority."""
    for authority, _ in lists:
        if authority.label == ADMIN:
            return AdminBundles(authority, policy, Layout(backend.identity.anchor.parent.parent), entropy)
    return None


def admins_health(registry: Registry, policy: Policy, clock: Clock) -> str:
    """Return "ok", or a sentence about the admins whose certificates end soon or have ended. Raises LedgerError."""
    with registry.reading() as view:
        ends = list(ends_of_admins(view.identities.admins()))
    return say_admins(ends, clock.now(), policy.of(ADMIN_CLIENT).renewal)
