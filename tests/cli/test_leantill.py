"""What the load generator sends is what a terminal sends."""

from __future__ import annotations

import itertools

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from twisted.trial.unittest import SynchronousTestCase

from tests.protocol.network import Network
from trus.cards.pin import try_open_pin
from trus.cli.leantill import LeanTill, LoadCard
from trus.protocol.errors import SessionEnded
from trus.protocol.fields import parse_octets
from trus.protocol.messages import Kind

#: Numbers of every length, so that the padding of every remainder is met.
CARDS = [LoadCard.of(f"{'4000340000000506'[: 12 + extra]}=25111111234000012{extra}", "1234") for extra in range(5)]
CARDS.append(LoadCard.of("4000340000000506999=2511111123400001230", "123456789012"))


class LeanTillTests(SynchronousTestCase):
    """A purchase by the record layer alone, against a session of the general kind."""

    def setUp(self) -> None:
        """Open a session and hand its device's end to a lean till."""
        self.device, self.backend = Network("lean").sessions()
        entropy = Network("lean draws").device_entropy
        self.pin_key = self.device.pin_key
        self.till = LeanTill(self.device, itertools.cycle(CARDS), 1, "USD", "2026-11-20", entropy.draw)

    def test_every_purchase_is_whole_and_its_own(self) -> None:
        """Each line is read by the table: its own number, rid and dialogue, the card's stripe, and its PIN."""
        decrypt = Cipher(algorithms.AES(self.pin_key), modes.ECB()).decryptor().update
        rids = set()
        for number in range(1, 601):
            dialogue, line = self.till.purchase()
            message = self.backend.open(line[:-2])
            card = CARDS[(number - 1) % len(CARDS)]
            fields = dict(message.fields)
            rids.add(parse_octets(fields.pop("rid")))
            pin = try_open_pin(parse_octets(fields.pop("pin")), card.number, decrypt)
            self.assertEqual(pin, card.pin)
            self.assertEqual(
                fields,
                {
                    "stan": f"{number:06d}",
                    "amount": "0.01",
                    "currency": "USD",
                    "date": "2026-11-20",
                    "track2": card.track2,
                    "format": "4",
                },
            )
            self.assertEqual((message.verb, message.dialogue), ("PROCESS", dialogue.decode()))
            answer = self.backend.seal(
                Kind.INFO, "RESULT", {"result": "approved", "code": "00"}, {}, dialogue=dialogue.decode()
            )
            self.assertEqual(self.till.answer(answer[:-2]), (dialogue, "00"))
            closed = self.backend.open(self.till.complete(dialogue)[:-2])
            self.assertEqual((closed.verb, closed.dialogue, dict(closed.fields)), ("COMPLETE", dialogue.decode(), {}))
        self.assertEqual(len(rids), 600)
        self.assertEqual(self.backend.open_dialogues, 0)

    def test_other_lines_are_no_answers(self) -> None:
        """The gateway's notice and a new business date count as no purchase."""
        self.assertIsNone(self.till.answer(b"INFO NOTICE code=slow-down"))
        self.assertIsNone(self.till.answer(self.backend.seal(Kind.INFO, "DAY", {}, {"date": "2026-11-21"})[:-2]))

    def test_a_forged_answer_counts_for_nothing(self) -> None:
        """An answer whose seal does not open ends the measurement instead of being counted."""
        dialogue, line = self.till.purchase()
        self.backend.open(line[:-2])
        answer = self.backend.seal(
            Kind.INFO, "RESULT", {"result": "declined", "code": "05"}, {}, dialogue=dialogue.decode()
        )
        forged = answer[:-2].replace(b"declined code=05", b"approved code=00")
        with self.assertRaises(SessionEnded):
            self.till.answer(forged)
