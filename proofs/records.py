"""Sealed lines and new keys in place, as rules: what happens inside a session that both ends trust.

Begins where the handshake ends: a secret that only the two ends have, and a transcript on which they
agree (proofs.claims). Any number of sessions, any number of records in each.
Specification: docs/protocol.md, "The seal" and "Resumption".
"""

from __future__ import annotations

from typing import Final

from proofs.network import knows, knows_later
from proofs.primitives import ZEROS, attacker, payment_text, record, rekey_hash, seal, share_of
from proofs.schedule import SOUND, Schedule, Weaknesses
from proofs.terms import Symbol, Term, Theory, variables
from proofs.weakenings import Weak
from proofs.words import NONE, REKEY_1, REKEY_2, constant

#: By the session's number.
session_secret: Final = Symbol("session_secret", 1)
session_transcript: Final = Symbol("session_transcript", 1)
session_label: Final = Symbol("session_label", 1)
renewing_exponent: Final = Symbol("renewing_exponent", 2)
renewing_nonce: Final = Symbol("renewing_nonce", 2)

#: A line of a payment: its clear part by session, side, age of the keys and number; its secrets likewise.
payment_line: Final = Symbol("payment_line", 4)
payment: Final = Symbol("payment", 4)
pin: Final = Symbol("pin_of", 2)

#: Notes: session, side, age of the keys, number, clear part, plaintext.
sent: Final = Symbol("sent", 6)
#: Receiving side, session, age, number, note, clear part, plaintext.
heard: Final = Symbol("heard", 7)

SIDES: Final = ("initiator", "responder")
OLD: Final = Term("old_keys")
NEW: Final = Term("new_keys")


class Records:
    """Sessions that have come to their sealed lines."""

    def __init__(self, weak: Weaknesses = SOUND, leaks: str = "", *, quick: bool = False) -> None:
        """Build the theory.

        `leaks` says what is known once all is over: "old", the secrets of before new keys, or
        "new", all that both ends still hold after them; nothing otherwise. `quick` looks for
        attacks only where they are likely.
        """
        self.weak = weak
        self.quick = quick
        self.schedule = Schedule(weak)
        self.theory = Theory()
        self.rule = self.theory.rule
        attacker(self.theory, knows)
        self.session, self.number = variables("Session Number")
        self.tag = session_label(self.session)
        self.secret = session_secret(self.session)
        self.transcript = session_transcript(self.session)
        self._sees("the_session_is_seen", [], self.tag, self.transcript)
        for side in SIDES:
            self._speaks(side, OLD, [], self.secret, self.transcript)
            self._hears(side, OLD, [], self.secret, self.transcript)
        self._renews()
        if leaks:
            attacker(self.theory, knows_later, "later")
            text = Term("Text")
            self.rule("later_still_knows", [knows(text)], knows_later(text))
        if leaks == "old":
            self.rule("the_old_secret_leaks", (), knows_later(self.secret))
        if leaks == "new":
            self.rule("the_pin_key_leaks", (), knows_later(self._pin_key()))

    def _sees(self, name: str, body: list[Term], *items: Term) -> None:
        for item in items:
            self.rule(name, body, knows(item))

    def _pin_key(self) -> Term:
        return self.schedule.key(self.secret, "pin", self.transcript)

    def _record(self, note: Term, key: Term, number: Term, clear: Term, plaintext: Term) -> Term:
        return record(note, key, NONE if Weak.NUMBERS in self.weak else number, clear, plaintext)

    # ----------------------------------------------------------------------------------- payments

    def _speaks(self, side: str, age: Term, body: list[Term], secret: Term, transcript: Term) -> None:
        """Let a side seal a payment's line at any number; an initiator's carries a PIN block."""
        word, key = constant(side), self.schedule.direction(side, secret, transcript)
        line = payment_line(self.session, word, age, self.number)
        block = seal(self._pin_key(), NONE, pin(self.session, age)) if side == "initiator" else NONE
        text = payment_text(payment(self.session, word, age, self.number), block)
        note = sent(self.session, word, age, self.number, line, text)
        self._sees(f"{side}_says_a_line_under_{age}", body, line, self._record(note, key, self.number, line, text))

    def _hears(self, side: str, age: Term, body: list[Term], secret: Term, transcript: Term) -> None:
        """Let a side take whatever opens under the other side's key."""
        other = SIDES[1 - SIDES.index(side)]
        key = self.schedule.direction(other, secret, transcript)
        note, clear, text = variables("Note Clear Text")
        line = self._record(note, key, self.number, clear, text)
        taken = heard(constant(side), self.session, age, self.number, note, clear, text)
        self.rule(f"{side}_takes_a_line_under_{age}", [*body, knows(line)], taken)

    # ----------------------------------------------------------------------------------- new keys

    def _renews(self) -> None:
        """Add COMMAND REKEY and DATA REKEY, and the lines under the new keys, on both sides."""
        schedule, later = self.schedule, Term("AnswerNumber")
        resumption = schedule.key(self.secret, "resumption", self.transcript)
        keys = {side: schedule.direction(side, self.secret, self.transcript) for side in SIDES}
        clear = {
            "initiator": REKEY_1.clear_part(s=self.tag),
            "responder": REKEY_2.clear_part(s=self.tag),
        }
        own = {side: renewing_exponent(self.session, constant(side)) for side in SIDES}
        nonces = {side: renewing_nonce(self.session, constant(side)) for side in SIDES}
        asks = REKEY_1.sealed_part(share=share_of(own["initiator"]), nonce=nonces["initiator"])
        note = sent(self.session, constant("initiator"), OLD, self.number, clear["initiator"], asks)
        self._sees(
            "initiator_asks_for_new_keys",
            [],
            self._record(note, keys["initiator"], self.number, clear["initiator"], asks),
        )
        said, made_up, asked = variables("Nonce RekeyNote AskNumber")
        for share, agreed in schedule.agreements(own["responder"]):
            question = REKEY_1.sealed_part(share=share, nonce=said)
            answer = REKEY_2.sealed_part(share=share_of(own["responder"]), nonce=nonces["responder"])
            body = [knows(self._record(made_up, keys["initiator"], asked, clear["initiator"], question))]
            note = sent(self.session, constant("responder"), OLD, later, clear["responder"], answer)
            line = self._record(note, keys["responder"], later, clear["responder"], answer)
            self._sees("responder_answers_with_new_keys", body, line)
            offers = (share, said, share_of(own["responder"]), nonces["responder"])
            self._goes_on("responder", body, resumption, agreed, offers)
        for share, agreed in schedule.agreements(own["initiator"]):
            answer = REKEY_2.sealed_part(share=share, nonce=said)
            body = [knows(self._record(made_up, keys["responder"], later, clear["responder"], answer))]
            offers = (share_of(own["initiator"]), nonces["initiator"], share, said)
            self._goes_on("initiator", body, resumption, agreed, offers)

    def _goes_on(
        self, side: str, body: list[Term], resumption: Term, agreed: Term, offers: tuple[Term, Term, Term, Term]
    ) -> None:
        """Let a side speak and hear under the new keys."""
        if Weak.REKEY_ALONE in self.weak:
            agreed = ZEROS
        secret = self.schedule.secret(resumption, agreed)
        transcript = rekey_hash(self.transcript, *offers)
        self._speaks(side, NEW, body, secret, transcript)
        self._hears(side, NEW, body, secret, transcript)
        self.rule(f"{side}_has_new_keys", body, renewed(constant(side), self.session, secret))

    # ------------------------------------------------------------------------------------- questions

    def never(self, name: str, *body: Term) -> None:
        """Ask for a way to all of `body`."""
        self.rule(f"claim_{name}", body, None)


#: side, session, secret
renewed: Final = Symbol("renewed", 3)
