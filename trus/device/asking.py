"""What a program may ask of a terminal: each request is one call, and gets exactly one answer.

Connects nothing (trus.device.client does). An unknown result counts as declined.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from trus.device.orders import Answer, BalanceOrder, Order, PinOrder, Reference, RefundOrder
from trus.device.pinpad import check_card, check_rrn
from trus.device.terminal import Terminal


class Asking:
    """The requests of a terminal, for programs: `await client.purchase(...)`."""

    _terminal: Terminal

    def _answer(self, key: int) -> Deferred[Answer]:
        """Return what fires with the answer to a request of the terminal."""
        raise NotImplementedError

    async def purchase(
        self,
        amount: int,
        track2: str,
        pin: str | None = None,
        *,
        currency: str = "",
        partial: bool = False,
    ) -> Answer:
        """Ask to pay `amount` minor units from the card with this stripe; return the answer.

        `track2` is without sentinels; `currency` is the terminal's own when empty. Raises
        AmountError, CardDataRefused for a stripe or PIN that is none, JournalError and
        Stopped.
        """
        check_card(track2, pin)
        order = Order(amount, currency or self._terminal.terms.currency, track2, pin, partial)
        return await self._answer(self._terminal.purchase(order))

    async def hold(
        self, amount: int, track2: str, pin: str | None = None, *, currency: str = "", partial: bool = False
    ) -> Answer:
        """Ask to set `amount` minor units aside, for a completion; return the answer. Raises as `purchase` does."""
        check_card(track2, pin)
        order = Order(amount, currency or self._terminal.terms.currency, track2, pin, partial)
        return await self._answer(self._terminal.hold(order))

    async def change_pin(self, track2: str, pin: str, new_pin: str) -> Answer:
        """Ask for another PIN of a card; return the answer. Raises as `purchase` does."""
        check_card(track2, pin)
        check_card(track2, new_pin)
        return await self._answer(self._terminal.change_pin(PinOrder(track2, pin, new_pin)))

    async def advise(self, amount: int, track2: str, *, currency: str = "") -> Answer:
        """Tell of a purchase made off-line, without PIN; return the answer. Raises as `purchase` does.

        A terminal that has not been connected since it was switched on knows no currency: name it then.
        """
        check_card(track2, None)
        order = Order(amount, currency or self._terminal.terms.currency, track2)
        return await self._answer(self._terminal.advise(order))

    async def capture(self, amount: int, rrn: str, *, currency: str = "") -> Answer:
        """Complete the pre-authorization with retrieval reference `rrn`; return the answer. Raises as `refund` does."""
        check_rrn(rrn)
        order = RefundOrder(amount, currency or self._terminal.terms.currency, rrn)
        return await self._answer(self._terminal.capture(order))

    async def release(self, rrn: str) -> Answer:
        """Give the pre-authorization with retrieval reference `rrn` up; return the answer. Raises as `refund` does."""
        check_rrn(rrn)
        return await self._answer(self._terminal.release(RefundOrder(0, self._terminal.terms.currency, rrn)))

    async def balance(self, track2: str, pin: str | None = None) -> Answer:
        """Ask what the card's purse holds; return the answer. Raises as `purchase` does."""
        check_card(track2, pin)
        return await self._answer(self._terminal.balance(BalanceOrder(track2, pin)))

    async def reverse(self, original: Reference, reason: str = "customer") -> Answer:
        """Take back a purchase of this terminal; return the answer.

        An answer without a code means that none came in time; the reversal is repeated in
        the background, and after a restart, until it is acknowledged. Raises JournalError
        and Stopped.
        """
        return await self._answer(self._terminal.reverse(original, reason))

    async def void(self, original: Reference, reason: str = "customer") -> Answer:
        """Cancel a purchase of this terminal's open batch; return the answer. Raises as `reverse` does."""
        return await self._answer(self._terminal.void(original, reason))

    async def refund(self, amount: int, rrn: str, *, currency: str = "", original: Reference | None = None) -> Answer:
        """Ask to give back `amount` minor units of the purchase with retrieval reference `rrn`.

        `original` names it too, where this terminal made it. Raises as `purchase` does.
        """
        check_rrn(rrn)
        order = RefundOrder(amount, currency or self._terminal.terms.currency, rrn, original)
        return await self._answer(self._terminal.refund(order))

    async def close_batch(self) -> Answer:
        """Compare totals with the backend and close the batch; return the answer.

        Raises JournalError and Stopped.
        """
        return await self._answer(self._terminal.close_batch())
