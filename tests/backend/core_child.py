"""A core process for the tests of its watcher: real pair, real frames, tiny core."""

from __future__ import annotations

import os
import signal
import socket
import sys

from trus.core.messages import Answer, DayOpen, DayState, Request, SignHandshake
from trus.core.worker import BlockingFrames, serve
from trus.errors import WrongTokenPin
from trus.values import BusinessDate


class ChildCore:
    """Answers DayState; dies on a SignHandshake that says so."""

    def handle(self, batch: list[Request]) -> list[Answer]:
        for request in batch:
            if isinstance(request, SignHandshake):
                os.kill(os.getpid(), signal.SIGKILL)
        return [DayOpen(BusinessDate("2026-11-20")) for request in batch if isinstance(request, DayState)]

    def idle(self) -> None:
        pass

    def close(self) -> None:
        pass


def build() -> ChildCore:
    if sys.argv[1] == "wrong-pin":
        raise WrongTokenPin("the token refused the PIN")
    return ChildCore()


if __name__ == "__main__":
    frames = BlockingFrames(socket.socket(fileno=3))
    sys.exit(0 if serve(frames, build) else 1)
