"""A core process for the tests of its watcher: real pair, real frames, tiny core."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import sys
import time
from pathlib import Path

from trus.backend.corelink import PULSE_DESCRIPTOR
from trus.clock import SystemClock
from trus.core.jobs import Job, NoJob
from trus.core.messages import Answer, DayOpen, Request, SignHandshake
from trus.core.pulse import PULSE_BYTES, Pulse
from trus.core.worker import BlockingFrames, serve
from trus.errors import WrongTokenPin
from trus.values import BusinessDate


class ChildCore:
    """Answers DayState; a SignHandshake makes it die, or wait as if for the token."""

    def __init__(self) -> None:
        self.job: Job = NoJob()
        self.pulse = Pulse(mmap.mmap(PULSE_DESCRIPTOR, PULSE_BYTES), SystemClock())

    def handle(self, batch: list[Request]) -> list[Answer]:
        for request in batch:
            if isinstance(request, SignHandshake):
                if request.payload == b"die":
                    os.kill(os.getpid(), signal.SIGKILL)
                self.pulse.begin("signing")
                time.sleep(float(request.payload))
                self.pulse.end()
        return [DayOpen(BusinessDate("2026-11-20")) for _ in batch]

    def idle(self) -> None:
        pass

    def close(self) -> None:
        pass


def build() -> ChildCore:
    if sys.argv[1] == "wrong-pin" or Path(sys.argv[-1]).exists():
        raise WrongTokenPin("the token refused the PIN")
    return ChildCore()


if __name__ == "__main__":
    frames = BlockingFrames(socket.socket(fileno=3))
    sys.exit(0 if serve(frames, build) else 1)
