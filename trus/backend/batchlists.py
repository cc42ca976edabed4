"""Gathers the items of a batch that a terminal lists, and says the differences that came of them.

Compares nothing (trus.core.closing) and keeps nothing beyond the dialogue. The number of items is told before
the first, so that who lists without end is refused at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trus.backend.dispatch import Reply, identity_of, known_currency
from trus.core.closing import LISTED
from trus.core.messages import Answer, Outcome, Reconcile
from trus.protocol.batches import difference_lists, parse_items
from trus.protocol.errors import ErrorCode, RemoteProtocolError
from trus.protocol.fields import parse_count, parse_octets
from trus.protocol.verbs_batches import MAX_ITEMS
from trus.values import Frozen, PeerIdentity

#: Seconds that may pass between two lines of a list.
LISTING_SECONDS: Final = 60.0
#: Lists that one session may have under way: a terminal closes one batch at a time.
MAX_LISTINGS: Final = 1


class Listing(Frozen, frozen=True):
    """A reconciliation whose items are coming: `request` has those that came, of `count`."""

    request: Reconcile
    count: int

    @property
    def complete(self) -> bool:
        """Whether every item has come."""
        return len(self.request.items) == self.count


def listing_of(fields: Mapping[str, str], peer: PeerIdentity) -> Listing:
    """Return what COMMAND RECONCILE begins. Raises RemoteProtocolError (bad-field)."""
    count = parse_count(fields["count"])
    if count > MAX_ITEMS:
        raise RemoteProtocolError(ErrorCode.BAD_FIELD, "count")
    currency = known_currency(fields["currency"])
    rid, repeat = parse_octets(fields["rid"]), fields.get("repeat") == "yes"
    return Listing(Reconcile(peer, identity_of(fields, peer), rid, currency, (), repeat), count)


def with_items(listing: Listing, text: str) -> Listing:
    """Return the listing with the items of a line. Raises RemoteProtocolError (bad-field)."""
    asked = listing.request
    items = (*asked.items, *parse_items(text, asked.currency))
    if len(items) > listing.count:
        raise RemoteProtocolError(ErrorCode.BAD_FIELD, "items")
    return Listing(Reconcile(asked.peer, asked.identity, asked.rid, asked.currency, items, asked.repeat), listing.count)


def differences_of(answer: Answer) -> list[Reply]:
    """Return the lines that list what an answer found to differ, before the answer itself."""
    if not isinstance(answer, Outcome) or LISTED not in answer.details:
        return []
    listed = answer.details[LISTED]
    return [Reply("DATA", "DIFFERENCES", {}, {"differences": each}) for each in difference_lists(listed)]
