"""Seals what a backend must remember of a session into a ticket that the device keeps.

Stores nothing and trusts nothing but its own rotating keys: a ticket that is forged, too
old or of a forgotten key is simply not opened. The keys live in memory alone, so that a
restart makes every device authenticate in full.
Specification: docs/protocol.md, "Resumption".
"""

from __future__ import annotations

from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trus.clock import Clock, Entropy
from trus.protocol.errors import LocalProtocolError
from trus.values import PeerIdentity, Secret

#: A ticket is worth at most this long.
TICKET_LIFETIME_SECONDS: Final = 8 * 3600
#: Resumption after resumption ends this long after the full handshake.
CHAIN_LIFETIME_SECONDS: Final = 24 * 3600
#: A key seals for this long, then only opens until its last ticket has expired.
ROTATION_SECONDS: Final = 4 * 3600

_KEY_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
#: Key id, nonce and tag; anything shorter is no ticket.
_OVERHEAD_BYTES: Final = _KEY_ID_BYTES + _NONCE_BYTES + 16


class StoredTicket(Secret, frozen=True):
    """What a device keeps to resume: the opaque ticket, its secret, and until when.

    Moments are seconds since the epoch, UTC. `peer` is the backend that was verified.
    """

    ticket: bytes
    secret: bytes
    expires: float
    ends: float
    peer: PeerIdentity


class TicketContent(Secret, frozen=True):
    """What the backend seals: the secret, the peer, and when both were last proven in full.

    Moments are seconds since the epoch, UTC.
    """

    secret: bytes
    peer: PeerIdentity
    authenticated_at: float
    issued_at: float

    def lifetime(self) -> int:
        """Return for how many seconds from `issued_at` the ticket is worth something."""
        chain_left = self.authenticated_at + CHAIN_LIFETIME_SECONDS - self.issued_at
        return max(0, min(TICKET_LIFETIME_SECONDS, int(chain_left)))


class _Key:
    def __init__(self, secret: bytes, born: float) -> None:
        self.aead = AESGCM(secret)
        self.born = born


class TicketKeys:
    """The rotating keys that seal tickets."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        """Draw the first key."""
        self._clock = clock
        self._entropy = entropy
        self._keys: dict[bytes, _Key] = {}
        self._newest = b""
        self._rotate(clock.now().timestamp())

    def __len__(self) -> int:
        """Return how many keys can still open tickets."""
        return len(self._keys)

    def seal(self, content: TicketContent) -> bytes:
        """Return an opaque ticket. Raises LocalProtocolError when its lifetime is over."""
        if content.lifetime() == 0:
            raise LocalProtocolError("no ticket past the end of its chain")
        self._rotate(content.issued_at)
        nonce = self._entropy.draw(_NONCE_BYTES)
        sealed = self._keys[self._newest].aead.encrypt(nonce, msgspec.msgpack.encode(content), self._newest)
        return self._newest + nonce + sealed

    def open(self, ticket: bytes) -> TicketContent | None:
        """Return what is in the ticket; None when it is not ours, altered or expired."""
        now = self._clock.now().timestamp()
        self._rotate(now)
        if len(ticket) <= _OVERHEAD_BYTES:
            return None
        name, nonce, sealed = ticket[:4], ticket[4:16], ticket[16:]
        key = self._keys.get(name)
        if key is None:
            return None
        try:
            content = msgspec.msgpack.decode(key.aead.decrypt(nonce, sealed, name), type=TicketContent)
        except (InvalidTag, msgspec.DecodeError):
            return None
        if not content.issued_at <= now < content.issued_at + content.lifetime():
            return None
        return content

    def _rotate(self, now: float) -> None:
        """Draw a new key when the newest is old; forget those that no ticket needs."""
        newest = self._keys.get(self._newest)
        if newest is None or now - newest.born >= ROTATION_SECONDS:
            # Random at first, so that a ticket from before a restart rarely meets a wrong key;
            # counted from there, so that no two keys share a name.
            number = int.from_bytes(self._newest or self._entropy.draw(_KEY_ID_BYTES), "big") + 1
            self._newest = (number % (1 << 8 * _KEY_ID_BYTES)).to_bytes(_KEY_ID_BYTES, "big")
            self._keys[self._newest] = _Key(self._entropy.draw(32), now)
        horizon = now - ROTATION_SECONDS - TICKET_LIFETIME_SECONDS
        for name in [name for name, key in self._keys.items() if key.born < horizon]:
            del self._keys[name]
