"""Looks at the token, the wrapped objects and the database for `trus doctor`, and does not wait for ever.

Changes nothing. The looking is done in a thread of its own, because a PKCS#11 module that hangs cannot be
called off: when it takes too long, what was found by then is told, and that the token does not answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from trus.cli.compose import database_path
from trus.cli.database_keys import TokenKeySource, read_status
from trus.cli.doctor_certificates import check_certificates
from trus.cli.findings import Finding, State
from trus.cli.keystore import objects_path, open_token
from trus.clock import Clock, SystemEntropy
from trus.core.keyring import CARD_LABEL, PIN_LABEL
from trus.errors import KeyNotFound, TrusError
from trus.hsm.datakeys import DATABASE_KEY_LABEL
from trus.hsm.objects import WrappedObjectStore
from trus.hsm.pkcs11 import Pkcs11Store
from trus.hsm.ports import KeyStore
from trus.settings.model import BackendSettings

#: The looking takes this many deadlines of the token at most: a login, a search, a question a key.
_DEADLINES: Final = 6
#: Slower than this part of the deadline, a token is worth a warning.
_SLOW: Final = 5

Look = Callable[[BackendSettings], Pkcs11Store]


def check_token_and_database(backend: BackendSettings, clock: Clock, look: Look = open_token) -> Iterator[Finding]:
    """Log in to the token, look for its keys, open objects and database with them; wait only so long."""
    found: list[Finding] = []
    faults: list[BaseException] = []
    limit = _DEADLINES * backend.token.deadline.seconds

    def work() -> None:
        try:
            for finding in _look(backend, clock, look):
                found.append(finding)
        except BaseException as fault:  # noqa: BLE001 - raised below, in the thread that asked
            faults.append(fault)

    thread = threading.Thread(target=work, name="token", daemon=True)
    thread.start()
    thread.join(limit)
    yield from list(found)
    for fault in faults:
        raise fault
    if thread.is_alive():
        yield Finding("token", State.WRONG, f"has not answered for {limit:.0f} s: it hangs, and so does the backend")


def _look(backend: BackendSettings, clock: Clock, look: Look) -> Iterator[Finding]:
    try:
        keys = look(backend)
    except TrusError as problem:
        yield Finding("token", State.WRONG, str(problem))
        yield Finding("database", State.WRONG, "cannot be opened without the token")
        return
    try:
        yield from check_token(keys)
        yield from check_speed(keys, clock, backend.token.deadline.seconds)
        yield from check_objects(backend, keys)
        yield from check_database(backend, keys, clock)
        yield from check_certificates(backend, keys, clock.now())
    except TrusError as problem:
        yield Finding("token", State.WRONG, str(problem))
    finally:
        keys.close()


def check_token(keys: KeyStore) -> Iterator[Finding]:
    """Look for the keys that decisions need, and ask whether they could leave the token."""
    handles = keys.handles()
    yield Finding("token", State.OK, f"open, {len(handles)} keys")
    for label in (DATABASE_KEY_LABEL, PIN_LABEL, CARD_LABEL):
        try:
            keys.find(label)
        except KeyNotFound:
            yield Finding("token", State.WRONG, f"holds no key {label}")
    for handle in handles:
        attributes = keys.attributes(handle)
        if attributes.extractable or not attributes.sensitive:
            yield Finding("token", State.WRONG, f"the key {handle.label} could leave the token")


def check_speed(keys: KeyStore, clock: Clock, deadline: float) -> Iterator[Finding]:
    """Measure one call, as a purchase needs it."""
    try:
        handle = keys.find(PIN_LABEL)
    except KeyNotFound:
        return  # said already
    began = clock.monotonic()
    keys.encrypt_blocks(handle, [bytes(16)])
    took = clock.monotonic() - began
    state = State.OK if took < deadline / _SLOW else State.WARNING if took < deadline else State.WRONG
    yield Finding("token", state, f"answers in {took * 1000:.1f} ms; more than {deadline:g} s counts as failed")


def check_objects(backend: BackendSettings, keys: Pkcs11Store) -> Iterator[Finding]:
    """Open the store of wrapped objects for reading."""
    try:
        path = objects_path(backend)
        if not path.exists():
            yield Finding("wrapped objects", State.WARNING, f"{path} is not there: the first start makes it")
            return
        store = WrappedObjectStore(keys, path, SystemEntropy(), writable=False)
    except TrusError as problem:
        yield Finding("wrapped objects", State.WRONG, str(problem))
        return
    yield Finding("wrapped objects", State.OK, f"opens, {len(store)} names, {path.stat().st_size / 1e6:.1f} MB")
    store.close()


def check_database(backend: BackendSettings, keys: KeyStore, clock: Clock) -> Iterator[Finding]:
    """Open the database for reading under the token's key, and tell the versions of that key."""
    try:
        path = database_path(backend)
        status = read_status(path, TokenKeySource(keys), clock.now())
    except TrusError as problem:
        yield Finding("database", State.WRONG, str(problem))
        return
    size = path.stat().st_size / 1e6
    yield Finding("database", State.OK, f"opens under version {status.file} of K_DB, {size:.1f} MB")
    if status.under_way:
        yield Finding("database", State.WARNING, status.told.rstrip("."))
    for version in status.needs:
        need = status.need_of(version)
        told = f"is needed {need}" if need else "is needed by nothing: trus rotate-key --destroy-old"
        yield Finding("database", State.OK if need else State.WARNING, f"version {version} of K_DB {told}")
    yield from check_encryption(path)


def check_encryption(path: Path) -> Iterator[Finding]:
    """Look whether the file begins like a clear SQLite database."""
    with path.open("rb") as file:
        if file.read(16) == b"SQLite format 3\0":
            yield Finding("database", State.WRONG, "is not ciphered")
