"""Lets SIGTERM and SIGHUP end a command as Ctrl-C does, so that what it began is put away.

Opens and closes nothing. A signal that whoever started the command has it ignore (nohup)
stays ignored. While a reactor runs, Twisted's own handlers of SIGINT and SIGTERM stand.
"""

from __future__ import annotations

import signal
from types import FrameType


def end_as_interrupted() -> None:
    """From now on take SIGTERM and SIGHUP for the user's interrupt: KeyboardInterrupt, or the reactor stops."""
    for number, handler in ((signal.SIGTERM, _interrupt), (signal.SIGHUP, _pass_on)):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _pass_on(number: int, frame: FrameType | None) -> None:
    """A terminal that was closed: go the way of SIGTERM, whose handler Twisted replaces."""
    signal.raise_signal(signal.SIGTERM)
