"""What people and terminals of a simulated network know for sure, whatever becomes of the machines.

A receipt that was printed, an answer that a cashier read and a record that reached a journal's disk
are written down here at once and survive every crash. Judges nothing: trus.simulation.invariants does.
"""

from __future__ import annotations

import attrs

from trus.device.journal import Asked, Memory, Opened, Settled
from trus.device.orders import Answer
from trus.values import Identity, TerminalId


@attrs.define
class Ordered:
    """One order of a cashier: what was asked, and the answer, None when the cashier never heard one.

    `step` is the run's step of the answer, or of the order. `incarnation` is the terminal's at the
    time. `original` is set for a reversal.
    """

    terminal: TerminalId
    asked: Asked
    incarnation: int
    step: int
    amount: int = 0
    card: str = ""
    right_pin: bool = True
    #: The PIN that was typed, when it was the card's without any doubt; else "".
    sure_pin: str = ""
    first_pin: str = ""
    #: Whether such a PIN was said to be wrong.
    pin_refused: bool = False
    answer: Answer | None = None
    original: Identity | None = None


@attrs.define
class Written:
    """What the journal of a terminal has recorded of one identity, in which incarnation and step."""

    opened: Opened
    opened_in: int
    step: int
    settled: Settled | None = None
    settled_in: int = 0
    settled_step: int = 0
    #: The journal says after a restart that it ended; the record's sync was never confirmed.
    ended: bool = False


@attrs.define
class Admitted:
    """An order of the admin that moves money: reference, amount, what came of it ("" when unknown)."""

    verb: str
    reference: str
    amount: int
    step: int
    code: str = ""
    rrn: str = ""


@attrs.frozen
class Reserved:
    """The slip of an approved pre-authorization: its retrieval reference, minor units, the terminal."""

    rrn: str
    amount: int
    terminal: TerminalId


@attrs.define
class Papers:
    """Everything that was seen."""

    orders: list[Ordered] = attrs.field(factory=list)
    written: dict[Identity, Written] = attrs.field(factory=dict)
    admin: list[Admitted] = attrs.field(factory=list)
    #: Approvals that a dishonest terminal was given: identity, rid, minor units, retrieval reference.
    thefts: list[tuple[Identity, bytes, int, str, int]] = attrs.field(factory=list)

    #: How often a terminal signed off, and how often a session's keys were changed.
    signed: int = 0
    rekeyed: int = 0
    reserved: list[Reserved] = attrs.field(factory=list)
    #: The PINs that a card may have: one, or two while the answer to a change is not known. Absent: its first.
    pins: dict[str, list[str]] = attrs.field(factory=dict)
    #: Cards whose PIN is being changed.
    changing: set[str] = attrs.field(factory=set)

    def pins_of(self, card: str, first: str) -> list[str]:
        """Return the PINs that a card may have; it began with `first`."""
        return self.pins.get(card) or [first]

    def is_sure(self, card: str, first: str, pin: str) -> bool:
        """Return whether a card, which began with the PIN `first`, has this one and no other."""
        return card not in self.changing and self.pins_of(card, first) == [pin]

    def opened(self, record: Opened, incarnation: int, step: int) -> None:
        """A request was written down and may have been said."""
        if record.identity not in self.written:
            self.written[record.identity] = Written(record, incarnation, step)

    def reread(self, terminal: TerminalId, memory: Memory, incarnation: int, step: int) -> None:
        """A terminal has read its journal after a restart: what it says of each request counts from now on."""
        for opened in memory.unfinished.values():
            self.opened(opened, incarnation - 1, step)
        for purchased in memory.purchases.values():
            self.settled(purchased.settled, self._opened_in(purchased.opened.identity), step)
        for identity, written in self.written.items():
            if identity.terminal == terminal and written.settled is None and identity not in memory.unfinished:
                written.ended = True

    def _opened_in(self, identity: Identity) -> int:
        known = self.written.get(identity)
        return 0 if known is None else known.opened_in

    def settled(self, record: Settled, incarnation: int, step: int) -> None:
        """A request's end was written down."""
        known = self.written.get(record.identity)
        if known is not None and known.settled is None:
            known.settled, known.settled_in, known.settled_step = record, incarnation, step
