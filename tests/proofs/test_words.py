"""The words of the model are the protocol's: messages, fields, modes, states, labels, tags, contexts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from proofs.words import CONTEXTS, HANDSHAKE, LABELS, MODES, REKEY, STATES, TAGS, Wire
from tests.protocol import transcripts
from trus.protocol import keyschedule
from trus.protocol.effects import Mode
from trus.protocol.keyschedule import signature_payload
from trus.protocol.spec import Need, Side, VerbSpec
from trus.protocol.states import SESSION, SessionState
from trus.protocol.verbs import VERBS


def listed(wire: Wire) -> VerbSpec:
    """Return the protocol's own description of a line of the model."""
    (found,) = (each for each in VERBS if each.head == wire.head and Side(wire.side) in each.by)
    return found


def places(name: str) -> list[ModuleType]:
    """Return the modules of the protocol that call this function of the key schedule by its name."""
    function = getattr(keyschedule, name)
    modules = [module for path, module in sys.modules.items() if path.startswith("trus.protocol")]
    return [module for module in modules if getattr(module, name, None) is function]


class LineTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """The model's lines have the fields of the protocol's table, in its order."""
        for wire in (*HANDSHAKE, *REKEY):
            spec = listed(wire)
            session = () if spec.session is Need.NEVER else ("s",)
            self.assertEqual(wire.clear, (*session, *(field.name for field in spec.clear)), wire.head)
            self.assertEqual(wire.sealed, tuple(field.name for field in spec.sealed), wire.head)

    def test_order(self) -> None:
        """The model's lines move a session from idle to sealed and to new keys, as the program's table does."""
        state = SessionState.IDLE
        passed = [state]
        for wire in (*HANDSHAKE, *REKEY):
            state = SESSION[state, Side(wire.side), wire.head]
            passed.append(state)
        self.assertEqual(tuple(passed), STATES)

    def test_once(self) -> None:
        """A session takes each line of its handshake once: no state lets one be said again."""
        for wire in HANDSHAKE:
            befores = [state for state, side, head in SESSION if (side, head) == (Side(wire.side), wire.head)]
            self.assertEqual(len(befores), 1, wire.head)

    def test_modes(self) -> None:
        """The model has the modes of the protocol."""
        self.assertEqual({*MODES}, {str(mode) for mode in Mode})


class KeyTests(SynchronousTestCase):
    def heard(self, name: str, which: int) -> set[str]:
        """Play the conversations of docs/protocol.md; return the words that a function of the key schedule got."""
        words = set()
        function: Callable[..., Any] = getattr(keyschedule, name)

        def listen(*arguments: Any, **named: Any) -> Any:
            words.add(arguments[which])
            return function(*arguments, **named)

        found = places(name)
        self.assertTrue(found)
        for module in found:
            self.patch(module, name, listen)
        transcripts.conversations()
        return words

    def test_labels(self) -> None:
        """Every key that the program derives has its label in the model, and no label is the model's alone."""
        self.assertEqual(self.heard("expand", 1), LABELS.keys())

    def test_tags(self) -> None:
        """Every hash that the program makes has its tag in the model, and no tag is the model's alone."""
        self.assertEqual(self.heard("transcript", 0), {*TAGS})

    def test_contexts(self) -> None:
        """What a side signs begins with the model's context string of that side."""
        for side in Side.INITIATOR, Side.RESPONDER:
            payload = signature_payload(side, bytes(32), bytes(32))
            self.assertEqual(payload[:-33].decode(), " " * 64 + CONTEXTS[side])
        self.assertEqual(self.heard("signature_payload", 0), {Side(side) for side in CONTEXTS})
