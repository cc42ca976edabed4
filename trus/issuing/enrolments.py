"""Shows devices' requests for certificates: issued, or refused by which step and why.

Reads the audit chain's events and changes nothing. A code is in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from trus.core.messages import AdminAnswer
from trus.issuing.desk import Desk, Handler, Order, done
from trus.issuing.identities import ENROL, ENROLMENT_KIND
from trus.issuing.records import page_before, page_more
from trus.ledger.registry_reports import JournalFilter
from trus.ledger.registry_values import TransactionRow
from trus.values import ResponseCode

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: The code of the events of each state, ISO 8583 field 39.
_CODES: Final = {"": "", "issued": ResponseCode.APPROVED, "refused": ResponseCode.SECURITY_VIOLATION}
_SHOWN: Final = ("role", "name", "serial", "birth", "step", "reason", "address")
#: Pages of the journal that a search for one device may look through.
_MAX_PAGES: Final = 20


def list_enrolments(desk: Desk, order: Order) -> AdminAnswer:
    """ENROLMENTS."""
    device, before = order.text("device"), page_before(order)
    wanted = JournalFilter(kinds=(ENROLMENT_KIND,), code=_CODES[order.text("state")], ledger_date=order.text("date"))
    rows: list[dict[str, str]] = []
    mark = 0
    with desk.registry.reading() as view:
        for _ in range(_MAX_PAGES):
            found, mark = view.reports.transactions(wanted, before, order.limit - len(rows))
            rows += [row for row in map(_shown, found) if not device or row["name"] == device]
            before = mark
            if not mark or len(rows) >= order.limit:
                break
    return done(f"Enrolments: {len(rows)}{page_more(mark)}", rows)


def _shown(row: TransactionRow) -> dict[str, str]:
    figures = msgspec.json.decode(row.figures, type=dict[str, int | str]) if row.figures else {}
    at = f"{_EPOCH + timedelta(microseconds=row.at):%Y-%m-%dT%H:%M:%SZ}"
    state = "issued" if row.rule == ENROL else "refused"
    return {"at": at, "state": state, **{name: str(figures.get(name, "")) for name in _SHOWN}}


HANDLERS: Final[Mapping[str, Handler]] = {"ENROLMENTS": list_enrolments}
