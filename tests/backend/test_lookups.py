"""The directory's answers share a link with every payment of its gateway, and never hold them up."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from trus.backend.batching import OnAnswer
from trus.backend.lookups import MAX_OPEN, PIECES_A_TURN, LookupAnswers
from trus.core.messages import Failed, Request
from trus.core.messages_directory import LookedUp
from trus.core.messages_directory import Lookup as Asked
from trus.protocol.link import MAX_STREAM_CHUNK_BYTES, Found, FoundPart, Lookup, parse_link_line


class Turns(Clock):
    """A clock whose reactor turns can be told apart: what a turn schedules runs in the next one."""

    def turn(self) -> None:
        """Run what is due now, and nothing that it schedules."""
        for call in [call for call in self.getDelayedCalls() if call.getTime() <= self.seconds()]:
            work, arguments, named = call.func, call.args, call.kw
            call.cancel()
            work(*arguments, **named)


class LookupTests(SynchronousTestCase):
    """One link's questions, a scripted core behind them."""

    def setUp(self) -> None:
        self.clock = Turns()
        self.asked: list[tuple[Request, OnAnswer]] = []
        self.lines: list[bytes] = []
        self.reading = True
        self.answers = LookupAnswers(
            lambda request, on_answer: self.asked.append((request, on_answer)),
            self.lines.append,
            lambda: self.reading,
            self.clock,
        )

    def heard(self) -> list[object]:
        events = [parse_link_line(line[:-2]) for line in self.lines]
        self.lines.clear()
        return events

    def ask(self, number: int) -> None:
        self.answers.asked(Lookup(number, "list", "path", b"channel"))

    def test_an_answer_comes_whole(self) -> None:
        """The documents come in their order, then their sizes; nothing found is said as such."""
        self.ask(7)
        request, on_answer = self.asked.pop()
        self.assertEqual(request, Asked("list", "path", b"channel"))
        on_answer(LookedUp([b"one", b"three"], 60))
        self.clock.advance(0)
        self.assertEqual(self.heard(), [FoundPart(7, b"one"), FoundPart(7, b"three"), Found(7, "found", (3, 5), 60)])
        self.ask(8)
        self.asked.pop()[1](LookedUp([], 60))
        self.clock.advance(0)
        self.assertEqual(self.heard(), [Found(8, "absent", (), 60)])

    def test_a_long_list_leaves_room_for_payments(self) -> None:
        """A list of megabytes goes out a few pieces a turn, so that payments pass between them."""
        crl = bytes(MAX_STREAM_CHUNK_BYTES * 3 * PIECES_A_TURN)
        self.ask(1)
        self.asked.pop()[1](LookedUp([crl], 60))
        got = b""
        for _ in range(3):
            self.clock.turn()
            events = self.heard()
            self.assertEqual(len(events), PIECES_A_TURN)
            got += b"".join(event.data for event in events if isinstance(event, FoundPart))
        self.clock.turn()
        self.assertEqual((self.heard(), got), ([Found(1, "found", (len(crl),), 60)], crl))

    def test_a_gateway_that_does_not_read(self) -> None:
        """While the gateway reads nothing, nothing is written to it, and afterwards the answer goes on."""
        self.reading = False
        self.ask(1)
        self.asked.pop()[1](LookedUp([b"crl"], 60))
        self.clock.advance(0)
        self.clock.advance(1.0)
        self.assertEqual(self.heard(), [])
        self.reading = True
        self.clock.advance(1.0)
        self.assertEqual(len(self.heard()), 2)

    def test_a_core_that_cannot_answer(self) -> None:
        """A token that is away or a core that is lost is told as busy, never as not found."""
        self.ask(1)
        self.asked.pop()[1](Failed("91", "keystore"))
        self.assertEqual(self.heard(), [Found(1, "busy")])

    def test_too_many_questions(self) -> None:
        """TR-12: one gateway's questions are bounded; further ones are answered busy and cost the core nothing."""
        for number in range(1, MAX_OPEN + 2):
            self.ask(number)
        self.assertEqual((len(self.asked), self.heard()), (MAX_OPEN, [Found(MAX_OPEN + 1, "busy")]))

    def test_a_link_that_is_lost(self) -> None:
        """What is found for a gateway that has gone is dropped."""
        self.ask(1)
        self.ask(2)
        self.asked[0][1](LookedUp([b"crl"], 60))
        self.answers.closed()
        self.asked[1][1](LookedUp([b"crl"], 60))
        self.clock.advance(1.0)
        self.assertEqual((self.heard(), self.clock.getDelayedCalls()), ([], []))
