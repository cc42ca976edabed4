"""A writing process of its own: commits purchases one by one and prints the reference of each that is durable.

Run by tests.ledger.test_crash: python -m tests.ledger.writer_child PATH STAN LIMIT, where STAN is the first
trace number and LIMIT the largest file that the process may write, in bytes (0 for any).
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from tests.ledger.books import DB_KEY, FIELD_KEY, LOOKUP_KEY, PANS, rid_of
from trus.auth.ports import Event, Posting, PurseUpdate
from trus.clock import SystemClock, SystemEntropy
from trus.errors import OutcomeUnknown, StorageFailed
from trus.ledger.compose import open_ledger
from trus.ledger.store import SqlLedger
from trus.values import Identity, TerminalId


def pay(ledger: SqlLedger, stan: int) -> str:
    """Commit one purchase of one cent and return its reference number."""
    unit = ledger.begin(SystemClock().now())
    facts = unit.read(identities=[], terminals=["T0000001"], card_keys=[ledger.card_key(PANS[0])])
    [held], [place] = facts.cards.values(), facts.terminals.values()
    identity = Identity(TerminalId("T0000001"), unit.business_date, stan)
    event_id, rrn = unit.next_event()
    unit.record(
        Event(
            event_id, "purchase", identity, rid_of(identity), bytes(32), held.card_id, place.shop_id, 1, "USD",
            "approved", "00", "", rrn, "approved", {}, rrn.encode(),
            postings=(Posting(held.purse_account, -1, "USD"), Posting(place.merchant_account, 1, "USD")),
            purses=(PurseUpdate(held.purse_account, held.balance - 1, "", 0, 0),),
            authorized=1,
        )
    )  # fmt: skip
    unit.commit()
    return rrn


def main(path: Path, first: int, limit: int) -> None:
    """Pay until killed, or until the ledger refuses: then say how, and that it goes on refusing."""
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ledger = open_ledger(
        path,
        db_key=DB_KEY,
        lookup_key=LOOKUP_KEY,
        field_keys={1: FIELD_KEY},
        clock=SystemClock(),
        entropy=SystemEntropy(),
    )
    for stan in range(first, first + 100_000):
        try:
            print(pay(ledger, stan), flush=True)
        except (StorageFailed, OutcomeUnknown) as failure:
            print(type(failure).__name__, stan, flush=True)
            break
    try:
        pay(ledger, 999_999)
    except (StorageFailed, OutcomeUnknown) as failure:
        print(type(failure).__name__, ledger.health() != "ok", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
