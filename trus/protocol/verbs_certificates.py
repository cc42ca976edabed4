"""Lists the lines about certificates inside a session: renewal, the channel's, and what the directory knows.

Decides nothing (trus.protocol.verbs).
"""

from __future__ import annotations

from typing import Final

from trus.protocol import fields as f
from trus.protocol.spec import Cover, FieldSpec, Kind, Need, VerbSpec
from trus.protocol.verbs_parts import INITIATOR, RESPONDER, may

#: Most octets of a list in one DATA CRL: sealed and in base64 twice they stay below the longest line.
MAX_LIST_PART_BYTES: Final = 4000

CERTIFICATES: Final = (
    VerbSpec(
        Kind.COMMAND,
        "RENEW",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (FieldSpec("csr", f.BLOB, "DER PKCS#10 request (RFC 2986) signed by the next key"),),
        "Give me my next certificate.",
    ),
    VerbSpec(
        Kind.COMMAND,
        "LOOKUP",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (
            FieldSpec("what", f.WORD, "certificate or list"),
            FieldSpec("by", f.WORD, "cert, subject, issuer, serial, key, uri, name; for a list also path"),
            FieldSpec("key", f.BLOB, "20 octets (RFC 4387 section 2.2), or the octets of a list's path"),
            may("offset", f.COUNT, "list: from which octet on, 0 unless told"),
        ),
        "Look something up in the certificate directory.",
    ),
    VerbSpec(
        Kind.DATA,
        "CERTIFICATE",
        RESPONDER,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (FieldSpec("chain", f.CHAIN, "RENEW: the certificate issued and its issuers; LOOKUP: those found"),),
        "The certificate that was asked for.",
    ),
    VerbSpec(
        Kind.DATA,
        "CRL",
        RESPONDER,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (
            FieldSpec("offset", f.COUNT, "where this part begins"),
            FieldSpec("total", f.COUNT, "octets of the whole list"),
            FieldSpec("part", f.BLOB, "at most 4,000 octets of the DER list (RFC 5280)"),
        ),
        "A part of the revocation list that was asked for; the device asks for the next one.",
    ),
    VerbSpec(
        Kind.COMMAND,
        "CHANNEL",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (FieldSpec("have", f.BLOB, "SHA-256 of the channel certificate (DER) that I hold"),),
        "Give me the channel bundle of my kind, if it is another one.",
    ),
    VerbSpec(
        Kind.DATA,
        "CHANNEL",
        RESPONDER,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (
            FieldSpec("p12", f.BLOB, "PKCS#12 (RFC 7292): the channel's key, certificate and authority"),
            FieldSpec("passphrase", f.PASSPHRASE, "of p12, drawn for this answer"),
        ),
        "The channel bundle; the former one is good for a while yet. Code 25 instead: there is no other.",
    ),
)
