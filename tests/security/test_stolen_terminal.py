"""A stolen terminal with its key: what the front, the core and the ledger still do not give it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.backend.parts import DAY, Bench
from tests.backend.test_sessions import purchase
from tests.core.promises import ADA, PipelineCase, replace
from tests.core.test_pipeline import InMemory
from tests.core.tills import Till
from trus.auth.model import State
from trus.cards.numbers import compose_number
from trus.core import messages as core
from trus.protocol.fields import format_octets
from trus.protocol.messages import Kind
from trus.protocol.session import OVERDUE_SECONDS
from trus.values import Identity


@implementer(ILogObserver)
class _Ear:
    """Notes how urgent each line of the log is."""

    def __init__(self, heard: list[str]) -> None:
        self._heard = heard

    def __call__(self, event: LogEvent) -> None:
        self._heard.append(event["log_level"].name)


class LiveSessionTests(SynchronousTestCase):
    """A terminal that is authenticated and means harm."""

    def setUp(self) -> None:
        self.bench = Bench()
        self.logged: list[str] = []
        ear = _Ear(self.logged)
        globalLogPublisher.addObserver(ear)
        self.addCleanup(globalLogPublisher.removeObserver, ear)

    def waiting(self) -> int:
        """Return how many requests, with their stripes, the front holds for want of a PIN."""
        return sum(len(each.waiting_for_pin) for each in self.bench.front._sessions.values())

    def test_abandoned_requests_are_forgotten(self) -> None:
        """A terminal that breaks off every dialogue before its PIN fills no memory, and no stripe stays there."""
        session = self.bench.connect()
        for _ in range(200):
            dialogue = session.open_dialogue()
            self.bench.send(purchase(session))
            self.bench.core.answer(core.PinWanted())
            (wanted,) = self.bench.heard()
            session.open(wanted)
            self.bench.send(session.seal(Kind.INFO, "ERROR", {"code": "system"}, {}, dialogue=dialogue))
        self.assertEqual(self.waiting(), 0)

    def test_an_answer_to_a_dialogue_that_is_over_is_dropped(self) -> None:
        """Whoever breaks a dialogue off before its answer hears none, and raises no alarm in the log."""
        session = self.bench.connect()
        dialogue = session.open_dialogue()
        self.bench.send(purchase(session))
        self.bench.send(session.seal(Kind.INFO, "ERROR", {"code": "system"}, {}, dialogue=dialogue))
        self.bench.core.answer(core.Outcome("approved", "00", "A1B2C3", "632500000042", 1250, "USD"))
        self.assertEqual((self.bench.heard(), [level for level in self.logged if level != "info"]), ([], []))
        self.bench.send(purchase(session))
        self.bench.core.answer(core.PinWanted())
        self.assertEqual(session.open(self.bench.heard()[0]).verb, "PRESENT-PIN")

    def test_a_session_that_refuses_new_keys_ends(self) -> None:
        """TR-16: a terminal that never asks for new keys, and so is never looked at again, is cut off."""
        session = self.bench.connect()
        self.bench.around.clock.moment += timedelta(seconds=OVERDUE_SECONDS - 1)
        self.bench.send(purchase(session))
        self.assertEqual(len(self.bench.core.asked), 1)
        self.bench.around.clock.moment += timedelta(seconds=1)
        self.bench.send(purchase(session))
        self.assertEqual((len(self.bench.core.asked), self.bench.front.sessions), (1, 0))
        self.assertEqual(self.bench.heard(), [])

    def test_an_idle_terminal_may_still_ask_for_new_keys(self) -> None:
        """A terminal that was silent all night asks for new keys first, and goes on in its session."""
        session = self.bench.connect()
        self.bench.around.clock.moment += timedelta(hours=9)
        self.bench.send(session.start_rekey())
        self.bench.send(purchase(session))
        answer = session.open(self.bench.heard()[0])
        self.assertEqual((answer.kind, answer.verb), (Kind.DATA, "REKEY"))
        self.bench.send(session.finish_rekey())
        self.bench.send(purchase(session))
        self.assertEqual((len(self.bench.core.asked), self.bench.front.sessions), (2, 1))

    def test_no_session_outlives_a_day(self) -> None:
        """Rekey after rekey, a session ends 24 hours after its full handshake."""
        session = self.bench.connect()
        for _ in range(23):
            self.bench.around.clock.moment += timedelta(hours=1)
            self.bench.send(session.start_rekey())
            session.open(self.bench.heard()[0])
            self.bench.send(session.finish_rekey())
        self.assertEqual(self.bench.front.sessions, 1)
        self.bench.around.clock.moment += timedelta(hours=1)
        self.bench.send(purchase(session))
        self.assertEqual((self.bench.core.asked, self.bench.front.sessions), ([], 0))

    def test_an_unbound_connection_resumes_nothing(self) -> None:
        """TR-16: where the gateway reports no exporter, neither a full handshake nor a ticket is accepted."""
        bench = Bench(exporter=b"")
        bench.shake()
        self.assertEqual([each.code.value for each in bench.refused], ["refused"])
        self.assertEqual(bench.front.sessions, 0)

    def test_another_terminals_name_is_nowhere_in_a_request(self) -> None:
        """TR-5: the identity of a request is that of the session's certificate; no field can name another terminal."""
        session = self.bench.connect()
        fields = {"stan": "000007", "amount": "1.00", "currency": "USD", "date": DAY}
        sealed = {
            "rid": format_octets(b"\x01" * 16),
            "original-stan": "000006",
            "original-date": DAY,
            "original-rid": format_octets(b"\x02" * 16),
            "reason": "customer",
        }
        self.bench.send(session.seal(Kind.COMMAND, "REVERSE", fields, sealed, dialogue=session.open_dialogue()))
        ((request, _),) = self.bench.core.asked
        assert isinstance(request, core.Reverse)
        self.assertEqual({request.identity.terminal, request.original.terminal}, {"T0000001"})


class TillTests(InMemory, PipelineCase, SynchronousTestCase):
    """What the core refuses a terminal that means harm, whatever its session says."""

    def test_a_closed_terminal_gives_no_money_back(self) -> None:
        """A terminal that was closed for ever takes nothing back in a session that is still open."""
        request = self.till.purchase(self.ada, 1250)
        self.assertEqual(self.codes(request), ["00"])
        self.world.set_state("terminal", "T0000001", State.CLOSED)
        self.assertEqual(self.bank.one(self.till.reverse(request)).code, "58")
        self.assertEqual((self.world.purse(*ADA).balance, self.world.owed("BISTRO")), (8_750, 1_250))

    def test_tries_are_the_cards_not_the_terminals(self) -> None:
        """TR-5: PINs tried at many terminals, in one batch or in several, count against one card."""
        self.world.add_terminal("DINER", "T0000003", "5812")
        tills = [Till(), Till("T0000003", "DINER")]
        guesses = [till.purchase(self.ada, 100 + turn, pin=f"{turn:04d}") for turn in range(4) for till in tills]
        self.assertEqual(self.codes(*guesses[:5]), ["55", "55", "55", "75", "75"])
        self.assertEqual(self.codes(*guesses[5:], tills[1].purchase(self.ada, 100)), ["75"] * 4)

    def test_a_number_is_not_told_from_a_forged_stripe(self) -> None:
        """TR-5: a sweep over card numbers learns nothing: unknown cards and forged stripes are answered alike."""
        unknown = self.bank.make(compose_number(77_777))
        answers = self.bank.handle(
            self.till.purchase(unknown, 100), self.till.purchase(self.ada, 100, track=self.ada.forged())
        )
        told = {(each.result, each.code, each.text, each.tries_left, each.balance, each.amount) for each in answers}
        self.assertEqual(len(told), 1)
        self.assertEqual(self.world.tries("CARD000000A1"), 3)

    def test_another_terminals_purchase_is_out_of_reach(self) -> None:
        """TR-5: a terminal that knows another's identity, rid and amount can neither repeat nor reverse it."""
        request = self.till.purchase(self.ada, 1250)
        self.assertEqual(self.codes(request), ["00"])
        thief = Till("T0000002", "LIQUOR")
        stolen = replace(request, peer=thief.peer)
        taken = replace(thief.reverse(request), identity=thief.identity())
        self.assertEqual([each.code for each in self.bank.handle(stolen, taken)], ["63", "63"])
        own = replace(thief.reverse(request), original=Identity(thief.terminal, thief.date, request.identity.stan))
        self.assertEqual(self.codes(own), ["00"])
        self.assertEqual(self.world.purse(*ADA).balance, 8_750)

    def test_a_reversal_gives_back_what_was_paid_and_once(self) -> None:
        """A reversal under another amount, rid or currency moves nothing, and a second one moves nothing more."""
        request = self.till.purchase(self.ada, 1250)
        self.assertEqual(self.codes(request), ["00"])
        wrong: list[dict[str, Any]] = [{"amount": 1251}, {"original_rid": b"\x00" * 16}, {"currency": "EUR"}]
        self.assertEqual(self.codes(*(self.till.reverse(request, **each) for each in wrong)), ["25"] * 3)
        self.assertEqual(self.codes(self.till.reverse(request), self.till.reverse(request)), ["00", "00"])
        self.assertEqual((self.world.purse(*ADA).balance, self.world.owed("BISTRO")), (10_000, 0))
