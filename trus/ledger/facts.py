"""Reads the facts of a whole batch in a few set-based statements.

Decides nothing and locks nothing: the unit of work holds the transaction in which these reads
happen. A row is turned into the frozen values of trus.auth and nothing else; card numbers
are not among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from trus.auth.lots import NO_LOTS, Lot, Lots, merged
from trus.auth.model import CardFacts, PurseFacts, State, TerminalFacts
from trus.auth.policy import Policy
from trus.auth.ports import NOTHING_RECONCILED, SOLD, BatchFacts, BatchTotals, EventKind, Posting, StoredRequest
from trus.auth.reconcile import HostItem
from trus.auth.spending import spent_from_text
from trus.ledger.days import days_before, reference_of
from trus.ledger.dialect import Direct
from trus.ledger.statements import ITEM_KINDS, MAX_KEYS, Statements, padded
from trus.receipts.links import Receipt
from trus.values import BatchItem, BusinessDate, CardRef, Identity, ItemKind, ItemState, ShopId, TerminalId

_STATES: Final = {state.value: state for state in State}
#: Requests that bring along what they are about.
_BRINGS: Final = frozenset({EventKind.REFUND.value, EventKind.COMPLETION.value})
_HOLD: Final = EventKind.HOLD.value
_COMPLETION: Final = EventKind.COMPLETION.value
#: What has become of an item, by the kind of the event that ended it.
_ITEM_STATES: Final = {EventKind.REVERSAL.value: ItemState.REVERSED, EventKind.VOID.value: ItemState.VOIDED}
#: Distinct policies kept decoded; a network of this size has a few hundred companies.
_POLICIES_KEPT: Final = 4096


#: Days that a request's own date may lie before the day on which it is recorded: repeats and
#: reversals come for 30 (trus.core.dates), and a day is left for time zones.
OLDEST_REQUEST_DAYS: Final = 31


class FactsReader:
    """Reads facts over a connection that the caller brings."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def read(
        self,
        direct: Direct,
        identities: Sequence[Identity],
        terminals: Sequence[str],
        card_keys: Sequence[bytes],
        closing: Sequence[str] = (),
        originals: Sequence[int] = (),
        voiding: Sequence[str] = (),
        reconciling: Mapping[str, Sequence[tuple[str, int]]] = NOTHING_RECONCILED,
    ) -> BatchFacts:
        """Return the facts of a batch, keyed as asked. Repeated keys are read once.

        `originals` are ids of events that requests name by reference.
        """
        requests = self.requests(direct, identities, originals)
        cards: dict[bytes, CardFacts] = {}
        by_id: dict[int, CardFacts] = {}
        for row in self._rows(direct, "cards", card_keys):
            facts = _card(row)
            cards[row[0]] = by_id[facts.card_id] = facts
        named = [stored.card_id for stored in requests.values() if stored.card_id is not None]
        for row in self._rows(direct, "cards_by_id", [each for each in named if each not in by_id]):
            facts = _card(row)
            by_id[facts.card_id] = facts
        policies = self._policies(direct, [facts.company_id for facts in by_id.values()])
        several = {company for company, kept in policies.items() if any(rules.purses for rules in kept)}
        if several or named:
            self._add_purses(direct, several, frozenset(named), cards, by_id)
        return BatchFacts(
            terminals={row[0]: _terminal(row) for row in self._rows(direct, "terminals", terminals)},
            cards=cards,
            cards_by_id=by_id,
            requests=requests,
            policies=policies,
            totals=self._totals(direct, closing) if closing else {},
            closed={row[0]: row[1] for row in self._rows(direct, "closings", [*voiding, *closing])},
            batches=self._batches(direct, reconciling) if reconciling else {},
        )

    def requests(
        self, direct: Direct, identities: Sequence[Identity], originals: Sequence[int] = ()
    ) -> dict[Identity, StoredRequest]:
        """Return what is stored under these identities and ids, with postings, and with what ended it.

        A refund brings its purchase along.
        """
        rows: list[Any] = []
        distinct = list(dict.fromkeys(identities))
        for start in range(0, len(distinct), MAX_KEYS):
            size, keys = padded(distinct[start : start + MAX_KEYS])
            parameters = tuple(part for key in keys for part in (key.business_date, key.terminal, key.stan))
            rows += direct.rows(self._statements.text("requests", size), parameters)
        if originals:
            rows += self._rows(direct, "requests_by_id", originals)
        if not rows:
            return {}
        purchases = [row[18] for row in rows if row[4] in _BRINGS and row[18] is not None]
        if purchases:
            rows += self._rows(direct, "requests_by_id", purchases)
        parts = self._refunds(direct, rows)
        postings: dict[int, list[Posting]] = {number: [] for number in (*(row[3] for row in rows), *parts)}
        for moved in self._rows(direct, "request_entries", list(postings)):
            postings[moved[0]].append(Posting(moved[1], moved[2], moved[3]))
        again = [row[3] for row in rows if row[4] == _HOLD and row[21] == _COMPLETION]
        restored: dict[int, list[tuple[int, int, int]]] = {}
        for stands in self._rows(direct, "restored_holds", again):
            restored.setdefault(stands[0], []).append((stands[1], stands[2], stands[3]))
        ended = {
            row[0]: row[1:]
            for row in self._rows(direct, "ended_again", [each for each in again if each not in restored])
        }
        lots: dict[int, list[Lot]] = {}
        for dated in self._rows(direct, "request_lots", list(postings)):
            lots.setdefault(dated[0], []).append(Lot(dated[1], dated[2]))
        returned: dict[int, dict[int, int]] = {}
        returned_lots: dict[int, list[Lot]] = {}
        for number, purchase in parts.items():
            sums = returned.setdefault(purchase, {})
            for each in postings[number]:
                sums[each.account] = sums.get(each.account, 0) + each.amount
            returned_lots.setdefault(purchase, []).extend(lots.get(number, NO_LOTS))
        return {
            Identity(TerminalId(row[0]), BusinessDate(row[1]), row[2]): _stored(
                row,
                tuple(postings[row[3]]),
                tuple(lots.get(row[3], NO_LOTS)),
                tuple(restored.get(row[3], ())),
                ended.get(row[3]) or (row[14], row[19], row[21], *row[26:29]),
                tuple(sorted(returned.get(row[3], {}).items())),
                merged(returned_lots.get(row[3], NO_LOTS)),
            )
            for row in rows
        }

    def _refunds(self, direct: Direct, rows: Sequence[Any]) -> dict[int, int]:
        """Return the refunds of the purchases among rows, and what has taken refunds back, each with its purchase."""
        parts: dict[int, int] = {}
        for purchase, refund, undone in self._rows(direct, "refunds", [row[3] for row in rows if row[4] in SOLD]):
            parts[refund] = purchase
            if undone is not None:
                parts[undone] = purchase
        return parts

    def due_holds(self, direct: Direct, at: int, limit: int) -> list[str]:
        """Return the reference numbers of holds that expired at `at` (microseconds) or before, the oldest first."""
        rows = direct.rows(self._statements.text("due_holds"), (at, limit))
        return [reference_of(number) for number in dict.fromkeys(row[0] for row in rows)]

    def _totals(self, direct: Direct, terminals: Sequence[str]) -> dict[str, BatchTotals]:
        """Return what each terminal's batch holds: its events after its last approved close-batch."""
        begun = {row[0]: (row[1], row[2]) for row in self._rows(direct, "closings", terminals)}
        found: dict[str, BatchTotals] = {}
        for terminal in dict.fromkeys(terminals):
            after, closed_on = begun.get(terminal, (0, ""))
            # An event carries its request's date, which may be older than the day it came on.
            oldest = days_before(closed_on, OLDEST_REQUEST_DAYS) if closed_on else ""
            dates = [row[0] for row in direct.rows(self._statements.text("dates"), (oldest,))]
            held = BatchTotals()
            for start in range(0, len(dates), MAX_KEYS):
                size, keys = padded(dates[start : start + MAX_KEYS])
                for row in direct.rows(self._statements.text("totals", size), (terminal, after, *keys)):
                    held = held.plus(*row)
            found[terminal] = held
        return found

    def _batches(
        self, direct: Direct, reconciling: Mapping[str, Sequence[tuple[str, int]]]
    ) -> dict[str, dict[tuple[str, int], HostItem]]:
        """Return the items of each terminal's batch, and those that it lists of other batches."""
        begun = {row[0]: (row[1], row[2]) for row in self._rows(direct, "closings", list(reconciling))}
        found: dict[str, dict[tuple[str, int], HostItem]] = {}
        for terminal, names in reconciling.items():
            after, closed_on = begun.get(terminal, (0, ""))
            oldest = days_before(closed_on, OLDEST_REQUEST_DAYS) if closed_on else ""
            dates = [row[0] for row in direct.rows(self._statements.text("dates"), (oldest,))]
            items = found[terminal] = {}
            for start in range(0, len(dates), MAX_KEYS):
                size, keys = padded(dates[start : start + MAX_KEYS])
                rows = direct.rows(self._statements.text("batch_endings", size), (terminal, after, after, *keys))
                rows += direct.rows(self._statements.text("batch_items", size), (terminal, after, *keys))
                items.update({(row[0], row[1]): HostItem(_item(*row)) for row in rows})
            others = [Identity(TerminalId(terminal), BusinessDate(each[0]), each[1]) for each in names]
            stored = self.requests(direct, [each for each in others if (each.business_date, each.stan) not in items])
            for identity, each in stored.items():
                if each.kind in ITEM_KINDS and each.authorized:
                    date, stan = identity.business_date, identity.stan
                    item = _item(date, stan, each.kind, each.authorized, each.rrn, each.ended)
                    items.setdefault((date, stan), HostItem(item, of_batch=False))
        return found

    def _policies(self, direct: Direct, companies: Sequence[int]) -> dict[int, tuple[Policy, ...]]:
        found: dict[int, list[Policy]] = {}
        for row in self._rows(direct, "policies", companies):
            found.setdefault(row[1], []).append(decode_policy(row[0], row[1], row[2], row[3]))
        return {number: tuple(policies) for number, policies in found.items()}

    def _add_purses(
        self,
        direct: Direct,
        several: set[int],
        named: frozenset[int],
        cards: dict[bytes, CardFacts],
        by_id: dict[int, CardFacts],
    ) -> None:
        """Give cards the purses of their holders: those of companies whose policies name purses, now or before.

        The cards that stored requests name get them whatever the policies say: purses may have paid under a policy
        that was replaced since.
        """
        wanted = [number for number, facts in by_id.items() if number in named or facts.company_id in several]
        found: dict[int, list[PurseFacts]] = {}
        for row in self._rows(direct, "purses", wanted):
            found.setdefault(row[0], []).append(PurseFacts(row[1], row[2], row[3], row[4]))
        for number, purses in found.items():
            by_id[number] = msgspec.structs.replace(by_id[number], purses=tuple(purses))
        for key, facts in cards.items():
            if facts.company_id in several:
                cards[key] = by_id[facts.card_id]

    def _rows(self, direct: Direct, name: str, keys: Sequence[Any]) -> list[Any]:
        distinct = list(dict.fromkeys(keys))
        rows: list[Any] = []
        for start in range(0, len(distinct), MAX_KEYS):
            size, filled = padded(distinct[start : start + MAX_KEYS])
            rows += direct.rows(self._statements.text(name, size), filled)
        return rows


#: The JSON object kept for a policy: the fields of Policy after its two ids and its date, so that
#: a field added there is kept here without another word.
PolicyDocument: Final = msgspec.defstruct(
    "PolicyDocument",
    [(field.name, field.type, field.default) for field in msgspec.structs.fields(Policy)[3:]],
    frozen=True,
    forbid_unknown_fields=True,
)


def encode_policy(rules: Policy) -> str:
    """Return the JSON document of a policy, without its ids and date."""
    fields = {name: getattr(rules, name) for name in PolicyDocument.__struct_fields__}
    return msgspec.json.encode(PolicyDocument(**fields)).decode("utf-8")


@lru_cache(maxsize=_POLICIES_KEPT)
def decode_policy(policy_id: int, company_id: int, valid_from: str, document: str) -> Policy:
    """Return the policy of a row. Raises msgspec.ValidationError for a document it cannot be."""
    read = msgspec.json.decode(document, type=PolicyDocument)
    fields = {name: getattr(read, name) for name in PolicyDocument.__struct_fields__}
    return Policy(policy_id=policy_id, company_id=company_id, valid_from=valid_from, **fields)


def _item(date: str, stan: int, kind: str, amount: int, rrn: str, ended: str | None) -> BatchItem:
    state = _ITEM_STATES.get(ended or "", ItemState.STANDS)
    return BatchItem(BusinessDate(date), stan, ItemKind(kind), state, amount, rrn)


def _card(row: Any) -> CardFacts:
    return CardFacts(
        row[1],
        CardRef(row[2]),
        _STATES[row[3]],
        row[4],
        row[5],
        row[6],
        _STATES[row[7]],
        row[8],
        _STATES[row[9]],
        row[10],
        row[11],
        row[12],
        row[13],
        row[14],
        row[15],
        row[16],
        spent_from_text(row[17]) if row[17] else None,
        row[18],
        signals=row[19],
    )


def _terminal(row: Any) -> TerminalFacts:
    return TerminalFacts(
        TerminalId(row[0]),
        _STATES[row[1]],
        ShopId(row[2]),
        row[3],
        row[4],
        _STATES[row[5]],
        row[6],
        row[7],
        row[8],
        row[9],
        row[10],
    )


def _stored(
    row: Any,
    postings: tuple[Posting, ...],
    lots: tuple[Lot, ...],
    restored: tuple[tuple[int, int, int], ...],
    ending: tuple[Any, ...],
    returned: tuple[tuple[int, int], ...],
    returned_lots: Lots,
) -> StoredRequest:
    return StoredRequest(
        event_id=row[3],
        kind=row[4],
        rid=row[5],
        digest=row[6],
        amount=row[7],
        currency=row[8],
        result=row[9],
        code=row[10],
        rrn=row[11],
        answer=row[12] or b"",
        card_id=row[13],
        reversed_by=0 if restored else ending[0] or 0,
        postings=postings,
        counter_day=row[15],
        authorized=row[16],
        shop_id=row[17],
        original=row[18],
        given_back=ending[1] or 0,
        refunded=row[20] or 0,
        in_time=row[29] or 0,
        ended="" if restored else ending[2] or "",
        receipt=None if row[24] is None else Receipt(row[22], row[23], row[24]),
        lots=lots,
        stands_as=restored[0][0] if restored else 0,
        held=tuple((account, amount) for _, account, amount in restored),
        at=row[25],
        returned=returned,
        returned_lots=returned_lots,
        ended_receipt=None if restored or ending[5] is None else Receipt(*ending[3:]),
    )
