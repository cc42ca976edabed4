"""Sessions by ticket."""

from __future__ import annotations

from tests.protocol.network import (
    BACKEND,
    POS,
    TERMS,
    Network,
    Verifier,
    converse,
    lines_in,
    refusals_in,
    session_in,
)
from tests.protocol.shaking import OTHER_BINDING, HandshakeCase
from trus.protocol.effects import (
    Effect,
    Established,
    Mode,
    NeedStanding,
    Refused,
)
from trus.protocol.errors import ErrorCode
from trus.protocol.handshake import Initiator, Responder, run
from trus.protocol.tickets import StoredTicket
from trus.values import DeviceRole


class ResumptionTests(HandshakeCase):
    def resume(
        self, initiator: Initiator, responder: Responder, stands: bool = True
    ) -> tuple[list[Effect], list[Effect]]:
        verifier = Verifier()
        right = responder.receive(self.first_line(initiator))
        if right and isinstance(right[0], NeedStanding):
            self.assertEqual(right[0].peer.name, "POS00001")
            right = responder.provide_standing(TERMS) if stands else responder.refuse(ErrorCode.REFUSED, "revoked")
        left = initiator.receive(lines_in(right)[0][:-2])
        for line in lines_in(left):
            more = run(responder, responder.receive(line[:-2]), BACKEND, verifier, TERMS)
            right += more
            for answer in lines_in(more):
                left += initiator.receive(answer[:-2])
        return left, right

    def test_no_signatures(self) -> None:
        """TR-16: A ticket opens a new session without signatures and with fresh keys."""
        first = session_in(converse(self.network.initiator(), self.network.responder())[0])
        assert first.ticket is not None
        signed = (POS.signed, BACKEND.signed)
        self.network.clock.advance(3600)
        initiator = self.network.initiator(Mode.RESUME, ticket=first.ticket, binding=OTHER_BINDING)
        left, right = self.resume(initiator, self.network.responder(binding=OTHER_BINDING))
        device, backend = session_in(left), session_in(right)
        self.assertEqual((POS.signed, BACKEND.signed), signed)
        self.assertEqual((device.peer.name, backend.peer.name), ("backend", "POS00001"))
        self.assertNotEqual(device.pin_key, first.pin_key)
        self.assertEqual(device.pin_key, backend.pin_key)
        self.assertEqual(device.ends_at, first.ends_at)
        self.assertEqual(backend.ends_at, first.ends_at)

    def test_tickets_chain_until_the_end(self) -> None:
        """Resumption after resumption works for 24 hours after the full handshake and then no more."""
        ticket = self.ticket()
        for _ in range(5):
            self.network.clock.advance(4.5 * 3600)
            left, _ = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket), self.network.responder())
            after = session_in(left).ticket
            assert after is not None
            ticket = after
        self.assertEqual(int(ticket.expires - self.network.clock.now().timestamp()), 5400)
        self.network.clock.advance(5400)
        left, right = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket), self.network.responder())
        self.refused(right, ErrorCode.TICKET, "ticket")
        self.assertEqual(refusals_in(left), [Refused(ErrorCode.TICKET, "peer")])

    def test_revoked_meanwhile(self) -> None:
        """TR-15: A ticket whose holder was revoked opens nothing."""
        left, _ = self.resume(
            self.network.initiator(Mode.RESUME, ticket=self.ticket()), self.network.responder(), stands=False
        )
        self.assertEqual(refusals_in(left), [Refused(ErrorCode.REFUSED, "peer")])

    def test_stolen_ticket(self) -> None:
        """A ticket without its secret, and a message replayed over another connection, are refused."""
        ticket = self.ticket()
        stolen = StoredTicket(ticket.ticket, bytes(32), ticket.expires, ticket.ends, ticket.peer)
        _, right = self.resume(self.network.initiator(Mode.RESUME, ticket=stolen), self.network.responder())
        self.refused(right, ErrorCode.REFUSED, "binder")
        replayed = self.network.responder(binding=OTHER_BINDING)
        _, right = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket), replayed)
        self.refused(right, ErrorCode.REFUSED, "binder")

    def test_ticket_of_another(self) -> None:
        """A ticket is refused by another backend, for another role, and where none are given."""
        ticket = self.ticket()
        for responder in (
            Network("another").responder(),
            self.network.responder(peer_role=DeviceRole.CARD),
        ):
            _, right = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket), responder)
            self.refused(right, ErrorCode.TICKET)
        without = self.network.responder()
        without._tickets = None
        _, right = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket), without)
        self.refused(right, ErrorCode.TICKET)

    def test_without_exporter(self) -> None:
        """Without a reported binding only exempt models resume."""
        ticket = self.ticket()
        _, right = self.resume(
            self.network.initiator(Mode.RESUME, ticket=ticket, binding=None), self.network.responder(binding=None)
        )
        self.refused(right, ErrorCode.REFUSED, "binding")
        responder = self.network.responder(binding=None, unbound_models=frozenset({"VX1"}))
        left, _ = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket, binding=None), responder)
        self.assertEqual(session_in(left).peer.name, "backend")

    def test_ticket_without_its_mode(self) -> None:
        """A ticket outside mode resume is refused."""
        line = self.first_line(self.network.initiator(Mode.RESUME, ticket=self.ticket()))
        self.refused(self.network.responder().receive(line.replace(b"mode=resume", b"mode=full")), ErrorCode.BAD_FIELD)

    def test_last_moment(self) -> None:
        """A session that is opened in the chain's last second gets no further ticket."""
        ticket = self.ticket()
        self.network.clock.advance(7 * 3600)
        left, _ = self.resume(self.network.initiator(Mode.RESUME, ticket=ticket), self.network.responder())
        ticket2 = session_in(left).ticket
        assert ticket2 is not None
        initiator, responder = self.network.initiator(Mode.RESUME, ticket=ticket2), self.network.responder()
        responder.receive(self.first_line(initiator))
        (answer,) = lines_in(responder.provide_standing(TERMS))
        (line3,) = lines_in(initiator.receive(answer[:-2]))
        self.network.clock.advance(17 * 3600)
        effects = responder.receive(line3[:-2])
        (established,) = initiator.receive(lines_in(effects)[0][:-2])
        assert isinstance(established, Established)
        self.assertIsNone(established.ticket)
