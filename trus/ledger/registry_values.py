"""The rows of the registry as the issuer reads and writes them: frozen values without SQL.

Holds no card number and no PIN: what must never be seen in the clear enters the registry as
keyed hashes and references, and leaves it never.
"""

from __future__ import annotations

from trus.values import Frozen, Secret


class CompanyRow(Frozen, frozen=True):
    """A member company; `prepaid_account` is its ledger account, `prepaid` what it holds (minor units)."""

    row: int
    company: str
    name: str
    currency: str
    time_zone: str
    state: str
    prepaid_account: int
    prepaid: int


class EmployeeRow(Frozen, frozen=True):
    """A cardholder with its purse; `balance` in minor units. Names are empty once erased.

    The counters are the purse's for `counter_day`, a local date of the company; `lots` is its credit that
    ends (trus.auth.lots), as it is kept.
    """

    row: int
    company_row: int
    company: str
    employee: str
    name: str
    surname: str
    state: str
    purse_account: int
    balance: int
    currency: str
    counter_day: str
    day_amount: int
    day_count: int
    lots: str = ""


class NewEmployee(Frozen, frozen=True):
    """Somebody to register."""

    employee: str
    name: str
    surname: str


class ShopRow(Frozen, frozen=True):
    """A shop and its ledger account."""

    row: int
    shop: str
    name: str
    mcc: str
    currency: str
    state: str
    account: int


class TerminalRow(Frozen, frozen=True):
    """A terminal of a shop."""

    row: int
    terminal: str
    shop: str
    shop_row: int
    model: str
    state: str


class CardRow(Frozen, frozen=True):
    """A card by its reference; its number shows its last four digits alone."""

    row: int
    card: str
    last_four: str
    expiry: str
    tries_left: int
    state: str
    company: str
    employee: str


class NewCard(Secret, frozen=True):
    """A card to store. `pan` goes into the database ciphered, `pan_key` is its keyed hash."""

    card: str
    pan: str
    pan_key: bytes
    expiry: str
    pin_reference: bytes
    tries_left: int
    employee_row: int
    sequence: int = 1


class AdminRow(Frozen, frozen=True):
    """An admin known by the certificate's name and serial number; moments are microseconds since 1970-01-01 UTC.

    The certificate ends at `not_after`, 0 when that is not known yet; the one before it, `former`, is
    accepted until `former_until`.
    """

    row: int
    name: str
    serial: str
    roles: tuple[str, ...]
    state: str
    not_after: int = 0
    former: str = ""
    former_until: int = 0


class ActivationRow(Secret, frozen=True):
    """An activation as stored; moments are microseconds since 1970-01-01 UTC."""

    role: str
    name: str
    shop: str
    model: str
    code_hash: bytes
    expires_at: int
    failures: int
    key_digest: bytes
    serial: str
    opened_by: str = ""


class CertificateRow(Frozen, frozen=True):
    """A certificate's entry as stored; moments are microseconds since 1970-01-01 UTC."""

    serial: str
    role: str
    name: str
    shop: str
    model: str
    handle: str
    key_digest: bytes
    not_before: int
    not_after: int
    state: str
    changed_at: int | None
    reason: str


class HolderRow(Frozen, frozen=True):
    """Whoever holds individual certificates."""

    role: str
    name: str


class ListedRow(Frozen, frozen=True):
    """An entry of a revocation list before it is signed; the moment is in microseconds."""

    serial: str
    state: str
    changed_at: int
    reason: str


class RevocationListRow(Frozen, frozen=True):
    """A signed revocation list: `kind` full or delta, `base` the full list's number for a delta.

    `epoch` is the newest change of standing that it knows; moments are microseconds since 1970-01-01 UTC.
    """

    authority: str
    kind: str
    number: int
    base: int | None
    epoch: int
    this_update: int
    next_update: int
    der: bytes


class TransactionRow(Frozen, frozen=True):
    """An event as support sees it: no card number, no PIN, no track.

    `asked` is the amount of the request and `moved` what went from account to account, minor
    units. `figures` is the JSON object that the deciding rule looked at, "" once erased.
    """

    event_id: int
    at: int
    kind: str
    rrn: str
    terminal: str
    shop: str
    card: str
    company: str
    employee: str
    asked: int
    moved: int
    currency: str
    result: str
    code: str
    approval: str
    rule: str
    figures: str
    actor: str
    business_date: str
    ledger_date: str
    stan: int | None
    original_rrn: str
    reversed_by: str


class SettlementRow(Frozen, frozen=True):
    """What a shop is owed for one ledger date: purchases less reversals, voids and refunds (minor units)."""

    shop: str
    name: str
    currency: str
    count: int
    gross: int
    reversal_count: int
    reversals: int
    refund_count: int = 0
    refunds: int = 0

    @property
    def net(self) -> int:
        """What is owed to the shop; below zero when more was taken or given back than sold."""
        return self.gross - self.reversals - self.refunds


class CompanyBalanceRow(Frozen, frozen=True):
    """What a company and its employees hold (minor units)."""

    company: str
    currency: str
    prepaid: int
    purses: int
    employees: int
