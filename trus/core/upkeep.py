"""Does what the core owes between batches: checkpoints, signed heads, and says how its parts are.

Decides when, never what: the ledger and the key store do the work. Nothing here runs while a
batch is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from trus.clock import Clock
from trus.errors import ConfigurationError, KeyStoreError, LedgerError
from trus.hsm.ports import KeyHandle
from trus.values import BusinessDate

#: Seconds between two signed heads of the audit chain.
HEAD_SECONDS: Final = 60.0
#: Seconds between two heads where one is wanted at once: closings of a thousand terminals share one.
SETTLEMENT_HEAD_SECONDS: Final = 1.0
#: What a part that works says of itself.
OK: Final = "ok"


class KeptLedger(Protocol):
    """What upkeep needs of a ledger."""

    @property
    def checkpoint_due(self) -> bool:
        """Whether enough was written for another checkpoint."""
        ...

    def checkpoint(self) -> object:
        """Move the log into the main file. Raises StorageFailed."""
        ...

    def business_date(self) -> BusinessDate:
        """Return the open business date. Raises StorageFailed."""
        ...

    def health(self) -> str:
        """Return "ok" or a sentence."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class KeptKeys(Protocol):
    """What upkeep needs of a key store."""

    def handles(self) -> Sequence[KeyHandle]:
        """Return the handles of all keys. Raises KeyStoreError."""
        ...

    def close(self) -> None:
        """Log out."""
        ...


class CoreUpkeep:
    """trus.core.core.Upkeep on a ledger and a key store."""

    def __init__(
        self,
        ledger: KeptLedger,
        keys: KeptKeys,
        clock: Clock,
        sign_head: Callable[[], object] = lambda: None,
        renew: Callable[[], object] = lambda: None,
        tend: Callable[[], object] = lambda: None,
    ) -> None:
        """`sign_head()` signs and exports a head of the audit chain if anything was added to it.

        `renew()` makes anew what the token signed and what is about to end: revocation lists.
        `tend()` looks after the key store at every quiet moment: it opens a token that is back.
        """
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        self._sign_head = sign_head
        self._renew = renew
        self._tend = tend
        self._head_at = clock.monotonic()
        self._head_wanted = False
        #: What else is looked after at every quiet moment, and what else has a health, by its name.
        self.keepers: list[Callable[[], object]] = []
        self.more_health: dict[str, Callable[[], str]] = {}

    def business_date(self) -> BusinessDate:
        """Return the open business date."""
        return self._ledger.business_date()

    def idle(self) -> None:
        """Tend the key store; checkpoint, sign a head and renew what is about to end, when these are due."""
        self._tend()
        if self._ledger.checkpoint_due:
            self._ledger.checkpoint()
        since = self._clock.monotonic() - self._head_at
        if since >= HEAD_SECONDS:
            self._head_now()
            self._renew()
        elif self._head_wanted and since >= SETTLEMENT_HEAD_SECONDS:
            self._head_now()
        for keep in self.keepers:
            keep()

    def want_head(self) -> None:
        """Have a head signed within SETTLEMENT_HEAD_SECONDS: a batch was closed, or somebody waits for a proof."""
        self._head_wanted = True

    def _head_now(self) -> None:
        self._head_at = self._clock.monotonic()
        self._head_wanted = False
        self._sign_head()

    def health(self) -> dict[str, str]:
        """Return the state of token and ledger: "ok" or a sentence."""
        return {
            "token": self._token_health(),
            "database": self._ledger_health(),
            **{name: self._say(health) for name, health in self.more_health.items()},
        }

    @staticmethod
    def _say(health: Callable[[], str]) -> str:
        try:
            return health()
        except (KeyStoreError, LedgerError, ConfigurationError) as failure:
            return str(failure)

    def _token_health(self) -> str:
        try:
            self._keys.handles()
        except KeyStoreError as failure:
            return str(failure)
        return OK

    def _ledger_health(self) -> str:
        try:
            self._ledger.business_date()
        except LedgerError as failure:
            return str(failure)
        return self._ledger.health()

    def close(self) -> None:
        """Sign a last head, then close ledger and key store."""
        try:
            self._sign_head()
        finally:
            try:
                self._ledger.close()
            finally:
                self._keys.close()
