"""Loads a PKCS#11 module once for the whole process, and lets it go when nobody uses it.

Knows no key. PKCS#11 is process-wide (section 5.6 of the base specification: C_Initialize once,
again after a fork, and the SoftHSM configuration is read then), so this is the one place of
the key store that holds state of the process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pkcs11
from pkcs11 import exceptions as faults

from trus.errors import KeyStoreError, KeyStoreUnavailable, WrongTokenPin

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Library  # noqa: N812 - the binding's class, as it is named there

#: The variable from which SoftHSM learns where its tokens are.
SOFTHSM_VARIABLE = "SOFTHSM2_CONF"


class _Use:
    """One loaded module: who initialised it, with which configuration, how many stores use it."""

    def __init__(self, library: Library, conf: str) -> None:
        self.library = library
        self.conf = conf
        self.process = os.getpid()
        self.count = 0


_uses: dict[str, _Use] = {}


def acquire(module: str, softhsm_conf: str = "") -> Library:
    """Return the initialised module at this path; every call needs a `release` of its own.

    `softhsm_conf`, when given, is the SoftHSM configuration file. Raises KeyStoreUnavailable
    when the module cannot be loaded or initialised, or is in use with another configuration.
    """
    use = _uses.get(module)
    if use is not None and use.process != os.getpid():
        # A fork copies the module's state but not its right to be used (C_Initialize, child processes).
        del _uses[module]
        _finalize(use.library)
        use = None
    if use is not None:
        if use.conf != softhsm_conf:
            raise KeyStoreUnavailable(f"the PKCS#11 module {module} is in use with another configuration")
        use.count += 1
        return use.library
    if not os.path.isfile(module):
        raise KeyStoreUnavailable(f"the PKCS#11 module {module} does not exist")
    if softhsm_conf:
        if not os.path.isfile(softhsm_conf):
            raise KeyStoreUnavailable(f"the SoftHSM configuration {softhsm_conf} does not exist")
        os.environ[SOFTHSM_VARIABLE] = softhsm_conf
    try:
        library = pkcs11.lib(module)
    except (faults.PKCS11Error, OSError, RuntimeError) as error:
        raise KeyStoreUnavailable(f"the PKCS#11 module {module} cannot be started ({type(error).__name__})") from error
    use = _Use(library, softhsm_conf)
    use.count = 1
    _uses[module] = use
    return library


def release(module: str) -> None:
    """Let go of a module; the last one to do so finalises it, so that it reads its configuration anew."""
    use = _uses.get(module)
    if use is None or use.process != os.getpid():
        return
    use.count -= 1
    if use.count == 0:
        del _uses[module]
        _finalize(use.library)


def _finalize(library: Library) -> None:
    try:
        library.finalize()
    except faults.PKCS11Error as error:
        raise KeyStoreUnavailable(f"the PKCS#11 module could not be let go ({type(error).__name__})") from error


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
