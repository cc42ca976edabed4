"""Names the parts of the protocol that can be left out of the model, to see what breaks.

A model that cannot fail proves nothing: each of these must make the prover find the attack that the
part is there to stop. Which claim each one breaks is in proofs.claims.
"""

from __future__ import annotations

from enum import StrEnum


class Weak(StrEnum):
    """What is left out."""

    INITIATOR_SIGNATURE = "the responder does not check the initiator's signature"
    RESPONDER_SIGNATURE = "the initiator does not check the responder's signature"
    ROLE = "the initiator accepts a certificate of any role"
    TERMINAL = "the card does not compare the terminal's name with the one that it chose"
    EARLY_PROOF = "the initiator sends message 3 before it has verified the responder"
    BINDING = "the backend does not compare the channel binding"
    BINDER = "the binder leaves out the new connection's binding"
    CONTEXT = "signatures carry no context string"
    TRANSCRIPT = "signatures do not cover the transcript"
    OFFERS = "the transcript leaves out the versions and suites offered"
    CONFIRMATION = "the initiator does not wait for message 4"
    TICKET_ALONE = "a resumption derives its keys from the ticket alone"
    FIXED_SHARE = "the backend uses one share for ever"
    POSSESSION = "enrolment does not check the new key's signatures"
    TICKET_HOLDER = "the ticket does not say whose it is"
    ONE_KEY = "both directions are sealed under one key"
    NUMBERS = "records are not numbered"
    REKEY_ALONE = "new keys in place are derived from the old ones alone"
    MAC = "the proofs of messages 2 and 3 carry no MAC"
    SEAL_OF_MESSAGE_3 = "message 3 is not sealed"
    CREDENTIALS = "neither transcript, signature nor MAC covers what a side shows of itself"
    DUPLICATES = "the authority certifies a key for whoever knows its public half"
    SMALL_SHARES = "shares that make the agreed secret all zero are accepted"
    SIDES = "both sides sign under one context string"
