"""Counts what happens often, and logs it seldom, so that a flood fills no disk.

Logs fixed words, addresses, lengths and keyed digests; never a byte that a peer sent.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

#: Between two log lines of the same kind.
_QUIET_SECONDS: Final = 10.0


class Tally:
    """Logs the first event of a kind at once, the following ones together."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._held: Counter[str] = Counter()
        self._calls: dict[str, IDelayedCall] = {}
        self._closed = False
        self._last_peer: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def note(self, word: str, peer: str, detail: str = "") -> None:
        """Count an event that the fixed `word` names; `peer` is its address."""
        self.counts[word] += 1
        if self._closed:
            return
        if word in self._held:
            self._held[word] += 1
            self._last_peer[word] = peer
            return
        self._held[word] = 0
        self._calls[word] = self._clock.callLater(_QUIET_SECONDS, self._tell, word)
        self._log.info("{word} from {peer}{detail}", word=word, peer=peer, detail=f" ({detail})" if detail else "")

    def close(self) -> None:
        """Log what is still held back, and nothing after it."""
        self._closed = True
        for word, call in list(self._calls.items()):
            call.cancel()
            self._tell(word)

    def _tell(self, word: str) -> None:
        del self._calls[word]
        count = self._held.pop(word)
        peer = self._last_peer.pop(word, "")
        if count:
            self._log.info("{word} {count} times more, last from {peer}", word=word, count=count, peer=peer)


class LineDigest:
    """Names a line in the log by length and keyed digest.

    The key never leaves the process: nobody can try out what a short secret would hash to.
    """

    def __init__(self, key: bytes) -> None:
        """Digest under `key`, 16 random bytes drawn for this process."""
        self._key = key

    def of(self, line: bytes) -> str:
        """Return such as `217 bytes, digest 6f0c2a9be1d45a77`."""
        digest = hashlib.blake2b(line, digest_size=8, key=self._key).hexdigest()
        return f"{len(line)} bytes, digest {digest}"
