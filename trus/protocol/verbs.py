"""Lists every line of the device protocol: who says it, when, with which fields, how sealed.

Decides nothing: the parser (trus.protocol.table), the tables of docs/protocol.md and the
grammar's field rules are made from this one list. Fields stand on the wire in the order in
which they stand here; a later version appends. An unknown field is ignored in INFO and
refused in DATA and COMMAND.
"""

from __future__ import annotations

from typing import Final

from trus.protocol import fields as f
from trus.protocol.spec import Cover, FieldSpec, Kind, Need, VerbSpec
from trus.protocol.verbs_certificates import CERTIFICATES
from trus.protocol.verbs_network import NETWORK
from trus.protocol.verbs_parts import INITIATOR, RESPONDER, TICKET, may
from trus.protocol.verbs_payments import PAYMENTS
from trus.protocol.verbs_receipts import RECEIPTS

_HANDSHAKE: Final = (
    VerbSpec(
        Kind.COMMAND,
        "AUTHENTICATE",
        INITIATOR,
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
            may("ticket", f.BLOB, "mode resume: a ticket of an earlier session"),
            may("binder", f.DIGEST, "mode resume: proof of the ticket's secret, always last"),
        ),
        (),
        "Message 1: open a session.",
        together=("ticket", "binder"),
    ),
    VerbSpec(
        Kind.DATA,
        "AUTHENTICATE",
        RESPONDER,
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
            may("chain", f.CHAIN, "the responder's certificates; absent in mode resume"),
            may("staple", f.BLOB, "DER OCSP response for the leaf (RFC 6960)"),
            may("signature", f.BLOB, "DER ECDSA signature; absent in mode resume"),
            FieldSpec("mac", f.DIGEST, "the responder's proof of the keys"),
        ),
        "Message 2: the responder proves itself.",
    ),
    VerbSpec(
        Kind.DATA,
        "AUTHENTICATE",
        INITIATOR,
        Cover.SEALED,
        None,
        Need.MUST,
        Need.NEVER,
        (),
        (
            may("chain", f.CHAIN, "the initiator's certificates; modes full and device"),
            may("role", f.WORD, "mode enrol: the role asked for, pos or card"),
            may("name", f.NAME, "mode enrol: the name asked for"),
            may("csr", f.BLOB, "mode enrol: DER PKCS#10 request (RFC 2986)"),
            may("code", f.ACTIVATION, "mode enrol: the activation code"),
            may("birth", f.WORD, "mode enrol: backend, when the backend shall make the key pair; then without csr"),
            may("binding", f.DIGEST, "RFC 9266 exporter value of the initiator's TLS connection"),
            may("signature", f.BLOB, "DER ECDSA signature; absent in mode resume"),
            FieldSpec("mac", f.DIGEST, "the initiator's proof of the keys"),
        ),
        "Message 3: the initiator proves itself.",
    ),
    VerbSpec(
        Kind.INFO,
        "AUTHENTICATED",
        RESPONDER,
        Cover.SEALED,
        None,
        Need.MUST,
        Need.NEVER,
        (),
        (
            may("date", f.DATE, "the open business date; absent in mode device"),
            may("currency", f.CURRENCY, "the terminal's currency"),
            may("pin", f.WORD, "always: every purchase needs a PIN; policy: the backend asks when"),
            FieldSpec("dialogues", f.COUNT, "most dialogues open at once in one direction"),
            FieldSpec("idle", f.COUNT, "seconds of silence after which the session ends"),
            may("epoch", f.COUNT, "how often the ledger was restored from a backup; absent: never"),
            may("advice-key", f.SHARE, "the public key that the stripes of advices are sealed to"),
            *TICKET,
            may("chain", f.CHAIN, "mode enrol: the certificate issued"),
            may("p12", f.BLOB, "mode enrol, birth at the backend: key pair and certificates, PKCS#12 (RFC 7292)"),
            may("passphrase", f.PASSPHRASE, "of p12; there whenever p12 is"),
        ),
        "Message 4: the session is open; in mode enrol, here is the certificate.",
        together=("ticket", "lifetime"),
    ),
    VerbSpec(
        Kind.COMMAND,
        "REKEY",
        INITIATOR,
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
        RESPONDER,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.NEVER,
        (),
        (
            FieldSpec("share", f.SHARE, "a fresh X25519 public key"),
            FieldSpec("nonce", f.NONCE, "a fresh nonce"),
            *TICKET,
        ),
        "New keys; the responder's next line is under them.",
        together=("ticket", "lifetime"),
    ),
    VerbSpec(
        Kind.INFO,
        "REKEYED",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.NEVER,
        (),
        (),
        "The initiator's next line is under the new keys.",
    ),
)

#: Every line of version 1 of the device protocol.
VERBS: Final[tuple[VerbSpec, ...]] = (*_HANDSHAKE, *PAYMENTS, *RECEIPTS, *CERTIFICATES, *NETWORK)

#: The version and the suite of this list.
VERSION: Final = 1
SUITE: Final = 1
