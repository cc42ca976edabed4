"""Runs the core at its end of the socket pair: read a batch, answer it, read the next.

Opens no network and starts no thread; one frame is a 4-byte big-endian length and a payload
(trus.core.codec). When the front is gone the pair reads as ended: the core closes database
and token and returns, so that no core outlives its front.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from trus.core.codec import MAX_FRAME_BYTES, Answers, FromCore, Started, Stop, decode_to_core, encode
from trus.core.jobs import Job
from trus.core.messages import Answer, Request
from trus.errors import TrusError, WrongTokenPin

#: Seconds without a request after which housekeeping is looked at: less than the front's own second.
IDLE_SECONDS: Final = 0.25
#: Batches between two looks at housekeeping when there is no quiet moment. A look that finds nothing due
#: costs about as much as a request.
BATCHES_PER_UPKEEP: Final = 64
#: Pieces of a long job between two looks at housekeeping: a piece takes milliseconds.
PIECES_PER_UPKEEP: Final = 64
#: Batches answered between two pieces of a long job.
BATCHES_A_PIECE: Final = 8
_LENGTH_BYTES: Final = 4


class ClosableCore(Protocol):
    """What the worker runs."""

    def handle(self, batch: list[Request]) -> list[Answer]:
        """Answer every request, in order."""
        ...

    @property
    def job(self) -> Job:
        """The long job that is worked on between batches."""
        ...

    def idle(self) -> None:
        """Do the housekeeping that is due."""
        ...

    def close(self) -> None:
        """Close database and token."""
        ...


class PairOutOfStep(TrusError):
    """The other end sent a frame that this version does not know: the pair cannot go on."""


class BlockingFrames:
    """One end of the pair, read and written by waiting."""

    def __init__(self, end: socket.socket, timeout: float | None = None) -> None:
        """`timeout` in seconds makes receive and send raise TimeoutError; None waits for ever."""
        end.settimeout(timeout)
        self._end = end

    def wait(self, seconds: float) -> bool:
        """Return whether something can be read within `seconds`."""
        readable, _, _ = select.select([self._end], [], [], seconds)
        return bool(readable)

    def receive(self) -> bytes | None:
        """Return the next payload, or None when the other end is gone. Raises PairOutOfStep."""
        head = self._exactly(_LENGTH_BYTES)
        if head is None:
            return None
        length = int.from_bytes(head, "big")
        if length > MAX_FRAME_BYTES:
            raise PairOutOfStep("a frame beyond the limit was announced")
        return self._exactly(length)

    def send(self, value: FromCore) -> None:
        """Send one frame. Raises OSError when the other end is gone."""
        payload = encode(value)
        self._end.sendall(len(payload).to_bytes(_LENGTH_BYTES, "big") + payload)

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def _exactly(self, count: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < count:
            try:
                piece = self._end.recv(min(count - len(parts), 1 << 20))
            except ConnectionResetError:
                return None
            if not piece:
                return None
            parts += piece
        return bytes(parts)


def serve(frames: BlockingFrames, build: Callable[[], ClosableCore]) -> bool:
    """Build the core, say whether that worked, then answer batches until the front is gone.

    Returns False when the core could not be built (the front was told why). A frame that
    does not decode ends the service: front and core are of one version, always.
    """
    try:
        core = build()
    except TrusError as refusal:
        frames.send(Started(str(refusal), isinstance(refusal, WrongTokenPin)))
        return False
    try:
        frames.send(Started())
        _Loop(frames, core).run()
    except (BrokenPipeError, ConnectionResetError):
        # The front died while it was being answered. What was committed stays committed.
        return True
    finally:
        core.close()
        frames.close()
    return True


class _Left(BaseException):
    """The front is gone, or has told the core to stop, in the middle of a long job."""


class _Loop:
    """Takes frames and answers them; between them housekeeping, and a long job in pieces."""

    def __init__(self, frames: BlockingFrames, core: ClosableCore) -> None:
        self._frames = frames
        self._core = core
        self._since_upkeep = 0
        self._pieces = 0
        self._fault: Exception | None = None

    def run(self) -> None:
        """Serve until the front says Stop or is gone. Raises PairOutOfStep, OSError."""
        job = self._core.job
        try:
            while True:
                if self._frames.wait(0.0 if job.busy else IDLE_SECONDS):
                    if not self._answer():
                        return
                    if job.due:
                        job.work(self._serve)
                elif job.busy:
                    self._between_pieces()
                    job.work(self._serve)
                else:
                    self._keep_house()
        except _Left:
            if self._fault is not None:
                raise self._fault from None

    def _serve(self, least: float) -> bool:
        """Answer what comes within `least` seconds and what waits then; return whether anything did.

        The job that calls this is broken off when the front is gone, however it says so.
        """
        answered = 0
        try:
            while answered < BATCHES_A_PIECE and self._frames.wait(0.0 if answered else least):
                if not self._answer():
                    raise _Left
                answered += 1
        except Exception as failure:
            self._fault = failure
            raise _Left from failure
        if not answered:
            self._between_pieces()
        return answered > 0

    def _between_pieces(self) -> None:
        """Keep house now and then while a long job has a quiet core for itself: its pieces are short."""
        self._pieces += 1
        if self._pieces % PIECES_PER_UPKEEP == 0:
            self._keep_house()

    def _answer(self) -> bool:
        """Answer the next frame; return False when there will be none any more."""
        if self._since_upkeep >= BATCHES_PER_UPKEEP:
            self._keep_house()
        payload = self._frames.receive()
        if payload is None:
            return False
        try:
            said = decode_to_core(payload)
        except msgspec.DecodeError as failure:
            raise PairOutOfStep("the front sent a frame of another version") from failure
        if isinstance(said, Stop):
            return False
        self._since_upkeep += 1
        self._frames.send(Answers(said.number, self._core.handle(said.requests)))
        return True

    def _keep_house(self) -> None:
        self._since_upkeep = 0
        self._core.idle()
