"""Seals what a backend must remember of a session into a ticket that the device keeps.

Stores nothing and trusts nothing but its own rotating keys: a ticket that is forged, too
old or of a forgotten key is simply not opened.
Specification: docs/protocol.md, "Resumption".
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from trus.clock import Clock, Entropy
from trus.values import PeerIdentity, Secret

#: A ticket is worth at most this long.
TICKET_LIFETIME_SECONDS: Final = 8 * 3600
#: Resumption after resumption ends this long after the full handshake.
CHAIN_LIFETIME_SECONDS: Final = 24 * 3600


class StoredTicket(Secret, frozen=True):
    """What a device keeps to resume: the opaque ticket, its secret, and until when.

    Moments are seconds since the epoch, UTC. `peer` is the backend that was verified.
    """

    ticket: bytes
    secret: bytes
    expires: float
    peer: PeerIdentity


class TicketContent(Secret, frozen=True):
    """What the backend seals: the secret, the peer, and the moment of the full handshake."""

    secret: bytes
    peer: PeerIdentity
    authenticated_at: float
    issued_at: float


class TicketKeys:
    """The rotating keys that seal tickets, in memory alone."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        """Draw the first key."""
        raise NotImplementedError

    def seal(self, content: TicketContent) -> bytes:
        """Return an opaque ticket."""
        raise NotImplementedError

    def open(self, ticket: bytes) -> TicketContent | None:
        """Return what is in the ticket, None when it is not ours, altered or expired."""
        raise NotImplementedError
