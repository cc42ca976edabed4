"""The words of the domain that wire, rules and storage share.

Holds frozen values only: no parsing of lines, no storage, no decisions. A value that bears
a secret shows nothing of it in its repr.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NewType

import msgspec

#: ISO 8583 field 41, card acceptor terminal identification: 8 characters, A-Z and 0-9.
TerminalId = NewType("TerminalId", str)
#: ISO 8583 field 42, card acceptor identification: up to 15 characters, A-Z and 0-9.
ShopId = NewType("ShopId", str)
#: Up to 15 characters, A-Z and 0-9.
CompanyId = NewType("CompanyId", str)
#: Up to 15 characters, A-Z and 0-9.
EmployeeId = NewType("EmployeeId", str)
#: The issuer's own name of a card, never its number: 12 characters, A-Z and 0-9.
CardRef = NewType("CardRef", str)
#: The day that a request belongs to, announced by the backend: "YYYY-MM-DD".
BusinessDate = NewType("BusinessDate", str)

#: ISO 8583 field 11, systems trace audit number.
MAX_STAN: Final = 999_999
#: The device's own random name of a request, in bytes.
RID_BYTES: Final = 16


class ChannelRole(StrEnum):
    """Who a channel (TLS) certificate speaks for (TR-14).

    Carried in the certificate as the URI subject alternative name `urn:trus:channel:ROLE`.
    """

    POS = "pos"
    CARD = "card"
    GATEWAY = "gateway"
    BACKEND = "backend"
    WEBSITE = "website"
    ADMIN = "admin"


class DeviceRole(StrEnum):
    """Who an individual certificate speaks for (TR-15, TR-16).

    Carried in the certificate as the URI subject alternative name `urn:trus:ROLE:NAME` and
    as an extended key usage of its own (trus.pki.profiles).
    """

    POS = "pos"
    CARD = "card"
    BACKEND = "backend"


class Frozen(msgspec.Struct, frozen=True, array_like=True):
    """A frozen value that can cross the socket pair between front and core."""


class Identity(Frozen, frozen=True):
    """Names a request for ever: who asked, on which business date, under which number."""

    terminal: TerminalId
    business_date: BusinessDate
    stan: int


class PeerIdentity(Frozen, frozen=True):
    """The holder of a verified individual certificate.

    `name` is the terminal's, card's or backend's name; `shop` is empty unless the holder is
    a POS; `serial` is the certificate's serial number in lower-case hexadecimal.
    """

    role: DeviceRole
    name: str
    serial: str
    shop: str = ""
    model: str = ""


class Secret(Frozen, frozen=True):
    """Base of values that bear a secret: the repr says so and nothing more."""

    def __repr__(self) -> str:
        """Return the class name alone."""
        return f"<{type(self).__name__} redacted>"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show nothing to rich either, which asks msgspec's own method otherwise."""
        return []


class PinMaterial(Secret, frozen=True):
    """An ISO 9564-1 format 4 PIN block (16 bytes) and the session key that opens it."""

    key: bytes
    block: bytes


class TrackTwo(Secret, frozen=True):
    """Track 2 as read (ISO/IEC 7813), without sentinels and LRC: PAN=YYMMSSSdiscretionary."""

    text: str


class Result(StrEnum):
    """The four outcomes that a terminal may be told; an unknown one counts as declined."""

    APPROVED = "approved"
    PARTIAL = "partial"
    DECLINED = "declined"
    REVERSED = "reversed"


class ResponseCode(StrEnum):
    """ISO 8583 field 39 values in use."""

    APPROVED = "00"
    INVALID_MERCHANT = "03"
    DO_NOT_HONOUR = "05"
    PARTIAL_APPROVAL = "10"
    INVALID_TRANSACTION = "12"
    INVALID_AMOUNT = "13"
    INVALID_CARD = "14"
    RECORD_NOT_FOUND = "25"
    FORMAT_ERROR = "30"
    SUSPECTED_FRAUD = "34"
    NOT_SUPPORTED = "40"
    LOST_CARD = "41"
    STOLEN_CARD = "43"
    INSUFFICIENT_FUNDS = "51"
    EXPIRED_CARD = "54"
    WRONG_PIN = "55"
    NOT_PERMITTED_TO_CARDHOLDER = "57"
    NOT_PERMITTED_TO_TERMINAL = "58"
    OVER_AMOUNT_LIMIT = "61"
    RESTRICTED_CARD = "62"
    SECURITY_VIOLATION = "63"
    OVER_COUNT_LIMIT = "65"
    LATE_RESPONSE = "68"
    PIN_TRIES_EXCEEDED = "75"
    CRYPTOGRAPHIC_FAILURE = "88"
    CUT_OVER = "90"
    ISSUER_UNAVAILABLE = "91"
    CANNOT_ROUTE = "92"
    DUPLICATE = "94"
    OUT_OF_BALANCE = "95"
    SYSTEM_ERROR = "96"


#: Codes that settle nothing: a terminal that receives one reverses.
NEVER_FINAL: Final = frozenset({ResponseCode.ISSUER_UNAVAILABLE, ResponseCode.SYSTEM_ERROR})


class ItemKind(StrEnum):
    """What an item of a terminal's batch is."""

    PURCHASE = "purchase"
    COMPLETION = "completion"
    REFUND = "refund"


class ItemState(StrEnum):
    """What has become of an item."""

    STANDS = "stands"
    REVERSED = "reversed"
    VOIDED = "voided"


class BatchItem(Frozen, frozen=True):
    """A request that moved money, as one side has it; `amount` is minor units, kept also when it was taken back."""

    business_date: BusinessDate
    stan: int
    kind: ItemKind
    state: ItemState
    amount: int
    rrn: str

    @property
    def name(self) -> tuple[str, int]:
        """What tells a terminal's items apart."""
        return self.business_date, self.stan


class Why(StrEnum):
    """How two sides differ about an item."""

    MISSING_AT_HOST = "missing-at-host"
    MISSING_AT_TERMINAL = "missing-at-terminal"
    KIND = "kind"
    AMOUNT = "amount"
    STATE = "state"
    CLOSED_BEFORE = "closed-before"


class Difference(Frozen, frozen=True):
    """An item about which two sides differ, as each of them has it; None where a side has none."""

    why: Why
    terminal: BatchItem | None
    host: BatchItem | None
