"""Lists the words that the model takes from the protocol: messages, fields, labels, tags, states.

Holds no rule: the rules are built from these lists, and tests.proofs compares every list with
what trus.protocol says and with what real handshakes hash, so that a change of the protocol that the
model does not know fails a test.
Specification: docs/protocol.md, "The handshake".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from proofs.terms import Symbol, Term

#: Stands for a field that is not there.
NONE: Final = Term("none")


class Wire(NamedTuple):
    """A line: its two words, who says it, and its fields in the order of the wire."""

    head: str
    side: str
    clear: tuple[str, ...]
    sealed: tuple[str, ...]

    def part(self, which: str, fields: dict[str, Term]) -> Term:
        """Return the clear or sealed part with these fields, and without the others."""
        names = self.clear if which == "clear" else self.sealed
        if unknown := fields.keys() - set(names):
            raise TypeError(f"{self.head} has no {which} field {unknown}")
        return self.symbol(which)(*(fields.get(name, NONE) for name in names))

    def symbol(self, which: str) -> Symbol:
        """Return the function that stands for the clear or the sealed part."""
        names = self.clear if which == "clear" else self.sealed
        return Symbol(f"{which}_{self.head.replace(' ', '_').lower()}_{self.side}", len(names))

    def clear_part(self, **fields: Term) -> Term:
        """Return the clear part."""
        return self.part("clear", fields)

    def sealed_part(self, **fields: Term) -> Term:
        """Return the sealed part."""
        return self.part("sealed", fields)


MESSAGE_1: Final = Wire(
    "COMMAND AUTHENTICATE",
    "initiator",
    ("s", "to", "versions", "suites", "mode", "share", "nonce", "ticket", "binder"),
    (),
)
MESSAGE_2: Final = Wire(
    "DATA AUTHENTICATE",
    "responder",
    ("s", "version", "suite", "share", "nonce"),
    ("chain", "staple", "signature", "mac"),
)
MESSAGE_3: Final = Wire(
    "DATA AUTHENTICATE",
    "initiator",
    ("s",),
    ("chain", "role", "name", "csr", "code", "birth", "binding", "signature", "mac"),
)
MESSAGE_4: Final = Wire(
    "INFO AUTHENTICATED",
    "responder",
    ("s",),
    (
        "date",
        "currency",
        "pin",
        "dialogues",
        "idle",
        "epoch",
        "advice-key",
        "ticket",
        "lifetime",
        "chain",
        "p12",
        "passphrase",
    ),
)
REKEY_1: Final = Wire("COMMAND REKEY", "initiator", ("s",), ("share", "nonce"))
REKEY_2: Final = Wire("DATA REKEY", "responder", ("s",), ("share", "nonce", "ticket", "lifetime"))
REKEY_3: Final = Wire("INFO REKEYED", "initiator", ("s",), ())

HANDSHAKE: Final = (MESSAGE_1, MESSAGE_2, MESSAGE_3, MESSAGE_4)
REKEY: Final = (REKEY_1, REKEY_2, REKEY_3)

#: The states of a session as these lines move it, on both sides.
STATES: Final = ("idle", "asked", "answered", "proven", "sealed", "rekeying", "rekey-answered", "sealed")

MODES: Final = ("full", "device", "enrol", "resume")

#: Every label of the key schedule, and the transcript hash that it is expanded over.
LABELS: Final = {
    "binder": "",
    "derived": "",
    "responder proof key": "th2",
    "responder proof iv": "th2",
    "responder mac": "th2",
    "initiator proof key": "th3",
    "initiator proof iv": "th3",
    "initiator mac": "th3",
    "initiator key": "th4",
    "initiator iv": "th4",
    "responder key": "th4",
    "responder iv": "th4",
    "pin": "th4",
    "resumption": "th4",
}

#: Every tag of the hash H, and the most items that are hashed under it in one handshake of the model.
TAGS: Final = ("th1", "th2", "th3", "th4", "credential", "proof", "mac", "binder", "rekey")

#: The context string of a signature, by side.
CONTEXTS: Final = {side: f"trus 1, {side} signature" for side in ("initiator", "responder")}


def constant(words: str) -> Term:
    """Return the constant that stands for a label or a context string."""
    return Term("".join(c if c.isalnum() else "_" for c in words.lower()))
