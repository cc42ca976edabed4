"""Names what can be wrong with a card's data.

Never repeats the data: a message of this error is a fixed word.
"""

from __future__ import annotations

from trus.errors import TrusError


class CardDataRefused(TrusError):
    """A number, track, PIN or PIN block does not have its form; `reason` is a fixed word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
