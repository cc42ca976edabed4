"""Opens a PKCS#11 token: finds it, logs in, and opens it again when it went away and is back.

Holds no key and names none. One thread of one process only: a session refuses to be used by any
other than the one that opened it. A PIN that was refused is never tried a second time by itself:
real tokens lock after a few.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from pkcs11 import Attribute, Mechanism, ObjectClass
from pkcs11 import exceptions as faults

from trus.errors import ConfigurationError, KeyStoreError, KeyStoreUnavailable
from trus.hsm import module as modules
from trus.hsm.module import ModuleSettings
from trus.hsm.native import RefusedByModule
from trus.values import Secret


class TokenSettings(Secret, frozen=True):
    """Where a token is: the module's path, the token's label or slot number, its user PIN.

    `softhsm_conf` becomes SOFTHSM2_CONF before the module is initialised, `parameters` is handed to
    C_Initialize as text (NSS's softokn); both are empty for other modules.
    """

    module: str
    pin: str
    token_label: str = ""
    slot: int | None = None
    softhsm_conf: str = ""
    parameters: str = ""

    @property
    def name(self) -> str:
        """What messages call the token."""
        return self.token_label or f"slot {self.slot}"


#: A sealed PIN takes less than 1 KiB.
_MOST_BYTES: Final = 4096


def read_pin_file(path: Path) -> bytes:
    """Return what a PIN file holds, which its owner alone may read. Raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MOST_BYTES)
    except OSError as error:
        raise ConfigurationError(f"the token's PIN file {path} cannot be read ({type(error).__name__})") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(f"the token's PIN file {path} may be read by others: chmod 600 it")
    return content


def parse_pin(content: bytes, path: Path) -> str:
    """Return the PIN that the file's content is. Raises ConfigurationError."""
    try:
        pin = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        pin = ""
    if not 4 <= len(pin) <= 255 or not pin.isprintable():
        raise ConfigurationError(f"the token's PIN file {path} must hold one line of 4 to 255 characters")
    return pin


def read_pin(path: Path) -> str:
    """Read a token's PIN from a file that its owner alone may read. Raises ConfigurationError."""
    return parse_pin(read_pin_file(path), path)


class TokenSession:
    """One logged-in session of one token."""

    def __init__(self, settings: TokenSettings) -> None:
        """Load the module, find the token and log in. Raises KeyStoreUnavailable, WrongTokenPin."""
        self.settings = settings
        self.name = settings.name
        self._owner = (os.getpid(), threading.get_ident())
        self._session: Any = None
        self._hold: modules.Hold | None = modules.acquire(
            ModuleSettings(settings.module, settings.softhsm_conf, settings.parameters)
        )
        try:
            self._open(settings.pin)
        except KeyStoreError:
            self.close()
            raise

    @property
    def pkcs11(self) -> Any:
        """The binding's session, for its own thread and process alone. Raises KeyStoreError."""
        if self._owner != (os.getpid(), threading.get_ident()):
            raise KeyStoreError("a token is used by the one thread that opened it")
        session, hold = self._session, self._hold
        if session is None or hold is None:
            raise KeyStoreUnavailable(f"the token {self.name!r} is closed")
        if not hold.current:
            # The number of our session may be somebody else's by now.
            raise KeyStoreUnavailable(f"the token {self.name!r} was closed: its module was started again")
        return session

    def check(self) -> None:
        """Raise KeyStoreError unless the session may be used now, and here."""
        self.pkcs11  # noqa: B018 - asking is the check

    @contextmanager
    def at(self, doing: str) -> Iterator[None]:
        """Translate what the binding raises while `doing`."""
        try:
            yield
        except faults.PKCS11Error as error:
            raise modules.translate(error, self.name, doing) from error

    def objects(self, kind: ObjectClass, *wanted: Attribute) -> Iterator[tuple[Any, ...]]:
        """Yield each object of a class with the attributes wanted."""
        session = self.pkcs11
        with self.at("being read"):
            for each in session.get_objects({Attribute.CLASS: kind}, batch_size=100):
                yield (each, *(each[attribute] for attribute in wanted))

    def wrap_key(self, mechanism: Mechanism, wrapping: Any, key: Any) -> bytes:
        """Return a key of the session under another one, in one call. Raises KeyStoreUnavailable."""
        session, hold = self.pkcs11, self._hold
        try:
            if hold is None:
                raise KeyStoreUnavailable(f"the token {self.name!r} is closed")
            return hold.native.wrap_key(session.handle, int(mechanism), wrapping.handle, key.handle)
        except RefusedByModule as error:
            raise KeyStoreUnavailable(f"the token {self.name!r} failed while wrapping a key ({error})") from error

    def reopen(self, pin: str = "") -> None:
        """Start the module again and log in anew; handles of objects must be looked up again.

        `pin`, when given, is used from now on if the token takes it. Raises KeyStoreUnavailable,
        WrongTokenPin; the session is closed then, and may be reopened.
        """
        if self._owner != (os.getpid(), threading.get_ident()):
            raise KeyStoreError("a token is used by the one thread that opened it")
        if self._hold is None:
            raise KeyStoreUnavailable(f"the token {self.name!r} is closed")
        self.suspend()
        self._hold.restart()
        self._open(pin or self.settings.pin)
        if pin:
            self.settings = msgspec.structs.replace(self.settings, pin=pin)

    def suspend(self) -> None:
        """Give the session up without a word to a token that may not be there."""
        session, self._session = self._session, None
        if session is not None and self._hold is not None and self._hold.current:
            # It may be gone together with its token, and ends with the module in any case.
            with suppress(faults.PKCS11Error):
                session.close()

    def close(self) -> None:
        """Log out and let go of the module; harmless when that was done before."""
        session, self._session = self._session, None
        hold, self._hold = self._hold, None
        if hold is None or self._owner[0] != os.getpid():
            return
        try:
            if session is not None and hold.current:
                with self.at("closing"):
                    session.close()
        finally:
            hold.release()

    def _open(self, pin: str) -> None:
        with self.at("opening"):
            self._session = self._find().open(rw=True, user_pin=pin)

    def _find(self) -> Any:
        settings = self.settings
        if self._hold is None:
            raise KeyStoreUnavailable(f"the token {self.name!r} is closed")
        library = self._hold.library
        if settings.slot is not None:
            for slot in library.get_slots(token_present=True):
                if slot.slot_id == settings.slot:
                    return slot.get_token()
            raise KeyStoreUnavailable(f"the token {self.name!r} is not there")
        tokens = [each for each in library.get_tokens() if each.label == settings.token_label]
        if len(tokens) != 1:
            count = "not there" if not tokens else "there more than once"
            raise KeyStoreUnavailable(f"the token {self.name!r} is {count}")
        return tokens[0]
