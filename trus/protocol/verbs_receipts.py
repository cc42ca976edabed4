"""Lists the lines by which a terminal has an answer of its own proved (docs/protocol.md, "Receipts").

Decides nothing (trus.protocol.verbs).
"""

from __future__ import annotations

from typing import Final

from trus.protocol import fields as f
from trus.protocol.spec import Cover, FieldSpec, Kind, Need, VerbSpec
from trus.protocol.verbs_parts import INITIATOR, RESPONDER, may

RECEIPTS: Final = (
    VerbSpec(
        Kind.COMMAND,
        "PROVE",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (
            FieldSpec("proof", f.PROOF, "the proof code of an answer"),
            may("since", f.COUNT, "number of a signed head that the terminal has kept"),
        ),
        "Prove that the journal holds this answer.",
    ),
    VerbSpec(
        Kind.DATA,
        "PROOF",
        RESPONDER,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (
            FieldSpec("statement", f.BLOB, "what the journal says of the answer, MessagePack"),
            FieldSpec("previous", f.DIGEST, "the link before"),
            FieldSpec("rest", f.DIGEST, "digest of what the terminal may not know"),
            may("path", f.BLOB, "the path to the head, hashes of 32 octets, the leaf's neighbour first"),
            FieldSpec("head", f.BLOB, "the newest signed head: its document"),
            FieldSpec("signature", f.BLOB, "its signature, DER ECDSA with SHA-256"),
            may("older", f.BLOB, "since: the document of that head"),
            may("older-signature", f.BLOB, "its signature"),
            may("consistency", f.BLOB, "since: the proof that the newest head continues it, hashes of 32 octets"),
        ),
        "The proof. INFO RESULT instead, with code 25: there is no such answer; 12: no head covers it yet, ask again.",
        together=("older", "older-signature"),
    ),
)
