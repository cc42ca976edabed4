"""Any bytes whatsoever have a defined answer, in linear time and bounded memory."""

from __future__ import annotations

import contextlib
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.protocol.fuzzing import Fuzzer
from trus.protocol.errors import RemoteProtocolError
from trus.protocol.messages import Phase, Side, parse_console_line, parse_line, peek
from trus.protocol.table import DEVICE_TABLE

#: Runs of each target here; script/fuzz runs as many as the clock allows.
SHORT_RUNS = {"responder": 60, "initiator": 60, "proof": 40}


class FuzzTests(SynchronousTestCase):
    def test_mutations(self) -> None:
        """Mutated lines, streams, seals, handshakes and link lines are messages or RemoteProtocolError."""
        fuzzer = Fuzzer(seed=20261120)
        for name in fuzzer.targets:
            for _ in range(SHORT_RUNS.get(name, 400)):
                fuzzer.once(name)
        self.assertEqual(set(fuzzer.counts), set(fuzzer.targets))

    def test_fuzzer_is_repeatable(self) -> None:
        """The same seed gives the same inputs, so that a failure can be looked at again."""
        states = []
        for _ in range(2):
            fuzzer = Fuzzer(seed=7)
            for name in ("lines", "link", "stream"):
                for _ in range(20):
                    fuzzer.once(name)
            states.append(fuzzer.chance.random())
        self.assertEqual(states[0], states[1])

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=300), st.sampled_from(Phase), st.sampled_from(Side))
    def test_any_bytes(self, octets: bytes, phase: Phase, sender: Side) -> None:
        """Any bytes are a message or RemoteProtocolError, at every parser of lines."""
        for parse in (peek, parse_console_line, lambda line: parse_line(line, phase=phase, sender=sender)):
            try:
                parse(octets)
            except RemoteProtocolError as error:
                self.assertNotIn(b"=", str(error).encode())

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=200), st.sampled_from(sorted(DEVICE_TABLE.lines(Phase.SEALED, Side.INITIATOR))))
    def test_any_plaintext(self, plaintext: bytes, head: bytes) -> None:
        """Any plaintext under a genuine seal is fields or RemoteProtocolError."""
        line = DEVICE_TABLE.lines(Phase.SEALED, Side.INITIATOR)[head]
        try:
            fields = line.parse_sealed(plaintext)
        except RemoteProtocolError:
            return
        self.assertTrue(set(fields) <= line.sealed_names)


class LinearTimeTests(SynchronousTestCase):
    def test_hard_lines(self) -> None:
        """The hardest lines of full length for a backtracking matcher are judged in milliseconds."""
        label = b" s=QmQmQmQmQmQmQmQm"
        hard = (
            b"INFO NOTICE code=" + b"a" * 8100,
            b"INFO NOTICE code=a text=" + b'"' + b'\\"' * 4000,
            b'INFO NOTICE code=a text="' + b"\xe2\x80\xaf" * 2700,
            b"INFO NOTICE code=a" + b" x=1" * 2000 + b" ",
            b"INFO NOTICE code=a" + b' x=""' * 1600 + b'"',
            b"INFO RESULT" + label + b" id=c1 result=approved code=00" + b" a=b" * 2000 + b"\x00",
            b"INFO ERROR" + b" s=" * 2700,
            b"COMMAND AUTHENTICATE" + label + b" to=backend versions=" + b"1," * 4000,
            b"COMMAND " + b"A" * 8100,
            b"COMMAND A" + b" a=" * 2700,
            b" seal=" * 1350,
            b"=" * 8190,
            b" " * 8190,
        )
        for line in hard:
            for phase in Phase:
                for sender in Side:
                    started = time.process_time()
                    with contextlib.suppress(RemoteProtocolError):
                        parse_line(line, phase=phase, sender=sender)
                    self.assertLess(time.process_time() - started, 0.1, line[:40])

    def test_hard_plaintexts(self) -> None:
        """So are the hardest plaintexts, for every line that is sealed."""
        hard = (
            b"chain=" + b"A" * 6000 + b"," * 2186,
            b"chain=" + b"A," * 4093,
            b'receipt="' + b'\\"' * 4091 + b" ",
            b"text=" + b"x" * 8187,
            b"amount=1 " * 910 + b"xx",
            b" " * 8191 + b"x",
            b"a=1 " * 2048,
        )
        for phase in Phase:
            for side in Side:
                for line in DEVICE_TABLE.lines(phase, side).values():
                    for plaintext in hard:
                        started = time.process_time()
                        with contextlib.suppress(RemoteProtocolError):
                            line.parse_sealed(plaintext)
                        self.assertLess(time.process_time() - started, 0.1, (line.head, plaintext[:20]))
