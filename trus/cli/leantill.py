"""Seals purchases under load with as little work as a purchase can have, so that the network is what is measured.

Checks no field against the table and follows no dialogue's state: it writes three kinds of line that
it knows beforehand (PROCESS, COMPLETE) or expects (RESULT), over the record layer of a session that a
whole handshake has opened. What it sends is what a terminal sends: every purchase has an identity,
a rid and a seal of its own, and every answer's seal is opened. Only the PIN block is made once for
each card and session instead of once a purchase.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from trus.cards.numbers import CardNumber
from trus.cards.pin import FILL_BYTES, BlockFunction, Pin, seal_pin
from trus.protocol import grammar
from trus.protocol.fields import format_amount, format_octets
from trus.protocol.session import SealedSession
from trus.protocol.table import SEAL_BLOCK_BYTES
from trus.values import Secret

#: Characters of a rid that are drawn: 126 random bits. The 22nd is A, which leaves no stray bit.
_RID_CHARACTERS: Final = 21
#: Rids drawn at once; 4 characters take 3 bytes.
_RIDS: Final = 256
_DRAWN_BYTES: Final = _RIDS * _RID_CHARACTERS * 3 // 4
_RESULT: Final = re.compile(rb"INFO RESULT s=%b id=(%b) result=[a-z]+ code=([0-9]{2})" % (grammar.LABEL, b"c[0-9]+"))
_NOTHING: Final = b" " * SEAL_BLOCK_BYTES


class LoadCard(Secret, frozen=True):
    """A card that pays under load: track 2 without sentinels, its number and its PIN."""

    track2: str
    number: CardNumber
    pin: Pin

    @classmethod
    def of(cls, track2: str, pin: str) -> LoadCard:
        """Return the card of a personalisation file's row."""
        return cls(track2, CardNumber(track2.partition("=")[0]), Pin(pin))


class LeanTill:
    """One session's purchases, each answered by `answer` and closed by `complete`."""

    def __init__(
        self,
        session: SealedSession,
        cards: Iterator[LoadCard],
        amount: int,
        currency: str,
        date: str,
        draw: Callable[[int], bytes],
    ) -> None:
        """Take over `session`, which nobody else uses from here on. `amount` is minor units."""
        self._cards = cards
        self._draw = draw
        self._mine, self._theirs = session.directions()
        # The blocks of one session are encrypted under one key: one context serves them all.
        self._encrypt: BlockFunction = Cipher(algorithms.AES(session.pin_key), modes.ECB()).encryptor().update  # noqa: S305
        self._tails: dict[str, bytes] = {}
        label = session.label.encode("ascii")
        money = f" amount={format_amount(amount, currency)} currency={currency} date={date}".encode("ascii")
        self._process = b"COMMAND PROCESS s=%b id=c%%d stan=%%06d%b" % (label, money)
        self._complete = b"INFO COMPLETE s=%b id=%%b" % label
        self._count = 0
        self._rids = b""
        self._rids_to = 0

    def purchase(self) -> tuple[bytes, bytes]:
        """Return the dialogue of the next purchase, and its line with CR LF."""
        card = next(self._cards)
        tail = self._tails.get(card.track2) or self._tail(card)
        self._count = count = self._count + 1
        line = self._mine.seal(self._process % (count, count), b"rid=%bA%b" % (self._rid(), tail))
        return b"c%d" % count, line

    def complete(self, dialogue: bytes) -> bytes:
        """Return the line with CR LF that closes a dialogue."""
        return self._mine.seal(self._complete % dialogue, _NOTHING)

    def answer(self, line: bytes) -> tuple[bytes, str] | None:
        """Return dialogue and response code of a RESULT, None for any other line of the peer.

        Raises SessionEnded for a seal that does not open, RemoteProtocolError for one that is none.
        """
        clear, mark, text = line.rpartition(grammar.SEAL_MARK)
        if not mark:
            return None  # the gateway's notice
        self._theirs.open(clear, grammar.decode_base64url(text))
        found = _RESULT.match(clear)
        return None if found is None else (found[1], found[2].decode("ascii"))

    def _tail(self, card: LoadCard) -> bytes:
        """Return what follows the rid under the seal of this card's purchases, padded."""
        pin = format_octets(seal_pin(card.pin, card.number, self._encrypt, self._draw(FILL_BYTES)))
        tail = f" track2={card.track2} pin={pin} format=4 ".encode("ascii")
        before = len("rid=") + _RID_CHARACTERS + 1
        size = -(-(before + len(tail)) // SEAL_BLOCK_BYTES) * SEAL_BLOCK_BYTES
        self._tails[card.track2] = padded = tail.ljust(size - before)
        return padded

    def _rid(self) -> bytes:
        start = self._rids_to
        if start >= len(self._rids):
            self._rids, start = grammar.encode_base64url(self._draw(_DRAWN_BYTES)), 0
        self._rids_to = end = start + _RID_CHARACTERS
        return self._rids[start:end]
