"""Keeps a terminal's requests together with their records in the journal.

Sends nothing and decides nothing about time: it gives each request its identity, writes it
down before it can be said, and knows after a restart what is still to be taken back. A
request leaves the book when the journal says how it ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from trus.cards.sealed import binding, seal_stripe
from trus.clock import Entropy
from trus.device.journal import Asked, Journal, Keyed, Opened, Settled
from trus.device.orders import Answer, AnyOrder, BalanceOrder, Order, PinOrder, Reference, RefundOrder
from trus.device.requests import Event, Request
from trus.protocol.fields import format_octets
from trus.values import MAX_STAN, RID_BYTES, BusinessDate, Result, TerminalId

#: What closes a batch.
_CLOSING: Final = (Asked.CLOSE, Asked.RECONCILE)


class Book:
    """The requests that are not over, by key, oldest first."""

    def __init__(self, terminal: TerminalId, journal: Journal, entropy: Entropy, started: int) -> None:
        """Begin with no requests; `resume` takes up what the journal holds.

        `started` is in seconds since 1970-01-01 UTC. Readings of stripes are numbered from there on at least, so that a
        journal that was lost or put back from a copy gives no number a second time.
        """
        journal.memory.reads = max(journal.memory.reads, started)
        self.date = journal.memory.date
        self.currency = ""
        self._terminal = terminal
        self._journal = journal
        self._entropy = entropy
        self._keys = 0
        self._requests: dict[int, Request] = {}

    def __len__(self) -> int:
        """Return how many requests are not over."""
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        """Go through the requests as they stand now, oldest first."""
        return iter(list(self._requests.values()))

    def get(self, key: int) -> Request | None:
        """Return a request that is not over."""
        return self._requests.get(key)

    def add(
        self,
        asked: Asked,
        given_up_at: float,
        *,
        order: AnyOrder | None = None,
        original: Reference | None = None,
        reason: str = "",
    ) -> Request:
        """Take in a request; it has no identity yet. `given_up_at` is monotonic seconds."""
        self._keys += 1
        pin = None
        if isinstance(order, Order | BalanceOrder | PinOrder):
            pin, read = order.pin, order.read or self._journal.memory.reading()
            order = msgspec.structs.replace(order, read=read)
        request = Request(self._keys, asked, given_up_at, order=order, original=original, reason=reason, pin=pin)
        self._requests[request.key] = request
        if asked is Asked.ADVICE and order is not None and self.date and self._journal.memory.advice_key:
            # What was sold is written down at once, under the last date that was announced.
            self.identify(request)
        return request

    def resume(self) -> None:
        """Take up what the journal holds unfinished after a restart.

        A purchase is taken back, since its stripe and PIN are gone; a reversal, a batch's closing and an advice
        whose stripe was sealed go on as they were. Of an enquiry nothing remains to be known, and an advice that was
        written down before a key was announced cannot be said without its stripe: it stays the shop's own.
        """
        for opened in list(self._journal.memory.unfinished.values()):
            match opened.asked:
                case Asked.PURCHASE | Asked.HOLD | Asked.REFUND:
                    self.take_back(opened, "system")
                case Asked.REVERSE | Asked.VOID | Asked.CAPTURE | Asked.RELEASE | Asked.CLOSE | Asked.RECONCILE:
                    self._go_on_with(opened)
                case Asked.ADVICE if opened.sealed:
                    self._go_on_with(opened)
                case Asked.BALANCE | Asked.ADVICE | Asked.PIN:
                    self._journal.append(Settled(opened.identity, Result.DECLINED, ""))

    def _go_on_with(self, opened: Opened) -> None:
        request = self.add(opened.asked, 0.0, reason=opened.reason)
        request.opened, request.told, request.attempts = opened, True, 1

    def announce(self, advice_key: bytes) -> None:
        """Remember the key that the backend announced for stripes of advices; none announced: as before."""
        if advice_key and advice_key.hex() != self._journal.memory.advice_key:
            self._journal.append(Keyed(advice_key.hex()))

    def take_back(self, opened: Opened, reason: str) -> Request:
        """Open the reversal of a request, which nobody waits for, and write it down."""
        reversal = self.add(Asked.REVERSE, 0.0, original=opened.reference, reason=reason)
        reversal.told = True
        self.identify(reversal)
        return reversal

    def identify(self, request: Request) -> Opened:
        """Return the request under its identity; a new one gets it here, with a fresh rid.

        Raises JournalFailed.
        """
        if request.opened is not None:
            return request.opened
        memory = self._journal.memory
        if not memory.date:
            # A terminal whose folder was lost comes back under its name, perhaps on the same day:
            # numbers that start anywhere do not meet those that it used before.
            memory.stan = int.from_bytes(self._entropy.draw(4), "big") % MAX_STAN
        original, order = request.original, request.order
        amount, currency = (original.amount, original.currency) if original else (0, "")
        if isinstance(order, Order | RefundOrder):
            amount, currency = order.amount, order.currency
        elif request.asked in _CLOSING:
            currency = self.currency
        rrn = ""
        if isinstance(order, RefundOrder):
            rrn, original = order.rrn, order.original
        identity, rid = memory.next_identity(self._terminal, BusinessDate(self.date)), self._entropy.draw(RID_BYTES)
        opened = Opened(
            identity,
            request.asked,
            rid.hex(),
            amount,
            currency,
            original=original.identity if original else None,
            original_rid=original.rid.hex() if original else "",
            reason=request.reason,
            totals=memory.totals if request.asked in _CLOSING else None,
            rrn=rrn,
            read=order.read if isinstance(order, Order | BalanceOrder | PinOrder) else 0,
        )
        if request.asked is Asked.ADVICE and isinstance(order, Order) and memory.advice_key:
            opened = self._seal(opened, order)
            request.order = None  # the stripe is nowhere any more but in its sealed form
        request.opened = opened
        self._journal.append(request.opened)
        request.opened = memory.unfinished[request.opened.identity]
        return request.opened

    def _seal(self, opened: Opened, order: Order) -> Opened:
        bound = binding(opened.identity, bytes.fromhex(opened.rid), opened.amount, opened.currency, opened.read)
        key = bytes.fromhex(self._journal.memory.advice_key)
        sealed = seal_stripe(key, bound, order.track2, self._entropy)
        return msgspec.structs.replace(opened, sealed=format_octets(sealed))

    def go_on(self, closing: Request, answer: Answer) -> None:
        """Compare item by item what did not agree in sum: another request, whose owner waits for the same key."""
        self.settle(closing, answer)
        request = Request(closing.key, Asked.RECONCILE, closing.given_up_at, told=closing.told)
        self._requests[request.key] = request

    def settle(self, request: Request, answer: Answer) -> None:
        """Write down how a request ended, and forget it."""
        if request.opened is not None:
            amount = answer.amount or 0
            if answer.amount is None and request.asked is Asked.REVERSE and request.opened.original is not None:
                # The answer does not say how much went back: the whole of it.
                purchased = self._journal.memory.purchases.get(request.opened.original)
                amount = 0 if purchased is None else purchased.settled.amount
            identity, result, code = request.opened.identity, answer.result, answer.code
            self._journal.append(Settled(identity, result, code, amount, answer.approval, answer.rrn, answer.proof))
        self.strike(request)

    def strike(self, request: Request) -> None:
        """Forget a request that was never said, or that its reversal has taken over."""
        request.happen(Event.SETTLE)
        self._requests.pop(request.key, None)
