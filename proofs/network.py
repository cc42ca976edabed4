"""Says who is on the network: honest and dishonest devices, the backend, and who has which certificate.

Sends nothing. The attacker is the network, holds every channel certificate and owns the gateway, so
that it sees and makes every line and says what the gateway reports; dishonest devices are its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from proofs.primitives import (
    BACKEND,
    BASE,
    CARD,
    EVE,
    FIRST,
    ONE,
    OTHER_CONTEXT,
    POS,
    RELAY,
    attacker,
    certificate,
    following,
    power,
    proof,
    public_key,
    seal,
    sign,
    ticket_text,
)
from proofs.schedule import SOUND, Schedule, Weaknesses
from proofs.terms import Symbol, Term, Theory, variables
from proofs.weakenings import Weak
from proofs.words import MODES, NONE, constant

# --------------------------------------------------------------------------------- who, and what it has

#: An honest device by role and number; a card under a pseudonym; a device of the attacker.
device: Final = Symbol("device_named", 2)
pseudonym: Final = Symbol("pseudonym", 1)
dishonest: Final = Symbol("dishonest", 1)

individual_key: Final = Symbol("individual_key", 1)
#: Made for one enrolment, by a device's name and the session's number.
new_key: Final = Symbol("new_key", 2)
#: Made by the backend in one enrolment, by the device's name and the session's number.
made_key: Final = Symbol("made_key", 2)
activation_code: Final = Symbol("activation_code", 2)
ticket_key: Final = Term("ticket_key")
#: The secret of an earlier session, by the device's name and a number.
resumption: Final = Symbol("resumption_secret", 2)

#: Drawn by an initiator in one session: mode, its name, the session's number.
label: Final = Symbol("label_of", 3)
nonce: Final = Symbol("nonce_of", 3)
exponent: Final = Symbol("exponent_of", 3)
#: The exporter value of the initiator's TLS connection: its name, the session's number.
exporter: Final = Symbol("exporter_of", 2)
#: Drawn by a responder: its name, the session's number.
answer_nonce: Final = Symbol("answer_nonce_of", 2)
answer_exponent: Final = Symbol("answer_exponent_of", 2)
#: The one share of a backend without fresh ones (a weakening).
fixed_exponent: Final = Symbol("fixed_exponent_of", 1)

# -------------------------------------------------------------------- notes: who made it, and believing what

#: mode, own name, peer, session, share and nonce received
by_initiator: Final = Symbol("by_initiator", 6)
#: mode, own name, session, label, versions, suites, share, nonce received
by_responder: Final = Symbol("by_responder", 8)
#: the same, peer, binding
confirmed: Final = Symbol("confirmed_by_responder", 10)

# ------------------------------------------------------------------------------------------------ predicates

knows: Final = Symbol("attacker", 1)
#: What the attacker knows once the long-term keys of everybody have leaked.
knows_later: Final = Symbol("attacker_later", 1)
issued: Final = Symbol("issued", 1)
#: What a device can be.
kind: Final = Symbol("kind_of_device", 1)
#: What one side believes of a session: mode, initiator, responder, label, versions, suites, share and nonce of
#: the initiator, share and nonce of the responder, binding.
view: Final = Symbol("view", 11)


class Setting(NamedTuple):
    """Which network a problem is about."""

    modes: tuple[str, ...]
    weak: Weaknesses = SOUND
    #: The attacker does not know the names of devices beforehand.
    hidden: bool = False
    #: What has leaked from the start: "initiators" or "backend" (their individual keys), "tickets" (the key that
    #: seals them), or nothing.
    leaked: str = ""


class Network:
    """A theory under construction, and what all its parts share."""

    def __init__(self, setting: Setting) -> None:
        """Begin with the attacker and the certificates."""
        self.setting = setting
        self.weak = setting.weak
        self.schedule = Schedule(setting.weak)
        self.theory = Theory()
        self.rule = self.theory.rule
        attacker(self.theory, knows)
        self._people()
        self._dishonest()

    def certificate_of(self, role: Term, name: Term) -> Term:
        """Return the individual certificate of a holder."""
        return certificate(role, name, public_key(individual_key(name)))

    def sends(self, name: str, body: list[Term], *items: Term) -> None:
        """Let the attacker see `items` once all of `body` has come about."""
        for item in items:
            self.rule(name, body, knows(item))

    def ticket(self, secret: Term, holder: Term) -> Term:
        """Return a ticket as the backend seals it."""
        if Weak.TICKET_HOLDER in self.weak:
            holder = NONE
        return seal(ticket_key, NONE, ticket_text(secret, holder))

    def _people(self) -> None:
        name, role, text, other = variables("Name Role Text Other")
        for each in (POS, CARD):
            self.rule("a_kind_of_device", (), kind(each))
            self.rule("a_device_is_certified", (), issued(self.certificate_of(each, device(each, name))))
        self.rule("a_pseudonym_is_certified", (), issued(self.certificate_of(CARD, pseudonym(name))))
        self.rule("the_backend_is_certified", (), issued(self.certificate_of(BACKEND, BACKEND)))
        self.sends("the_backend_is_public", [], public_key(individual_key(BACKEND)))
        named = [device(role, name), pseudonym(name)]
        if self.setting.hidden:
            # Terminals that cards turn to are known to everybody.
            named = [device(POS, name)] if "device" in self.setting.modes else []
        for each in named:
            self.sends("names_are_public", [], each, public_key(individual_key(each)))
            signed = proof(NONE if Weak.CONTEXT in self.weak else OTHER_CONTEXT, text, other)
            self.sends(
                "the_key_signs_in_another_protocol",
                [knows(text), knows(other)],
                sign(EVE, individual_key(each), signed),
            )
        opening = pseudonym(name) if "device" in self.setting.modes else device(role, name)
        leaks = {"initiators": individual_key(opening), "backend": individual_key(BACKEND), "tickets": ticket_key}
        if self.setting.leaked:
            self.sends("has_leaked", [], leaks[self.setting.leaked])

    def _dishonest(self) -> None:
        name, role, number = variables("Name Role Number")
        her = dishonest(name)
        for each in (POS, CARD):
            self.rule("a_dishonest_device_is_certified", (), issued(self.certificate_of(each, her)))
            if Weak.DUPLICATES in self.weak:
                copied = public_key(Term("CopiedKey"))
                issue = issued(certificate(each, her, copied))
                self.rule("a_dishonest_device_is_certified_with_a_copied_key", [knows(copied)], issue)
        self.sends("has_her_own_key", [], individual_key(her), her)
        self.sends("has_her_own_codes", [], activation_code(role, her))
        secret = resumption(her, number)
        self.sends("has_her_own_tickets", [], secret, self.ticket(secret, her))

    # ------------------------------------------------------------------------------------------- later

    def leak_later(self) -> None:
        """Add the time after: every long-term key, code, ticket and ticket key is known."""
        name, role, number, text = variables("Name Role Number Text")
        attacker(self.theory, knows_later, "later")
        self.rule("later_still_knows", [knows(text)], knows_later(text))
        leaks = [
            individual_key(name),
            new_key(name, number),
            activation_code(role, name),
            ticket_key,
            resumption(name, number),
            fixed_exponent(name),
            device(role, name),
            pseudonym(name),
        ]
        for leak in leaks:
            self.rule("leaks_later", (), knows_later(leak))


def differences(theory: Theory, *, quick: bool, more: Sequence[Symbol] = ()) -> Symbol:
    """Add the predicate `differ`: two terms of all that the theory can build, and they are not the same. Returns it.

    `more` are functions that only the questions use. `quick` leaves out pairs that no honest end makes, so that
    an attack is found sooner; that none is found would then mean less.
    """
    differ = Symbol("differ", 2)
    alphabet = [*theory.functions(), *more]
    if quick:
        alphabet = [symbol for symbol in alphabet if symbol in QUICK]
    for one in alphabet:
        for other in alphabet:
            if one.name != other.name:
                theory.rule(f"{one.name}_is_not_{other.name}", (), differ(one.of_variables(), other.of_variables("Y")))
        left, right = one.of_variables(), one.of_variables("Y")
        for mine, theirs in zip(left.args, right.args, strict=True):
            theory.rule(f"{one.name}_differs", [differ(mine, theirs)], differ(left, right))
    return differ


#: What honest ends make and compare.
QUICK: Final = (
    *(view, label, nonce, exponent, exporter, answer_nonce, answer_exponent, power, device, pseudonym, dishonest),
    *(certificate, public_key, new_key, made_key, individual_key, following),
    *(Symbol(item.name, 0) for item in (BASE, NONE, BACKEND, POS, CARD, ONE, EVE, RELAY, FIRST)),
    *(Symbol(constant(word).name, 0) for word in (*MODES, "initiator", "responder")),
    *(Symbol(f"{age}_keys", 0) for age in ("old", "new")),
)
