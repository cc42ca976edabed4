"""What cashiers do with the network itself: they sign off for a moment, and have the session's keys changed.

Moves no money. As trus.simulation.orders; there is nothing to be put on paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trus.device.errors import Unreachable

if TYPE_CHECKING:
    from trus.simulation.tills import SimulatedTill

#: How long a terminal stays signed off, in seconds.
_OFF: Final = (0.1, 3.0)


class SignOff:
    """A terminal signs off for a moment, and on again: meanwhile it sells nothing."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return whether it is connected and nobody closes the batch."""
        return till.client is not None and till.client.connected and not till.shift.closing

    async def place(self, till: SimulatedTill) -> None:
        """Sign off, and on; a session that is lost meanwhile is signed on when it comes back."""
        client = till.client
        if client is None:
            return
        till.papers.signed += 1
        try:
            await client.sign(on=False)
            await till.pause(till.chance.seconds(*_OFF))
            await client.sign(on=True)
        except Unreachable:
            return


class KeyChange:
    """A session goes on under new keys before its time."""

    def possible(self, till: SimulatedTill) -> bool:
        """Return whether there is one."""
        return till.client is not None and till.client.connected

    async def place(self, till: SimulatedTill) -> None:
        """Have the keys changed."""
        if till.client is not None:
            till.papers.rekeyed += 1
            till.client.change_keys()
