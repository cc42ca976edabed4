"""Finds the way of a connection: which backend it talks to, by which link.

Opens no link and keeps none alive (trus.gateway.pool does). A connection stays with its
backend until one of them is gone. Today every line goes to the backend; a line whose session
label belongs to another device will find its way here too, which is why connections hold a
Passage and never a link.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from trus.gateway.links import Arrival, BackendLink
from trus.gateway.riders import Rider


class LinkSource(Protocol):
    """Knows the links of this gateway."""

    @property
    def links(self) -> Sequence[BackendLink]:
        """The links that are up."""
        ...


@attrs.frozen
class Passage:
    """One connection's way to its backend, until either is gone."""

    link: BackendLink
    number: int

    def forward_lines(self, lines: Sequence[bytes]) -> None:
        """Send a device's lines, given without CR LF, byte for byte."""
        self.link.forward_lines(self.number, lines)

    def forward_bytes(self, data: bytes) -> None:
        """Send bytes of an unopened TLS stream."""
        self.link.forward_bytes(self.number, data)

    def ask_pause(self) -> None:
        """Ask the backend to send nothing more for now."""
        self.link.ask_pause(self.number)

    def ask_resume(self) -> None:
        """Tell the backend that it may send again."""
        self.link.ask_resume(self.number)

    def leave(self, reason: str) -> None:
        """Tell the backend that the connection is over; `reason` is a fixed word."""
        self.link.drop(self.number, reason)


class Router:
    """Gives every new connection a passage to the backend with the fewest connections."""

    def __init__(self, source: LinkSource) -> None:
        self._source = source

    def enter(self, rider: Rider, arrival: Arrival) -> Passage | None:
        """Return a passage for a connection that came in, None when no backend is reachable."""
        links = [link for link in self._source.links if link.accepts]
        if not links:
            return None
        link = min(links, key=lambda each: each.riders)
        return Passage(link, link.carry(rider, arrival))
