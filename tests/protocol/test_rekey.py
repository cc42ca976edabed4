"""New keys in place: when, how, and for whom not."""

from __future__ import annotations

from datetime import timedelta

from tests.protocol import stranger
from tests.protocol.network import (
    CARD,
    NOON,
    POS,
    Network,
    converse,
    session_in,
)
from tests.protocol.sealed import CLEAR, SEALED, SessionCase
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError, SessionEnded
from trus.protocol.handshake import Expected, Mode
from trus.protocol.messages import Kind
from trus.protocol.records import MAX_RECORDS
from trus.protocol.session import MAX_KEY_AGE_SECONDS, OVERDUE_SECONDS
from trus.values import DeviceRole


class RekeyTests(SessionCase):
    def rekey(self) -> None:
        self.backend.open(self.device.start_rekey()[:-2])
        self.device.open(self.backend.answer_rekey(self.network.tickets)[:-2])
        self.backend.open(self.device.finish_rekey()[:-2])

    def test_when(self) -> None:
        """New keys are due after an hour, or after 2^20 records in one direction."""
        self.assertFalse(self.device.needs_rekey(NOON))
        self.assertTrue(self.device.needs_rekey(NOON + timedelta(seconds=MAX_KEY_AGE_SECONDS)))
        self.device._send.sequence = MAX_RECORDS
        self.assertTrue(self.device.needs_rekey(NOON))

    def test_in_place(self) -> None:
        """TR-16: Keys change in place: numbers begin anew, the PIN key stays, a new ticket comes."""
        pin, ticket = self.device.pin_key, self.device.ticket
        self.network.clock.advance(MAX_KEY_AGE_SECONDS)
        before = (self.device._secrets, self.backend._secrets)
        self.rekey()
        self.assertNotEqual((self.device._secrets, self.backend._secrets), before)
        self.assertEqual((self.device.records, self.backend.records), (0, 0))
        self.assertFalse(self.device.needs_rekey(self.network.clock.now()))
        self.assertEqual((self.device.pin_key, self.backend.pin_key), (pin, pin))
        self.assertNotEqual(self.device.ticket, ticket)
        self.purchase()
        self.rekey()
        self.purchase()

    def test_other_lines_between(self) -> None:
        """Lines in flight while keys change still open: each direction changes at one line."""
        first = self.purchase()
        self.backend.open(self.device.start_rekey()[:-2])
        second = self.device.open_dialogue()
        crossing = self.device.seal(Kind.COMMAND, "PROCESS", CLEAR, SEALED, dialogue=second)
        answer = self.backend.answer_rekey(self.network.tickets)
        result = {"result": "approved", "code": "00"}
        under_new = self.backend.seal(Kind.INFO, "RESULT", result, {}, dialogue=first)
        self.backend.open(crossing[:-2])
        self.device.open(answer[:-2])
        self.device.open(under_new[:-2])
        late = self.device.seal(Kind.INFO, "COMPLETE", {}, {}, dialogue=first)
        last = self.device.finish_rekey()
        self.backend.open(late[:-2])
        self.backend.open(last[:-2])
        self.purchase()

    def test_ticket_resumes(self) -> None:
        """The ticket of a rekey opens a session later."""
        self.rekey()
        ticket = self.device.ticket
        assert ticket is not None
        content = self.network.tickets.open(ticket.ticket)
        assert content is not None and self.backend._secrets is not None
        self.assertEqual(content.secret, ticket.secret)
        self.assertEqual(content.secret, self.backend._secrets.resumption)

    def test_without_tickets(self) -> None:
        """A backend that gives no tickets still changes keys."""
        ticket = self.device.ticket
        self.backend.open(self.device.start_rekey()[:-2])
        self.device.open(self.backend.answer_rekey()[:-2])
        self.backend.open(self.device.finish_rekey()[:-2])
        self.assertEqual(self.device.ticket, ticket)
        self.purchase()

    def test_out_of_order(self) -> None:
        """No side answers, finishes or starts a rekey out of order."""
        self.assertRaises(LocalProtocolError, self.device.finish_rekey)
        self.assertRaises(LocalProtocolError, self.backend.finish_rekey)
        self.assertRaises(LocalProtocolError, self.backend.start_rekey)
        self.assertRaises(LocalProtocolError, self.backend.answer_rekey)
        self.assertRaises(LocalProtocolError, self.device.answer_rekey)
        self.device.start_rekey()
        self.assertRaises(LocalProtocolError, self.device.start_rekey)
        clear = f"COMMAND REKEY s={self.device.label}".encode()
        _, backend = Network("session").sessions()
        plaintext = stranger.pad({"share": "A" * 43, "nonce": "A" * 22})
        device, backend = Network("session").sessions()
        backend.open(self.foreign(device, clear, plaintext))
        self.assertRaises(RemoteProtocolError, backend.open, self.foreign(device, clear, plaintext))

    def test_zero_share(self) -> None:
        """A rekey with a share of small order ends the session, on either side."""
        clear = f"COMMAND REKEY s={self.device.label}".encode()
        plaintext = stranger.pad({"share": "A" * 43, "nonce": "A" * 22})
        self.backend.open(self.foreign(self.device, clear, plaintext))
        self.assertRaises(SessionEnded, self.backend.answer_rekey)
        self.assertEqual(self.backend.ended, "share")

        device, backend = Network("session").sessions()
        device.start_rekey()
        line = self.foreign(backend, f"DATA REKEY s={device.label}".encode(), plaintext)
        self.assertEqual(self.assertRaises(SessionEnded, device.open, line).reason, "share")
        self.assertRaises(LocalProtocolError, device.finish_rekey)

    def test_chain_ends(self) -> None:
        """24 hours after the full handshake no new keys are given."""
        self.network.clock.advance(24 * 3600)
        self.assertEqual(self.backend.ends_at, NOON + timedelta(hours=24))
        self.backend.open(self.device.start_rekey()[:-2])
        self.assertEqual(self.assertRaises(SessionEnded, self.backend.answer_rekey).reason, "chain")

    def echo(self) -> bytes:
        return self.device.seal(Kind.COMMAND, "ECHO", {}, {}, dialogue=self.device.open_dialogue())[:-2]

    def test_overdue(self) -> None:
        """TR-15: A device that avoids new keys, by which its standing is looked at again, is cut off."""
        self.network.clock.advance(OVERDUE_SECONDS - 1)
        self.backend.open(self.echo())
        self.network.clock.advance(1)
        self.assertEqual(self.ended(self.backend, self.echo()), "age")

    def test_overdue_but_asking(self) -> None:
        """A device that was long silent may still ask for new keys first, and then goes on."""
        self.network.clock.advance(OVERDUE_SECONDS)
        self.backend.open(self.device.start_rekey()[:-2])
        crossing = self.echo()
        self.backend.open(crossing)
        self.device.open(self.backend.answer_rekey(self.network.tickets)[:-2])
        self.backend.open(self.device.finish_rekey()[:-2])
        self.purchase()

    def test_half_a_rekey(self) -> None:
        """A device that asks for new keys and never takes them is cut off too."""
        self.backend.open(self.device.start_rekey()[:-2])
        self.backend.answer_rekey(self.network.tickets)
        self.network.clock.advance(OVERDUE_SECONDS)
        self.assertEqual(self.ended(self.backend, self.echo()), "age")

    def test_day_is_over(self) -> None:
        """24 hours after the full handshake any line ends the session; the device hears no excuse."""
        for _ in range(24):
            self.network.clock.advance(3599)
            self.rekey()
        self.network.clock.advance(24)
        self.assertEqual(self.ended(self.backend, self.echo()), "chain")

    def test_backend_is_not_cut_off(self) -> None:
        """A device hears the backend out however old the keys are: it is the device that asks for new ones."""
        self.network.clock.advance(OVERDUE_SECONDS)
        self.carry(self.backend, self.device, Kind.INFO, "DAY", {}, {"date": "2026-11-21"})

    def test_not_between_devices(self) -> None:
        """A session between a card and a POS has neither rekey nor tickets."""
        network = Network("devices")
        left, right = converse(
            network.initiator(Mode.DEVICE, CARD, Expected(DeviceRole.POS, "POS00001", "SHOP1"), to="POS00001"),
            network.responder(POS, DeviceRole.CARD, None, frozenset({Mode.DEVICE}), name="POS00001"),
            CARD,
            POS,
        )
        card, pos = session_in(left), session_in(right)
        self.assertRaises(LocalProtocolError, card.start_rekey)
        clear = f"COMMAND REKEY s={card.label}".encode()
        plaintext = stranger.pad({"share": "A" * 43, "nonce": "A" * 22})
        error = self.assertRaises(RemoteProtocolError, pos.open, self.foreign(card, clear, plaintext))
        self.assertEqual(error.code, ErrorCode.OUT_OF_ORDER)
        self.assertIsNone(card.ticket)
        self.assertEqual(pos.open(b"INFO NOTICE code=going-down").verb, "NOTICE")
