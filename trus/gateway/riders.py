"""Says what a link may do with a connection that it carries, a device's or an admin's.

Holds no behaviour of connections; trus.gateway.devices and trus.gateway.admins implement it.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Protocol


class Hold(IntFlag):
    """Why nothing is read from a connection at the moment; it is read again when none is left."""

    LINK_FULL = 1  #: the link to its backend has too much to send
    BACKEND_ASKED = 2  #: COMMAND PAUSE
    TOO_FAST = 4  #: more lines a second than its allowance


class Rider(Protocol):
    """A connection that rides on a link."""

    def lines_arrived(self, lines: list[bytes]) -> None:
        """Send the lines of a turn, at least one, given without CR LF, on to the device."""
        ...

    def bytes_arrived(self, data: bytes) -> None:
        """Send bytes of an unopened TLS stream on to the admin."""
        ...

    def admitted(self) -> None:
        """Note that the backend has authenticated who is at the other end."""
        ...

    def stop_reading(self, why: Hold) -> None:
        """Read nothing more for this reason."""
        ...

    def read_again(self, why: Hold) -> None:
        """Forget this reason not to read."""
        ...

    def end(self, reason: str) -> None:
        """Close the connection because the backend says so; `reason` is a fixed word."""
        ...

    def link_lost(self) -> None:
        """Tell the other end that its backend is lost, and close: it will come back and retry."""
        ...
