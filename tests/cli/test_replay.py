"""What `trus pos replay` reads and shows, and the wire that loses an answer."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

from rich.console import Console
from twisted.internet.address import IPv4Address
from twisted.internet.defer import succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.trial import unittest

from trus.cards.numbers import CardNumber, check_number
from trus.cards.tracks import parse_track_two
from trus.cli.lossy import LossyEndpoint
from trus.cli.replay import Played, Score, line
from trus.cli.replay_file import (
    Action,
    Card,
    Row,
    Stripe,
    pin_of,
    read_cards,
    read_rows,
    stripe_of,
)
from trus.device.orders import Answer
from trus.errors import ConfigurationError
from trus.values import Result, TrackTwo

HEADER = "at,shop,terminal,employee,amount,pin,expect"
CARD = Card("9999000100000017=29117250011234567", "4711", "Ελένη", "Παπαδοπούλου", "HELIOS")


class Files(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "rows.csv"

    def refused(self, text: str) -> str:
        self.path.write_text(text, "utf-8")
        return str(self.assertRaises(ConfigurationError, read_rows, self.path))

    def test_agreed_columns(self) -> None:
        """A file with the seven agreed columns alone is a file of plain purchases."""
        self.path.write_text(f"{HEADER}\n12:30,TAVERNA,T1000003,E101,12.50,right,00\n", "utf-8")
        [row] = read_rows(self.path)
        self.assertEqual(row, Row(2, "12:30", "TAVERNA", "T1000003", "E101", "12.50", "right", "00"))
        self.assertEqual((row.action, row.stripe), (Action.BUY, Stripe.OWN))

    def test_nonsense(self) -> None:
        """A row that makes no sense is named by line and column before anything is played."""
        good = "12:30,TAVERNA,T1000003,E101,12.50,right,00"
        self.assertIn("first line", self.refused("when,who\n"))
        self.assertIn("first line", self.refused(f"{HEADER},colour\n{good},red\n"))
        self.assertIn("line 3: 6 columns", self.refused(f"{HEADER}\n{good}\n{good[:-3]}\n"))
        for column, bad in (
            ("at", good.replace("12:30", "25:30")),
            ("terminal", good.replace("T1000003", "T1")),
            ("amount", good.replace("12.50", "1e9")),
            ("pin", good.replace("right", "123")),
            ("expect", good.replace(",00", ",0")),
            ("employee", good.replace("E101", "")),
        ):
            self.assertIn(f"line 2, {column}", self.refused(f"{HEADER}\n{bad}\n"))
        self.assertIn("line 2", self.refused(f"{HEADER},action\n{good},steal\n"))
        self.assertIn("cannot be read", self.refused(f'{HEADER}\n"{good}\n'))
        self.path.unlink()
        self.assertRaises(ConfigurationError, read_rows, self.path)

    def test_from_a_spreadsheet(self) -> None:
        """A file that a spreadsheet wrote, with a byte order mark and an empty last line, is read."""
        good = "12:30,TAVERNA,T1000003,E101,12.50,right,00"
        self.path.write_text(f"\ufeff{HEADER}\r\n{good}\r\n\r\n", "utf-8")
        self.assertEqual([row.employee for row in read_rows(self.path)], ["E101"])

    def test_no_file_of_purchases(self) -> None:
        """Why a file cannot be read is said in words, without what stands in it."""
        self.assertIn("first line must be at,shop,terminal", self.refused("4711\n"))
        self.assertNotIn("4711", self.refused("4711\n"))
        self.path.write_bytes(b"\xff\xfe4711")
        message = str(self.assertRaises(ConfigurationError, read_rows, self.path))
        self.assertEqual(message, f"{self.path} cannot be read: it is not UTF-8")
        message = str(self.assertRaises(ConfigurationError, read_rows, self.folder))
        self.assertEqual(message, f"{self.folder} cannot be read: is a directory")

    def test_cards(self) -> None:
        """A personalisation file gives each employee's card; what is wrong in one is never repeated."""
        header = "card,company,employee,surname,name,expiry,track1,track2,pin"
        self.path.write_text(f"{header}\nREF,HELIOS,E101,Παπαδοπούλου,Ελένη,2911,,{CARD.track2},4711\n", "utf-8")
        self.assertEqual(read_cards([self.path]), {"E101": CARD})
        self.path.write_text(f"{header}\nREF,HELIOS,E101,P,E,2911,,99990001000000,4711\n", "utf-8")
        message = str(self.assertRaises(ConfigurationError, read_cards, [self.path]))
        self.assertIn("no personalisation file", message)
        self.assertNotIn("9999", message)
        self.assertRaises(ConfigurationError, read_cards, [self.folder / "missing"])

    def test_redacted(self) -> None:
        """A card shows neither stripe nor PIN nor the holder's whole name."""
        self.assertNotIn("4711", repr(CARD))
        self.assertNotIn("9999", str(CARD))
        self.assertEqual(CARD.holder, "Ελένη Π.")


class Stripes(unittest.SynchronousTestCase):
    def test_forged(self) -> None:
        """A forged stripe differs from the true one in its verification value alone."""
        true, forged = (parse_track_two(TrackTwo(stripe_of(CARD, each))) for each in (Stripe.OWN, Stripe.FORGED))
        self.assertEqual(
            (true.number, true.expiry, true.service_code), (forged.number, forged.expiry, forged.service_code)
        )
        self.assertEqual(true.discretionary[:-1], forged.discretionary[:-1])
        self.assertNotEqual(true.discretionary, forged.discretionary)

    def test_unknown(self) -> None:
        """An unknown card has another number of the same issuer, with a right check digit."""
        for digits in ("9999000100000017", "9999994711081512"):
            card = Card(f"{digits}=29117250011234567", "1234", "", "", "")
            number = parse_track_two(TrackTwo(stripe_of(card, Stripe.UNKNOWN))).number
            check_number(number)
            self.assertNotEqual(number, CardNumber(digits))
            self.assertEqual(number.digits[:6], digits[:6])

    def test_pins(self) -> None:
        """A wrong PIN is never the right one; none and asked send none with the request."""
        self.assertEqual(pin_of(CARD, "right"), "4711")
        self.assertEqual(pin_of(CARD, "wrong"), "4712")
        self.assertEqual(pin_of(CARD, "0815"), "0815")
        self.assertIsNone(pin_of(CARD, "none"))
        self.assertIsNone(pin_of(CARD, "asked"))
        self.assertEqual(pin_of(Card("", "1239", "", "", ""), "wrong"), "1230")


class Shown(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.row = Row(2, "12:30", "TAVERNA", "T1000003", "E101", "12.50", "right", "00")

    def shown(self, answer: Answer, problem: str = "") -> str:
        output = io.StringIO()
        played = Played(self.row, answer, CARD, problem, 0)
        Console(file=output, width=200).print(line(played))
        self.assertEqual(Score([played]).as_expected, not problem)
        return output.getvalue()

    def test_line(self) -> None:
        """A line shows who paid what, and of the card its last four digits."""
        text = self.shown(Answer(Result.APPROVED, "00"))
        for part in ("12:30", "T1000003", "•••• 0017", "12.50", "00 approved", "Ελένη Π."):
            self.assertIn(part, text)
        self.assertNotIn(CARD.track2[:12], text)
        self.assertNotIn(CARD.pin, text)

    def test_refused(self) -> None:
        """A refusal shows its code and meaning, a difference what was expected."""
        text = self.shown(Answer(Result.DECLINED, "51"), "expected 00, got 51")
        self.assertIn("51 the purse holds less", text)
        self.assertIn("expected 00, got 51", text)
        self.assertIn("-- no answer", self.shown(Answer(Result.DECLINED, "", text="NO ANSWER")))
        self.assertIn("taken back", self.shown(Answer(Result.REVERSED, "00")))


class Lossy(unittest.SynchronousTestCase):
    def test_loses_once(self) -> None:
        """When told, the wire breaks with the next bytes, which nobody sees; else it passes all on."""
        received: list[bytes] = []

        class Reader(Protocol):
            def dataReceived(self, data: bytes) -> None:
                received.append(data)

        class Direct:
            def connect(self, factory: Factory) -> object:
                made = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
                made.makeConnection(transport)
                return succeed(made)

        transport = StringTransport()
        endpoint = LossyEndpoint(Direct())  # type: ignore[arg-type]
        wire = self.successResultOf(endpoint.connect(Factory.forProtocol(Reader)))
        wire.dataReceived(b"one")
        endpoint.lose_next = True
        wire.dataReceived(b"two")
        self.assertTrue(transport.disconnected or transport.disconnecting)
        self.assertEqual((received, endpoint.lost, endpoint.lose_next), ([b"one"], 1, False))
