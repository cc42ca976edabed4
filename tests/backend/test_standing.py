"""Whoever is revoked, suspended or blocked loses the live session, not only the next one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.backend.parts import BINDING, TERMINAL, Bench
from trus.backend.batching import OnAnswer
from trus.backend.standing import PEERS_A_REQUEST, StandingWatch
from trus.core.messages import (
    Answer,
    Failed,
    PeersRechecked,
    PeerVerified,
    Purchase,
    RecheckPeers,
    Request,
    StandingsChanged,
    StandingsSince,
)
from trus.protocol.effects import Mode, Refused, Send
from trus.protocol.errors import ErrorCode
from trus.protocol.initiator import Expected, Initiator
from trus.protocol.messages import Kind
from trus.values import DeviceRole, PeerIdentity


def terminal(number: int, serial: str = "0a") -> PeerIdentity:
    return PeerIdentity(DeviceRole.POS, f"T{number:07d}", serial)


class Connection:
    """A connection with the sessions of some holders."""

    def __init__(self, *peers: PeerIdentity) -> None:
        self.held = list(peers)
        self.expelled: list[tuple[str, str]] = []

    def peers(self) -> list[PeerIdentity]:
        return list(self.held)

    def expel(self, peer: PeerIdentity, reason: str) -> None:
        self.held = [each for each in self.held if each != peer]
        self.expelled.append((peer.serial, reason))


class WatchTests(SynchronousTestCase):
    """The front compares numbers, and asks about the holders concerned."""

    def setUp(self) -> None:
        self.asked: list[tuple[Request, OnAnswer]] = []
        self.watch = StandingWatch(lambda request, on_answer: self.asked.append((request, on_answer)))
        self.connections: list[Connection] = []
        self.watch.live = lambda: self.connections

    def answer(self, answer: Answer) -> Request:
        request, on_answer = self.asked.pop(0)
        on_answer(answer)
        return request

    def test_nothing_is_asked_while_nothing_changed(self) -> None:
        """A quiet network costs the core nothing but its answer about the day."""
        for _ in range(3):
            self.watch.heard(4)
        self.assertEqual(self.asked, [])

    def test_only_the_holders_concerned_are_judged(self) -> None:
        """TR-15: a change ends the sessions of its holder that fell, and leaves every other one alone."""
        fallen, other = Connection(terminal(1, "0a")), Connection(terminal(2))
        renewed = Connection(terminal(1, "0b"))
        self.connections = [fallen, other, renewed]
        self.watch.heard(4)
        self.watch.heard(5)
        self.assertEqual(self.answer(StandingsChanged(5, True, [("pos", "T0000001")])), StandingsSince(4))
        asked = self.answer(PeersRechecked(["revoked", ""]))
        self.assertEqual(asked, RecheckPeers([terminal(1, "0a"), terminal(1, "0b")]))
        self.assertEqual((fallen.expelled, other.expelled, renewed.expelled), ([("0a", "revoked")], [], []))
        self.watch.heard(5)
        self.assertEqual(self.asked, [])

    def test_every_session_of_a_fallen_holder_ends(self) -> None:
        """A device connected twice, through two gateways, loses both sessions."""
        self.connections = [Connection(terminal(1)), Connection(terminal(1), terminal(2))]
        self.watch.heard(0)
        self.watch.heard(1)
        self.answer(StandingsChanged(1, True, [("pos", "T0000001")]))
        self.answer(PeersRechecked(["held"]))
        self.assertEqual([each.expelled for each in self.connections], [[("0a", "held")]] * 2)
        self.assertEqual(self.connections[1].held, [terminal(2)])

    def test_a_change_that_cannot_be_told_concerns_everybody(self) -> None:
        """When the register cannot say who changed, every live session is judged, in bounded requests."""
        self.connections = [Connection(terminal(number)) for number in range(PEERS_A_REQUEST + 3)]
        self.watch.heard(9)
        self.watch.heard(2)
        self.answer(StandingsChanged(2, False, []))
        first = self.answer(PeersRechecked([""] * PEERS_A_REQUEST))
        assert isinstance(first, RecheckPeers)
        self.assertEqual(len(first.peers), PEERS_A_REQUEST)
        self.answer(PeersRechecked(["", "revoked", ""]))
        self.assertEqual([each.held for each in self.connections].count([]), 1)
        self.watch.heard(2)
        self.assertEqual(self.asked, [])

    def test_a_question_that_failed_is_asked_again(self) -> None:
        """A core that is busy or lost delays the end of a session; it never cancels it."""
        self.connections = [Connection(terminal(1))]
        self.watch.heard(0)
        self.watch.heard(1)
        self.watch.heard(1)
        self.answer(Failed("96", "core-lost"))
        self.assertEqual(self.asked, [])
        self.watch.heard(1)
        self.answer(StandingsChanged(1, True, [("pos", "T0000001")]))
        self.answer(Failed("91", "keystore"))
        self.watch.heard(1)
        self.assertEqual(self.answer(StandingsChanged(1, True, [("pos", "T0000001")])), StandingsSince(0))
        self.answer(PeersRechecked(["revoked"]))
        self.assertEqual(self.connections[0].expelled, [("0a", "revoked")])


class ExpulsionTests(SynchronousTestCase):
    """What a front does to the connection of whoever fell."""

    def setUp(self) -> None:
        self.bench = Bench()

    def test_the_session_ends_with_one_word(self) -> None:
        """The device is told INFO BYE reason=standing inside the seal, and the connection ends."""
        session = self.bench.connect()
        self.assertEqual(self.bench.front.peers(), [TERMINAL])
        self.bench.front.expel(TERMINAL, "revoked")
        [line] = self.bench.heard()
        message = session.open(line)
        self.assertEqual((message.kind, message.verb, message.fields["reason"]), (Kind.INFO, "BYE", "standing"))
        self.assertEqual((self.bench.front.sessions, self.bench.closed), (0, ["session ended"]))
        self.assertEqual(self.bench.front.peers(), [])

    def test_another_holders_session_goes_on(self) -> None:
        """Nobody is expelled for a name alone: serial and all must be the fallen one's."""
        self.bench.connect()
        self.bench.front.expel(PeerIdentity(DeviceRole.POS, TERMINAL.name, "0b", TERMINAL.shop), "revoked")
        self.assertEqual((self.bench.front.sessions, self.bench.closed), (1, []))

    def test_an_answer_that_was_under_way_is_not_said(self) -> None:
        """What the core answers after the expulsion reaches nobody: the terminal reverses."""
        session = self.bench.connect()
        fields = {"stan": "000042", "amount": "12.50", "currency": "USD", "date": "2026-11-20"}
        sealed = {"rid": "A" * 22, "track2": "9000010000000008=30127250000000000000"}
        self.bench.send(session.seal(Kind.COMMAND, "PROCESS", fields, sealed, dialogue=session.open_dialogue()))
        self.bench.front.expel(TERMINAL, "held")
        self.bench.heard()
        self.assertIsInstance(self.bench.core.answer(Failed("96", "late")), Purchase)
        self.assertEqual(self.bench.heard(), [])

    def test_a_handshake_judged_before_the_change_is_refused(self) -> None:
        """TR-16: a ticket that was good a moment ago makes no session once its holder fell."""
        self.bench.connect()
        assert self.bench.established is not None
        resuming = Initiator(
            to="backend",
            mode=Mode.RESUME,
            expected=Expected(DeviceRole.BACKEND),
            clock=self.bench.around.clock,
            entropy=self.bench.around.entropy,
            channel_binding=BINDING,
            ticket=self.bench.established.ticket,
        )
        self.bench.core.standing = PeerVerified(TERMINAL, self.bench.around.business_date())
        [opening] = resuming.start()
        assert isinstance(opening, Send)
        self.bench.send(opening.line)
        [answered] = self.bench.heard()
        self.assertEqual(self.bench.front.peers(), [TERMINAL, TERMINAL])
        self.bench.front.expel(TERMINAL, "revoked")
        said = self.bench.heard()
        self.assertIn(b" code=refused", said[0])
        effects = resuming.receive(answered)
        for effect in effects:
            if isinstance(effect, Send):
                self.bench.send(effect.line)
        self.assertEqual((self.bench.front.sessions, self.bench.front.peers()), (0, []))
        self.assertEqual(Refused(ErrorCode.REFUSED, "peer"), resuming.receive(said[0])[0])
