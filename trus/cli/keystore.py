"""Opens the key store that the settings name: the token, guarded for the core, and the store of wrapped objects.

Composition only; where the PIN comes from is trus.cli.pins's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from trus.cli.pins import PinSource
from trus.cli.softhsm import find_module
from trus.clock import Clock, Entropy
from trus.errors import ConfigurationError
from trus.hsm.division import DividedObjectStore
from trus.hsm.guard import CallWatch, GuardedStore
from trus.hsm.objects import WrappedObjectStore, WrappingStore
from trus.hsm.pkcs11 import Pkcs11Store, TokenSettings
from trus.hsm.ports import EscrowStore, KeyHandle, ObjectStore
from trus.settings.model import BackendSettings


def token_settings(settings: BackendSettings, pin: str) -> TokenSettings:
    """Return how to open the token with this PIN. Raises ConfigurationError."""
    token = settings.token
    return TokenSettings(
        module=str(find_module(token.module)),
        pin=pin,
        token_label=token.label,
        softhsm_conf="" if token.softhsm_conf is None else str(token.softhsm_conf),
        parameters=token.parameters,
    )


def open_token(settings: BackendSettings) -> Pkcs11Store:
    """Open the token that the settings name. Raises KeyStoreUnavailable, WrongTokenPin, ConfigurationError."""
    return Pkcs11Store(token_settings(settings, PinSource(settings.token).pin()))


def open_guarded(
    settings: BackendSettings,
    clock: Clock,
    note: Callable[[str, str], None],
    watch: CallWatch,
    counters: dict[str, int],
) -> GuardedStore:
    """Open the token for the core: measured, failing fast while it is away, opened again when it is back.

    Raises KeyStoreUnavailable, WrongTokenPin, ConfigurationError.
    """
    source = PinSource(settings.token)
    return GuardedStore(
        Pkcs11Store(token_settings(settings, source.pin())),
        clock,
        note,
        deadline_seconds=settings.token.deadline.seconds,
        pin=source.pin,
        watch=watch,
        counters=counters,
    )


def objects_path(settings: BackendSettings) -> Path:
    """Return where the wrapped objects are. Raises ConfigurationError when nothing says so."""
    if settings.token.objects is not None:
        return settings.token.objects
    database = settings.database.url.path
    if database is None:
        raise ConfigurationError("backend.token.objects: name a file, since there is no database's folder to go by")
    return database.parent.parent / "keystore" / "objects.db"


def open_objects(settings: BackendSettings, keys: WrappingStore, entropy: Entropy) -> WrappedObjectStore:
    """Open the store of wrapped objects; a deployment that has none yet gets one, and its keys.

    Raises KeyStoreError.
    """
    return WrappedObjectStore.open(keys, objects_path(settings), entropy)


class KeyChamber:
    """The token and the store of wrapped objects, opened and closed together."""

    def __init__(self, token: GuardedStore, wrapped: WrappedObjectStore) -> None:
        self._token = token
        self._wrapped = wrapped
        #: Where certificates are kept: the network's own in the token, devices' wrapped.
        self.certificates: ObjectStore = DividedObjectStore(token, wrapped)
        #: Where pairs of devices are kept.
        self.escrow: EscrowStore = wrapped

    def handles(self) -> Sequence[KeyHandle]:
        """Return the handles of all keys of the token. Raises KeyStoreError."""
        return self._token.handles()

    def tend(self) -> None:
        """Open a token that is away when it is time to, and bring the objects' index up to date."""
        self._token.tend()
        self._wrapped.flush()

    def close(self) -> None:
        """Close both."""
        try:
            self._wrapped.close()
        finally:
            self._token.close()
