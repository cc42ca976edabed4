"""Lists a terminal's open batch anew after the ledger was restored from a backup, so that what was lost is named.

Moves no money and decides nothing: the terminal closes its batch, and since the ledger's totals differ then,
both sides compare it item by item. A purchase that the backup did not hold is "missing-at-host" in the ledger's
record of the closing. The terminal does so once for each restoration, and again until the backend has answered.

| file of the home | holds |
|---|---|
| restored | how often the ledger had been restored when this terminal last listed its batch |
"""

from __future__ import annotations

from typing import Final, Protocol

from trus.device.home import DeviceHome, write_private
from trus.device.journal import Journal
from trus.device.orders import Answer
from trus.errors import ConfigurationError
from trus.protocol.effects import Terms

RESTORED: Final = "restored"


class Client(Protocol):
    """What is needed of a terminal's client."""

    @property
    def terms(self) -> Terms:
        """What the backend announced last."""
        ...

    async def close_batch(self) -> Answer:
        """Compare the batch with the backend's and close it."""
        ...


def known_epoch(home: DeviceHome) -> int:
    """Return how often the ledger had been restored when this terminal last listed its batch; 0 when never."""
    try:
        return int((home.path / RESTORED).read_text("ascii"))
    except (OSError, ValueError):
        return 0


async def list_after_restoration(home: DeviceHome, client: Client, journal: Journal) -> Answer | None:
    """List the open batch, if the ledger was restored since that was last done; return the answer to the closing.

    None when there was nothing to do, or nothing to list. Raises JournalError, Stopped, ConfigurationError.
    """
    epoch = client.terms.epoch
    if epoch <= known_epoch(home):
        return None
    answer = await client.close_batch() if journal.memory.items else None
    if answer is None or answer.approved:
        try:
            write_private(home.path / RESTORED, f"{epoch}\n".encode("ascii"))
        except OSError as problem:
            raise ConfigurationError(f"{home.path} cannot be written to: {problem.strerror}") from problem
    return answer
