"""What terminals are told when the token, the database or the code fails; and that nothing secret gets out then."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.cards.secrets import shown
from tests.core.fake_ledger import FakeUnit, StoredAnyway
from tests.core.fake_world import FakeWorld
from tests.core.promises import ADA, PipelineCase
from tests.core.worlds import Purse, World
from trus.auth.ports import Event
from trus.cards.numbers import compose_number
from trus.core.asked import Asked
from trus.core.keyring import find_card_keys
from trus.core.messages import Failed, PinWanted
from trus.errors import KeyNotFound, OutcomeUnknown, StorageFailed, Unbalanced
from trus.hsm.memory import MemoryStore
from trus.hsm.ports import KeyPurpose
from trus.values import TrackTwo

replace = msgspec.structs.replace
NOT_STORED = Failed("96", "storage")


class PowerCut(BaseException):
    """The machine stops here."""


class FaultCase(PipelineCase, SynchronousTestCase):
    """A world in memory whose ledger fails when it is told to."""

    def make_world(self) -> World:
        self.fake = FakeWorld()
        return self.fake

    def fail(self, step: str, *faults: Any) -> None:
        self.fake.ledger.faults[step] = list(faults)

    def tearDown(self) -> None:
        self.assertEqual(self.fake.sum_of_all(), 0)


class Storage(FaultCase):
    def test_no_database(self) -> None:
        """A ledger that opens no unit of work approves nothing: 96, and the operator is told once."""
        self.fail("begin", StorageFailed("disk full"))
        self.assertEqual(self.bank.handle(self.till.purchase(self.ada), self.till.purchase(self.bob)), [NOT_STORED] * 2)
        self.assertEqual([level for level, _ in self.bank.notes], ["error"])
        self.assert_untouched()

    def test_failed_batch_runs_singly(self) -> None:
        """When a batch fails for certain its requests run one by one, and the good ones are paid."""
        batch = [self.till.purchase(self.ada, 100) for _ in range(3)]
        self.fail("commit", StorageFailed("constraint"))
        self.assertEqual(self.codes(*batch), ["00", "00", "00"])
        self.assertEqual(self.world.purse(*ADA).balance, 9_700)
        self.assertEqual(self.fake.ledger.commits, 4)

    def test_full_disk(self) -> None:
        """No purchase is approved that is not stored: on a full disk every answer is 96, and a retry is new."""
        batch = [self.till.purchase(self.ada, 100) for _ in range(3)]
        self.fail("commit", *[StorageFailed("disk full")] * 4)
        self.assertEqual(self.bank.handle(*batch), [NOT_STORED] * 3)
        self.assert_untouched()
        self.assertEqual(self.codes(*batch), ["00", "00", "00"])

    def test_one_poisoned(self) -> None:
        """One request that cannot be stored fails alone."""
        batch = [self.till.purchase(self.ada, amount) for amount in (100, 666, 200)]

        def refuse(event: Event) -> None:
            if event.amount == 666:
                raise Unbalanced("no")

        self.fail("record", refuse)
        first, poisoned, last = self.bank.handle(*batch)
        self.assertEqual((first.code, poisoned, last.code), ("00", NOT_STORED, "00"))
        self.assertEqual(self.world.purse(*ADA).balance, 9_700)
        self.assertEqual(self.fake.ledger.commits, 2)

    def test_read_fails(self) -> None:
        """Facts that cannot be read decide nothing."""
        self.fail("read", StorageFailed("i/o"), StorageFailed("i/o"))
        self.assertEqual(self.bank.one(self.till.purchase(self.ada)), NOT_STORED)
        self.assertEqual(self.fake.ledger.rollbacks, 1)

    def test_unexpected(self) -> None:
        """A fault in the code fails the request that meets it, not its neighbours, and is reported as critical."""
        batch = [self.till.purchase(self.ada, amount) for amount in (100, 666)]

        def break_(event: Event) -> None:
            if event.amount == 666:
                raise ZeroDivisionError(f"a message with {self.ada.number.digits}")

        self.fail("record", break_)
        good, broken = self.bank.handle(*batch)
        self.assertEqual((good.code, broken), ("00", Failed("96", "fault")))
        self.assertEqual({level for level, _ in self.bank.notes}, {"critical"})
        self.assertNotIn(self.ada.number.digits, str(self.bank.notes))

    def test_pin_tries_and_failure(self) -> None:
        """A wrong PIN whose try could not be stored is not told to be wrong."""
        self.fail("commit", StorageFailed("disk full"), StorageFailed("disk full"))
        self.assertEqual(self.bank.one(self.till.purchase(self.ada, pin="0000")), NOT_STORED)
        self.assertEqual(self.world.tries("CARD000000A1"), 3)

    def test_power_cut(self) -> None:
        """A crash before the commit reveals no guess; after it the guess has cost its try."""
        request = self.till.purchase(self.ada, pin="0000")
        self.fail("commit", PowerCut())
        self.assertRaises(PowerCut, self.bank.handle, request)
        self.assertEqual(self.world.tries("CARD000000A1"), 3)
        self.fail("commit", StoredAnyway(PowerCut()))
        self.assertRaises(PowerCut, self.bank.handle, request)
        self.assertEqual(self.world.tries("CARD000000A1"), 2)
        self.bank.start()
        self.assertEqual(self.bank.outcome(request).tries_left, 2)
        self.assertEqual(self.world.tries("CARD000000A1"), 2)

    def test_lost_reversal(self) -> None:
        """A stored request whose card cannot be read any more is not taken back by guessing: 96."""
        request = self.till.purchase(self.ada)
        self.bank.outcome(request)
        self.fake.ledger.kept.cards.clear()
        self.assertEqual(self.bank.one(self.till.reverse(request)), NOT_STORED)
        self.assertEqual(self.world.owed("BISTRO"), 1250)

    def test_other_purse(self) -> None:
        """A purchase is never given back into another purse than it came from: 96."""
        request = self.till.purchase(self.ada)
        self.bank.outcome(request)
        kept = self.fake.ledger.kept
        for key, card in kept.cards.items():
            kept.cards[key] = replace(card, purse_account=3)
        self.assertEqual(self.bank.one(self.till.reverse(request)), NOT_STORED)

    def test_unread_totals(self) -> None:
        """A batch is never closed against totals that were not read: 96."""
        read = FakeUnit.read
        self.patch(FakeUnit, "read", lambda unit, **asked: replace(read(unit, **asked), totals={}))
        self.assertEqual(self.bank.one(self.till.close(0, 0)), NOT_STORED)


class UnknownOutcome(FaultCase):
    def test_stored(self) -> None:
        """A commit of unknown outcome that was stored is answered from what is read back."""
        batch = [self.till.purchase(self.ada, 100), self.till.purchase(self.ada, pin="0000")]
        self.fail("commit", StoredAnyway(OutcomeUnknown("lost")))
        paid, wrong = self.bank.handle(*batch)
        self.assertEqual((paid.code, wrong.code, wrong.tries_left), ("00", "55", 2))
        self.assertEqual(self.bank.handle(*batch), [paid, wrong])
        self.assertEqual(self.world.purse(*ADA).balance, 9_900)

    def test_not_stored(self) -> None:
        """A commit of unknown outcome that was not stored says nothing final: 96, and the terminal reverses."""
        request = self.till.purchase(self.ada, 100)
        self.fail("commit", OutcomeUnknown("lost"))
        self.assertEqual(self.bank.one(request), Failed("96", "outcome-unknown"))
        self.assertEqual(self.codes(self.till.reverse(request), request), ["00", "68"])
        self.assert_untouched()

    def test_reversal(self) -> None:
        """A reversal in a commit of unknown outcome is acknowledged only when it is read back."""
        request, never = self.till.purchase(self.ada, 100), self.till.purchase(self.ada, 100)
        self.bank.outcome(request)
        batch = [self.till.reverse(request), self.till.reverse(never)]
        self.fail("commit", OutcomeUnknown("lost"))
        self.assertEqual(self.bank.handle(*batch), [Failed("96", "outcome-unknown")] * 2)
        self.fail("commit", StoredAnyway(OutcomeUnknown("lost")))
        self.assertEqual([answer.result for answer in self.bank.handle(*batch)], ["reversed"] * 2)
        self.assert_untouched_money()

    def assert_untouched_money(self) -> None:
        self.assertEqual(self.world.purse(*ADA), Purse(10_000, "2026-11-20", 0, 0))

    def test_what_needs_no_storage(self) -> None:
        """Refusals, repeats and the demand for a PIN stand whatever becomes of the commit; tries are not told."""
        paid = self.till.purchase(self.ada, 100)
        first = self.bank.outcome(paid)
        self.fail("commit", OutcomeUnknown("lost"))
        answers = self.bank.handle(
            self.till.purchase(self.ada, 100, pin="0000"),
            self.till.purchase(self.ada, 100, pin=None),
            paid,
            replace(paid, amount=101),
            self.till.purchase(self.ada, date="2099-01-01"),
        )
        self.assertEqual(answers[:3], [Failed("96", "outcome-unknown"), PinWanted(), first])
        self.assertEqual([answer.code for answer in answers[3:]], ["94", "12"])

    def test_unreadable_afterwards(self) -> None:
        """What cannot be read back is not answered: 96."""
        self.fail("commit", StoredAnyway(OutcomeUnknown("lost")))
        self.fail("stored", StorageFailed("i/o"))
        request = self.till.purchase(self.ada, 100)
        self.assertEqual(self.bank.one(request), Failed("96", "outcome-unknown"))
        self.assertEqual(self.codes(request), ["00"])
        self.assertEqual(self.world.purse(*ADA).balance, 9_900)

    def test_in_single_run(self) -> None:
        """A commit of unknown outcome among single runs concerns that request alone."""
        batch = [self.till.purchase(self.ada, 100) for _ in range(3)]
        self.fail("commit", StorageFailed("x"), None, OutcomeUnknown("lost"))
        self.assertEqual([answer.code for answer in self.bank.handle(*batch)], ["00", "96", "00"])
        self.assertEqual(self.world.purse(*ADA).balance, 9_800)


class Token(FaultCase):
    def test_removed(self) -> None:
        """Without the token nothing is approved and nothing stored: 91; what needs no token goes on."""
        paid = self.till.purchase(self.ada, 100)
        first = self.bank.outcome(paid)
        self.bank.keys.available = False
        answers = self.bank.handle(
            self.till.purchase(self.ada), paid, self.till.balance(self.ada, "1234"), self.till.reverse(paid)
        )
        self.assertEqual(answers[0], Failed("91", "keystore"))
        self.assertEqual(answers[2], Failed("91", "keystore"))
        self.assertEqual((answers[1], answers[3].result), (first, "reversed"))
        self.assertEqual(len(self.world.journal()), 2)
        self.bank.keys.available = True
        self.assertEqual(self.codes(self.till.purchase(self.ada)), ["00"])

    def test_missing_version(self) -> None:
        """A card whose PIN was set under a key that is gone gets 91; the others of its batch are served."""
        new = self.bank.keys.generate("K_PIN", KeyPurpose.PIN)
        carol = self.bank.issue("ACME", "BOB", card="CARD000000C1")
        self.bank.keys.destroy(new)
        answers = self.bank.handle(self.till.purchase(carol, 100), self.till.purchase(self.bob, 100))
        self.assertEqual((answers[0], answers[1].code), (Failed("91", "keystore"), "00"))
        self.assertEqual(self.bank.one(self.till.purchase(carol, 100, pin=None)), PinWanted())

    def test_no_keys(self) -> None:
        """A store without K_PIN or K_CARD is found out before anything is asked of it."""
        store = MemoryStore(self.bank.entropy)
        self.assertRaises(KeyNotFound, find_card_keys, store)
        store.generate("K_PIN", KeyPurpose.PIN)
        self.assertRaises(KeyNotFound, find_card_keys, store)

    def test_two_calls_a_batch(self) -> None:
        """TR-18: the token is asked twice a batch: once for all stripes, once for all PINs, unknown cards included."""
        batch = [self.till.purchase(self.ada, 10) for _ in range(20)]
        stranger = self.bank.make(self.bob.number)
        batch += [self.till.purchase(self.ada, track=stranger.forged()), self.till.purchase(self.bob, pin=None)]
        self.bank.keys.calls.clear()
        self.bank.handle(*batch)
        self.assertEqual(self.bank.keys.calls, [("K_CARD", 22), ("K_PIN", 21)])

    def test_equal_work(self) -> None:
        """The token does the same for a card that exists, one that does not, and no card at all."""
        for request in (
            self.till.purchase(self.ada),
            self.till.purchase(self.bank.make(compose_number(99))),
            self.till.purchase(self.ada, track=self.ada.forged()),
            self.till.purchase(self.ada, track=TrackTwo("rubbish")),
            self.till.purchase(self.ada, pin="0000"),
        ):
            self.bank.keys.calls.clear()
            self.bank.handle(request)
            self.assertEqual(self.bank.keys.calls, [("K_CARD", 1), ("K_PIN", 1)])


class Secrecy(FaultCase):
    def secrets(self) -> list[str]:
        return [self.ada.number.digits, self.ada.track.text, self.ada.track.text[-7:], "918273"]

    def watch(self) -> list[str]:
        """Collect what a debugger would see at each failure: every local value of every frame of trus."""
        seen: list[str] = []

        def note(level: str, text: str) -> None:
            seen.append(text)
            failure = sys.exc_info()[1]
            while failure is not None:
                step = failure.__traceback__
                while step is not None:
                    if f"{'/'}trus{'/'}" in step.tb_frame.f_code.co_filename:
                        seen.extend(shown(value) for value in step.tb_frame.f_locals.values())
                    step = step.tb_next
                failure = failure.__cause__ or failure.__context__

        self.bank.note = note  # type: ignore[method-assign]
        self.bank.start()
        return seen

    def test_tracebacks(self) -> None:
        """TR-16: whatever fails and wherever, no local value of a traceback shows a number, track or PIN."""
        seen = self.watch()
        request = self.till.purchase(self.ada, pin="918273")

        def break_(event: Event) -> None:
            raise ZeroDivisionError

        for step, faults in (
            ("read", [ZeroDivisionError()] * 2),
            ("record", [break_]),
            ("commit", [StorageFailed("x")] * 2),
            ("commit", [OutcomeUnknown("x")]),
        ):
            self.fake.ledger.faults = {step: faults}
            self.assertEqual(self.bank.one(request).code, "96")
        self.fake.ledger.faults = {}
        for label in ("K_CARD", "K_PIN"):
            self.bank.keys.available, self.bank.keys.lost_at = True, label
            self.assertEqual(self.bank.one(request).code, "91")
        self.assertGreater(len(seen), 50)
        for secret in self.secrets():
            self.assertNotIn(secret, "\n".join(seen))

    def test_requests_and_answers(self) -> None:
        """No request shows its secrets in a log."""
        requests = [self.till.purchase(self.ada, pin="918273"), self.till.balance(self.ada, "918273")]
        for value in (*requests, *self.bank.handle(*requests)):
            for secret in self.secrets():
                self.assertNotIn(secret, shown(value))
        self.assertEqual(repr(Asked(requests[0], self.world.ledger.card_names)), "<Asked purchase redacted>")
