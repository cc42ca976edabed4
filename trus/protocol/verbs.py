"""Lists every line of the device protocol: who says it, when, with which fields, how sealed.

Decides nothing: the parser (trus.protocol.table), the tables of docs/protocol.md and the
grammar's field rules are made from this one list. Fields stand on the wire in the order in
which they stand here; a later version appends. An unknown field is ignored in INFO and
refused in DATA and COMMAND.
"""

from __future__ import annotations

from typing import Final

from trus.protocol import fields as f
from trus.protocol.fields import FieldType
from trus.protocol.spec import Cover, FieldSpec, Kind, Need, Side, VerbSpec


def _may(name: str, kind: FieldType, meaning: str) -> FieldSpec:
    return FieldSpec(name, kind, meaning, Need.MAY)


_I: Final = (Side.INITIATOR,)
_R: Final = (Side.RESPONDER,)
_BOTH: Final = (Side.INITIATOR, Side.RESPONDER)
_ANY: Final = (Side.INITIATOR, Side.RESPONDER, Side.GATEWAY)

_STAN: Final = FieldSpec("stan", f.STAN, "trace number of this request")
_DATE: Final = FieldSpec("date", f.DATE, "business date of this request, as announced")
_AMOUNT: Final = FieldSpec("amount", f.AMOUNT, "amount asked for")
_CURRENCY: Final = FieldSpec("currency", f.CURRENCY, "currency of the amount")
_REPEAT: Final = _may("repeat", f.FLAG, "this identity was sent before")
_RID: Final = FieldSpec("rid", f.RID, "random name of this request, stored before it is sent")
_TRACK2: Final = FieldSpec("track2", f.TRACK2, "the card's stripe")
_PIN: Final = _may("pin", f.BLOCK, "the PIN block, when a PIN is known to be needed")
_FORMAT: Final = _may("format", f.FORMAT, "the PIN block's format; there whenever pin is")
_ENTRY: Final = _may("entry", f.WORD, "how the card was read: stripe, manual, phone")
_ORIGINAL: Final = (
    FieldSpec("original-stan", f.STAN, "trace number of the request taken back"),
    FieldSpec("original-date", f.DATE, "business date of the request taken back"),
    FieldSpec("original-rid", f.RID, "rid of the request taken back"),
)
#: What the terminal knows of an earlier purchase beside its reference; checked when it is there.
_NAMED: Final = (
    _may("original-stan", f.STAN, "trace number of the purchase"),
    _may("original-date", f.DATE, "business date of the purchase"),
    _may("original-rid", f.RID, "rid of the purchase"),
)
_TICKET: Final = (
    _may("ticket", f.BLOB, "opaque; resumes this session later"),
    _may("lifetime", f.COUNT, "seconds until the ticket ends"),
)
_TOTALS: Final = (
    FieldSpec("purchase-count", f.COUNT, "approved purchases of the batch"),
    FieldSpec("purchase-amount", f.AMOUNT, "their sum"),
    FieldSpec("reversal-count", f.COUNT, "reversals of the batch"),
    FieldSpec("reversal-amount", f.AMOUNT, "their sum"),
    _may("refund-count", f.COUNT, "refunds of the batch"),
    _may("refund-amount", f.AMOUNT, "their sum"),
)

_HANDSHAKE: Final = (
    VerbSpec(
        Kind.COMMAND,
        "AUTHENTICATE",
        _I,
        Cover.CLEAR,
        None,
        Need.MUST,
        Need.NEVER,
        (
            FieldSpec("to", f.NAME, "whom to reach: backend, or a terminal's name in mode device"),
            FieldSpec("versions", f.VERSIONS, "versions offered"),
            FieldSpec("suites", f.VERSIONS, "suites offered"),
            FieldSpec("mode", f.WORD, "full, resume, enrol or device"),
            FieldSpec("share", f.SHARE, "the initiator's X25519 public key"),
            FieldSpec("nonce", f.NONCE, "the initiator's nonce"),
            _may("ticket", f.BLOB, "mode resume: a ticket of an earlier session"),
            _may("binder", f.DIGEST, "mode resume: proof of the ticket's secret, always last"),
        ),
        (),
        "Message 1: open a session.",
        together=("ticket", "binder"),
    ),
    VerbSpec(
        Kind.DATA,
        "AUTHENTICATE",
        _R,
        Cover.SEALED,
        None,
        Need.MUST,
        Need.NEVER,
        (
            FieldSpec("version", f.NUMBER, "version chosen"),
            FieldSpec("suite", f.NUMBER, "suite chosen"),
            FieldSpec("share", f.SHARE, "the responder's X25519 public key"),
            FieldSpec("nonce", f.NONCE, "the responder's nonce"),
        ),
        (
            _may("chain", f.CHAIN, "the responder's certificates; absent in mode resume"),
            _may("staple", f.BLOB, "DER OCSP response for the leaf (RFC 6960)"),
            _may("signature", f.BLOB, "DER ECDSA signature; absent in mode resume"),
            FieldSpec("mac", f.DIGEST, "the responder's proof of the keys"),
        ),
        "Message 2: the responder proves itself.",
    ),
    VerbSpec(
        Kind.DATA,
        "AUTHENTICATE",
        _I,
        Cover.SEALED,
        None,
        Need.MUST,
        Need.NEVER,
        (),
        (
            _may("chain", f.CHAIN, "the initiator's certificates; modes full and device"),
            _may("role", f.WORD, "mode enrol: the role asked for, pos or card"),
            _may("name", f.NAME, "mode enrol: the name asked for"),
            _may("csr", f.BLOB, "mode enrol: DER PKCS#10 request (RFC 2986)"),
            _may("code", f.ACTIVATION, "mode enrol: the activation code"),
            _may("binding", f.DIGEST, "RFC 9266 exporter value of the initiator's TLS connection"),
            _may("signature", f.BLOB, "DER ECDSA signature; absent in mode resume"),
            FieldSpec("mac", f.DIGEST, "the initiator's proof of the keys"),
        ),
        "Message 3: the initiator proves itself.",
    ),
    VerbSpec(
        Kind.INFO,
        "AUTHENTICATED",
        _R,
        Cover.SEALED,
        None,
        Need.MUST,
        Need.NEVER,
        (),
        (
            _may("date", f.DATE, "the open business date; absent in mode device"),
            _may("currency", f.CURRENCY, "the terminal's currency"),
            _may("pin", f.WORD, "always: every purchase needs a PIN; policy: the backend asks when"),
            FieldSpec("dialogues", f.COUNT, "most dialogues open at once in one direction"),
            FieldSpec("idle", f.COUNT, "seconds of silence after which the session ends"),
            *_TICKET,
            _may("chain", f.CHAIN, "mode enrol: the certificate issued"),
        ),
        "Message 4: the session is open; in mode enrol, here is the certificate.",
        together=("ticket", "lifetime"),
    ),
    VerbSpec(
        Kind.COMMAND,
        "REKEY",
        _I,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.NEVER,
        (),
        (
            FieldSpec("share", f.SHARE, "a fresh X25519 public key"),
            FieldSpec("nonce", f.NONCE, "a fresh nonce"),
        ),
        "Resume in place: ask for new keys.",
    ),
    VerbSpec(
        Kind.DATA,
        "REKEY",
        _R,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.NEVER,
        (),
        (
            FieldSpec("share", f.SHARE, "a fresh X25519 public key"),
            FieldSpec("nonce", f.NONCE, "a fresh nonce"),
            *_TICKET,
        ),
        "New keys; the responder's next line is under them.",
        together=("ticket", "lifetime"),
    ),
    VerbSpec(
        Kind.INFO,
        "REKEYED",
        _I,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.NEVER,
        (),
        (),
        "The initiator's next line is under the new keys.",
    ),
)

_PURCHASE: Final = (
    VerbSpec(
        Kind.COMMAND,
        "PROCESS",
        _I,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (
            _STAN,
            _AMOUNT,
            _CURRENCY,
            _DATE,
            _may("partial", f.FLAG, "a part of the amount is welcome when the purse holds less"),
            _REPEAT,
        ),
        (_RID, _TRACK2, _PIN, _FORMAT, _ENTRY),
        "Pay this amount from that card.",
        together=("pin", "format"),
    ),
    VerbSpec(
        Kind.COMMAND,
        "PRESENT-PIN",
        _R,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (_may("tries", f.COUNT, "tries left, only after a wrong PIN"),),
        "Ask the cardholder for the PIN.",
    ),
    VerbSpec(
        Kind.DATA,
        "PIN-BLOCK",
        _I,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (FieldSpec("format", f.FORMAT, "the PIN block's format"),),
        (FieldSpec("block", f.BLOCK, "the PIN block under the session's PIN key"),),
        "The PIN that was asked for.",
    ),
    VerbSpec(
        Kind.COMMAND,
        "BALANCE",
        _I,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (_STAN, _DATE, _REPEAT),
        (_RID, _TRACK2, _PIN, _FORMAT, _ENTRY),
        "Say what the card's purse holds.",
        together=("pin", "format"),
    ),
    VerbSpec(
        Kind.COMMAND,
        "REVERSE",
        _I,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (_STAN, _AMOUNT, _CURRENCY, _DATE, _REPEAT),
        (_RID, *_ORIGINAL, FieldSpec("reason", f.WORD, "timeout, customer or system")),
        "Take back a request, whether or not it ever arrived.",
    ),
    VerbSpec(
        Kind.COMMAND,
        "REFUND",
        _I,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (_STAN, _AMOUNT, _CURRENCY, _DATE, _REPEAT),
        (
            _RID,
            FieldSpec("original-rrn", f.RRN, "retrieval reference of the purchase"),
            _may(*_TRACK2[:3]),
            *_NAMED,
        ),
        "Give back money of a purchase.",
        together=("original-stan", "original-date", "original-rid"),
    ),
    VerbSpec(
        Kind.COMMAND,
        "CLOSE-BATCH",
        _I,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (_STAN, _CURRENCY, _DATE, _REPEAT),
        (_RID, *_TOTALS),
        "Compare the terminal's totals with the backend's and close its batch.",
        together=("refund-count", "refund-amount"),
    ),
    VerbSpec(
        Kind.INFO,
        "RESULT",
        _R,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (
            FieldSpec("result", f.WORD, "approved, partial, declined or reversed; any other counts as declined"),
            FieldSpec("code", f.CODE, "response code"),
            _may("approval", f.APPROVAL, "approval code"),
            _may("rrn", f.RRN, "retrieval reference of the transaction"),
        ),
        (
            _may("amount", f.AMOUNT, "amount authorized or taken back"),
            _may("balance", f.AMOUNT, "what the purse holds afterwards"),
            _may("currency", f.CURRENCY, "currency of these amounts"),
            _may("tries", f.COUNT, "PIN tries left, only after a wrong PIN"),
            _may("balanced", f.WORD, "CLOSE-BATCH: yes when the totals agree, else no"),
            *(_may(*total[:3]) for total in _TOTALS),
            _may("text", f.TEXT, "a line for the terminal's screen"),
            _may("receipt", f.RECEIPT, "lines for the receipt"),
        ),
        "The answer, stored before it is said.",
    ),
    VerbSpec(
        Kind.INFO,
        "COMPLETE",
        _I,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (),
        "The answer arrived: the dialogue is closed. Its absence never moves money.",
    ),
)

_NETWORK: Final = (
    VerbSpec(
        Kind.COMMAND,
        "ECHO",
        _BOTH,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (),
        "Are you there?",
    ),
    VerbSpec(Kind.INFO, "ECHO", _BOTH, None, Cover.SEALED, Need.MUST, Need.MUST, (), (), "I am here."),
    VerbSpec(
        Kind.INFO,
        "DAY",
        _R,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.NEVER,
        (),
        (FieldSpec("date", f.DATE, "the business date that is open from now on"),),
        "A new business date is open.",
    ),
    VerbSpec(
        Kind.INFO,
        "NOTICE",
        (Side.GATEWAY,),
        Cover.CLEAR,
        Cover.CLEAR,
        Need.MAY,
        Need.NEVER,
        (
            FieldSpec("code", f.WORD, "backend-lost, unreachable, unknown-session, slow-down, going-down"),
            _may("text", f.TEXT, "a line for a person"),
        ),
        (),
        "A word from the gateway; it changes no transaction.",
    ),
    VerbSpec(
        Kind.INFO,
        "ERROR",
        _ANY,
        Cover.CLEAR,
        Cover.SEALED,
        Need.MAY,
        Need.MAY,
        (FieldSpec("code", f.WORD, "what was wrong, see Error codes"),),
        (),
        "The line that this answers was not accepted; a dialogue that it names is over.",
    ),
    VerbSpec(
        Kind.INFO,
        "BYE",
        _ANY,
        Cover.CLEAR,
        Cover.SEALED,
        Need.MAY,
        Need.NEVER,
        (_may("reason", f.WORD, "done, idle, restart, replaced, standing"),),
        (),
        "The session (or, without s, the connection) is over; nothing follows.",
    ),
)

#: Every line of version 1 of the device protocol.
VERBS: Final[tuple[VerbSpec, ...]] = (*_HANDSHAKE, *_PURCHASE, *_NETWORK)

#: The version and the suite of this list.
VERSION: Final = 1
SUITE: Final = 1
