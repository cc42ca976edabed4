"""Both ends of an open session, for tests."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.protocol.network import (
    Network,
)
from trus.protocol.errors import SessionEnded
from trus.protocol.messages import Kind, Message
from trus.protocol.session import SealedSession

CLEAR = {"stan": "000042", "amount": "12.50", "currency": "USD", "date": "2026-11-20"}
SEALED = {"rid": "A" * 22, "track2": "4000340000000506=2511111123400001230"}


class SessionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network("session")
        self.device, self.backend = self.network.sessions()

    def carry(
        self,
        speaker: SealedSession,
        hearer: SealedSession,
        kind: Kind,
        verb: str,
        clear: dict[str, str] | None = None,
        sealed: dict[str, str] | None = None,
        dialogue: str | None = None,
    ) -> Message:
        line = speaker.seal(kind, verb, clear or {}, sealed or {}, dialogue=dialogue)
        return hearer.open(line[:-2])

    def purchase(self) -> str:
        dialogue = self.device.open_dialogue()
        self.carry(self.device, self.backend, Kind.COMMAND, "PROCESS", CLEAR, SEALED, dialogue)
        return dialogue

    def foreign(self, session: SealedSession, clear: bytes, plaintext: bytes = b" " * 64) -> bytes:
        """Return a genuine line that this program would not say, without CR LF."""
        return session._send.seal(clear, plaintext)[:-2]

    def ended(self, session: SealedSession, line: bytes) -> str:
        error = self.assertRaises(SessionEnded, session.open, line)
        assert isinstance(error, SessionEnded)
        self.assertEqual(session.ended, error.reason)
        self.assertEqual(session.pin_key, b"")
        self.assertRaises(SessionEnded, session.open, line)
        self.assertRaises(SessionEnded, session.seal, Kind.COMMAND, "ECHO", {}, {}, dialogue=session.open_dialogue())
        return error.reason
