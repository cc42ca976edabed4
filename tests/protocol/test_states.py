"""What may be said when: each transition, and everything that is none."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from trus.protocol.errors import ErrorCode, RemoteProtocolError
from trus.protocol.spec import Kind, Phase, Side
from trus.protocol.states import (
    CONNECTION,
    DIALOGUE,
    SESSION,
    ConnectionEvent,
    ConnectionState,
    DeviceConnection,
    Dialogues,
    DialogueState,
    OutOfOrder,
    SessionOrder,
    SessionState,
)
from trus.protocol.verbs import VERBS

HEADS = sorted({spec.head for spec in VERBS})
ENDS = (Side.INITIATOR, Side.RESPONDER)
INIT, RESP = ENDS

#: How to bring a dialogue into each state.
WAYS: dict[DialogueState, tuple[tuple[Side, str], ...]] = {
    DialogueState.NEW: (),
    DialogueState.ASKED: ((INIT, "COMMAND PROCESS"),),
    DialogueState.PIN_WANTED: ((INIT, "COMMAND BALANCE"), (RESP, "COMMAND PRESENT-PIN")),
    DialogueState.ORDERED: ((INIT, "COMMAND REVERSE"),),
    DialogueState.LOOKED_UP: ((INIT, "COMMAND LOOKUP"),),
    DialogueState.LISTING: ((INIT, "COMMAND RECONCILE"), (INIT, "DATA ITEMS")),
    DialogueState.ANSWERED: ((INIT, "COMMAND PROCESS"), (RESP, "INFO RESULT")),
    DialogueState.INITIATOR_CALLS: ((INIT, "COMMAND ECHO"),),
    DialogueState.RESPONDER_CALLS: ((RESP, "COMMAND ECHO"),),
    DialogueState.SIGNING_ON: ((INIT, "COMMAND SIGN-ON"),),
    DialogueState.SIGNING_OFF: ((INIT, "COMMAND SIGN-OFF"),),
    DialogueState.CLOSED: ((INIT, "COMMAND PROCESS"), (RESP, "INFO RESULT"), (INIT, "INFO COMPLETE")),
}


class SessionOrderTests(SynchronousTestCase):
    def test_every_pair(self) -> None:
        """In each state of a session exactly the listed lines are in order; others change nothing."""
        for state in SessionState:
            for side in Side:
                for head in HEADS:
                    order = SessionOrder(state)
                    if (state, side, head) in SESSION:
                        order.said(side, head)
                        self.assertEqual(order.state, SESSION[state, side, head])
                    else:
                        error = self.assertRaises(OutOfOrder, order.said, side, head)
                        self.assertEqual((order.state, error.code), (state, ErrorCode.OUT_OF_ORDER))

    def test_the_handshake(self) -> None:
        """A session is sealed after four messages and not one earlier; an ended one stays so."""
        order = SessionOrder()
        for side, head in (
            (INIT, "COMMAND AUTHENTICATE"),
            (RESP, "DATA AUTHENTICATE"),
            (INIT, "DATA AUTHENTICATE"),
            (RESP, "INFO AUTHENTICATED"),
        ):
            self.assertNotEqual(order.state, SessionState.SEALED)
            order.said(side, head)
        self.assertEqual(order.state, SessionState.SEALED)
        self.assertFalse([key for key in SESSION if key[0] is SessionState.ENDED])

    def test_listed_lines_exist(self) -> None:
        """Every line of a transition is one that the side may say."""
        for _, side, head in (*SESSION, *DIALOGUE):
            self.assertTrue([spec for spec in VERBS if spec.head == head and side in spec.by], head)

    def test_every_dialogue_line_has_a_place(self) -> None:
        """Every line that must name a dialogue appears in the diagram of a dialogue."""
        placed = {(side, head) for _, side, head in DIALOGUE}
        for spec in VERBS:
            if spec.dialogue == "must":
                for side in spec.by:
                    self.assertIn((side, spec.head), placed)


class DialogueTests(SynchronousTestCase):
    def bring(self, state: DialogueState) -> tuple[Dialogues, str]:
        dialogues = Dialogues()
        name = "s1" if state is DialogueState.RESPONDER_CALLS else "c1"
        for side, head in WAYS[state]:
            dialogues.said(side, head, name)
        expected = None if state in (DialogueState.NEW, DialogueState.CLOSED) else state
        self.assertEqual(dialogues.state(name), expected)
        return dialogues, name

    def test_every_pair(self) -> None:
        """In each state of a dialogue exactly the listed lines are in order; others change nothing."""
        for state in DialogueState:
            for side in ENDS:
                for head in HEADS:
                    dialogues, name = self.bring(state)
                    if state is DialogueState.NEW and side is RESP:
                        name = "s1"
                    before = dialogues.state(name)
                    after = DIALOGUE.get((state, side, head))
                    if after is not None:
                        dialogues.said(side, head, name)
                        self.assertEqual(dialogues.state(name), None if after is DialogueState.CLOSED else after)
                    elif head == "INFO ERROR":
                        dialogues.said(side, head, name)
                        self.assertEqual(dialogues.state(name), before)
                    else:
                        self.assertRaises(OutOfOrder, dialogues.said, side, head, name)
                        self.assertEqual(dialogues.state(name), before)

    def test_numbers_rise(self) -> None:
        """An id that was used, or lies below one that was, opens no dialogue again."""
        dialogues = Dialogues()
        dialogues.said(INIT, "COMMAND ECHO", "c5")
        for name in ("c5", "c4", "c1"):
            self.assertRaises(OutOfOrder, dialogues.said, INIT, "COMMAND PROCESS", name)
        dialogues.said(RESP, "INFO ECHO", "c5")
        self.assertRaises(OutOfOrder, dialogues.said, INIT, "COMMAND PROCESS", "c5")
        self.assertEqual(dialogues.fresh(INIT), "c6")
        self.assertEqual(dialogues.fresh(RESP), "s1")
        dialogues.said(INIT, "COMMAND PROCESS", "c100")
        self.assertEqual(dialogues.fresh(INIT), "c101")

    def test_prefix_names_the_opener(self) -> None:
        """Neither side opens dialogues in the other's name."""
        dialogues = Dialogues()
        self.assertRaises(OutOfOrder, dialogues.said, RESP, "COMMAND ECHO", "c1")
        self.assertRaises(OutOfOrder, dialogues.said, INIT, "COMMAND ECHO", "s1")
        self.assertEqual(len(dialogues), 0)

    def test_one_too_many(self) -> None:
        """A session holds so many dialogues of each side and no more; a closed one makes room."""
        dialogues = Dialogues(limit=2)
        dialogues.said(INIT, "COMMAND PROCESS", "c1")
        dialogues.said(INIT, "COMMAND PROCESS", "c2")
        dialogues.said(RESP, "COMMAND ECHO", "s1")
        error = self.assertRaises(OutOfOrder, dialogues.said, INIT, "COMMAND PROCESS", "c3")
        self.assertEqual(error.code, ErrorCode.TOO_MANY)
        self.assertEqual(len(dialogues), 3)
        dialogues.said(RESP, "INFO RESULT", "c1")
        dialogues.said(INIT, "INFO COMPLETE", "c1")
        dialogues.said(INIT, "COMMAND PROCESS", "c4")

    def test_pin_may_cross_the_answer(self) -> None:
        """A PIN that crosses the answer of a backend that waited no longer does no harm."""
        dialogues, name = self.bring(DialogueState.PIN_WANTED)
        dialogues.said(RESP, "INFO RESULT", name)
        dialogues.said(INIT, "DATA PIN-BLOCK", name)
        self.assertEqual(dialogues.state(name), DialogueState.ANSWERED)


class ConnectionTests(SynchronousTestCase):
    opening = b"COMMAND AUTHENTICATE s=QmQmQmQmQmQmQmQm to=backend"
    sealed = b"COMMAND PROCESS s=QmQmQmQmQmQmQmQm id=c1 seal=AAAA"

    def test_every_pair(self) -> None:
        """In each state of a connection exactly the listed events may happen."""
        for state in ConnectionState:
            for event in ConnectionEvent:
                connection = DeviceConnection()
                connection.state = state
                if (state, event) in CONNECTION:
                    connection.happened(event)
                    self.assertEqual(connection.state, CONNECTION[state, event])
                else:
                    error = self.assertRaises(RemoteProtocolError, connection.happened, event)
                    self.assertEqual((connection.state, error.code), (state, ErrorCode.OUT_OF_ORDER))

    def test_before_authentication(self) -> None:
        """TR-12: Before a session is authenticated the gateway lets handshake lines pass and nothing else."""
        connection = DeviceConnection()
        self.assertEqual(connection.admit(self.opening).verb, "AUTHENTICATE")
        for line, code in (
            (self.sealed, ErrorCode.OUT_OF_ORDER),
            (b"COMMAND REBOOT s=QmQmQmQmQmQmQmQm", ErrorCode.UNKNOWN_VERB),
            (b"INFO NOTICE code=going-down", ErrorCode.UNKNOWN_VERB),
            (b"COMMAND AUTHENTICATE to=backend", ErrorCode.BAD_FIELD),
            (b"GET / HTTP/1.1", ErrorCode.MALFORMED),
            (b"", ErrorCode.MALFORMED),
        ):
            self.assertEqual(self.assertRaises(RemoteProtocolError, connection.admit, line).code, code, line)
        self.assertEqual(connection.state, ConnectionState.ACCEPTED)

    def test_after_authentication(self) -> None:
        """Afterwards sealed lines pass too, also of another session's handshake; after the end nothing."""
        connection = DeviceConnection()
        connection.happened(ConnectionEvent.AUTHENTICATED)
        self.assertEqual(connection.admit(self.sealed).session, "QmQmQmQmQmQmQmQm")
        self.assertEqual(connection.admit(self.opening).kind, Kind.COMMAND)
        self.assertEqual(connection.admit(b"INFO BYE").session, None)
        connection.happened(ConnectionEvent.BYE)
        self.assertEqual(
            self.assertRaises(RemoteProtocolError, connection.admit, self.sealed).code, ErrorCode.OUT_OF_ORDER
        )

    def test_phases(self) -> None:
        """No line but errors, farewells and notices may be said both before and after authentication."""
        both = {spec.head for spec in VERBS if spec.opening is not None and spec.after is not None}
        self.assertEqual(both, {"INFO ERROR", "INFO BYE", "INFO NOTICE"})
        self.assertEqual({phase.value for phase in Phase}, {"opening", "sealed"})
