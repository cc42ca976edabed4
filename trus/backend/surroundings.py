"""What a device connection stands on: what all of them share, and where its words go.

Implements nothing: the front and the link to the gateway do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from trus.backend.batching import OnAnswer
from trus.clock import Clock, Entropy
from trus.core.messages import BackendIdentity, Request
from trus.protocol.tickets import TicketKeys
from trus.values import BusinessDate


class Surroundings(Protocol):
    """What all device connections of a backend share."""

    clock: Clock
    entropy: Entropy
    tickets: TicketKeys
    name: str
    currency: str
    max_dialogues: int
    idle_seconds: int

    def identity(self) -> BackendIdentity | None:
        """Return the backend's chain and OCSP answer, None before the core has told them."""
        ...

    def business_date(self) -> BusinessDate:
        """Return the open business date as last announced by the core."""
        ...

    def ask(self, request: Request, on_answer: OnAnswer) -> None:
        """Put a request into the core's next batch."""
        ...


class Outlet(NamedTuple):
    """Where a device connection's words go: the link to its gateway."""

    line: Callable[[bytes], None]  #: a device line with CR LF
    authenticated: Callable[[], None]  #: the gateway may raise the line limit
    close: Callable[[str], None]  #: end the connection, with a fixed reason
