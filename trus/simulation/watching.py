"""Watches a run from outside: nonces, unexpected failures, what the core tells its operator.

Changes nothing that the network does. What it notices is a finding at the step at which it happens.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher

from trus.core.faults import describe
from trus.protocol import records
from trus.simulation.books import Finding
from trus.simulation.clockwork import Clockwork, Part

#: How the core's note of a failure begins that is none of trus's own errors (trus.core.faults): those are
#: the storage's and the token's, which this run injects.
_BUG: Final = re.compile(r"\A[^:]*: \w+ at ")


class Watch:
    """What nobody inside the network would tell."""

    def __init__(self, work: Clockwork, found: Callable[[Finding], None]) -> None:
        self._work = work
        self._found = found
        self._nonces: set[tuple[bytes, bytes]] = set()
        self._opened: set[tuple[bytes, bytes]] = set()
        self.notes: Counter[str] = Counter()
        work.on_failure = self.failed

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Watch while the block runs."""
        module = vars(records)
        original = module["AESGCM"]
        module["AESGCM"] = self._cipher
        observer = cast("ILogObserver", self._logged)
        globalLogPublisher.addObserver(observer)
        try:
            yield
        finally:
            globalLogPublisher.removeObserver(observer)
            module["AESGCM"] = original

    def note(self, level: str, text: str) -> None:
        """Take a line that the core writes for its operator."""
        self.notes[level] += 1
        self._work.say("core", f"notes ({level}):", text)
        if level == "critical" and _BUG.search(text):
            self._found(Finding("FAULT", text, self._work.step))

    def failed(self, part: Part | None, failure: BaseException | None) -> None:
        """Take an exception that escaped from an event."""
        self._found(
            Finding("FAULT", f"in {part!r}: {describe(failure) if failure is not None else failure}", self._work.step)
        )

    def _cipher(self, key: bytes) -> _WatchedCipher:
        return _WatchedCipher(key, self)

    def sealed(self, key: bytes, nonce: bytes) -> None:
        """Take note of a nonce that is about to be used under a key."""
        used = (key, nonce)
        if used in self._nonces:
            self._found(Finding("NONCE", "a nonce is used twice under one key", self._work.step))
        self._nonces.add(used)

    def opened(self, key: bytes, nonce: bytes) -> None:
        """Take note that a line has opened: no line may do so twice."""
        used = (key, nonce)
        if used in self._opened:
            self._found(Finding("NONCE", "a sealed line was opened twice: a repetition is believed", self._work.step))
        self._opened.add(used)

    def _logged(self, event: dict[str, Any]) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            self._found(Finding("FAULT", f"logged: {describe(failure.value)}", self._work.step))
        elif event.get("log_level") is LogLevel.critical:
            self._found(Finding("FAULT", f"logged: {event.get('log_format')}", self._work.step))


class _WatchedCipher:
    """AES-GCM that tells the watch which nonces it seals with."""

    __slots__ = ("_aead", "_key", "_watch")

    def __init__(self, key: bytes, watch: Watch) -> None:
        self._aead = AESGCM(key)
        self._key = key
        self._watch = watch

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        self._watch.sealed(self._key, nonce)
        return self._aead.encrypt(nonce, data, associated_data)

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        plaintext = self._aead.decrypt(nonce, data, associated_data)
        self._watch.opened(self._key, nonce)
        return plaintext
