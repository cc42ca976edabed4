"""Provisions a deployment in one folder: `trus init DIR`.

Starts nothing and opens no port. Builds beside the folder and renames at the end, so that a
failure leaves nothing behind; refuses a folder that holds anything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trus.clock import Clock, Entropy
from trus.values import Frozen


class InitOptions(Frozen, frozen=True):
    """What a deployment is made with. `currency` is an ISO 4217 code."""

    currency: str = "USD"
    admins: tuple[str, ...] = ("admin",)
    host: str = "127.0.0.1"
    module: str = ""  #: the PKCS#11 module, found when empty


class Provisioned(Frozen, frozen=True):
    """Where a deployment's parts are (absolute paths)."""

    directory: str
    config: str
    token_conf: str
    token_pin: str
    database: str
    anchor: str  #: PEM of the individual authority, goes to every device
    pki: str
    admins: str


def provision(
    path: Path,
    options: InitOptions,
    clock: Clock,
    entropy: Entropy,
    progress: Callable[[str], None] = lambda _: None,
) -> Provisioned:
    """Provision a deployment in `path`. Raises ConfigurationError, KeyStoreError, LedgerError."""
    raise NotImplementedError
