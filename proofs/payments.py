"""Asks of sealed lines and new keys what proofs.claims asks of the handshake.

Holds no rule of the protocol. The questions come with a time: during the session, or after the secrets of
before or after new keys have leaked.
"""

from __future__ import annotations

from proofs.network import differences, knows, knows_later
from proofs.primitives import EVE
from proofs.records import (
    NEW,
    OLD,
    SIDES,
    Records,
    heard,
    payment,
    pin,
    renewed,
    sent,
)
from proofs.terms import variables
from proofs.words import constant


def record_secrecy(records: Records) -> None:
    """Ask for what a line sealed, and for a PIN."""
    session, side, number = variables("Session Side Number")
    for age in (OLD, NEW):
        records.never("record_secrecy", knows(payment(session, side, age, number)))
        records.never("record_secrecy", knows(pin(session, age)))


def record_agreement(records: Records) -> None:
    """Ask for a line that is taken though the other side did not say it, here, under these keys, in this place."""
    differ = differences(records.theory, quick=records.quick)
    for side in SIDES:
        session, age, number, clear, text = variables("Session Age Number Clear Text")
        other = sent(*variables("SaidSession SaidSide SaidAge SaidNumber SaidClear SaidText"))
        taken = session, age, number
        records.never("record_agreement", heard(constant(side), *taken, EVE, clear, text))
        speaker = constant(SIDES[1 - SIDES.index(side)])
        for mine, theirs in zip((session, speaker, age, number, clear, text), other.args, strict=True):
            records.never("record_agreement", heard(constant(side), *taken, other, clear, text), differ(mine, theirs))


def new_keys_secrecy(records: Records) -> None:
    """Ask for a line under new keys once the secrets of before have leaked."""
    session, side, number = variables("Session Side Number")
    records.never("new_keys_secrecy", knows_later(payment(session, side, NEW, number)))


def old_keys_secrecy(records: Records) -> None:
    """Ask for a line or a PIN from before new keys once all that the ends still hold has leaked."""
    session, side, number, secret = variables("Session Side Number Secret")
    records.rule("the_new_secret_leaks", [renewed(side, session, secret)], knows_later(secret))
    records.never("old_keys_secrecy", knows_later(payment(session, side, OLD, number)))
    records.never("old_keys_secrecy", knows_later(pin(session, OLD)))


def possible_record(records: Records) -> None:
    """Ask for a line of the initiator that the responder takes under new keys."""
    session, number, clear, text = variables("Session Number Clear Text")
    made = sent(session, constant("initiator"), NEW, number, clear, text)
    records.never("possible_record", heard(constant("responder"), session, NEW, number, made, clear, text))


def stolen_keys(records: Records) -> None:
    """Ask for a line under new keys when a thief of the old secret is on the line."""
    records.rule("the_old_secret_is_stolen", (), knows(records.secret))
    session, side, number = variables("Session Side Number")
    records.never("stolen_keys", knows(payment(session, side, NEW, number)))
