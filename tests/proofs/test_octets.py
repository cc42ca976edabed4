"""The model against real conversations: its rules say, octet for octet, what the program says."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from twisted.trial.unittest import SynchronousTestCase

from proofs.claims import World
from proofs.network import Setting, knows
from proofs.primitives import record
from proofs.records import Records
from proofs.terms import Term, Theory
from proofs.words import MESSAGE_4
from tests.proofs.octets import Reading, Value
from tests.protocol import transcripts
from tests.protocol.network import BACKEND, CARD, POS, STAPLE
from tests.protocol.observer import Conversation
from tests.protocol.stranger import read_fields, split_seal, unb64

_PARTIES: Final = {party.name: party for party in (BACKEND, POS, CARD)}


def heads(theory: Theory, rule: str) -> list[Term]:
    """Return what the attacker sees when a rule is applied, once for each clause of that name."""
    found = [each.head for each in theory.clauses if each.name.rpartition("__")[0] == rule]
    return [head.args[0] for head in found if head is not None and head.name == knows.name]


def mode_of(talk: Conversation) -> str:
    """Return the mode of a conversation."""
    return read_fields(talk.steps[0].line.decode())["mode"]


def theory_of(talk: Conversation) -> Theory:
    """Return the model of a conversation's mode."""
    return World(Setting((mode_of(talk),))).network.theory


def reading(talk: Conversation, *, responder: bool) -> Reading:
    """Return what the model's names stand for in a conversation, as one side knows them."""
    first, second = (read_fields(step.line.decode()) for step in talk.steps[:2])
    shown = read_fields((talk.steps[2].plaintext or b"").decode())
    shares = [unb64(fields["share"]) for fields in (first, second)]
    initiator, answering = (CARD, POS) if talk.name == "device" else (POS, BACKEND)
    known: dict[str, Value] = {
        "label_of": first["s"],
        "Label": first["s"],
        "Versions": first["versions"],
        "Suites": first["suites"],
        "nonce_of": first["nonce"],
        "answer_nonce_of": second["nonce"],
        "AnswerNonce": second["nonce"],
        "Nonce": first["nonce"],
        "share_of_exponent_of": shares[0],
        "share_of_answer_exponent_of": shares[1],
        "Share": shares[not responder],
        "other_share": shares[not responder],
        "agreed": talk.private.exchange(X25519PublicKey.from_public_bytes(shares[1])),
        "exporter_of": talk.binding,
        "Binding": talk.binding,
        "staple": STAPLE,
        "Staple": STAPLE,
        "pseudonym": initiator.name,
        "Peer": initiator.name,
        "device_named": answering.name if talk.name == "device" else initiator.name,
        "PeerKey": initiator.name if responder else answering.name,
        "new_key": initiator.name,
        "Role": "pos",
        "PeerRole": "pos",
        "activation_code": transcripts.CODE,
    }
    if "ticket" in first:
        secret = bytes.fromhex(talk.values["ticket's resumption secret"])
        known |= {"ticket": unb64(first["ticket"]), "resumption_secret": secret, "Resumption": secret}
    if mode_of(talk) == "enrol":
        # Without a request of its own, the device of that conversation asks for a pair.
        known["request"] = unb64(shown.get("csr", ""))
    return Reading(known, _PARTIES)


class HandshakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.talks = transcripts.conversations()

    def test_message_2(self) -> None:
        """In every mode the model's responder says message 2 octet for octet as the program does."""
        for talk in self.talks:
            said = heads(theory_of(talk), f"{mode_of(talk)}_responder_sends_message_2")
            read = reading(talk, responder=True)
            self.assertEqual({read.octets(line) for line in said}, {talk.steps[1].line}, talk.name)

    def test_message_3(self) -> None:
        """In every mode the model's initiator says message 3 octet for octet as the program does."""
        for talk in self.talks:
            said = heads(theory_of(talk), f"{mode_of(talk)}_initiator_sends_message_3")
            read = reading(talk, responder=False)
            lines = [read.octets(line) for line in said if "dishonest" not in str(line)]
            # One line for each spelling of the agreed secret; and in mode enrol for each way of birth.
            self.assertEqual(len(lines), 4 if mode_of(talk) == "enrol" else 2)
            self.assertEqual(lines.count(talk.steps[2].line), 2, talk.name)

    def test_message_4(self) -> None:
        """In every mode message 4 is sealed under the key that the model's responder seals it under."""
        for talk in self.talks:
            said = heads(theory_of(talk), f"{mode_of(talk)}_responder_sends_message_4")
            read, opened = reading(talk, responder=True), 0
            clear, sealed = split_seal(talk.steps[3].line)
            for line in said:
                _, key, _, head, text = line.args
                self.assertEqual(read.octets(head), clear)
                brings = "p12" if "pair(" in str(text) else "chain" if "certificate(" in str(text) else ""
                if mode_of(talk) == "enrol" and brings not in (talk.steps[3].plaintext or b"").decode():
                    continue
                cipher, nonce = read.cipher(key)
                fields = read_fields(cipher.decrypt(nonce, sealed, clear).decode())
                self.assertLessEqual(fields.keys(), {*MESSAGE_4.sealed})
                opened += 1
            self.assertEqual(opened, 2, talk.name)

    def test_another_key_opens_nothing(self) -> None:
        """These tests can fail: with another secret, the model's lines are not the program's."""
        talk = self.talks[0]
        read = reading(talk, responder=True)
        read.known["agreed"] = bytes(32)
        said = heads(theory_of(talk), "full_responder_sends_message_2")
        self.assertNotIn(talk.steps[1].line, [read.octets(line) for line in said])


class RecordTests(SynchronousTestCase):
    def test_keys(self) -> None:
        """Direction keys, PIN key and the keys after a rekey are the program's, from the model's rules."""
        talk, _ = transcripts.full()
        ask, answer = (
            read_fields((step.plaintext or b"").decode())
            for step in talk.steps
            if step.line.startswith((b"COMMAND REKEY", b"DATA REKEY"))
        )
        agreed = talk.rekey_private.exchange(X25519PublicKey.from_public_bytes(unb64(answer["share"])))
        known: dict[str, Value] = {
            "session_secret": bytes.fromhex(talk.values["secret"]),
            "session_transcript": bytes.fromhex(talk.values["TH4"]),
            "agreed": agreed,
            "Share": unb64(ask["share"]),
            "other_share": unb64(ask["share"]),
            "Nonce": unb64(ask["nonce"]),
            "share_of_renewing_exponent": unb64(answer["share"]),
            "renewing_nonce": unb64(answer["nonce"]),
        }
        read, records = Reading(known, _PARTIES), Records()
        for age, prefix in (("old_keys", ""), ("new_keys", "rekeyed ")):
            said = heads(records.theory, f"responder_says_a_line_under_{age}")
            keys = {read.octets(line.args[1]).hex() for line in said if line.name == record.name}
            self.assertEqual(keys, {talk.values[f"{prefix}responder key"]})
        said = heads(records.theory, "initiator_says_a_line_under_old_keys")
        (block,) = (line.args[4].args[1] for line in said if line.name == record.name)
        self.assertEqual(read.octets(block.args[0]).hex(), talk.values["pin key"])
