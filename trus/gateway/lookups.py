"""Hands the directory's questions on to a backend, and keeps its answers as long as it allows.

Understands no certificate and holds no key: questions are octets of bounded length, answers are what
the backend signed. The number of open questions is bounded, each has a deadline, and a lost link
answers its own at once. The same question asked twice while it is open goes to the backend once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from trus.protocol.link import Found, FoundPart, Lookup

#: The longest answer taken from a backend: a list of some 400,000 revoked certificates.
MAX_ANSWER_BYTES: Final = 16 << 20


class Question(NamedTuple):
    """What is asked: certificate, list or ocsp; by what; which octets."""

    what: str
    by: str
    value: bytes


class Reply(NamedTuple):
    """What a backend answered: `result` is found, absent or busy; keep `bodies` for `seconds`."""

    result: str
    bodies: tuple[bytes, ...] = ()
    seconds: int = 0


BUSY: Final = Reply("busy")


class AskingLink(Protocol):
    """A link to a backend, as far as questions go."""

    @property
    def questions(self) -> LinkQuestions:
        """The questions asked over it."""
        ...


class LinkQuestions:
    """The questions that one link has not answered yet."""

    def __init__(self, send: Callable[[Lookup], None]) -> None:
        self._send = send
        self._last = 0
        self._open: dict[int, tuple[Deferred[Reply], list[bytes]]] = {}

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def ask(self, question: Question) -> tuple[int, Deferred[Reply]]:
        """Ask the backend; return the question's number, and what fires with the reply and never fails."""
        self._last += 1
        answered: Deferred[Reply] = Deferred()
        self._open[self._last] = answered, []
        self._send(Lookup(self._last, *question))
        return self._last, answered

    def part(self, event: FoundPart) -> None:
        """Take a piece of an answer; one that grows beyond bounds is given up."""
        entry = self._open.get(event.number)
        if entry is None:
            return
        entry[1].append(event.data)
        if sum(map(len, entry[1])) > MAX_ANSWER_BYTES:
            self.give_up(event.number)

    def done(self, event: Found) -> None:
        """Take the end of an answer; one whose sizes do not fit its pieces counts as busy."""
        entry = self._open.pop(event.number, None)
        if entry is None:
            return
        answered, pieces = entry
        whole = b"".join(pieces)
        bodies, start = [], 0
        for size in event.sizes:
            bodies.append(whole[start : start + size])
            start += size
        fits = start == len(whole) and (event.result == "found") == bool(bodies)
        answered.callback(Reply(event.result, tuple(bodies), event.seconds) if fits else BUSY)

    def give_up(self, number: int) -> None:
        """Answer busy in the backend's place."""
        entry = self._open.pop(number, None)
        if entry is not None:
            entry[0].callback(BUSY)

    def lost(self) -> None:
        """The link is over."""
        for number in list(self._open):
            self.give_up(number)


class Kept(NamedTuple):
    """A reply and until when it may be given again (monotonic seconds)."""

    reply: Reply
    until: float
    octets: int


class AnswerCache:
    """Replies by their questions, bounded in bytes: what was used longest ago goes first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Question, Kept] = OrderedDict()

    @property
    def octets(self) -> int:
        """Bytes now kept."""
        return self._bytes

    def get(self, question: Question, now: float) -> tuple[Reply, int] | None:
        """Return a reply and the whole seconds for which it holds still, None when there is none."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        if kept.until <= now:
            self._drop(question)
            return None
        self._kept.move_to_end(question)
        return kept.reply, int(kept.until - now)

    def put(self, question: Question, reply: Reply, now: float) -> None:
        """Keep a reply as long as it says."""
        self._drop(question)
        octets = len(question.value) + sum(map(len, reply.bodies)) + 256
        if reply.seconds <= 0 or octets > self._max_bytes:
            return
        self._kept[question] = Kept(reply, now + reply.seconds, octets)
        self._bytes += octets
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, question: Question) -> None:
        kept = self._kept.pop(question, None)
        if kept is not None:
            self._bytes -= kept.octets


class Directory:
    """Asks whichever backend can be reached."""

    def __init__(
        self,
        links: Callable[[], Sequence[AskingLink]],
        clock: IReactorTime,
        *,
        max_open: int,
        deadline_seconds: float,
        cache_bytes: int,
    ) -> None:
        """`links` returns the links that are up."""
        self._links = links
        self._clock = clock
        self._max_open = max_open
        self._deadline_seconds = deadline_seconds
        self._cache = AnswerCache(cache_bytes)
        self._asked: dict[Question, list[Deferred[tuple[Reply, int]]]] = {}

    @property
    def open_questions(self) -> int:
        """Questions that no backend has answered yet."""
        return len(self._asked)

    def ask(self, question: Question) -> Deferred[tuple[Reply, int]]:
        """Answer a question: fires with the reply and for how many seconds it may be kept; never fails."""
        kept = self._cache.get(question, self._clock.seconds())
        if kept is not None:
            return succeed(kept)
        waiting = self._asked.get(question)
        links = self._links()
        if waiting is None and (len(self._asked) >= self._max_open or not links):
            return succeed((BUSY, 0))
        answered: Deferred[tuple[Reply, int]] = Deferred()
        if waiting is not None:
            waiting.append(answered)
            return answered
        self._asked[question] = [answered]
        questions = min((link.questions for link in links), key=len)
        number, replied = questions.ask(question)
        deadline = self._clock.callLater(self._deadline_seconds, questions.give_up, number)
        replied.addCallback(self._replied, question, deadline)
        return answered

    def _replied(self, reply: Reply, question: Question, deadline: IDelayedCall) -> None:
        if deadline.active():
            deadline.cancel()
        if reply.result != "busy":
            self._cache.put(question, reply, self._clock.seconds())
        for waiting in self._asked.pop(question):
            waiting.callback((reply, reply.seconds))
