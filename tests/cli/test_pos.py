"""What a cashier and a thief may learn from `trus pos`."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from pathlib import Path

from click import BadParameter
from click.testing import CliRunner
from msgspec.structs import replace
from rich.console import Console
from twisted.trial import unittest

from trus.cli.main import run
from trus.cli.pos import pos_command, read_card, read_secret, split_address
from trus.cli.pos_till import minor_units
from trus.cli.screen import masked, show
from trus.device.home import DeviceHome
from trus.device.journal import Asked, Totals
from trus.device.orders import Answer, Reference
from trus.errors import ConfigurationError
from trus.values import BatchItem, BusinessDate, Difference, Identity, ItemKind, ItemState, Result, TerminalId, Why

TRACK2 = "9999000100000017=29117250011234567"
REFERENCE = Reference(Identity(TerminalId("T0000001"), BusinessDate("2026-11-20"), 42), bytes(16), 1250, "USD")


def screen(asked: Asked, answer: Answer, **shown: object) -> str:
    output = io.StringIO()
    show(Console(file=output, width=80), asked, answer, **shown)  # type: ignore[arg-type]
    return output.getvalue()


class Screens(unittest.SynchronousTestCase):
    def test_approved(self) -> None:
        """TR-7: the screen says yes with amount and code; the receipt names terminal, number, reference."""
        answer = Answer(
            Result.APPROVED, "00", REFERENCE, "A1B2C3", "632500000042", 1250, "USD", text="Approved", receipt="a|[b]"
        )
        text = screen(Asked.PURCHASE, answer, card=masked(TRACK2))
        for part in ("APPROVED", "12.50 USD", "A1B2C3", "632500000042", "T0000001", "000042", "•••• 0017", "[b]"):
            self.assertIn(part, text)
        self.assertNotIn("99990001", text)

    def test_declined(self) -> None:
        """A no says why, and how many PIN tries are left."""
        text = screen(Asked.PURCHASE, Answer(Result.DECLINED, "55", REFERENCE, tries_left=2, text="Wrong PIN"))
        for part in ("DECLINED", "code 55", "tries left: 2", "Wrong PIN"):
            self.assertIn(part, text)

    def test_language(self) -> None:
        """Cashier and cardholder read the answer in the language of the shop, by its code."""
        answer = Answer(Result.DECLINED, "51", REFERENCE, text="Balance too low")
        for language, parts in (
            ("en", ("DECLINED", "Balance too low", "not enough money on the card")),
            ("es", ("DENEGADA", "Saldo insuficiente", "No hay saldo suficiente")),
            ("fr", ("REFUSÉE", "Solde insuffisant", "solde de la carte est insuffisant")),
        ):
            text = screen(Asked.PURCHASE, answer, language=language)
            for part in parts:
                self.assertIn(part, text)
        self.assertIn("LOT CLÔTURÉ", screen(Asked.CLOSE, Answer(Result.APPROVED, "00", REFERENCE), language="fr"))

    def test_purses(self) -> None:
        """Of a cardholder with several purses the screen says which paid how much."""
        answer = Answer(
            Result.APPROVED, "00", REFERENCE, amount=1250, currency="USD", purses=(("SNACK", "2.50"), ("MAIN", "10.00"))
        )
        text = screen(Asked.PURCHASE, answer)
        for part in ("purse SNACK: 2.50 USD", "purse MAIN: 10.00 USD"):
            self.assertIn(part, text)

    def test_partial(self) -> None:
        """A part shows what is still to be paid."""
        text = screen(Asked.PURCHASE, Answer(Result.PARTIAL, "10", REFERENCE, amount=500, currency="USD"))
        self.assertIn("5.00 USD", text)
        self.assertIn("to pay by other means: 7.50 USD", text)

    def test_no_answer(self) -> None:
        """No answer is a no, without a receipt, and says that it is being taken back."""
        text = screen(Asked.PURCHASE, Answer(Result.DECLINED, "", REFERENCE, text="NO ANSWER", reversing=True))
        self.assertIn("DECLINED", text)
        self.assertIn("being taken back", text)
        self.assertNotIn("receipt", text)

    def test_others(self) -> None:
        """A balance, a reversal and a batch have words of their own."""
        balance = Answer(Result.APPROVED, "00", REFERENCE, balance=8750, currency="USD")
        self.assertIn("the card holds 87.50 USD", screen(Asked.BALANCE, balance))
        # What the terminal asked for bears no amount, so no currency either: there is no receipt.
        asked = Answer(Result.APPROVED, "00", replace(REFERENCE, amount=0, currency=""), balance=8750, currency="USD")
        self.assertNotIn("receipt", screen(Asked.BALANCE, asked))
        self.assertIn("TAKEN BACK", screen(Asked.REVERSE, Answer(Result.REVERSED, "00", REFERENCE)))
        closed = Answer(Result.APPROVED, "00", REFERENCE, balanced=True)
        text = screen(Asked.CLOSE, closed, totals=Totals(3, 3000, 1, 1000))
        self.assertIn("2 purchases, 20.00 USD", text)
        self.assertIn("both sides counted the same", text)
        differs = Answer(Result.APPROVED, "00", REFERENCE, balanced=False)
        self.assertIn("0 items differ", screen(Asked.CLOSE, differs))

    def test_differences(self) -> None:
        """Each item that differs is a line: where it stands, how both sides have it; what is not listed is counted."""
        mine = BatchItem(BusinessDate("2026-11-20"), 7, ItemKind.PURCHASE, ItemState.STANDS, 1250, "632400000007")
        host = replace(mine, state=ItemState.REVERSED)
        found = (Difference(Why.STATE, mine, host), Difference(Why.MISSING_AT_HOST, mine, None))
        answer = Answer(Result.APPROVED, "00", balanced=False, differences=found, differing=3, currency="USD")
        text = " ".join(screen(Asked.CLOSE, answer).split())
        for words in ("3 items differ", "000007", "632400000007", "reversed", "missing", "and 1 more"):
            self.assertIn(words, text)


class Secrets(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return str(path)

    def test_from_files(self) -> None:
        """Stripe and PIN come from the first line of a file, with a reader's sentinels or without."""
        pin = self.file("pin", "4711\n")
        for text in (TRACK2, f"{TRACK2}\r\nmore", f";{TRACK2}?"):
            self.assertEqual(read_card(self.file("track", text), pin), (TRACK2, "4711"))
        self.assertEqual(read_card(self.file("track", TRACK2), None), (TRACK2, None))

    def test_nonsense(self) -> None:
        """What is no stripe or no PIN is refused in words that repeat nothing of it."""
        pin, track = self.file("pin", "47x1"), self.file("track", TRACK2)
        message = str(self.assertRaises(ConfigurationError, read_card, track, pin))
        self.assertIn("PIN", message)
        self.assertNotIn("47", message)
        message = str(self.assertRaises(ConfigurationError, read_card, self.file("track", "9999x"), None))
        self.assertNotIn("9999", message)
        self.assertRaises(ConfigurationError, read_secret, self.file("empty", "\n"))

    def test_no_option_takes_one(self) -> None:
        """No option of any command takes a PIN or a stripe by value, so none is in the list of processes."""
        for command in pos_command.commands.values():
            names = {option for parameter in command.params for option in parameter.opts}
            self.assertEqual({"--pin", "--track2", "--track"} & names, set(), command.name)

    def test_addresses(self) -> None:
        """An address is host and port, IPv6 in brackets."""
        self.assertEqual(split_address("127.0.0.1:7001"), ("127.0.0.1", 7001))
        self.assertEqual(split_address("[::1]:7001"), ("::1", 7001))
        for bad in ("localhost", ":7001", "host:", "host:0", "host:70000", "host:٧٠٠١"):
            self.assertRaises(BadParameter, split_address, bad)

    def test_no_home(self) -> None:
        """A folder that is no terminal's is one sentence and exit code 1."""
        arguments = ["--home", str(self.folder), "close"]
        with contextlib.redirect_stderr(io.StringIO()) as said:
            code = run(lambda: pos_command(arguments, standalone_mode=False))
        self.assertEqual((code, said.getvalue().count("\n")), (1, 1))
        outcome = CliRunner().invoke(pos_command, arguments)
        self.assertIn("is no terminal's folder: enrol", str(outcome.exception))

    def test_unknown_language(self) -> None:
        """A language that the terminal does not speak is refused, as an option and in terminal.json."""
        done = CliRunner().invoke(pos_command, ["--home", str(self.folder), "--language", "xx", "balance"])
        self.assertEqual(done.exit_code, 2)
        self.assertIn("'xx' is not one of 'en', 'es', 'fr'", done.output)
        (self.folder / "terminal.json").write_text(
            '{"terminal": "T0000001", "host": "h", "port": 1, "server_name": "s", "language": "xx"}'
        )
        with self.assertRaisesRegex(ConfigurationError, "language of the screen is one of en, es, fr"):
            DeviceHome.load(self.folder)

    def test_no_terminal_no_card(self) -> None:
        """Where no terminal is, nobody is asked for a card."""
        for command in (["buy", "--amount", "1.00"], ["balance"]):
            outcome = CliRunner().invoke(pos_command, ["--home", str(self.folder), *command])
            self.assertIn("is no terminal's folder", str(outcome.exception))

    def test_amounts(self) -> None:
        """An amount of nothing, or of another currency's decimals, is one sentence and not a purchase."""
        self.assertEqual(minor_units("12.50", "USD"), 1250)
        for amount in ("0.00", "0", "-1.00", "1.5", "1e3", "٣.٠٠", "99999999999.99", ""):
            message = str(self.assertRaises(ConfigurationError, minor_units, amount, "USD"))
            self.assertNotIn("\n", message)
