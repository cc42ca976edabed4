"""Cards: issued in groups, made right, written once, blocked at once (TR-1, TR-5)."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Sequence
from datetime import date

from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.tokens import fresh_store
from tests.issuing.house import CountedEntropy, House
from trus.admin.model import RefusalCode
from trus.cards.errors import CardDataRefused
from trus.cards.names import is_track_name
from trus.cards.numbers import check_number
from trus.cards.tracks import TrackOne, parse_track_one, parse_track_two
from trus.errors import OutcomeUnknown, StorageFailed
from trus.issuing import cards as issuing_cards
from trus.issuing import personalisation
from trus.issuing.making import REFERENCE_ALPHABET, CardMaker, expiry_after
from trus.ledger.registry_values import EmployeeRow
from trus.values import TrackTwo

HOLDER = EmployeeRow(1, 1, "ACME", "E1", "Anna", "Kowalska", "active", 1, 0, "USD", "", 0, 0)


class IssueTests(SynchronousTestCase):
    """Groups of cards."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.lunch()

    def test_a_group_is_issued(self) -> None:
        """TR-1: each active employee without a card gets one; who has one gets no second."""
        self.house.done("EMPLOYEE-BLOCK", company="ACME", employee="E3")
        answer = self.house.done("CARD-ISSUE", company="ACME", validity="12")
        [row] = answer.rows
        self.assertEqual((answer.text, row["count"], row["expiry"]), ("2 cards issued.", "2", "2711"))
        self.assertEqual([card["employee"] for card in self.house.cards()], ["E1", "E2"])
        answer = self.house.order("CARD-ISSUE", company="ACME")
        self.assertEqual((answer.code, len(self.house.cards())), (RefusalCode.STATE, 2))
        self.house.done("EMPLOYEE-UNBLOCK", company="ACME", employee="E3")
        self.assertEqual(self.house.done("CARD-ISSUE", company="ACME").rows[0]["count"], "1")

    def test_the_console_never_shows_a_number_or_pin(self) -> None:
        """TR-5: number, tracks and PIN are in the file alone: in no answer, no event, no clear column."""
        answers = [self.house.done("CARD-ISSUE", company="ACME"), self.house.done("CARDS"), *self.house.orders()]
        with self.house.ledger.engine.connect() as connection:
            stored = repr([tuple(row) for row in connection.exec_driver_sql("SELECT * FROM card").fetchall()])
        shown = repr([getattr(each, "rows", each) for each in answers]) + stored
        for card in self.house.cards():
            number = parse_track_two(TrackTwo(card["track2"])).number.digits
            for secret in (number, number[:-4], card["track1"], card["track2"]):
                self.assertNotIn(secret, shown)
            self.assertNotIn(f"'{card['pin']}'", shown)

    def test_stripes_are_made_right(self) -> None:
        """TR-5: both tracks hold the same data: a Luhn number under the IIN, expiry, service code 7xx, name."""
        self.house.done("CARD-ISSUE", company="ACME")
        numbers = set()
        for card in self.house.cards():
            two = parse_track_two(TrackTwo(card["track2"]))
            one, name = parse_track_one(TrackOne(card["track1"]))
            self.assertEqual(one, two)
            numbers.add(check_number(two.number).digits)
            self.assertTrue(two.number.digits.startswith(self.house.desk.settings.iin))
            self.assertEqual((two.expiry, two.service_code[0]), ("2911", "7"))
            self.assertTrue(is_track_name(name))
            self.assertTrue(set(card["card"]) <= set(REFERENCE_ALPHABET))
        self.assertEqual(len(numbers), 3)

    def test_an_issued_card_pays(self) -> None:
        """TR-2: a card pays with the stripe and the PIN of its file, and with no other PIN."""
        self.house.done("CARD-ISSUE", company="ACME")
        self.house.done("REFILL", company="ACME", amount="20.00")
        for card in self.house.cards():
            wrong = f"{(int(card['pin']) + 1) % 10_000:04d}"
            self.assertEqual([self.house.pay(card, 500, wrong).code, self.house.pay(card, 500).code], ["55", "00"])
            forged = {**card, "track2": card["track2"][:-1] + str((int(card["track2"][-1]) + 1) % 10)}
            self.assertEqual(self.house.pay(forged, 500).code, "14")

    def test_a_thousand_cards(self) -> None:
        """A thousand cards are made, stored and written in seconds, all different."""
        for start in range(0, 1000, 100):
            people = ";".join(f"X{number:04d}|Name|Surname" for number in range(start, start + 100))
            self.house.done("EMPLOYEES-ADD", company="ACME", people=people)
        began = time.perf_counter()
        self.assertEqual(self.house.done("CARD-ISSUE", company="ACME").rows[0]["count"], "1003")
        self.assertLess(time.perf_counter() - began, 10)
        cards = self.house.cards()
        self.assertEqual(len({card["track2"][:16] for card in cards}), 1003)
        self.assertEqual(len({card["card"] for card in cards}), 1003)
        self.assertGreater(len({card["pin"] for card in cards}), 900)

    def test_more_than_one_order_makes(self) -> None:
        """Beyond the most cards of one order the answer says that employees are left, and a repeat serves them."""
        self.patch(issuing_cards, "MAX_CARDS", 2)
        self.assertIn("repeat the command", self.house.done("CARD-ISSUE", company="ACME").text)
        self.assertEqual(self.house.done("CARD-ISSUE", company="ACME").text, "1 card issued.")

    def test_a_replacement(self) -> None:
        """An employee named gets another card, also beside the one there is; both draw on one purse."""
        self.house.done("CARD-ISSUE", company="ACME", employee="E1")
        self.house.done("CARD-ISSUE", company="ACME", employee="E1")
        self.house.done("REFILL", company="ACME", amount="10.00", employee="E1")
        one, two = self.house.cards()
        self.assertEqual((self.house.pay(one, 600).code, self.house.pay(two, 600).code), ("00", "51"))
        self.assertEqual(len(self.house.done("CARDS", company="ACME", employee="E1").rows), 2)

    def test_a_past_month(self) -> None:
        """An issuer may name the last month of validity; a card of a past one is answered 54, for tests."""
        [row] = self.house.done("CARD-ISSUE", company="ACME", employee="E1", expiry="2610").rows
        self.house.done("REFILL", company="ACME", amount="10.00")
        self.assertEqual((row["expiry"], self.house.pay(self.house.cards()[0], 100).code), ("2610", "54"))

    def test_who_gets_none(self) -> None:
        """No card for strangers, for blocked employees, or for a blocked company."""
        issue = self.house.order
        self.assertEqual(issue("CARD-ISSUE", company="ACME", employee="E9").code, RefusalCode.NOT_FOUND)
        self.house.done("EMPLOYEE-BLOCK", company="ACME", employee="E1")
        self.assertEqual(issue("CARD-ISSUE", company="ACME", employee="E1").code, RefusalCode.STATE)
        self.house.done("COMPANY-BLOCK", company="ACME")
        self.assertEqual(issue("CARD-ISSUE", company="ACME").code, RefusalCode.STATE)
        self.assertEqual(issue("CARDS", employee="E1").code, RefusalCode.ARGUMENTS)
        self.assertEqual(self.house.cards(), [])


class TokenTests(SynchronousTestCase):
    """Cards made with a PKCS#11 token."""

    def test_a_card_of_the_token_pays(self) -> None:
        """TR-13, TR-18: on SoftHSM too, a card made with K_CARD and K_PIN pays with its PIN and with no other."""
        house = House(self, fresh_store(self))
        house.lunch()
        house.done("CARD-ISSUE", company="ACME")
        house.done("REFILL", company="ACME", amount="20.00")
        card = house.cards()[0]
        wrong = f"{(int(card['pin']) + 1) % 10_000:04d}"
        self.assertEqual([house.pay(card, 500, wrong).code, house.pay(card, 500).code], ["55", "00"])


class StateTests(SynchronousTestCase):
    """What a card's state does to the next purchase."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.lunch()
        self.house.done("CARD-ISSUE", company="ACME", employee="E1")
        self.house.done("REFILL", company="ACME", amount="100.00")
        [self.card] = self.house.cards()

    def set(self, verb: str) -> str:
        return self.house.order(verb, card=self.card["card"]).code

    def test_each_state_has_its_answer(self) -> None:
        """TR-5: a clone is worth nothing once its card is stopped: the next purchase gets the state's code."""
        for verb, code in (
            ("CARD-BLOCK", "62"),
            ("CARD-UNBLOCK", "00"),
            ("CARD-SUSPECT", "34"),
            ("CARD-UNBLOCK", "00"),
            ("CARD-LOST", "41"),
            ("CARD-STOLEN", "43"),
            ("CARD-CLOSE", "62"),
        ):
            self.assertEqual((self.set(verb), self.house.pay(self.card, 100).code), ("00", code), verb)

    def test_lost_is_for_ever(self) -> None:
        """A lost, stolen or closed card never pays again, whoever asks."""
        self.set("CARD-LOST")
        for verb in ("CARD-UNBLOCK", "CARD-BLOCK", "CARD-SUSPECT", "CARD-TRIES"):
            self.assertEqual(self.set(verb), RefusalCode.STATE, verb)
        self.set("CARD-CLOSE")
        for verb in ("CARD-UNBLOCK", "CARD-LOST", "CARD-STOLEN"):
            self.assertEqual(self.set(verb), RefusalCode.STATE, verb)
        self.assertEqual(self.house.order("CARD-LOST", card="22222222222Z").code, RefusalCode.NOT_FOUND)

    def test_a_locked_pin_is_opened_again(self) -> None:
        """After three wrong PINs the card answers 75 to the right one; CARD-TRIES opens it again."""
        wrong = f"{(int(self.card['pin']) + 1) % 10_000:04d}"
        self.assertEqual([self.house.pay(self.card, 100, wrong).code for _ in range(3)], ["55", "55", "55"])
        self.assertEqual(self.house.pay(self.card, 100).code, "75")
        self.assertEqual(self.house.done("CARDS").rows[0]["tries"], "0")
        self.set("CARD-TRIES")
        self.assertEqual(self.house.pay(self.card, 100).code, "00")

    def test_the_holder_and_the_company(self) -> None:
        """Blocking an employee or a company stops their cards at once."""
        for verb, who, code in (
            ("EMPLOYEE", {"company": "ACME", "employee": "E1"}, "62"),
            ("COMPANY", {"company": "ACME"}, "57"),
        ):
            self.house.done(f"{verb}-BLOCK", **who)
            self.assertEqual(self.house.pay(self.card, 100).code, code)
            self.house.done(f"{verb}-UNBLOCK", **who)
            self.assertEqual(self.house.pay(self.card, 100).code, "00")


class FileTests(SynchronousTestCase):
    """The personalisation file."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.lunch()

    def files(self) -> list[str]:
        folder = self.house.cards_folder
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def test_its_owner_alone_may_read_it(self) -> None:
        """TR-5: the folder has mode 0700 and the file 0600, whatever the umask."""
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.house.done("CARD-ISSUE", company="ACME")
        [path] = self.house.cards_folder.iterdir()
        modes = [stat.S_IMODE(each.stat().st_mode) for each in (self.house.cards_folder, path)]
        self.assertEqual(modes, [0o700, 0o600])

    def test_an_open_folder_is_refused(self) -> None:
        """When others may look into the folder no card is issued, and the admin is told why."""
        self.house.cards_folder.mkdir(mode=0o755)
        self.house.cards_folder.chmod(0o755)
        answer = self.house.order("CARD-ISSUE", company="ACME")
        self.assertEqual(answer.code, RefusalCode.UNAVAILABLE)
        self.assertIn("needs mode 0700", answer.text)
        self.assertEqual((self.files(), self.house.done("CARDS").rows), ([], []))

    def test_a_full_disk_issues_nothing(self) -> None:
        """When the file cannot be written there are no cards and no file."""

        def full(path: object, content: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch(personalisation, "_write", full)
        answer = self.house.order("CARD-ISSUE", company="ACME")
        self.assertIn("No space left on device", answer.text)
        self.assertEqual((answer.code, self.house.done("CARDS").rows), (RefusalCode.UNAVAILABLE, []))

    def fail_commit(self, failure: Exception) -> None:
        """Make the next commit fail."""
        writer = self.house.ledger._writer
        commit = writer.commit

        def broken(progress: object) -> None:
            self.patch(writer, "commit", commit)
            writer.abandon()
            raise failure

        self.patch(writer, "commit", broken)

    def test_a_failed_commit_leaves_no_file(self) -> None:
        """Cards that were not stored are in no file."""
        self.fail_commit(StorageFailed("the disk is full"))
        self.assertEqual(self.house.order("CARD-ISSUE", company="ACME").code, RefusalCode.UNAVAILABLE)
        self.assertEqual(self.files(), [])

    def test_an_unknown_commit_keeps_the_file_apart(self) -> None:
        """When nobody knows whether cards were stored, their file stays as NAME.part for whoever looks."""
        self.fail_commit(OutcomeUnknown("in doubt"))
        self.assertEqual(self.house.order("CARD-ISSUE", company="ACME").code, RefusalCode.SYSTEM)
        [name] = self.files()
        self.assertTrue(name.endswith(".csv.part"))

    def test_a_file_that_cannot_get_its_name(self) -> None:
        """When the last step fails the cards exist, and the answer names the file where they are."""

        def refuse(self: object, target: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        self.patch(personalisation.Path, "rename", refuse)
        answer = self.house.done("CARD-ISSUE", company="ACME")
        self.assertEqual(self.files(), [answer.rows[0]["file"]])
        self.assertTrue(answer.rows[0]["file"].endswith(".part"))
        self.assertIn("stays", answer.text)

    def test_a_file_that_cannot_be_removed(self) -> None:
        """When cards were not issued and their file cannot be removed, the answer says which file it is."""
        prepared = self.house.desk.folder.prepare("x.csv", [])
        (self.house.cards_folder / "x.csv.part").unlink()
        error = self.assertRaises(StorageFailed, prepared.discard)
        self.assertIn("x.csv.part", str(error))


class MakingTests(SynchronousTestCase):
    """The maker of cards."""

    def setUp(self) -> None:
        self.house = House(self)

    def maker(self, iin: str = "99990001") -> CardMaker:
        return CardMaker(self.house.keys, CountedEntropy(b"m"), iin, self.house.registry.card_names)

    def test_numbers_are_never_given_twice(self) -> None:
        """Numbers and references that the network has used are drawn again."""
        [first] = self.maker().make([HOLDER], "2911", lambda names, keys: (set(), set()))
        calls: list[int] = []

        def taken(names: Sequence[str], keys: Sequence[bytes]) -> tuple[set[str], set[bytes]]:
            calls.append(len(names))
            return {first.stored.card}, {first.stored.pan_key}

        [second] = self.maker().make([HOLDER], "2911", taken)
        self.assertNotEqual(first.stored.card, second.stored.card)
        self.assertNotEqual(first.stored.pan, second.stored.pan)
        self.assertGreater(len(calls), 1)

    def test_numbers_that_are_used_up(self) -> None:
        """When no number is free, nothing is issued and the reason is said."""
        error = self.assertRaises(
            StorageFailed, self.maker().make, [HOLDER], "2911", lambda names, keys: (set(names), set(keys))
        )
        self.assertIn("too few free card numbers", str(error))

    def test_a_foreign_iin_is_refused(self) -> None:
        """An issuer identification number outside the private range is refused at start."""
        self.assertRaises(CardDataRefused, self.maker, "41111111")

    def test_nothing_secret_is_shown(self) -> None:
        """TR-5: a card being made shows nothing of itself."""
        [card] = self.maker().make([HOLDER], "2911", lambda names, keys: (set(), set()))
        for value in (card, card.stored):
            self.assertRegex(f"{value!r} {value}", r"^<(\w+) redacted> <\1 redacted>$")

    def test_expiry(self) -> None:
        """A card is valid through the month that many months after its issue."""
        cases = [((2026, 11), 36, "2911"), ((2026, 12), 1, "2701"), ((2026, 1), 11, "2612"), ((2099, 12), 1, "0001")]
        for (year, month), months, expected in cases:
            self.assertEqual(expiry_after(date(year, month, 1), months), expected)
