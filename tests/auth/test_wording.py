"""The catalogue is whole: every code, every language, within the screens, and nothing left to fill in."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from trus import wording
from trus.auth import texts
from trus.auth.texts import CATALOGUE, MAX_CASHIER_CHARACTERS
from trus.cli import screen
from trus.device.journal import Asked
from trus.values import ResponseCode, Result

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "messages.md"
_LEFT_OPEN = re.compile(r"[{}<>%$_\[\]]|TODO|XXX|\.\.\.|\?\?")


class CatalogueTests(SynchronousTestCase):
    """trus/messages.yaml."""

    def setUp(self) -> None:
        self.words = wording.catalogue()

    def test_every_code_in_every_language(self) -> None:
        """Every response code has a cashier's line and a cardholder's text in every language, and no other code any."""
        self.assertEqual(set(self.words.codes), {code.value for code in ResponseCode})
        for code, each in self.words.codes.items():
            self.assertEqual(tuple(each), wording.LANGUAGES, code)
        for table in (self.words.lines, self.words.words):
            for name, each_line in table.items():
                self.assertEqual(tuple(each_line), wording.LANGUAGES, name)

    def test_fits_the_screens(self) -> None:
        """A cashier's line fits two lines of 20 characters without a word cut, a cardholder's text 120 characters."""
        lines = [each.cashier for texts in self.words.codes.values() for each in texts.values()]
        lines += [line for texts in self.words.lines.values() for line in texts.values()]
        for line in lines:
            self.assertTrue(0 < len(line) <= MAX_CASHIER_CHARACTERS, line)
            shown = textwrap.wrap(line, wording.DISPLAY_CHARACTERS, break_long_words=False)
            self.assertLessEqual(len(shown), wording.DISPLAY_LINES, line)
            self.assertTrue(all(len(each) <= wording.DISPLAY_CHARACTERS for each in shown), line)
        for each in self.words.codes.values():
            for said in each.values():
                self.assertTrue(0 < len(said.cardholder) <= wording.CARDHOLDER_CHARACTERS, said.cardholder)
                self.assertTrue(said.cardholder.endswith("."), said.cardholder)
        for names in self.words.words.values():
            self.assertTrue(all(0 < len(name) <= wording.DISPLAY_CHARACTERS for name in names.values()))

    def test_nothing_left_open(self) -> None:
        """No text has a placeholder, a character that a terminal cannot show, or a space too many."""
        found = [text for each in self.words.codes.values() for said in each.values() for text in said]
        found += [
            text for table in (self.words.lines, self.words.words) for each in table.values() for text in each.values()
        ]
        for text in found:
            self.assertIsNone(_LEFT_OPEN.search(text), text)
            self.assertEqual(text, " ".join(text.split()))
            text.encode("iso-8859-1")

    def test_english_is_the_backends(self) -> None:
        """The English lines are word for word those that the backend says, so that terminals find their translation."""
        self.assertEqual(
            {code.value: each.cashier for code, each in CATALOGUE.items()},
            {code: each["en"].cashier for code, each in self.words.codes.items()},
        )
        said = {getattr(texts, name) for name in dir(texts) if name.endswith("_TEXT")}
        self.assertEqual({each["en"] for each in self.words.lines.values()}, said)

    def test_one_text_for_unknown_and_forged(self) -> None:
        """What cannot be told apart by its code cannot be told apart by its text: 91 and 96 read alike."""
        for language in wording.LANGUAGES:
            self.assertEqual(wording.wording("91", language), wording.wording("96", language))

    def test_page(self) -> None:
        """The reference of messages is the catalogue, row for row."""
        self.assertEqual(PAGE.read_text(encoding="utf-8"), wording.page())


class LookUps(SynchronousTestCase):
    def test_line(self) -> None:
        """An answer is said in the terminal's language by its code, also where its line says more than that."""
        self.assertEqual(wording.line("51", "Balance too low", "fr"), "Solde insuffisant")
        self.assertEqual(wording.line("51", "Balance too low", "en"), "Balance too low")
        self.assertEqual(wording.line("12", texts.SIMPLE_PIN_TEXT, "es"), "PIN muy sencillo: elija otro")
        self.assertEqual(wording.line("51", "Words of a later backend", "fr"), "Words of a later backend")

    def test_unknown(self) -> None:
        """A code or a language that nobody knows is a decline in English."""
        self.assertEqual(wording.wording("77", "fr").cashier, "Refusée")
        self.assertEqual(wording.wording("51", "eo").cashier, "Balance too low")
        self.assertEqual(wording.line("77", "Odd", "fr"), "Odd")

    def test_screen_has_its_words(self) -> None:
        """Every word of a terminal's screen is in the catalogue."""
        for asked in Asked:
            for result in Result:
                name = screen.headline(asked, result, approved=result in (Result.APPROVED, Result.PARTIAL))
                self.assertIn(name, wording.catalogue().words)
