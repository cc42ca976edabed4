"""Plays the conversations of docs/protocol.md and writes them down, with every secret.

The conversations are made by the program and read by the stranger's code (tests.protocol.stranger),
which knows the specification only. `python -m tests.protocol.transcripts` renews the transcripts in
docs/protocol.md and docs/vectors/session.json, and those of docs/transactions.md and its vectors
(tests.transactions.writing); tests compare them all.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.x509.oid import NameOID

from tests.protocol import stranger
from tests.protocol.network import (
    BACKEND,
    BINDING,
    CARD,
    NOON,
    POS,
    STAPLE,
    TERMS,
    Network,
    Party,
    SeededEntropy,
    Verifier,
    authority_certificate,
    lines_in,
    session_in,
)
from tests.protocol.observer import Conversation
from tests.transactions import writing
from trus.protocol.describe import renew
from trus.protocol.effects import Effect, Mode, NeedEnrolment, NeedStanding, Terms
from trus.protocol.errors import RemoteProtocolError
from trus.protocol.handshake import EnrolmentRequest, Expected, Initiator, Responder, run
from trus.protocol.messages import Kind, Phase, Side, format_line, parse_line
from trus.protocol.session import SealedSession
from trus.protocol.tickets import StoredTicket
from trus.values import DeviceRole

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "protocol.md"
VECTORS: Final = ROOT / "docs" / "vectors" / "session.json"
CODE: Final = "K7QM2-XW4TR-9BNHC-6JDPF-3VYGA"
PURCHASE: Final = {"stan": "000042", "amount": "12.50", "currency": "USD", "date": "2026-11-20"}


class Stage:
    """Both ends of one conversation, on seeded entropy."""

    def __init__(self, name: str, title: str, initiator: Initiator, responder: Responder, *, seed: str = "") -> None:
        """`seed` is that of the initiator's entropy, from which this reads the private keys."""
        self.initiator, self.responder = initiator, responder
        entropy = SeededEntropy(seed or f"{name}/device")
        entropy.draw(12)
        private = X25519PrivateKey.from_private_bytes(entropy.draw(32))
        entropy.draw(16)
        rekey = X25519PrivateKey.from_private_bytes(entropy.draw(32))
        self.talk = Conversation(name, title, stranger.Schedule(), private, rekey, BINDING)
        self.initiator_party, self.responder_party = POS, BACKEND

    def shake(
        self, answer: Callable[[Effect], list[Effect]] | None = None, remarks: tuple[str, ...] = ()
    ) -> tuple[list[Effect], list[Effect]]:
        """Carry the four messages; `answer` serves what `run` does not."""
        verifier, notes = Verifier(), [*remarks, "", "", "", ""]

        def right(line: bytes) -> list[Effect]:
            effects = run(self.responder, self.responder.receive(line), self.responder_party, verifier, TERMS)
            if answer is not None and isinstance(effects[-1], NeedStanding | NeedEnrolment):
                effects = effects[:-1] + answer(effects[-1])
            return effects

        (line1,) = lines_in(self.initiator.start())
        first = right(self.talk.hear("initiator", line1, notes[0]))
        line2 = self.talk.hear("responder", lines_in(first)[0], notes[1])
        (line3,) = lines_in(run(self.initiator, self.initiator.receive(line2), self.initiator_party, verifier))
        last = right(self.talk.hear("initiator", line3, notes[2]))
        line4 = self.talk.hear("responder", lines_in(last)[0], notes[3])
        return self.initiator.receive(line4), last


class Sealed:
    """Both ends of an open session; each line is opened by the other end at once."""

    def __init__(self, talk: Conversation, device: SealedSession, backend: SealedSession) -> None:
        self.talk, self.device, self.backend = talk, device, backend

    def say(self, left: bool, head: str, clear: Any, sealed: Any, dialogue: str | None, remark: str = "") -> None:
        speaker, hearer = (self.device, self.backend) if left else (self.backend, self.device)
        kind, verb = head.split(" ")
        line = speaker.seal(Kind(kind), verb, clear, sealed, dialogue=dialogue)
        hearer.open(self.talk.hear(str(speaker.side), line, remark))


def full() -> tuple[Conversation, StoredTicket]:
    network = Network("full")
    stage = Stage("full", "A session, a purchase, new keys", network.initiator(), network.responder())
    left, right = stage.shake(
        remarks=(
            "Message 1: the terminal asks for a session with the backend.",
            "Message 2: the backend proves itself; only who has the terminal's share can read it.",
            "Message 3: the terminal proves itself and its TLS connection.",
            "Message 4: record 0 of the backend. The session is open.",
        )
    )
    talk, both = stage.talk, Sealed(stage.talk, session_in(left), session_in(right))
    entropy = SeededEntropy("full/purchase")
    rid, block = stranger.b64(entropy.draw(16)), stranger.b64(entropy.draw(16))
    track2 = "4000340000000506=2511111123400001230"
    both.say(True, "COMMAND PROCESS", PURCHASE, {"rid": rid, "track2": track2, "entry": "stripe"}, "c1", "12.50 USD.")
    both.say(False, "COMMAND PRESENT-PIN", {}, {}, "c1", "The backend wants a PIN for it.")
    both.say(True, "DATA PIN-BLOCK", {"format": "4"}, {"block": block}, "c1")
    result = {"result": "approved", "code": "00", "approval": "A1B2C3", "rrn": "632500000042"}
    text = {"balance": "87.50", "currency": "USD", "text": "Approved. Bon appétit!"}
    both.say(False, "INFO RESULT", result, text, "c1", "Stored, then said.")
    both.say(True, "INFO COMPLETE", {}, {}, "c1", "The dialogue is closed.")
    bad = talk.hear(
        "initiator",
        # A terminal of another maker: genuine, and refused.
        both.device._send.seal(
            f"COMMAND PROCESS s={both.device.label} id=c2 stan=43 amount=1.00 currency=USD date=2026-11-20".encode(),
            stranger.pad({"rid": rid, "track2": track2}),
        ),
        "A genuine line with a field of the wrong form: stan has six digits.",
    )
    try:
        both.backend.open(bad)
    except RemoteProtocolError as error:
        both.say(False, "INFO ERROR", {"code": error.code}, {}, error.dialogue, "The session goes on.")
    both.say(True, "COMMAND ECHO", {}, {}, "c3")
    both.say(False, "INFO ECHO", {}, {}, "c3")
    network.clock.advance(3600)
    request = both.device.start_rekey()
    both.backend.open(talk.hear("initiator", request, "An hour has passed: the terminal asks for new keys."))
    both.device.open(talk.hear("responder", both.backend.answer_rekey(network.tickets)))
    both.backend.open(talk.hear("initiator", both.device.finish_rekey(), "From here on, all lines are under new keys."))
    both.say(False, "INFO DAY", {}, {"date": "2026-11-21"}, None)
    notice = format_line(Kind.INFO, "NOTICE", {"code": "going-down"}, phase=Phase.SEALED, sender=Side.GATEWAY)
    both.device.open(talk.hear("gateway", notice, "The one unsealed line: a word from the gateway."))
    both.say(True, "INFO BYE", {"reason": "done"}, {}, None)
    ticket = both.device.ticket
    assert ticket is not None
    return talk, ticket


def resume() -> Conversation:
    network = Network("resume")
    ticket = session_in(Stage("resume", "", network.initiator(), network.responder()).shake()[0]).ticket
    assert ticket is not None
    network.device_entropy = SeededEntropy("resume/again")
    binding = bytes(reversed(BINDING))
    stage = Stage(
        "resume",
        "A resumption over a new connection",
        network.initiator(Mode.RESUME, ticket=ticket, binding=binding),
        network.responder(binding=binding),
        seed="resume/again",
    )
    stage.talk.binding = binding
    stage.talk.schedule = stranger.Schedule(ticket.secret)
    stage.talk.values["ticket's resumption secret"] = ticket.secret.hex()

    def stands(_: Effect) -> list[Effect]:
        return stage.responder.provide_standing(TERMS)

    left, right = stage.shake(stands, ("The binder proves the ticket's secret and names the new connection.",))
    both = Sealed(stage.talk, session_in(left), session_in(right))
    rid = stranger.b64(SeededEntropy("resume/balance").draw(16))
    sealed = {"rid": rid, "track2": "4000340000000506=2511111123400001230", "pin": rid, "format": "4"}
    both.say(True, "COMMAND BALANCE", {"stan": "000043", "date": "2026-11-20"}, sealed, "c1")
    answer = {"balance": "87.50", "currency": "USD"}
    both.say(False, "INFO RESULT", {"result": "approved", "code": "00"}, answer, "c1")
    both.say(True, "INFO COMPLETE", {}, {}, "c1")
    return stage.talk


def enrol() -> Conversation:
    network = Network("enrol")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, POS.name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    request = builder.sign(POS.key, hashes.SHA256(), ecdsa_deterministic=True)
    initiator = Initiator(
        to="backend",
        mode=Mode.ENROL,
        expected=Expected(DeviceRole.BACKEND, "backend"),
        clock=network.clock,
        entropy=network.device_entropy,
        channel_binding=BINDING,
        enrolment=EnrolmentRequest(DeviceRole.POS, POS.name, request.public_bytes(serialization.Encoding.DER), CODE),
    )
    stage = Stage("enrol", "A terminal gets its certificate", initiator, network.responder())

    def issue(_: Effect) -> list[Effect]:
        return stage.responder.provide_enrolment(POS.chain, Terms("2026-11-20"))

    stage.shake(issue, ("", "", "The request and the activation code, for the backend's eyes only.", ""))
    return stage.talk


def enrol_at_backend() -> Conversation:
    network = Network("enrol-backend")
    initiator = Initiator(
        to="backend",
        mode=Mode.ENROL,
        expected=Expected(DeviceRole.BACKEND, "backend"),
        clock=network.clock,
        entropy=network.device_entropy,
        channel_binding=BINDING,
        enrolment=EnrolmentRequest(DeviceRole.POS, POS.name, b"", CODE),
    )
    title = "A terminal gets pair and certificate (48 octets stand for the PKCS#12)"
    stage = Stage("enrol-backend", title, initiator, network.responder())
    drawn = SeededEntropy("enrol-backend/pair")

    def hand_over(_: Effect) -> list[Effect]:
        return stage.responder.provide_pair(drawn.draw(48), "k3v7q2zx5mwd4tjh6yfb3rpc7nse2ual", Terms("2026-11-20"))

    stage.shake(hand_over, ("", "", "The code alone: there is no key yet that could sign.", "Once, and never again."))
    return stage.talk


def device() -> Conversation:
    network = Network("device")
    initiator = network.initiator(Mode.DEVICE, CARD, Expected(DeviceRole.POS, POS.name, POS.shop), to=POS.name)
    responder = network.responder(POS, DeviceRole.CARD, None, frozenset({Mode.DEVICE}), name=POS.name)
    stage = Stage("device", "A card and a POS", initiator, responder)
    stage.initiator_party, stage.responder_party = CARD, POS
    left, right = stage.shake(remarks=("The gateway brings this line to the terminal that it names.",))
    both = Sealed(stage.talk, session_in(left), session_in(right))
    both.say(True, "COMMAND ECHO", {}, {}, "c1")
    both.say(False, "INFO ECHO", {}, {}, "c1")
    both.say(False, "INFO BYE", {"reason": "done"}, {}, None)
    return stage.talk


def conversations() -> list[Conversation]:
    return [full()[0], resume(), enrol(), enrol_at_backend(), device()]


def party_json(party: Party) -> dict[str, Any]:
    scalar = party.key.private_numbers().private_value
    return {
        "name": party.name,
        "role": party.role,
        "p256 private": f"{scalar:064x}",
        "chain": [c.hex() for c in party.chain],
    }


def vectors(talks: list[Conversation]) -> str:
    whole = {
        "specification": "docs/protocol.md, version 1; octets are hexadecimal, lines are without CR LF",
        "now": NOON.isoformat(),
        "authority": authority_certificate().hex(),
        "ocsp response": STAPLE.hex(),
        "parties": [party_json(party) for party in (BACKEND, POS, CARD)],
        "conversations": [talk.as_json() for talk in talks],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


#: What a connection without a session may not say, and why not.
REFUSED: Final = (
    (b"HELLO", "not a line"),
    (b"COMMAND  PROCESS", "two spaces"),
    (b"COMMAND PROCESS s=P3uCE0SDdgzAT4AO id=c1 stan=000042", "no session yet"),
    (b"INFO DAY s=P3uCE0SDdgzAT4AO seal=AAAA", "a device does not announce the day"),
    (b"COMMAND FORMAT-DISK s=P3uCE0SDdgzAT4AO", "no such verb"),
    (b"COMMAND AUTHENTICATE s=P3uCE0SDdgzAT4AO to=backend", "fields are missing"),
    (b"DATA AUTHENTICATE s=P3uCE0SDdgzAT4AO", "no seal"),
    (b"INFO BYE reason=done reason=idle", "a field twice"),
    (b'INFO BYE reason="done"', "a word is not quoted"),
)


def refusals() -> str:
    """Return what the gateway answers to lines that it does not let pass."""
    shown = ["#### Refused before authentication\n", "```"]
    for line, why in REFUSED:
        try:
            parse_line(line, phase=Phase.OPENING, sender=Side.INITIATOR)
        except RemoteProtocolError as error:
            answer = format_line(Kind.INFO, "ERROR", {"code": error.code}, phase=Phase.OPENING, sender=Side.GATEWAY)
            shown += [f"# {why}", f"< {line.decode()}", f"> {answer[:-2].decode()}"]
    return "\n".join([*shown, "```"]) + "\n"


def page(before: str, talks: list[Conversation]) -> str:
    blocks = {f"transcript-{talk.name}": talk.as_markdown for talk in talks}
    return renew(before, {**blocks, "transcript-refusals": refusals})


def main() -> None:
    writing.main()
    talks = conversations()
    VECTORS.write_text(vectors(talks), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), talks), encoding="utf-8")


if __name__ == "__main__":
    main()
