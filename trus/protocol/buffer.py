"""Cuts the bytes of a connection into lines.

Opens no sockets and reads no grammar: a line is what stands before CR LF (the console also
accepts a bare LF), at most as long as the limit of its phase. Each byte is looked at once,
and memory stays below the stated bound whatever arrives.
Specification: docs/protocol.md, "Lines" and "Limits".
"""

from __future__ import annotations

from typing import Final, Literal

from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError

#: Longest line before authentication, CR LF included: message 2 with leaf, issuing authority, OCSP
#: answer and signature makes about 2,700, with the longest names 3,300; message 4 with a pair, 3,800.
MAX_OPENING_LINE_BYTES: Final = 4096
#: Longest line once a session of the connection is authenticated, CR LF included.
MAX_SEALED_LINE_BYTES: Final = 8192
#: Undrained bytes past which the owner has evidently forgotten to pause its transport.
MAX_BUFFERED_BYTES: Final = 1 << 20
#: Most bytes that are cut into lines at once: several of the longest lines of a link.
_CUT_AT_ONCE_BYTES: Final = 1 << 16


class NeedMore:
    """The type of NEED_MORE: no complete line has arrived yet."""

    def __repr__(self) -> str:
        """Return the constant's name."""
        return "NEED_MORE"

    def __bool__(self) -> Literal[False]:
        """Count as false, so that `while line := ...` must still compare by identity."""
        return False


NEED_MORE: Final = NeedMore()


class LineBuffer:
    """Holds what has arrived of a connection until it makes whole lines."""

    def __init__(self, limit: int = MAX_OPENING_LINE_BYTES, crlf_only: bool = True) -> None:
        """Accept lines of at most `limit` bytes, line end included."""
        self._data = bytearray()
        self._start = 0
        self._scanned = 0
        self._limit = limit
        self._crlf_only = crlf_only
        self._failure: ErrorCode | None = None

    @property
    def limit(self) -> int:
        """Longest accepted line in bytes, line end included."""
        return self._limit

    def raise_limit(self, limit: int) -> None:
        """Accept longer lines from now on, as after authentication; never shorter ones."""
        if limit < self._limit:
            raise LocalProtocolError("the limit of a line only rises")
        self._limit = limit

    @property
    def buffered(self) -> int:
        """Bytes held that no line has taken yet."""
        return len(self._data) - self._start

    def feed(self, data: bytes) -> None:
        """Add bytes as they came from the transport.

        Raises LocalProtocolError when the owner keeps feeding without taking lines out.
        """
        if self._failure is not None:
            return
        if self._start:
            del self._data[: self._start]
            self._scanned -= self._start
            self._start = 0
        if len(self._data) + len(data) > MAX_BUFFERED_BYTES:
            raise LocalProtocolError("lines were fed faster than they were taken")
        self._data += data

    def next_line(self) -> bytes | NeedMore:
        """Return the next line without its end, or NEED_MORE.

        Raises RemoteProtocolError (too-long, line-end); the buffer then stays failed, since
        nothing after a broken line can be trusted to start one.
        """
        if self._failure is not None:
            raise RemoteProtocolError(self._failure)
        data = self._data
        end = data.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(data)
            if len(data) - self._start >= self._limit:
                raise self._fail(ErrorCode.TOO_LONG)
            return NEED_MORE
        start = self._start
        if end + 1 - start > self._limit:
            raise self._fail(ErrorCode.TOO_LONG)
        stop = end
        if end > start and data[end - 1] == 0x0D:
            stop = end - 1
        elif self._crlf_only:
            raise self._fail(ErrorCode.LINE_END)
        self._start = self._scanned = end + 1
        return bytes(data[start:stop])

    def next_lines(self, most: int) -> list[bytes]:
        """Return the next lines without their ends, at most `most`, as long as nothing about them is unusual.

        Cuts many at once. It never raises and may return fewer than there are, even none: next_line has
        the rest, and says what is wrong with it.
        """
        if self._failure is not None or not self._crlf_only:
            return []
        data, start = self._data, self._start
        end = data.rfind(b"\n", self._scanned, start + _CUT_AT_ONCE_BYTES) + 1
        block = bytes(data[start:end]) if end else b""
        if block.count(b"\n") != block.count(b"\r\n"):
            return []
        *lines, rest = block.split(b"\r\n", most)
        if lines and len(max(lines, key=len)) + 2 <= self._limit:
            self._start = self._scanned = end - len(rest)
            return lines
        return []

    def _fail(self, code: ErrorCode) -> RemoteProtocolError:
        self._failure = code
        self._data = bytearray()
        self._start = self._scanned = 0
        return RemoteProtocolError(code)
