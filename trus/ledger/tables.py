"""Says what the ledger keeps: the schema, as SQLAlchemy Core metadata, portable between engines.

Holds no query and opens no connection. Amounts are integer minor units; moments (`*_at`, `at`)
are integer microseconds since 1970-01-01 UTC; dates are text "YYYY-MM-DD"; what is never said
in the clear (card numbers, names of people) is bytes of trus.ledger.lookup.FieldCipher.

Two rules for whoever changes this: rows of `event` and `entry` are only ever inserted (an audit
chain covers them), and an index on either is paid for by every purchase.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from trus.ledger.schema import Number, metadata
from trus.ledger.tables_approvals import ceremony, order_approval, pending_order
from trus.ledger.tables_directory import certificate_key, revocation_list, standing
from trus.ledger.tables_keys import backup, key_rotation
from trus.ledger.tables_lots import lot_move
from trus.ledger.tables_receipts import chain_node
from trus.ledger.tables_watch import range_watch

# ------------------------------------------------------------------------------ who is who

#: A member company. `prepaid_account` is what it loaded and has not yet given to purses.
company: Final = Table(
    "company",
    metadata,
    Column("id", Number, primary_key=True),
    Column("company", String(15), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("state", String(9), nullable=False),
    Column("prepaid_account", Number, ForeignKey("account.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

#: A cardholder. All cards of one employee draw on one purse. `name` is ciphered, NULL once erased.
employee: Final = Table(
    "employee",
    metadata,
    Column("id", Number, primary_key=True),
    Column("company_id", Number, ForeignKey("company.id"), nullable=False),
    Column("employee", String(15), nullable=False),
    Column("name", LargeBinary),
    Column("state", String(9), nullable=False),
    Column("purse_account", Number, ForeignKey("account.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("company_id", "employee"),
)

#: A card. `pan_key` is the keyed hash that it is found by, `pan` the ciphered number,
#: `expiry` YYMM, `sequence` counts the cards issued under one number (ISO 8583 field 23), `signals`
#: is what it did lately (trus.auth.signals).
card: Final = Table(
    "card",
    metadata,
    Column("id", Number, primary_key=True),
    Column("card", String(12), nullable=False, unique=True),
    Column("pan_key", LargeBinary(16), nullable=False, unique=True),
    Column("pan", LargeBinary),
    Column("last_four", String(4), nullable=False),
    Column("expiry", String(4), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("pin_reference", LargeBinary(16), nullable=False),
    Column("tries_left", Integer, nullable=False),
    Column("state", String(9), nullable=False),
    Column("employee_id", Number, ForeignKey("employee.id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("signals", Text, nullable=False, server_default=""),
    CheckConstraint("tries_left >= 0", name="tries_left"),
)

#: `kind` is external, company, purse, shop, gains or risk. `floor` and `balance` are NULL where
#: the balance is the sum of the entries; the counters of `counter_day` are a purse's, and
#: `held` is what its open pre-authorizations have set aside, `spent` what counts for limits on more
#: than a day (trus.auth.spending), "" while no policy has any; `lots`
#: is its credit that ends (trus.auth.lots).
account: Final = Table(
    "account",
    metadata,
    Column("id", Number, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("owner", String(32), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("floor", BigInteger),
    Column("balance", BigInteger),
    Column("counter_day", String(10), nullable=False, server_default=""),
    Column("day_amount", BigInteger, nullable=False, server_default="0"),
    Column("day_count", Integer, nullable=False, server_default="0"),
    Column("held", BigInteger, nullable=False, server_default="0"),
    Column("spent", Text, nullable=False, server_default=""),
    Column("lots", Text, nullable=False, server_default=""),
    UniqueConstraint("kind", "owner", "currency"),
    CheckConstraint("floor IS NULL OR balance >= floor", name="floor"),
    CheckConstraint("(floor IS NULL) = (balance IS NULL)", name="locked"),
)

#: Finds the purses whose credit has ended: the text begins with the first date.
Index(
    "ix_account_lots",
    account.c.lots,
    account.c.id,
    sqlite_where=text("lots != ''"),
    postgresql_where=text("lots != ''"),
)

#: Purses of a cardholder beside the main one; policies name them (trus.auth.purses).
purse: Final = Table(
    "purse",
    metadata,
    Column("employee_id", Number, ForeignKey("employee.id"), primary_key=True, autoincrement=False),
    Column("name", String(15), primary_key=True),
    Column("account", Number, ForeignKey("account.id"), nullable=False),
)

#: A shop (ISO 8583 field 42 names it, ISO 18245 categorises it). `account` is what it is owed,
#: `place` where it is: "latitude,longitude" in degrees, "" where nobody said.
shop: Final = Table(
    "shop",
    metadata,
    Column("id", Number, primary_key=True),
    Column("shop", String(15), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("mcc", String(4), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("state", String(9), nullable=False),
    Column("account", Number, ForeignKey("account.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("place", String(24), nullable=False, server_default=""),
)

#: A terminal of a shop (ISO 8583 field 41). `watch` is what it has tried lately (trus.auth.watching).
terminal: Final = Table(
    "terminal",
    metadata,
    Column("id", Number, primary_key=True),
    Column("terminal", String(8), nullable=False, unique=True),
    Column("shop_id", Number, ForeignKey("shop.id"), nullable=False, index=True),
    Column("model", String(32), nullable=False, server_default=""),
    Column("state", String(9), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("watch", Text, nullable=False, server_default=""),
)

#: A company's rules from `valid_from` (local date) on. `document` is the JSON object of
#: trus.auth.policy.Policy without its ids.
policy: Final = Table(
    "policy",
    metadata,
    Column("id", Number, primary_key=True),
    Column("company_id", Number, ForeignKey("company.id"), nullable=False),
    Column("valid_from", String(10), nullable=False),
    Column("document", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("company_id", "valid_from"),
)

# ---------------------------------------------------------------------------- what happened

#: The journal, only ever inserted into. `id` = day number x 10**8 + number of the day, so that the
#: events of a ledger date are one range of keys and the retrieval reference number (ISO 8583 field
#: 37) is read from the id. `amount` is what was asked, `authorized` what moved. `link` chains the rows
#: of a slot (trus.ledger.chain); `salt` and the personal columns (card_id, actor, figures, answer) may
#: be erased, `commitment` is then kept. `mark` is what a receipt shows (trus.receipts.links), NULL in rows
#: of a version that gave none.
event: Final = Table(
    "event",
    metadata,
    Column("id", Number, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("terminal", String(8)),
    Column("business_date", String(10)),
    Column("stan", Integer),
    Column("rid", LargeBinary(16), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("shop_id", Number),
    Column("amount", BigInteger, nullable=False),
    Column("authorized", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("result", String(8), nullable=False),
    Column("code", String(2), nullable=False),
    Column("approval", String(6), nullable=False),
    Column("rrn", String(12), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("original", Number),
    Column("counter_day", String(10), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("ledger_date", String(10), nullable=False),
    # Erasable from here.
    Column("card_id", Number),
    Column("actor", String(64)),
    Column("figures", Text),
    Column("answer", LargeBinary),
    # To here.
    Column("slot", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("salt", LargeBinary(16)),
    Column("link", LargeBinary(32), nullable=False),
    Column("commitment", LargeBinary(32)),
    Column("mark", LargeBinary(16)),
    UniqueConstraint("slot", "sequence"),
    # Exactly once: one row an identity, originals and tombstones alike. The date comes first, so
    # that the inserts of a day stay on few pages.
    UniqueConstraint("business_date", "terminal", "stan"),
)

#: A request is ended once, by its reversal, its void, or whatever else ends it: that row says which
#: event it ends (no row of `event` changes).
ENDING_WHERE: Final = "kind IN ('reversal', 'void', 'completion', 'release', 'expiry')"
Index(
    "uq_event_ended",
    event.c.original,
    unique=True,
    sqlite_where=text(f"original IS NOT NULL AND {ENDING_WHERE}"),
    postgresql_where=text(f"original IS NOT NULL AND {ENDING_WHERE}"),
)

#: Finds the refunds of a purchase, of which there may be several.
Index(
    "ix_event_refund",
    event.c.original,
    sqlite_where=text("original IS NOT NULL AND kind = 'refund'"),
    postgresql_where=text("original IS NOT NULL AND kind = 'refund'"),
)

#: Finds where a terminal's batch begins: after its last approved close-batch.
Index(
    "ix_event_closing",
    event.c.terminal,
    event.c.id,
    sqlite_where=text("kind = 'close-batch' AND result = 'approved'"),
    postgresql_where=text("kind = 'close-batch' AND result = 'approved'"),
)

#: Pre-authorizations that are open, by the event that made them and the purse that sets money aside; the rows go
#: when the hold ends, and the
#: journal keeps both. One that stands again since its completion was taken back is known by the reversal, and
#: `restores` is the event that made it. No purchase touches this table.
hold: Final = Table(
    "hold",
    metadata,
    Column("event_id", Number, primary_key=True, autoincrement=False),
    Column("account", Number, ForeignKey("account.id"), primary_key=True, autoincrement=False),
    Column("amount", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("restores", Number),
)
Index(
    "ix_hold_restores",
    hold.c.restores,
    sqlite_where=text("restores IS NOT NULL"),
    postgresql_where=text("restores IS NOT NULL"),
)

#: The entries of an event: `amount` into (+) or out of (-) `account`; they sum to zero.
entry: Final = Table(
    "entry",
    metadata,
    Column("event_id", Number, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("account", Number, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    sqlite_with_rowid=False,
)

#: References of the outside world (a bank transfer's) under which money was booked for a company: the
#: same one is booked once for each kind of event.
booking: Final = Table(
    "booking",
    metadata,
    Column("company_id", Number, ForeignKey("company.id"), primary_key=True, autoincrement=False),
    Column("kind", String(16), primary_key=True),
    Column("reference", String(35), primary_key=True),
    Column("event_id", Number, nullable=False),
)

#: Business dates; at most one is open. `next_number` is the first event number not yet leased.
business_day: Final = Table(
    "business_day",
    metadata,
    Column("date", String(10), primary_key=True),
    Column("previous", String(10), nullable=False),
    Column("state", String(6), nullable=False),
    Column("next_number", Integer, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    CheckConstraint("state IN ('open', 'closed')", name="state"),
)
Index(
    "uq_business_day_open",
    business_day.c.state,
    unique=True,
    sqlite_where=text("state = 'open'"),
    postgresql_where=text("state = 'open'"),
)

#: Who writes: `epoch` grows with every lease, so that a writer that was replaced notices.
writer_slot: Final = Table(
    "writer_slot",
    metadata,
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),
    Column("holder", String(32), nullable=False),
    Column("leased_at", BigInteger, nullable=False),
)

#: Signed heads of the audit chain (trus.ledger.heads); `document` is what was signed, and commits to
#: `receipt_key`, under which the answers after this head are marked.
signed_head: Final = Table(
    "signed_head",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("receipt_key", LargeBinary(32)),
)

# ------------------------------------------------------------------------------ identities

#: The activation opened for a device, one a holder: its code's keyed hash, never the code. Once
#: redeemed, `key_digest` (SHA-256 of the device's public key) and `serial` name the certificate
#: that it brought, so that a retry with the same code and key gets the same one. `opened_by` is the
#: admin who ordered it, "" for an order that no admin gave.
activation: Final = Table(
    "activation",
    metadata,
    Column("role", String(8), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("shop", String(15), nullable=False),
    Column("model", String(32), nullable=False),
    Column("code_hash", LargeBinary(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("key_digest", LargeBinary(32)),
    Column("serial", String(40)),
    Column("opened_by", String(64), nullable=False, server_default=""),
)

#: An individual certificate. Its DER is kept by the key store under `handle`, not here (TR-17);
#: `key_digest` is SHA-256 of its SubjectPublicKeyInfo.
certificate: Final = Table(
    "certificate",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("role", String(8), nullable=False),
    Column("name", String(64), nullable=False),
    Column("shop", String(15), nullable=False),
    Column("model", String(32), nullable=False),
    Column("handle", Text, nullable=False),
    Column("key_digest", LargeBinary(32), nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("state", String(9), nullable=False),
    Column("changed_at", BigInteger),
    Column("reason", String(32), nullable=False),
    Index("ix_certificate_holder", "role", "name"),
    Index("ix_certificate_state_not_after", "state", "not_after"),
    Index("ix_certificate_shop", "shop"),
    Index("ix_certificate_key_digest", "key_digest"),
    Index("ix_certificate_not_before", "not_before"),
)

#: An administrator, known by certificate, which ends at `not_after` (0: not known yet). The one before it, `former`,
#: is accepted until `former_until`. `roles` are words separated by one space.
admin: Final = Table(
    "admin",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("serial", String(40), nullable=False, unique=True),
    Column("roles", Text, nullable=False),
    Column("state", String(9), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False, server_default="0"),
    Column("former", String(40), nullable=False, server_default=""),
    Column("former_until", BigInteger, nullable=False, server_default="0"),
)

#: Single values of the whole network: `ledger_id`, `revocation_epoch`.
meta: Final = Table(
    "meta",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

__all__ = [
    "account",
    "activation",
    "admin",
    "backup",
    "booking",
    "business_day",
    "card",
    "ceremony",
    "certificate",
    "certificate_key",
    "chain_node",
    "company",
    "employee",
    "entry",
    "event",
    "hold",
    "key_rotation",
    "lot_move",
    "meta",
    "metadata",
    "order_approval",
    "pending_order",
    "policy",
    "purse",
    "range_watch",
    "revocation_list",
    "shop",
    "signed_head",
    "standing",
    "terminal",
    "writer_slot",
]
