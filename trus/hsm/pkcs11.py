"""Uses keys that live in a PKCS#11 token, any vendor's (TR-17, TR-18).

Never asks a token for key bytes and makes every key so that it could not get them. One thread
of one process only: python-pkcs11 initialises SoftHSM without locking.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from trus.hsm.ports import KeyStore, ObjectStore
from trus.values import Secret


class TokenSettings(Secret, frozen=True):
    """Where a token is: the module's path, the token's label or slot number, its user PIN.

    `softhsm_conf` becomes SOFTHSM2_CONF before the module is initialised; empty for others.
    """

    module: str
    pin: str
    token_label: str = ""
    slot: int | None = None
    softhsm_conf: str = ""


def read_pin(path: Path) -> str:
    """Read a token PIN from a file of mode 0600 or stricter. Raises ConfigurationError."""
    raise NotImplementedError


class Pkcs11Store(KeyStore, ObjectStore):
    """Keys and certificates of one PKCS#11 token; a context manager that closes itself."""

    production = True

    def __init__(self, settings: TokenSettings) -> None:
        """Load the module, find the token and log in. Raises KeyStoreUnavailable, WrongTokenPin."""
        raise NotImplementedError

    def __enter__(self) -> Pkcs11Store:
        """Return the store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()
