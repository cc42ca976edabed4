"""Lists every question that is put to the prover, and the answer that is expected.

Decides nothing: a case whose answer is another one is a finding, about the protocol or about the model.
The lists are the contents of docs/security/proof.md and of script/prove.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from proofs import claims, payments
from proofs.claims import World
from proofs.network import Setting
from proofs.records import Records
from proofs.schedule import SOUND, Weaknesses
from proofs.terms import Theory
from proofs.weakenings import Weak
from proofs.words import MODES

#: The attackers. Who owns the gateway can do all that the holder of the channel certificate can, and more.
GATEWAY: Final = "owns the gateway"
CHANNEL: Final = "holds the channel certificate"
#: The modes in which a session is bound to its TLS connection.
BOUND_MODES: Final = ("full", "enrol", "resume")


class Claim(NamedTuple):
    """One promise: its name, its sentence, what asks for its breach, and in which modes it is made."""

    name: str
    sentence: str
    ask: Callable[[World], None]
    modes: tuple[str, ...] = MODES
    #: The attacker does not know the names of devices beforehand.
    hidden: bool = False
    attacker: str = GATEWAY


class RecordClaim(NamedTuple):
    """One promise about sealed lines, and what leaks once all is over."""

    name: str
    sentence: str
    ask: Callable[[Records], None]
    leaks: str = ""


class Case(NamedTuple):
    """Questions that are put together."""

    name: str
    #: Who is on the network; None for the records of sessions that are open.
    setting: Setting | None
    asks: tuple[Callable[[World], None], ...] = ()
    record_asks: tuple[Callable[[Records], None], ...] = ()
    weak: Weaknesses = SOUND
    leaks: str = ""
    attacker: str = GATEWAY
    #: Look for attacks only where they are likely; that none is found means nothing then.
    quick: bool = False

    def theory(self) -> Theory:
        """Return the model with the questions."""
        if self.setting is None:
            records = Records(self.weak, self.leaks, quick=self.quick)
            for ask in self.record_asks:
                ask(records)
            return records.theory
        world = World(self.setting._replace(weak=self.weak), quick=self.quick)
        for question in self.asks:
            question(world)
        return world.network.theory


CLAIMS: Final = (
    Claim(
        "secrecy",
        "nobody but its two ends learns the secret of a session's keys, not even when every long-term key, code, "
        "ticket and ticket key leaks afterwards (forward secrecy)",
        claims.secrecy,
    ),
    Claim(
        "key_secrecy",
        "the same of the keys themselves: both directions', the PIN's and the resumption secret",
        claims.key_secrecy,
    ),
    Claim(
        "responder_agreement",
        "whom a responder accepts has said message 3 in the same role to the same peer, and both have the same view of "
        "every word of the handshake, and so the same keys",
        claims.responder_agreement,
    ),
    Claim(
        "initiator_agreement",
        "an initiator says message 3 only to the responder that it meant, which has seen its message 1 unaltered; once "
        "it has heard message 4, that responder has accepted it, and both have the same view of every word",
        claims.initiator_agreement,
    ),
    Claim("once", "no message 3 is taken in two sessions, and no message 4 (injective agreement)", claims.once),
    Claim("misbinding", "a device is accepted only in a session whose share is its own", claims.misbinding),
    Claim(
        "relay",
        "no device is accepted on a connection that somebody else made to an honest gateway",
        claims.relay,
        BOUND_MODES,
        attacker=CHANNEL,
    ),
    Claim("identity", "nobody learns which device speaks with an honest responder", claims.names, hidden=True),
    Claim(
        "enrolment",
        "activation codes and pairs made at the backend stay secret; a certificate goes to the holder of the code, "
        "over the holder's key",
        claims.enrolment,
        ("enrol",),
    ),
)

RECORD_CLAIMS: Final = (
    RecordClaim("record_secrecy", "what a line seals, and a PIN, nobody else learns", payments.record_secrecy),
    RecordClaim(
        "record_agreement",
        "a line is taken only where the other side said it: this session, direction, keys and place",
        payments.record_agreement,
    ),
    RecordClaim(
        "new_keys_secrecy",
        "lines under new keys stay secret though everything from before leaks",
        payments.new_keys_secrecy,
        "old",
    ),
    RecordClaim(
        "old_keys_secrecy",
        "lines and PINs from before new keys stay secret though everything that is left leaks",
        payments.old_keys_secrecy,
        "new",
    ),
)

_HANDSHAKE: Final = (claims.secrecy, claims.responder_agreement, claims.initiator_agreement, claims.misbinding)


def _records(claim: RecordClaim) -> Case:
    return Case(claim.name, None, record_asks=(claim.ask,), leaks=claim.leaks)


#: What must hold, claim by claim and mode by mode.
PROOFS: Final = (
    *(
        Case(f"{claim.name}, {mode}", Setting((mode,), hidden=claim.hidden), (claim.ask,), attacker=claim.attacker)
        for claim in CLAIMS
        for mode in claim.modes
    ),
    *map(_records, RECORD_CLAIMS),
)

#: What must hold all the same when one side's individual key has been stolen before.
STOLEN: Final = (
    *(
        Case(
            f"initiator_agreement, {mode}",
            Setting((mode,), leaked="initiators"),
            (claims.initiator_agreement,),
            attacker=f"{GATEWAY}, and has the initiator's key",
        )
        for mode in ("full", "device", "enrol")
    ),
    Case(
        "responder_agreement, full",
        Setting(("full",), leaked="backend"),
        (claims.responder_agreement,),
        attacker=f"{GATEWAY}, and has the backend's key",
    ),
)

#: The modes whose parties have a key in common, and all modes, on one network.
TOGETHER: Final = (
    Case("a POS's key: full and device", Setting(("full", "device")), (*_HANDSHAKE, claims.relay)),
    Case(
        "the backend's key: full, enrol and resume",
        Setting(("full", "enrol", "resume")),
        (*_HANDSHAKE, claims.relay, claims.enrolment),
    ),
    Case("all modes", Setting(MODES), (*_HANDSHAKE, claims.relay, claims.enrolment)),
)

#: What must be possible; else nothing above would mean anything.
POSSIBLE: Final = (
    *(Case(f"{mode}: the responder accepts", Setting((mode,)), (claims.possible_acceptance,)) for mode in MODES),
    *(
        Case(f"{mode}: the initiator hears message 4", Setting((mode,)), (claims.possible_authentication,))
        for mode in MODES
    ),
    Case("a line under new keys is taken", None, record_asks=(payments.possible_record,)),
)


class Weakening(NamedTuple):
    """What is left out, and the claim that must break then."""

    case: Case
    breaks: str


def _weak(mode: str, ask: Callable[[World], None], breaks: str, *weak: Weak, hidden: bool = False) -> Weakening:
    setting = Setting((mode,), hidden=hidden)
    attacker = CHANNEL if ask is claims.relay else GATEWAY
    case = Case(f"{mode}: {', and '.join(weak)}", setting, (ask,), weak=frozenset(weak), attacker=attacker, quick=True)
    return Weakening(case, breaks if breaks.startswith("enrolment") else f"{breaks}_{mode}")


def _weak_records(claim: RecordClaim, *weak: Weak) -> Weakening:
    case = _records(claim)._replace(name=f"records: {', and '.join(weak)}", weak=frozenset(weak), quick=True)
    return Weakening(case, claim.name)


WEAKENINGS: Final = (
    _weak("full", claims.responder_agreement, "responder_agreement", Weak.INITIATOR_SIGNATURE),
    _weak("full", claims.initiator_agreement, "initiator_verification", Weak.RESPONDER_SIGNATURE),
    _weak("full", claims.initiator_agreement, "initiator_verification", Weak.ROLE),
    _weak("device", claims.initiator_agreement, "initiator_verification", Weak.TERMINAL),
    _weak("full", claims.names, "identity", Weak.EARLY_PROOF, hidden=True),
    _weak("enrol", claims.enrolment, "enrolment_code", Weak.EARLY_PROOF),
    _weak("full", claims.relay, "relay", Weak.BINDING),
    _weak("resume", claims.relay, "relay", Weak.BINDER),
    _weak("full", claims.responder_agreement, "responder_agreement", Weak.CONTEXT),
    _weak("full", claims.responder_agreement, "responder_agreement", Weak.TRANSCRIPT),
    _weak("full", claims.once, "once", Weak.TRANSCRIPT),
    _weak("full", claims.initiator_agreement, "initiator_verification", Weak.OFFERS),
    _weak("full", claims.initiator_agreement, "initiator_agreement", Weak.CONFIRMATION),
    _weak("resume", claims.secrecy, "secrecy_initiator", Weak.TICKET_ALONE),
    _weak("full", claims.secrecy, "secrecy_initiator", Weak.FIXED_SHARE),
    _weak("enrol", claims.enrolment, "enrolment_certificate", Weak.POSSESSION),
    _weak("resume", claims.responder_agreement, "responder_agreement", Weak.TICKET_HOLDER),
    _weak("full", claims.misbinding, "misbinding", Weak.MAC, Weak.SEAL_OF_MESSAGE_3),
    _weak("full", claims.misbinding, "misbinding", Weak.CREDENTIALS, Weak.SEAL_OF_MESSAGE_3, Weak.DUPLICATES),
    _weak_records(RECORD_CLAIMS[1], Weak.ONE_KEY),
    _weak_records(RECORD_CLAIMS[1], Weak.NUMBERS),
    _weak_records(RECORD_CLAIMS[2], Weak.REKEY_ALONE),
)

#: Parts that stand behind another part: without one of them alone every claim of mode full still holds.
LAYERS: Final = tuple(
    Case(f"full: {weak}", Setting(("full",)), (*_HANDSHAKE, claims.relay), weak=frozenset({weak}))
    for weak in (
        *(Weak.MAC, Weak.SEAL_OF_MESSAGE_3, Weak.CREDENTIALS, Weak.DUPLICATES),
        *(Weak.SIDES, Weak.SMALL_SHARES),
    )
)

#: What nobody promises, with the way that the prover finds.
LIMITS: Final = (
    Weakening(
        Case(
            "a device that resumes is taken for another",
            Setting(("resume",), leaked="tickets"),
            (claims.responder_agreement,),
            attacker=f"{GATEWAY}, and has the ticket key",
        ),
        "responder_agreement_resume",
    ),
    Weakening(
        Case(
            "a device that resumes takes somebody else for the backend",
            Setting(("resume",), leaked="tickets"),
            (claims.initiator_agreement,),
            attacker=f"{GATEWAY}, and has the ticket key",
        ),
        "initiator_verification_resume",
    ),
    Weakening(
        Case(
            "new keys in place do not drive out who has the old ones and sits on the line",
            None,
            record_asks=(payments.stolen_keys,),
            attacker=f"{GATEWAY}, and has the session's keys",
        ),
        "stolen_keys",
    ),
)

#: What takes script/prove longer than script/test can wait.
_SLOW: Final = (Weak.TRANSCRIPT, Weak.EARLY_PROOF)

#: What script/test asks: the quick claims, and nearly every weakening.
SHORT: Final = (
    "full: the initiator hears message 4",
    "resume: the responder accepts",
    "a line under new keys is taken",
    "secrecy, resume",
    "responder_agreement, resume",
    *(claim.name for claim in RECORD_CLAIMS),
    *(each.case.name for each in WEAKENINGS if not each.case.weak & {*_SLOW}),
)
