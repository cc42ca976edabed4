"""The side that answers, in the four modes of the handshake, as rules: the backend, or a POS to a card.

Trusts no line that it cannot check, like trus.protocol.responder. What it has checked is kept for the
claims: `accepted` after message 3, `certified` where a certificate is issued.
Specification: docs/protocol.md, "The handshake".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from proofs.initiator import Moment
from proofs.network import (
    Network,
    activation_code,
    answer_exponent,
    answer_nonce,
    by_responder,
    confirmed,
    device,
    fixed_exponent,
    individual_key,
    issued,
    knows,
    made_key,
    pseudonym,
    ticket_key,
)
from proofs.primitives import (
    BACKEND,
    CARD,
    CREDENTIAL_RESUME,
    EVE,
    FIRST,
    ONE,
    POS,
    STAPLE,
    ZEROS,
    certificate,
    credential,
    credential_enrol,
    pair,
    public_key,
    record,
    request,
    request_body,
    seal,
    share_of,
    sign,
    ticket_text,
)
from proofs.terms import Symbol, Term, variables
from proofs.weakenings import Weak
from proofs.words import MESSAGE_1, MESSAGE_2, MESSAGE_3, MESSAGE_4, NONE, constant

#: mode, own name, peer, note, session, label, versions, suites, share, nonce, binding
accepted: Final = Symbol("responder_accepts", 11)
#: role, name, public key, note
certified: Final = Symbol("backend_certifies", 4)


class Question(NamedTuple):
    """Message 1 as its responder may take it, and what follows from it."""

    mode: str
    name: Term
    body: list[Term]
    #: Label, versions, suites, share and nonce, as received.
    received: tuple[Term, Term, Term, Term, Term]
    #: What the gateway reports of the connection.
    binding: Term
    secret: Term
    clear: Term
    second: Term
    note: Term


class Demand(NamedTuple):
    """What a responder wants to see in message 3, and what it says then."""

    peer: Term
    note: Term
    digest: Term
    plain: Term
    besides: list[Term]
    #: What message 4 brings.
    brings: dict[str, Term]


class Responders:
    """All sessions that the backend and honest POS terminals answer."""

    def __init__(self, network: Network) -> None:
        """Add the rules of every mode of the setting."""
        self.network = network
        self.schedule = network.schedule
        self.weak = network.weak
        self.moments: list[Moment] = []
        self.session = Term("Session")
        for mode in network.setting.modes:
            if mode == "device":
                self._sign(mode, POS, device(POS, Term("Terminal")))
            elif mode == "resume":
                self._resume()
            else:
                self._sign(mode, BACKEND, BACKEND)

    # --------------------------------------------------------------------------------- messages 1 and 2

    def _questions(self, mode: str, name: Term, ticket: Term = NONE, secret: Term = ZEROS) -> Iterator[Question]:
        """Return message 1 as it may come, once for each spelling of the agreement; show share and nonce."""
        schedule = self.schedule
        fixed = Weak.FIXED_SHARE in self.weak and name == BACKEND
        own = fixed_exponent(name) if fixed else answer_exponent(name, self.session)
        tag, versions, suites, nonce, report = variables("Label Versions Suites Nonce Binding")
        binding = NONE if mode == "device" else report
        for share, agreed in schedule.agreements(own):
            fields = {
                "s": tag,
                "to": name,
                "versions": versions,
                "suites": suites,
                "mode": constant(mode),
                "share": share,
                "nonce": nonce,
            }
            # What the gateway reports is the attacker's to say.
            heard = [tag, versions, suites, share, nonce, *([] if mode == "device" else [report])]
            if mode == "resume":
                fields["ticket"] = ticket
                bound = MESSAGE_1.clear_part(**fields)
                fields["binder"] = schedule.binder(Term("BinderNote"), secret, bound, binding)
                heard += [ticket, fields["binder"]]
            clear = MESSAGE_2.clear_part(
                s=tag, version=ONE, suite=ONE, share=share_of(own), nonce=answer_nonce(name, self.session)
            )
            second = schedule.th2(schedule.th1(**fields), clear)
            received = tag, versions, suites, share, nonce
            note = by_responder(constant(mode), name, self.session, *received)
            body = [knows(item) for item in heard]
            drawn = share_of(own), answer_nonce(name, self.session)
            self.network.sends(f"{mode}_responder_draws_share_and_nonce", body, *drawn)
            both = schedule.secret(secret, agreed)
            yield Question(mode, name, body, received, binding, both, clear, second, note)

    def _sign(self, mode: str, role: Term, name: Term) -> None:
        """Add modes full, device and enrol."""
        schedule = self.schedule
        for question in self._questions(mode, name):
            own = self.network.certificate_of(role, name)
            digest = credential(own, STAPLE)
            signed = schedule.signed("responder", question.second, digest)
            signature = schedule.signature(question.note, individual_key(name), signed)
            mac = schedule.mac(question.note, "responder", question.secret, question.second, digest, signature)
            plain = MESSAGE_2.sealed_part(chain=own, staple=STAPLE, signature=signature, mac=mac)
            third = self._answer(question, plain, digest)
            if mode == "enrol":
                self._accept(question, third, self._request(question, third))
                self._accept(question, third, self._birth(question, third))
            else:
                self._accept(question, third, self._certificate(question, third))

    def _resume(self) -> None:
        """Add mode resume."""
        holder, secret, note = variables("Peer Resumption Note")
        written = NONE if Weak.TICKET_HOLDER in self.weak else holder
        ticket = seal(ticket_key, NONE, ticket_text(secret, written))
        digest = CREDENTIAL_RESUME
        for question in self._questions("resume", BACKEND, ticket, secret):
            mac = self.schedule.mac(question.note, "responder", question.secret, question.second, digest, NONE)
            third = self._answer(question, MESSAGE_2.sealed_part(mac=mac), digest)
            proof = self.schedule.mac(note, "initiator", question.secret, third, digest, NONE)
            besides = [knows(holder)] if Weak.TICKET_HOLDER in self.weak else []
            self._accept(question, third, Demand(holder, note, digest, MESSAGE_3.sealed_part(mac=proof), besides, {}))

    def _answer(self, question: Question, plain: Term, digest: Term) -> Term:
        """Send message 2 and return TH3."""
        line = self.schedule.sealed("responder", question.secret, question.second, question.clear, plain)
        self.network.sends(f"{question.mode}_responder_sends_message_2", question.body, line)
        return self.schedule.th3(question.second, line, digest)

    # --------------------------------------------------------------------------------- message 3

    def _proofs(self, question: Question, third: Term, key: Term, digest: Term) -> tuple[dict[str, Term], list[Term]]:
        """Return the signature and MAC that message 3 must carry, and what must hold besides."""
        schedule, note = self.schedule, Term("Note")
        signature = schedule.signature(note, key, schedule.signed("initiator", third, digest))
        besides: list[Term] = []
        if {Weak.INITIATOR_SIGNATURE, Weak.POSSESSION} & self.weak:
            signature = Term("Signature")
            besides.append(knows(note))
        mac = schedule.mac(Term("MacNote"), "initiator", question.secret, third, digest, signature)
        return {"signature": signature, "mac": mac}, besides

    def _certificate(self, question: Question, third: Term) -> Demand:
        """Want a certificate of the role that goes with the connection, and the signature of its key."""
        peer, key, role, note, claimed = variables("Peer PeerKey PeerRole Note Claimed")
        chain = certificate(CARD if question.mode == "device" else role, peer, public_key(key))
        binding = claimed if Weak.BINDING in self.weak else question.binding
        digest = credential(chain, binding)
        proofs, besides = self._proofs(question, third, key, digest)
        plain = MESSAGE_3.sealed_part(chain=chain, binding=binding, **proofs)
        return Demand(peer, note, digest, plain, [issued(chain), *besides], {})

    def _request(self, question: Question, third: Term) -> Demand:
        """Want the activation code of the name and the signatures of the new key; certify it."""
        peer, key, role, note, request_note = variables("Peer PeerKey PeerRole Note RequestNote")
        own = sign(request_note, key, request_body(public_key(key)))
        csr = request(public_key(key), Term("AnySignature") if Weak.POSSESSION in self.weak else own)
        code = activation_code(role, peer)
        digest = credential_enrol(role, peer, csr, code, question.binding)
        proofs, besides = self._proofs(question, third, key, digest)
        plain = MESSAGE_3.sealed_part(role=role, name=peer, csr=csr, code=code, binding=question.binding, **proofs)
        return Demand(peer, note, digest, plain, besides, {"chain": certificate(role, peer, public_key(key))})

    def _birth(self, question: Question, third: Term) -> Demand:
        """Want the activation code of the name alone; make a pair and certify it."""
        peer, role, note = variables("Peer PeerRole Note")
        code = activation_code(role, peer)
        digest = credential_enrol(role, peer, NONE, code, question.binding)
        mac = self.schedule.mac(note, "initiator", question.secret, third, digest, NONE)
        plain = MESSAGE_3.sealed_part(role=role, name=peer, code=code, birth=BACKEND, binding=question.binding, mac=mac)
        key = made_key(peer, self.session)
        return Demand(peer, note, digest, plain, [], {"p12": pair(key, certificate(role, peer, public_key(key)))})

    # --------------------------------------------------------------------------------- message 4

    def _accept(self, question: Question, third: Term, demand: Demand) -> None:
        """Take message 3, send message 4, and keep the moment for the claims."""
        schedule, mode, received = self.schedule, question.mode, question.received
        clear = MESSAGE_3.clear_part(s=received[0])
        line = schedule.sealed("initiator", question.secret, third, clear, demand.plain)
        body = [*question.body, knows(line), *demand.besides]
        known = constant(mode), question.name, demand.peer
        seen = demand.note, self.session, *received, question.binding
        self.network.rule(f"{mode}_responder_has_heard_message_3", body, accepted(*known, *seen))
        fourth = schedule.th4(third, line, demand.digest)
        key = schedule.direction("responder", question.secret, fourth)
        said = MESSAGE_4.sealed_part(date=EVE, **demand.brings)
        note = confirmed(constant(mode), question.name, self.session, *received, demand.peer, question.binding)
        message = record(note, key, FIRST, MESSAGE_4.clear_part(s=received[0]), said)
        self.network.sends(f"{mode}_responder_sends_message_4", body, message)
        for brought in demand.brings.values():
            issue = brought.args[1] if brought.name == pair.name else brought
            self.network.rule("backend_has_certified", body, certified(*issue.args, demand.note))
        honest = pseudonym(Term("Card")) if mode == "device" else device(Term("DeviceRole"), Term("Device"))
        whom = {demand.peer.name: honest}
        secret, *keys = (
            term.replaced(whom) for term in (question.secret, *schedule.session_keys(question.secret, fourth))
        )
        self.moments.append(Moment(mode, honest, [atom.replaced(whom) for atom in body], secret, tuple(keys)))
