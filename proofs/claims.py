"""Lists what must never happen on the network, and what must be possible, as questions for a prover.

A claim holds when the prover has drawn every conclusion there is and none of the forbidden things is
among them. A possibility is proved when the prover finds the way to it: without that, a claim could
hold because nothing works at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from proofs.initiator import Initiators, Moment, authenticated, verified
from proofs.network import (
    Network,
    Setting,
    activation_code,
    answer_exponent,
    answer_nonce,
    by_initiator,
    by_responder,
    confirmed,
    device,
    differences,
    dishonest,
    exponent,
    exporter,
    individual_key,
    knows,
    knows_later,
    label,
    made_key,
    new_key,
    nonce,
    pseudonym,
    view,
)
from proofs.primitives import BACKEND, EVE, ONE, POS, RELAY, certificate, public_key, share_of
from proofs.responder import Responders, accepted, certified
from proofs.terms import Symbol, Term, variables
from proofs.words import NONE, constant


class World:
    """One network with everybody on it, to which questions are added."""

    def __init__(self, setting: Setting, *, quick: bool = False) -> None:
        """Build the network of a setting; `quick` looks for attacks only where they are likely."""
        self.quick = quick
        self.network = Network(setting)
        self.setting = setting
        self.initiators = Initiators(self.network)
        self.responders = Responders(self.network)
        self._differ: Symbol | None = None
        self._later = False

    def differ(self) -> Symbol:
        """Return the predicate for two different terms, added once."""
        if self._differ is None:
            self._differ = differences(self.network.theory, quick=self.quick, more=[view])
        return self._differ

    def later(self) -> None:
        """Add the time after all long-term keys have leaked, once."""
        if not self._later:
            self._later = True
            self.network.leak_later()

    def never(self, name: str, *body: Term) -> None:
        """Ask for a way to all of `body`."""
        self.network.rule(f"claim_{name}", body, None)

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes of this network."""
        return self.setting.modes


def honest(mode: str) -> Term:
    """Return an honest initiator of a mode."""
    return pseudonym(Term("Card")) if mode == "device" else device(Term("DeviceRole"), Term("Device"))


def honest_responder(mode: str) -> Term:
    """Return an honest responder of a mode."""
    return device(POS, Term("Chosen")) if mode == "device" else BACKEND


# --------------------------------------------------------------------------------------------- secrecy


def honest_moments(world: World) -> Iterator[tuple[str, Moment]]:
    """Yield every point at which an end believes that it has a session with an honest one."""
    for moment in world.initiators.moments:
        if moment.peer.name != dishonest.name:
            yield "initiator", moment
    for moment in world.responders.moments:
        yield "responder", moment


def secrecy(world: World) -> None:
    """Ask for the secret of a session's keys, also after every long-term key has leaked."""
    world.later()
    for side, moment in honest_moments(world):
        world.never(f"secrecy_{side}_{moment.mode}", *moment.body, knows_later(moment.secret))


def key_secrecy(world: World) -> None:
    """Ask for the keys themselves: both directions', the PIN's, the ticket's, at the same late hour."""
    world.later()
    for side, moment in honest_moments(world):
        for key in moment.keys:
            world.never(f"key_secrecy_{side}_{moment.mode}", *moment.body, knows_later(key))


# ------------------------------------------------------------------------------------------- agreement


def _bound(mode: str, name: Term, session: Term) -> Term:
    return NONE if mode == "device" else exporter(name, session)


def _initiator_view(mode: Term, name: Term, peer: Term, session: Term, share: Term, said: Term, bound: Term) -> Term:
    return view(
        mode,
        name,
        peer,
        label(mode, name, session),
        ONE,
        ONE,
        share_of(exponent(mode, name, session)),
        nonce(mode, name, session),
        share,
        said,
        bound,
    )


def responder_agreement(world: World) -> None:
    """Ask for an acceptance that no honest initiator's message 3 matches in every word."""
    differ = world.differ()
    for mode in world.modes:
        word, peer = constant(mode), honest(mode)
        own, session = variables("Own Session")
        heard = variables("Label Versions Suites Share Nonce Binding")
        made = by_initiator(*variables("NotedMode NotedName NotedPeer NotedSession NotedShare NotedNonce"))
        noted_mode, name, other, noted, share, said = made.args
        theirs = _initiator_view(noted_mode, name, other, noted, share, said, _bound(mode, name, noted))
        drawn = share_of(answer_exponent(own, session)), answer_nonce(own, session)
        mine = view(word, peer, own, *heard[:5], *drawn, heard[5])
        world.never(
            f"responder_agreement_{mode}", accepted(word, own, peer, made, session, *heard), differ(theirs, mine)
        )
        for forged in (EVE, by_responder.of_variables(), confirmed.of_variables()):
            world.never(f"responder_agreement_{mode}", accepted(word, own, peer, forged, session, *heard))


def initiator_agreement(world: World) -> None:
    """Ask for an initiator that has heard message 4, or only message 2, from nobody or about something else."""
    differ = world.differ()
    for mode in world.modes:
        word, peer = constant(mode), honest_responder(mode)
        name, session, share, said, chain = variables("Name Session Share Said Chain")
        noted_mode, own, noted, tag, versions, suites, gx, ni, whom, bound = variables(
            "NotedMode Own Noted Label Versions Suites InitiatorShare Nonce Whom Binding"
        )
        drawn = share_of(answer_exponent(own, noted)), answer_nonce(own, noted)
        seen = [tag, versions, suites, gx, ni]
        unbound = _initiator_view(word, name, peer, session, share, said, NONE)
        made = by_responder(noted_mode, own, noted, *seen)
        theirs = view(noted_mode, name, own, *seen, *drawn, NONE)
        world.never(
            f"initiator_verification_{mode}",
            verified(word, name, peer, made, session, share, said),
            differ(theirs, unbound),
        )
        bound_view = _initiator_view(word, name, peer, session, share, said, _bound(mode, name, session))
        made = confirmed(noted_mode, own, noted, *seen, whom, bound)
        theirs = view(noted_mode, whom, own, *seen, *drawn, bound)
        world.never(
            f"initiator_agreement_{mode}",
            authenticated(word, name, peer, made, session, share, said, chain),
            differ(theirs, bound_view),
        )
        for forged in (EVE, by_initiator.of_variables(), confirmed.of_variables()):
            world.never(f"initiator_verification_{mode}", verified(word, name, peer, forged, session, share, said))
        for forged in (EVE, by_initiator.of_variables(), by_responder.of_variables()):
            world.never(
                f"initiator_agreement_{mode}", authenticated(word, name, peer, forged, session, share, said, chain)
            )


def once(world: World) -> None:
    """Ask for two sessions of one side that were proved by one and the same message of the other."""
    differ = world.differ()
    for mode in world.modes:
        word, made = constant(mode), Term("Made")
        taken = []
        for number in ("First", "Second"):
            rest = [Term(f"{number}{field}") for field in ("Label", "Versions", "Suites", "Share", "Nonce", "Binding")]
            own = honest_responder(mode)
            taken.append(accepted(word, own, honest(mode), made, Term(f"{number}Session"), *rest))
        world.never(f"once_{mode}", *taken, differ(Term("FirstSession"), Term("SecondSession")))
        heard = []
        for number in ("First", "Second"):
            rest = [Term(f"{number}{field}") for field in ("Session", "Share", "Nonce", "Brought")]
            heard.append(authenticated(word, honest(mode), honest_responder(mode), made, *rest))
        world.never(f"once_{mode}", *heard, differ(Term("FirstSession"), Term("SecondSession")))


def relay(world: World) -> None:
    """Ask for an honest device accepted on a connection that the attacker made to an honest gateway."""
    for mode in world.modes:
        if mode != "device":
            rest = variables("Own Note Session Label Versions Suites Share Nonce")
            world.never(f"relay_{mode}", accepted(constant(mode), rest[0], honest(mode), *rest[1:], RELAY))


def misbinding(world: World) -> None:
    """Ask for an acceptance of the attacker's device in a session whose share is an honest initiator's."""
    for mode in world.modes:
        rest = variables("Own Note Session Label Versions Suites")
        theirs = share_of(exponent(*variables("SomeMode SomeName SomeSession")))
        world.never(
            f"misbinding_{mode}",
            accepted(constant(mode), rest[0], dishonest(Term("Thief")), *rest[1:], theirs, *variables("Nonce Binding")),
        )


# ------------------------------------------------------------------------------------- names and enrolment


def names(world: World) -> None:
    """Ask for the name of an initiator that only speaks with honest responders."""
    role, name = variables("Role Name")
    if "device" in world.modes:
        world.never("identity_device", knows(pseudonym(name)))
    else:
        world.never(f"identity_{world.modes[0]}", knows(device(role, name)))


def enrolment(world: World) -> None:
    """Ask for a code, for a pair made at the backend, or for a certificate over a key that its holder lacks."""
    role, other, name, session, key, note = variables("Role Other Name Session Key Note")
    holder, thief = device(other, name), dishonest(Term("Thief"))
    world.never("enrolment_code", knows(activation_code(role, holder)))
    world.never("enrolment_pair", knows(made_key(holder, session)))
    differ = world.differ()
    backend = Term("BackendSession")
    share = share_of(answer_exponent(BACKEND, backend))
    made = by_initiator(constant("enrol"), holder, BACKEND, session, share, Term("Said"))
    own, given = public_key(new_key(holder, session)), public_key(made_key(holder, backend))
    issue = certificate(role, holder, key)
    world.never(
        "enrolment_certificate",
        certified(role, holder, key, made),
        differ(issue, certificate(other, holder, own)),
        differ(issue, certificate(other, holder, given)),
    )
    for forged in (EVE, by_responder.of_variables(), confirmed.of_variables()):
        world.never("enrolment_certificate", certified(role, holder, key, forged))
    for stolen in (new_key(holder, session), made_key(holder, session), individual_key(holder)):
        world.never("enrolment_certificate", certified(role, thief, public_key(stolen), note))


# ------------------------------------------------------------------------------------------ possibilities


def possible_acceptance(world: World) -> None:
    """Ask for a responder that accepts an honest initiator."""
    for mode in world.modes:
        own, *rest = variables("Own Session Label Versions Suites Share Nonce Binding")
        made = by_initiator.of_variables()
        world.never(f"possible_acceptance_{mode}", accepted(constant(mode), own, honest(mode), made, *rest))


def possible_authentication(world: World) -> None:
    """Ask for an initiator that hears message 4 of an honest responder."""
    for mode in world.modes:
        own, *rest = variables("Own Session Share Nonce Brought")
        made = confirmed.of_variables()
        peer = honest_responder(mode)
        world.never(f"possible_authentication_{mode}", authenticated(constant(mode), own, peer, made, *rest))
