"""Builds transcripts, keys and proofs as terms: trus.protocol.keyschedule for the prover.

Draws nothing and decides nothing. Each function has the name of what the specification derives; the
weakenings that touch a formula are here, where the formula is.
Specification: docs/protocol.md, "Keys".
"""

from __future__ import annotations

from typing import Final

from proofs.primitives import (
    ZEROS,
    agreements,
    binder_text,
    expand,
    extract,
    mac,
    mac_text,
    proof,
    seal,
    sign,
    th1,
    th2,
    th3,
    th4,
)
from proofs.terms import Term
from proofs.weakenings import Weak
from proofs.words import CONTEXTS, MESSAGE_1, NONE, constant

Weaknesses = frozenset[Weak]
SOUND: Final[Weaknesses] = frozenset()


class Schedule:
    """The formulas, with whatever is missing from them."""

    def __init__(self, weak: Weaknesses = SOUND) -> None:
        """`weak` lists the parts that are left out; none in the protocol as specified."""
        self.weak = weak

    # -------------------------------------------------------------------------------- transcripts

    def th1(self, **fields: Term) -> Term:
        """Return the hash of message 1."""
        if Weak.OFFERS in self.weak:
            fields = {name: term for name, term in fields.items() if name not in ("versions", "suites")}
        return th1(MESSAGE_1.clear_part(**fields))

    def th2(self, first: Term, clear: Term) -> Term:
        """Return the hash up to the clear part of message 2."""
        return th2(first, clear)

    def th3(self, second: Term, line: Term, shown: Term) -> Term:
        """Return the hash up to message 2 and the responder's credential."""
        return th3(second, line, NONE if Weak.CREDENTIALS in self.weak else shown)

    def th4(self, third: Term, line: Term, shown: Term) -> Term:
        """Return the hash up to message 3 and the initiator's credential."""
        return th4(third, line, NONE if Weak.CREDENTIALS in self.weak else shown)

    # --------------------------------------------------------------------------------------- keys

    def agreements(self, exponent: Term) -> tuple[tuple[Term, Term], ...]:
        """Return pairs of a share that may come and the secret that it makes with `exponent`."""
        return agreements(exponent, small=Weak.SMALL_SHARES in self.weak)

    def early(self, resumption: Term) -> Term:
        """Return what a ticket's secret gives before the agreement."""
        return extract(ZEROS, resumption)

    def secret(self, resumption: Term, agreed: Term) -> Term:
        """Return the secret from which a session's keys are expanded."""
        if Weak.TICKET_ALONE in self.weak and resumption != ZEROS:
            agreed = ZEROS
        return extract(expand(self.early(resumption), constant("derived"), NONE), agreed)

    def key(self, secret: Term, label: str, transcript: Term) -> Term:
        """Return the key (with its iv) of a label of the key schedule."""
        return expand(secret, constant(label), transcript)

    def direction(self, side: str, secret: Term, transcript: Term) -> Term:
        """Return the key of the records of one direction."""
        return self.key(secret, "initiator key" if Weak.ONE_KEY in self.weak else f"{side} key", transcript)

    def session_keys(self, secret: Term, fourth: Term) -> tuple[Term, ...]:
        """Return what a session keeps: the keys of both directions, the PIN key, the resumption secret."""
        directions = [self.direction(side, secret, fourth) for side in ("initiator", "responder")]
        return (*directions, *(self.key(secret, label, fourth) for label in ("pin", "resumption")))

    # ------------------------------------------------------------------------------------- proofs

    def signed(self, side: str, transcript: Term, shown: Term) -> Term:
        """Return the octets that a side signs."""
        context = constant(CONTEXTS["initiator" if Weak.SIDES in self.weak else side])
        if Weak.CONTEXT in self.weak:
            context = NONE
        if Weak.TRANSCRIPT in self.weak:
            transcript = NONE
        return proof(context, transcript, NONE if Weak.CREDENTIALS in self.weak else shown)

    def signature(self, note: Term, key: Term, signed: Term) -> Term:
        """Return a signature."""
        return sign(note, key, signed)

    def mac(self, note: Term, side: str, secret: Term, transcript: Term, shown: Term, signature: Term) -> Term:
        """Return the MAC by which a side proves the agreement over its credential."""
        if Weak.MAC in self.weak:
            return NONE
        text = mac_text(transcript, NONE if Weak.CREDENTIALS in self.weak else shown, signature)
        return mac(note, self.key(secret, f"{side} mac", transcript), text)

    def sealed(self, side: str, secret: Term, transcript: Term, clear: Term, plaintext: Term) -> Term:
        """Return the seal of message 2 or 3."""
        if Weak.SEAL_OF_MESSAGE_3 in self.weak and side == "initiator":
            return plaintext
        return seal(self.key(secret, f"{side} proof key", transcript), clear, plaintext)

    def binder(self, note: Term, resumption: Term, bound: Term, binding: Term) -> Term:
        """Return the proof of a ticket's secret over message 1 and the connection."""
        text = binder_text(bound, NONE if Weak.BINDER in self.weak else binding)
        return mac(note, expand(self.early(resumption), constant("binder"), NONE), text)
