"""Shows another process which call of the token the core is in, and since when, without being asked.

A few bytes of memory that core and front share: the core writes before and after each call, the front
looks when an answer is late. A core that hangs in a vendor's library can say nothing else. Both
processes read one clock: the machine's monotonic one.
"""

from __future__ import annotations

import mmap
from typing import Final, NamedTuple

from trus.clock import Clock

#: Bytes to share: one page.
PULSE_BYTES: Final = mmap.PAGESIZE
#: Words of 8 bytes: nanoseconds at which the call began (0 between calls), then the text's length.
_BEGAN: Final = 0
_LENGTH: Final = 1
_TEXT: Final = 16
_MAX_TEXT: Final = 64


class Beat(NamedTuple):
    """A call of the token under way: what it does, and for how many seconds now."""

    doing: str
    seconds: float


class Pulse:
    """The core's end: trus.hsm.guard.CallWatch on shared memory."""

    def __init__(self, memory: mmap.mmap, clock: Clock) -> None:
        """`memory` has PULSE_BYTES and is shared with the front."""
        self._memory = memory
        self._words = memoryview(memory)[:_TEXT].cast("Q")
        self._clock = clock

    def begin(self, doing: str) -> None:
        """Say that a call begins. The time is written last: until then nothing is under way."""
        text = doing.encode("ascii", "replace")[:_MAX_TEXT]
        self._memory[_TEXT : _TEXT + len(text)] = text
        self._words[_LENGTH] = len(text)
        self._words[_BEGAN] = int(self._clock.monotonic() * 1e9)

    def end(self) -> None:
        """Say that it came back."""
        self._words[_BEGAN] = 0

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._memory.close()


class PulseReader:
    """The front's end."""

    def __init__(self, memory: mmap.mmap, clock: Clock) -> None:
        """`memory` has PULSE_BYTES and is shared with the core."""
        self._memory = memory
        self._words = memoryview(memory)[:_TEXT].cast("Q")
        self._clock = clock

    def beat(self) -> Beat | None:
        """Return the call that the core is in, None between calls."""
        began = self._words[_BEGAN]
        length = min(self._words[_LENGTH], _MAX_TEXT)
        text = self._memory[_TEXT : _TEXT + length].decode("ascii", "replace")
        if began == 0 or began != self._words[_BEGAN]:
            return None
        return Beat(text, max(0.0, self._clock.monotonic() - began / 1e9))

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._memory.close()


class NoPulse:
    """A CallWatch that nobody looks at: a core without a front."""

    def begin(self, doing: str) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""
