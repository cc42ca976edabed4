"""Gives each field of a line its form on the wire: an octet pattern, an ABNF rule, a bound.

Converts amounts, trace numbers and octets between wire and program; refuses every digit
that is not ASCII and every spelling but the canonical one.
Specification: docs/protocol.md, "Types of fields".
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from trus.money import AmountError
from trus.money import format_amount as _format_money
from trus.money import parse_amount as _parse_money
from trus.money import parse_sum as _parse_sum
from trus.protocol import grammar
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.values import MAX_STAN


class FieldType(NamedTuple):
    """A form of value: its octet pattern and the same as ABNF.

    `text` says that the value may be quoted, so that it must be decoded and encoded.
    """

    name: str
    pattern: bytes
    abnf: str
    meaning: str
    text: bool = False


_B64_ABNF: Final = "b64char"
_TCHAR: Final = rb"[A-Za-z0-9._~:/+=@,*-]"


def _octets(name: str, size: int, meaning: str) -> FieldType:
    """Return the type of exactly `size` octets (no multiple of 3) in canonical base64url."""
    length = (size * 8 + 5) // 6
    last = {1: "AQgw", 2: "AEIMQUYcgkosw048"}[size % 3]
    ends = " / ".join(f'%s"{character}"' for character in last)
    pattern = b"[A-Za-z0-9_-]{%d}[%b]" % (length - 1, last.encode())
    return FieldType(name, pattern, f"{length - 1}b64char ( {ends} )", meaning)


def _text(name: str, longest: int, meaning: str) -> FieldType:
    """Return the type of free text of at most `longest` characters."""
    pattern = rb'(?:%b{1,%d}+|"%b{0,%d}")' % (_TCHAR, longest, grammar.QCHAR, longest)
    abnf = f"1*{longest}tchar / DQUOTE *{longest}qchar DQUOTE"
    return FieldType(name, pattern, abnf, meaning, text=True)


LABEL: Final = FieldType("label", grammar.LABEL, "16b64char", "96 random bits, the session's name")
DIALOGUE: Final = FieldType(
    "dialogue",
    grammar.DIALOGUE,
    '( %s"c" / %s"s" ) %x31-39 *8DIGIT',
    "c and a number when the initiator opened it, s when the responder did",
)
WORD: Final = FieldType("word", grammar.NAME, "field-name", "one lower-case word")
NAME: Final = FieldType(
    "name", rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}+", 'alnum *63( alnum / "." / "_" / "-" )', "the name of a party"
)
FLAG: Final = FieldType("flag", rb"yes", '%s"yes"', "yes, or the field is absent")
STAN: Final = FieldType("stan", rb"[0-9]{6}", "6DIGIT", "systems trace audit number, ISO 8583 field 11")
AMOUNT: Final = FieldType(
    "amount",
    rb"(?:0|[1-9][0-9]{0,11}+)(?:\.[0-9]{1,3}+)?",
    '( "0" / %x31-39 *11DIGIT ) [ "." 1*3DIGIT ]',
    "an amount with exactly the currency's decimals, such as 12.50",
)
SUM: Final = FieldType(
    "sum",
    rb"(?:0|[1-9][0-9]{0,17}+)(?:\.[0-9]{1,3}+)?",
    '( "0" / %x31-39 *17DIGIT ) [ "." 1*3DIGIT ]',
    "amounts added up, with exactly the currency's decimals, of at most 18 digits in all",
)
CURRENCY: Final = FieldType("currency", rb"[A-Z]{3}", "3UPPER", "ISO 4217 alphabetic code")
DATE: Final = FieldType(
    "date",
    rb"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])",
    '4DIGIT "-" ( "0" %x31-39 / "1" %x30-32 ) "-" ( "0" %x31-39 / %x31-32 DIGIT / "3" %x30-31 )',
    "a business date, YYYY-MM-DD",
)
COUNT: Final = FieldType("count", rb"(?:0|[1-9][0-9]{0,8}+)", '"0" / %x31-39 *8DIGIT', "a number, no leading zero")
CODE: Final = FieldType("code", rb"[0-9]{2}", "2DIGIT", "response code, ISO 8583 field 39")
APPROVAL: Final = FieldType("approval", rb"[A-Z0-9]{6}", "6( UPPER / DIGIT )", "approval code, ISO 8583 field 38")
RRN: Final = FieldType("rrn", rb"[A-Z0-9]{12}", "12( UPPER / DIGIT )", "retrieval reference, ISO 8583 field 37")
READING: Final = FieldType(
    "reading",
    rb"[1-9][0-9]{0,14}+",
    "%x31-39 *14DIGIT",
    "number of a reading of a stripe, higher each time",
)
TRACK2: Final = FieldType(
    "track2",
    rb"[0-9]{8,19}+=[0-9=]{1,28}+",
    '8*19DIGIT "=" 1*28( DIGIT / "=" )',
    "track 2 without sentinels and LRC, ISO/IEC 7813",
)
RID: Final = _octets("rid", 16, "16 random octets, the device's own name of a request")
BLOCK: Final = _octets("block", 16, "ISO 9564-1 format 4 PIN block under the session's PIN key")
NONCE: Final = _octets("nonce", 16, "16 random octets")
SHARE: Final = _octets("share", 32, "an X25519 public key (RFC 7748)")
DIGEST: Final = _octets("digest", 32, "32 octets: HMAC-SHA-256 or an exporter value")
BLOB: Final = FieldType(
    "blob", rb"[A-Za-z0-9_-]{2,6000}+", "2*6000b64char", "octets in base64url (RFC 4648 section 5), not padded"
)
CHAIN: Final = FieldType(
    "chain",
    rb"[A-Za-z0-9_-]{2,6000}+(?:,[A-Za-z0-9_-]{2,6000}+){0,3}",
    '2*6000b64char *3( "," 2*6000b64char )',
    "DER certificates in base64url, leaf first, without the root",
)
VERSIONS: Final = FieldType(
    "versions",
    rb"[1-9][0-9]{0,2}+(?:,[1-9][0-9]{0,2}+){0,7}",
    '%x31-39 *2DIGIT *7( "," %x31-39 *2DIGIT )',
    "numbers offered, the preferred one first",
)
NUMBER: Final = FieldType("number", rb"[1-9][0-9]{0,2}+", "%x31-39 *2DIGIT", "a version or a suite")
FORMAT: Final = FieldType("format", rb"4", '"4"', "PIN block format of ISO 9564-1")
ACTIVATION: Final = FieldType(
    "activation", rb"[A-Za-z0-9-]{16,64}+", '16*64( alnum / "-" )', "a one-time code of at least 100 bits"
)
PASSPHRASE: Final = FieldType(
    "passphrase", rb"[A-Za-z0-9]{26,64}+", "26*64alnum", "a passphrase of at least 128 random bits"
)
TEXT: Final = _text("text", 255, "a line for a person, at most 255 characters")
RECEIPT: Final = _text("receipt", 2000, "lines of a receipt, parted by |, at most 2,000 characters")

PROOF: Final = FieldType(
    "proof",
    rb"[1-9][0-9]{0,4}+-[1-9][0-9]{0,14}+-[0-9A-F]{32}",
    '%x31-39 *4DIGIT "-" %x31-39 *14DIGIT "-" 32( DIGIT / %x41-46 )',
    "place and mark of an answer in the journal: slot, sequence, 16 octets in hexadecimal",
)

#: Of a trace number.
STAN_DIGITS: Final = 6

#: In one line, so that it stays below the longest; sealed and in base64 an item is 70 octets.
MAX_ITEMS_A_LINE: Final = 64
MAX_DIFFERENCES_A_LINE: Final = 24
#: One item of a batch, and one difference about an item.
ITEM: Final = (
    rb"[0-9]{6}:[0-9]{4}-[0-9]{2}-[0-9]{2}:(?:purchase|completion|refund):(?:stands|reversed|voided)"
    rb":(?:0|[1-9][0-9]{0,11}+)(?:\.[0-9]{1,3}+)?:[A-Z0-9]{12}"
)
_ITEM_ABNF: Final = (
    '6DIGIT ":" 4DIGIT "-" 2DIGIT "-" 2DIGIT ":" ( %s"purchase" / %s"completion" / %s"refund" ) ":" '
    '( %s"stands" / %s"reversed" / %s"voided" ) ":" ( "0" / %x31-39 *11DIGIT ) [ "." 1*3DIGIT ] ":" '
    "12( UPPER / DIGIT )"
)
_WHY: Final = rb"(?:missing-at-(?:host|terminal)|kind|amount|state|closed-before)"
_WHY_ABNF: Final = (
    '( %s"missing-at-host" / %s"missing-at-terminal" / %s"kind" / %s"amount" / %s"state" / %s"closed-before" )'
)
DIFFERENCE: Final = rb"%b/(?:-|%b)/(?:-|%b)" % (_WHY, ITEM, ITEM)
_SIDES_ABNF: Final = f'"/" ( "-" / {_ITEM_ABNF} ) "/" ( "-" / {_ITEM_ABNF} )'
ITEMS: Final = FieldType(
    "items",
    rb"%b(?:,%b){0,%d}" % (ITEM, ITEM, MAX_ITEMS_A_LINE - 1),
    f'{_ITEM_ABNF} *{MAX_ITEMS_A_LINE - 1}( "," {_ITEM_ABNF} )',
    "items of a batch: trace number, date, kind, state, amount, retrieval reference",
)
DIFFERENCES: Final = FieldType(
    "differences",
    rb"%b(?:,%b){0,%d}" % (DIFFERENCE, DIFFERENCE, MAX_DIFFERENCES_A_LINE - 1),
    f'{_WHY_ABNF} {_SIDES_ABNF} *{MAX_DIFFERENCES_A_LINE - 1}( "," {_WHY_ABNF} {_SIDES_ABNF} )',
    "items about which two sides differ: how, the terminal's item, the backend's; - where a side has none",
)

#: Every type, in the order in which the specification lists them.
TYPES: Final[tuple[FieldType, ...]] = (
    LABEL,
    DIALOGUE,
    WORD,
    NAME,
    FLAG,
    STAN,
    AMOUNT,
    SUM,
    CURRENCY,
    DATE,
    COUNT,
    CODE,
    APPROVAL,
    RRN,
    TRACK2,
    READING,
    RID,
    BLOCK,
    NONCE,
    SHARE,
    DIGEST,
    BLOB,
    CHAIN,
    VERSIONS,
    NUMBER,
    FORMAT,
    ACTIVATION,
    PASSPHRASE,
    TEXT,
    RECEIPT,
    ITEMS,
    DIFFERENCES,
    PROOF,
)

_COUNT: Final = re.compile(r"(?:0|[1-9][0-9]{0,8})", re.ASCII)


def parse_amount(text: str, currency: str) -> int:
    """Return "12.50" as integer minor units of `currency`.

    Raises RemoteProtocolError (bad-field) for other decimals than the currency's.
    """
    try:
        return _parse_money(text, currency)
    except AmountError:
        raise RemoteProtocolError(ErrorCode.BAD_FIELD, "amount") from None


def parse_sum(text: str, currency: str) -> int:
    """Return amounts added up, as `parse_amount` does. Raises RemoteProtocolError (bad-field)."""
    try:
        return _parse_sum(text, currency)
    except AmountError:
        raise RemoteProtocolError(ErrorCode.BAD_FIELD, "sum") from None


def format_amount(minor: int, currency: str) -> str:
    """Return integer minor units as "12.50". Raises LocalProtocolError for a negative one."""
    if minor < 0:
        raise LocalProtocolError("no amount on the wire is negative")
    try:
        return _format_money(minor, currency)
    except AmountError:
        raise LocalProtocolError("a currency that the network does not use") from None


def parse_stan(text: str) -> int:
    """Return six ASCII digits as a number. Raises RemoteProtocolError (bad-field)."""
    if len(text) != STAN_DIGITS or not (text.isascii() and text.isdigit()):
        raise RemoteProtocolError(ErrorCode.BAD_FIELD, "stan")
    return int(text)


def format_stan(number: int) -> str:
    """Return a trace number as six digits. Raises LocalProtocolError outside 0 to 999,999."""
    if not 0 <= number <= MAX_STAN:
        raise LocalProtocolError("a trace number has six digits")
    return f"{number:06d}"


def parse_count(text: str) -> int:
    """Return a number without leading zeros. Raises RemoteProtocolError (bad-field)."""
    if _COUNT.fullmatch(text) is None:
        raise RemoteProtocolError(ErrorCode.BAD_FIELD, "count")
    return int(text)


def format_octets(data: bytes) -> str:
    """Return octets (a rid, a PIN block, a certificate) as they stand on the wire."""
    return grammar.encode_base64url(data).decode("ascii")


def parse_octets(text: str) -> bytes:
    """Return the octets of a base64url value. Raises RemoteProtocolError (bad-field)."""
    # What is not ASCII becomes an octet that no alphabet has.
    return grammar.decode_base64url(text.encode("ascii", "replace"))
