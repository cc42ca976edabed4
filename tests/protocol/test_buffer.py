"""Bytes become lines, within bounds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from trus.protocol.buffer import (
    MAX_BUFFERED_BYTES,
    MAX_OPENING_LINE_BYTES,
    MAX_SEALED_LINE_BYTES,
    NEED_MORE,
    LineBuffer,
    NeedMore,
)
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError


def drain(buffer: LineBuffer) -> list[bytes]:
    lines = []
    while not isinstance(line := buffer.next_line(), NeedMore):
        lines.append(line)
    return lines


class LineBufferTests(SynchronousTestCase):
    def test_lines_come_out_in_order(self) -> None:
        """Lines come out one by one, without their ends, an unfinished one stays."""
        buffer = LineBuffer()
        buffer.feed(b"INFO A\r\nINFO B\r\nINF")
        self.assertEqual(drain(buffer), [b"INFO A", b"INFO B"])
        self.assertEqual(buffer.buffered, 3)
        self.assertIs(buffer.next_line(), NEED_MORE)
        buffer.feed(b"O C\r\n")
        self.assertEqual(drain(buffer), [b"INFO C"])

    def test_need_more_is_not_a_line(self) -> None:
        """'Need more' cannot be mistaken for an empty line, which counts as a line."""
        buffer = LineBuffer()
        buffer.feed(b"\r\n")
        self.assertEqual(buffer.next_line(), b"")
        self.assertFalse(NEED_MORE)
        self.assertEqual(repr(NEED_MORE), "NEED_MORE")

    def test_end_split_between_reads(self) -> None:
        """CR and LF may arrive in different packets."""
        buffer = LineBuffer()
        buffer.feed(b"INFO A\r")
        self.assertIs(buffer.next_line(), NEED_MORE)
        buffer.feed(b"\n")
        self.assertEqual(buffer.next_line(), b"INFO A")

    def test_bare_lf_is_refused(self) -> None:
        """On the device protocol a line that ends in LF alone fails the connection for good."""
        buffer = LineBuffer()
        buffer.feed(b"INFO A\r\nINFO B\nINFO C\r\n")
        self.assertEqual(buffer.next_line(), b"INFO A")
        for _ in range(2):
            error = self.assertRaises(RemoteProtocolError, buffer.next_line)
            self.assertEqual(error.code, ErrorCode.LINE_END)
        buffer.feed(b"INFO D\r\n")
        self.assertRaises(RemoteProtocolError, buffer.next_line)
        self.assertEqual(buffer.buffered, 0)

    def test_console_accepts_lf(self) -> None:
        """On the console a line may end in LF alone."""
        buffer = LineBuffer(crlf_only=False)
        buffer.feed(b"COMMAND A\nCOMMAND B\r\n\n")
        self.assertEqual(drain(buffer), [b"COMMAND A", b"COMMAND B", b""])

    def test_limit_is_exact(self) -> None:
        """A line of exactly the limit passes, with one octet more it does not, ended or not."""
        for size, ok in ((10, True), (11, False)):
            buffer = LineBuffer(limit=10)
            buffer.feed(b"x" * (size - 2) + b"\r\n")
            if ok:
                self.assertEqual(buffer.next_line(), b"x" * 8)
            else:
                self.assertEqual(self.assertRaises(RemoteProtocolError, buffer.next_line).code, ErrorCode.TOO_LONG)
        endless = LineBuffer(limit=10)
        endless.feed(b"x" * 9)
        self.assertIs(endless.next_line(), NEED_MORE)
        endless.feed(b"x")
        self.assertEqual(self.assertRaises(RemoteProtocolError, endless.next_line).code, ErrorCode.TOO_LONG)

    def test_too_long_after_good_lines(self) -> None:
        """Lines before a too long one are delivered; it is never echoed by the error."""
        buffer = LineBuffer()
        buffer.feed(b"INFO A\r\n" + b"4000340000000506" * 300)
        self.assertEqual(buffer.next_line(), b"INFO A")
        error = self.assertRaises(RemoteProtocolError, buffer.next_line)
        self.assertNotIn("4000", str(error) + repr(error))

    def test_limit_rises_only(self) -> None:
        """After authentication a line may be longer; the limit is never lowered again."""
        buffer = LineBuffer()
        self.assertEqual(buffer.limit, MAX_OPENING_LINE_BYTES)
        buffer.raise_limit(MAX_SEALED_LINE_BYTES)
        buffer.feed(b"x" * 8190 + b"\r\n")
        self.assertEqual(buffer.next_line(), b"x" * 8190)
        self.assertRaises(LocalProtocolError, buffer.raise_limit, MAX_OPENING_LINE_BYTES)

    def test_memory_is_bounded(self) -> None:
        """An owner that feeds without taking lines out is stopped, not obeyed."""
        buffer = LineBuffer()
        chunk = b"INFO A\r\n" * 8192
        for _ in range(MAX_BUFFERED_BYTES // len(chunk)):
            buffer.feed(chunk)
        self.assertRaises(LocalProtocolError, buffer.feed, chunk)
        self.assertLessEqual(buffer.buffered, MAX_BUFFERED_BYTES)

    def test_single_octets_are_linear(self) -> None:
        """A line that arrives octet by octet is scanned once: each search starts where the last ended."""
        buffer = LineBuffer(limit=8192)
        scanned = 0
        for octet in b"x" * 8000 + b"\r\n":
            buffer.feed(bytes([octet]))
            before = buffer._scanned
            buffer.next_line()
            scanned += max(0, buffer._scanned - before)
        self.assertEqual(scanned, 8002)

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.binary(max_size=40), max_size=12), st.lists(st.integers(1, 30), max_size=40))
    def test_any_cut_gives_the_same_lines(self, lines: list[bytes], cuts: list[int]) -> None:
        """However the network cuts the bytes, the same lines come out."""
        clean = [line.replace(b"\n", b"").replace(b"\r", b"") for line in lines]
        whole = b"".join(line + b"\r\n" for line in clean)
        buffer = LineBuffer()
        found: list[bytes] = []
        start = 0
        for cut in [*cuts, len(whole)]:
            buffer.feed(whole[start : start + cut])
            start += cut
            found += drain(buffer)
        buffer.feed(whole[start:])
        self.assertEqual(found + drain(buffer), clean)

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(
            st.one_of(st.sampled_from([b"\r\n", b"\n", b"\r", b"A" * 30, b"INFO A\r\n" * 9]), st.binary(max_size=20)),
            max_size=30,
        ),
        st.lists(st.integers(0, 60), min_size=1, max_size=30),
        st.integers(1, 9),
        st.booleans(),
    )
    def test_cutting_many_changes_nothing(self, pieces: list[bytes], cuts: list[int], most: int, crlf: bool) -> None:
        """Lines cut many at a time are those cut one by one, up to the same mistake of the peer."""
        whole = b"".join(pieces)
        single, many = LineBuffer(40, crlf), LineBuffer(40, crlf)
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            found: tuple[list[bytes], list[bytes]] = [], []
            codes: list[ErrorCode | None] = [None, None]
            for place, buffer in enumerate((single, many)):
                buffer.feed(whole[start:end])
                if buffer is many:
                    while lines := buffer.next_lines(most):
                        self.assertLessEqual(len(lines), most)
                        found[place].extend(lines)
                try:
                    while not isinstance(line := buffer.next_line(), NeedMore):
                        found[place].append(line)
                except RemoteProtocolError as error:
                    codes[place] = error.code
            self.assertEqual(found[0], found[1])
            self.assertEqual(codes[0], codes[1])
            self.assertEqual(single.buffered, many.buffered)
