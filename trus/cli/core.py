"""Is the core's process: started by a backend's front with its end of the pair, never by hand.

    python -m trus.cli.core CONFIG

Ignores the terminal's interrupt: its front decides when it ends, by Stop or by going away.
"""

from __future__ import annotations

import mmap
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from trus.backend.corelink import CORE_DESCRIPTOR, PULSE_DESCRIPTOR
from trus.cli.compose import compose_core
from trus.cli.memory import forbid_core_dumps, hide_memory
from trus.cli.settle import settle
from trus.clock import SystemClock, SystemEntropy
from trus.core.codec import Note
from trus.core.core import Core
from trus.core.pulse import PULSE_BYTES, Pulse
from trus.core.worker import BlockingFrames, serve
from trus.settings.loading import load


def main(config: Path) -> int:
    """Serve the front at the other end of CORE_DESCRIPTOR until it is gone; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    forbid_core_dumps()
    hide_memory()
    frames = BlockingFrames(socket.socket(fileno=CORE_DESCRIPTOR))

    def note(level: str, text: str) -> None:
        with suppress(OSError):  # the front is gone, and its log with it
            frames.send(Note(level, text))

    def build() -> Core:
        clock = SystemClock()
        pulse = Pulse(mmap.mmap(PULSE_DESCRIPTOR, PULSE_BYTES), clock)
        core = compose_core(load(config), clock, SystemEntropy(), note, pulse)
        settle()
        return core

    return 0 if serve(frames, build) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
