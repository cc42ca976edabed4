"""Loads a PKCS#11 module once for the whole process, and lets it go when nobody uses it.

Knows no key. PKCS#11 is process-wide (section 5.6 of the base specification: C_Initialize once,
again after a fork, and a module reads its configuration then), so this is the one place of
the key store that holds state of the process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, TypeVar

from pkcs11 import exceptions as faults

from trus.errors import KeyStoreError, KeyStoreUnavailable, WrongTokenPin
from trus.hsm.native import InitializedLibrary, NativeModule, RefusedByModule
from trus.values import Frozen

#: The variable from which SoftHSM learns where its tokens are.
SOFTHSM_VARIABLE: Final = "SOFTHSM2_CONF"

_Part = TypeVar("_Part")


class ModuleSettings(Frozen, frozen=True):
    """Which module, and what it is told: SoftHSM's configuration file, or a text for C_Initialize.

    `parameters` is what NSS's softokn and its relatives take as LibraryParameters; empty for others.
    """

    path: str
    softhsm_conf: str = ""
    parameters: str = ""


class _Use:
    """One loaded module: who initialised it, with which configuration, how many stores use it."""

    def __init__(self, settings: ModuleSettings, native: NativeModule) -> None:
        self.settings = settings
        self.native = native
        self.library: InitializedLibrary | None = None
        self.process = os.getpid()
        self.count = 0
        self.generation = 0


class Hold:
    """One store's share in an initialised module."""

    def __init__(self, use: _Use) -> None:
        self._use = use
        self._generation = use.generation
        self._open = True

    @property
    def library(self) -> InitializedLibrary:
        """The binding's view of the module. Raises KeyStoreUnavailable while it is not initialised."""
        library = self._use.library
        if library is None:
            raise KeyStoreUnavailable(f"the PKCS#11 module {self._use.settings.path} is not started")
        return library

    @property
    def native(self) -> NativeModule:
        """The functions that the binding lacks."""
        return self._use.native

    @property
    def current(self) -> bool:
        """Whether the module was not initialised anew by somebody else: all sessions end with that."""
        return self._generation == self._use.generation and self._use.process == os.getpid()

    def restart(self) -> None:
        """Finalise the module and initialise it again: a token that was removed is only found so.

        Sessions of every store on this module are over; each notices by `current`. Raises
        KeyStoreUnavailable.
        """
        use = self._use
        if self.current:
            use.generation += 1
            use.library = None
            _finalize(use)
        if use.library is None:
            _initialize(use)
        self._generation = use.generation

    def release(self) -> None:
        """Let go; the last one to do so finalises the module, so that it reads its configuration anew."""
        if not self._open:
            return
        self._open = False
        use = self._use
        if use.process != os.getpid():
            return
        use.count -= 1
        if use.count == 0:
            _uses.pop(use.settings.path, None)
            if use.library is not None:
                _finalize(use)


_uses: dict[str, _Use] = {}
#: Libraries stay loaded: many modules do not survive being unloaded.
_natives: dict[str, NativeModule] = {}


def acquire(settings: ModuleSettings) -> Hold:
    """Return a share in the initialised module; release it when done.

    Raises KeyStoreUnavailable when the module cannot be loaded or initialised, or is in use with
    another configuration.
    """
    path = settings.path
    use = _uses.get(path)
    if use is not None and use.process != os.getpid():
        # A fork copies the module's state but not its right to be used (C_Initialize, child processes).
        del _uses[path]
        _finalize(use)
        use = None
    if use is not None:
        if use.settings != settings:
            raise KeyStoreUnavailable(f"the PKCS#11 module {path} is in use with another configuration")
        use.count += 1
        return Hold(use)
    use = _Use(settings, _load(settings))
    _initialize(use)
    use.count = 1
    _uses[path] = use
    return Hold(use)


def _load(settings: ModuleSettings) -> NativeModule:
    path, conf = settings.path, settings.softhsm_conf
    if not os.path.isfile(path):
        raise KeyStoreUnavailable(f"the PKCS#11 module {path} does not exist")
    if conf and not os.path.isfile(conf):
        raise KeyStoreUnavailable(f"the SoftHSM configuration {conf} does not exist")
    native = _natives.get(path)
    if native is None:
        native = _starting(path, lambda: NativeModule(path))
        _natives[path] = native
    return native


def _initialize(use: _Use) -> None:
    settings = use.settings
    if settings.softhsm_conf:
        os.environ[SOFTHSM_VARIABLE] = settings.softhsm_conf
    _starting(settings.path, lambda: use.native.initialize(settings.parameters))
    try:
        use.library = _starting(settings.path, lambda: InitializedLibrary(settings.path))
    except KeyStoreUnavailable:
        _finalize(use)
        raise


def _starting(path: str, make: Callable[[], _Part]) -> _Part:
    try:
        return make()
    except (faults.PKCS11Error, OSError, AttributeError, RuntimeError, RefusedByModule) as error:
        raise KeyStoreUnavailable(f"the PKCS#11 module {path} cannot be started ({_word(error)})") from error


def _finalize(use: _Use) -> None:
    try:
        use.native.finalize()
    except RefusedByModule as error:
        raise KeyStoreUnavailable(f"the PKCS#11 module could not be let go ({_word(error)})") from error


def _word(error: Exception) -> str:
    return str(error) if isinstance(error, RefusedByModule) else type(error).__name__


def translate(error: faults.PKCS11Error, token: str, doing: str) -> KeyStoreError:
    """Return the error of the key store that says in one sentence what the token answered."""
    if isinstance(error, (faults.PinIncorrect, faults.PinInvalid, faults.PinLenRange)):
        return WrongTokenPin(f"the token {token!r} refused the PIN")
    if isinstance(error, faults.PinLocked):
        return KeyStoreUnavailable(f"the token {token!r} has locked its PIN after too many wrong ones")
    if isinstance(error, (faults.PinExpired, faults.UserPinNotInitialized)):
        return KeyStoreUnavailable(f"the token {token!r} has no user PIN that may be used")
    if isinstance(error, faults.UserAlreadyLoggedIn):
        return KeyStoreUnavailable(f"the token {token!r} is already open in this process")
    if isinstance(error, (faults.NoSuchToken, faults.TokenNotPresent, faults.TokenNotRecognised, faults.SlotIDInvalid)):
        return KeyStoreUnavailable(f"the token {token!r} is not there")
    return KeyStoreUnavailable(f"the token {token!r} failed while {doing} ({type(error).__name__})")
