"""The side that opens, in the four modes of the handshake, as rules.

Trusts no line that it cannot check, like trus.protocol.initiator. What it has checked is kept for the
claims: `verified` after message 2, `authenticated` after message 4.
Specification: docs/protocol.md, "The handshake".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from proofs.network import (
    Network,
    activation_code,
    by_initiator,
    device,
    dishonest,
    exponent,
    exporter,
    individual_key,
    issued,
    kind,
    knows,
    label,
    new_key,
    nonce,
    pseudonym,
    resumption,
)
from proofs.primitives import (
    BACKEND,
    CARD,
    CREDENTIAL_RESUME,
    EVE,
    FIRST,
    ONE,
    POS,
    ZEROS,
    certificate,
    credential,
    credential_enrol,
    public_key,
    record,
    request,
    request_body,
    share_of,
    sign,
)
from proofs.terms import Symbol, Term, variables
from proofs.weakenings import Weak
from proofs.words import MESSAGE_1, MESSAGE_2, MESSAGE_3, MESSAGE_4, NONE, constant

#: mode, own name, peer, note, session, share and nonce received
verified: Final = Symbol("initiator_verified", 7)
#: the same, what message 4 brought
authenticated: Final = Symbol("initiator_authenticated", 8)


class Moment(NamedTuple):
    """A session that has come so far: with whom, what led to it, its secret and the keys that follow from it."""

    mode: str
    peer: Term
    body: list[Term]
    secret: Term
    keys: tuple[Term, ...]


class Opening(NamedTuple):
    """A session as its initiator begins it."""

    mode: str
    role: Term
    name: Term
    peer: Term
    #: The fields of message 1, and the exporter value of the connection.
    fields: dict[str, Term]
    binding: Term

    @property
    def word(self) -> Term:
        """The mode as message 1 says it."""
        return self.fields["mode"]


class Answer(NamedTuple):
    """Message 2 as its initiator may take it, and what follows from it."""

    opening: Opening
    share: Term
    nonce: Term
    secret: Term
    clear: Term
    second: Term
    #: The note of the proof that is checked.
    note: Term
    #: What has been heard, and what has been checked besides.
    heard: list[Term]
    checked: list[Term]


class Shown(NamedTuple):
    """What message 3 shows of its initiator, and what message 4 brings for it."""

    fields: dict[str, Term]
    digest: Term
    signing: Term | None
    brought: str


class Initiators:
    """All sessions that honest devices open."""

    def __init__(self, network: Network) -> None:
        """Add the rules of every mode of the setting."""
        self.network = network
        self.schedule = network.schedule
        self.weak = network.weak
        self.moments: list[Moment] = []
        self.session = Term("Session")
        role, number, terminal = variables("Role Number Terminal")
        for mode in network.setting.modes:
            if mode == "device":
                self._sign(self._open(mode, CARD, pseudonym(number), device(POS, terminal)), POS)
                if not network.setting.hidden:
                    self._sign(self._open(mode, CARD, pseudonym(number), dishonest(terminal)), POS)
            elif mode == "resume":
                self._resume(device(role, number))
            else:
                self._sign(self._open(mode, role, device(role, number), BACKEND), BACKEND)

    # --------------------------------------------------------------------------------- message 1

    def _open(self, mode: str, role: Term, name: Term, peer: Term, secret: Term = ZEROS) -> Opening:
        """Send message 1."""
        word = constant(mode)
        fields = {
            "s": label(word, name, self.session),
            "to": peer,
            "versions": ONE,
            "suites": ONE,
            "mode": word,
            "share": share_of(exponent(word, name, self.session)),
            "nonce": nonce(word, name, self.session),
        }
        binding = NONE if mode == "device" else exporter(name, self.session)
        if mode == "resume":
            fields["ticket"] = self.network.ticket(secret, name)
            fields["binder"] = self.schedule.binder(NONE, secret, MESSAGE_1.clear_part(**fields), binding)
        self.network.sends(f"{mode}_initiator_sends_message_1", [], *fields.values(), binding)
        return Opening(mode, role, name, peer, fields, binding)

    # --------------------------------------------------------------------------------- message 2

    def _answers(self, opening: Opening, secret: Term, role: Term | None) -> Iterator[tuple[Answer, Term]]:
        """Return message 2 as it may come, once for each spelling of the agreement, and TH3.

        `role` is the responder's, None where it shows no certificate.
        """
        schedule, fields = self.schedule, opening.fields
        said, note, mac_note, key, staple = variables("AnswerNonce Note MacNote PeerKey Staple")
        who = [kind(opening.name.args[0])] if opening.name.name == device.name else []
        for share, agreed in self.schedule.agreements(exponent(opening.word, opening.name, self.session)):
            clear = MESSAGE_2.clear_part(s=fields["s"], version=ONE, suite=ONE, share=share, nonce=said)
            second = schedule.th2(schedule.th1(**fields), clear)
            both = schedule.secret(secret, agreed)
            checked: list[Term] = []
            if role is None:
                digest = CREDENTIAL_RESUME
                mac = schedule.mac(note, "responder", both, second, digest, NONE)
                plain = MESSAGE_2.sealed_part(mac=mac)
            else:
                loose = Weak.ROLE in self.weak
                name = Term("AnyName") if loose or Weak.TERMINAL in self.weak else opening.peer
                chain = certificate(Term("AnyRole") if loose else role, name, public_key(key))
                checked.append(issued(chain))
                digest = credential(chain, staple)
                signature = schedule.signature(note, key, schedule.signed("responder", second, digest))
                if Weak.RESPONDER_SIGNATURE in self.weak:
                    signature = Term("Signature")
                    checked.append(knows(note))
                mac = schedule.mac(mac_note, "responder", both, second, digest, signature)
                plain = MESSAGE_2.sealed_part(chain=chain, staple=staple, signature=signature, mac=mac)
            line = schedule.sealed("responder", both, second, clear, plain)
            heard = [knows(share), knows(said), *who, knows(line)]
            yield (
                Answer(opening, share, said, both, clear, second, note, heard, checked),
                schedule.th3(second, line, digest),
            )

    # --------------------------------------------------------------------------------- message 3

    def _sign(self, opening: Opening, role: Term) -> None:
        """Add modes full, device and enrol: the responder signs, then the initiator."""
        name = opening.name
        shows = []
        if opening.mode == "enrol":
            code = activation_code(opening.role, name)
            asked = {"role": opening.role, "name": name, "code": code}
            key = new_key(name, self.session)
            csr = request(public_key(key), sign(EVE, key, request_body(public_key(key))))
            digest = credential_enrol(opening.role, name, csr, code, opening.binding)
            shows.append(Shown({**asked, "csr": csr}, digest, key, "chain"))
            digest = credential_enrol(opening.role, name, NONE, code, opening.binding)
            shows.append(Shown({**asked, "birth": BACKEND}, digest, None, "p12"))
        else:
            own = self.network.certificate_of(opening.role, name)
            shows.append(Shown({"chain": own}, credential(own, opening.binding), individual_key(name), "ticket"))
        for answer, third in self._answers(opening, ZEROS, role):
            for shown in shows:
                self._prove(answer, third, shown)

    def _resume(self, name: Term) -> None:
        """Add mode resume: both sides prove the ticket's secret and the agreement by MACs."""
        secret = resumption(name, Term("Ticket"))
        opening = self._open("resume", Term("Role"), name, BACKEND, secret)
        for answer, third in self._answers(opening, secret, None):
            self._prove(answer, third, Shown({}, CREDENTIAL_RESUME, None, "ticket"))

    def _prove(self, answer: Answer, third: Term, shown: Shown) -> None:
        """Send message 3."""
        schedule, opening = self.schedule, answer.opening
        mine = by_initiator(opening.word, opening.name, opening.peer, self.session, answer.share, answer.nonce)
        fields, signature = dict(shown.fields), NONE
        if shown.signing is not None:
            signed = schedule.signed("initiator", third, shown.digest)
            signature = fields["signature"] = schedule.signature(mine, shown.signing, signed)
        if opening.mode != "resume":
            fields["binding"] = opening.binding
        fields["mac"] = schedule.mac(mine, "initiator", answer.secret, third, shown.digest, signature)
        clear = MESSAGE_3.clear_part(s=opening.fields["s"])
        line = schedule.sealed("initiator", answer.secret, third, clear, MESSAGE_3.sealed_part(**fields))
        known = [*answer.heard, *answer.checked]
        said = answer.heard if Weak.EARLY_PROOF in self.weak else known
        self.network.sends(f"{opening.mode}_initiator_sends_message_3", said, line)
        trusts = opening.word, opening.name, opening.peer
        seen = self.session, answer.share, answer.nonce
        self.network.rule(
            f"{opening.mode}_initiator_has_verified_the_responder", known, verified(*trusts, answer.note, *seen)
        )
        fourth = schedule.th4(third, line, shown.digest)
        keys = schedule.session_keys(answer.secret, fourth)
        self.moments.append(Moment(opening.mode, opening.peer, known, answer.secret, keys))
        self._confirm(answer, fourth, known, shown.brought)

    # --------------------------------------------------------------------------------- message 4

    def _confirm(self, answer: Answer, fourth: Term, known: list[Term], brings: str) -> None:
        """Take message 4."""
        opening = answer.opening
        note, date, brought = variables("Confirmation Date Brought")
        key = self.schedule.direction("responder", answer.secret, fourth)
        plain = MESSAGE_4.sealed_part(**{"date": date, brings: brought})
        message = record(note, key, FIRST, MESSAGE_4.clear_part(s=opening.fields["s"]), plain)
        heard = [knows(message)]
        if Weak.CONFIRMATION in self.weak:
            heard = [knows(note), knows(brought)]
        self.network.rule(
            f"{opening.mode}_initiator_has_heard_message_4",
            [*known, *heard],
            authenticated(
                *(opening.word, opening.name, opening.peer, note),
                *(self.session, answer.share, answer.nonce, brought),
            ),
        )
