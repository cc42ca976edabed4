"""Stand-ins at the terminal's edges: a clock, an entropy, a session that keeps what was said."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

from trus.device.effects import AskPin, Effect, Finished, HangUp, Say
from trus.device.journal import Journal, MemoryJournal
from trus.device.orders import Order
from trus.device.requests import Timing
from trus.device.terminal import Terminal
from trus.protocol.effects import Terms
from trus.protocol.messages import Kind, Message
from trus.protocol.session import SealedSession
from trus.values import BusinessDate, TerminalId

TRACK2 = "9999990000000017=30127250001234567"
NUMBER = "9999990000000017"
PIN = "4711"
TERMINAL = TerminalId("T0000001")
TERMS = Terms(business_date="2026-11-20", currency="USD", max_dialogues=8, idle_seconds=300)
TIMING = Timing(jitter=0.0)


class SteppedClock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 12, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


class SeededEntropy:
    """Bytes from a seed."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def draw(self, count: int) -> bytes:
        return self._random.randbytes(count)


class Said(NamedTuple):
    """A line before it was sealed."""

    head: str
    fields: dict[str, str]
    dialogue: str


class KeptSession:
    """Keeps what was said instead of sealing it."""

    def __init__(self) -> None:
        self.pin_key = bytes(range(32))
        self.said: list[Said] = []
        self.ended = ""
        self._opened = 0

    def open_dialogue(self) -> str:
        return f"c{self._opened + 1}"

    def seal(
        self, kind: Kind, verb: str, clear: Mapping[str, str], sealed: Mapping[str, str], *, dialogue: str | None = None
    ) -> bytes:
        assert dialogue is not None
        self._opened = max(self._opened, int(dialogue[1:]))
        said = Said(f"{kind} {verb}", {**clear, **sealed}, dialogue)
        self.said.append(said)
        return f"{len(self.said)}\r\n".encode()

    def sealed(self) -> SealedSession:
        return cast(SealedSession, self)


def encode_pin(pin: str, number: str, key: bytes) -> bytes:
    """Make a block that tests can read."""
    return f"{pin}/{number[-4:]}".encode().ljust(16, b".")


def order(amount: int = 1250, pin: str | None = PIN, **rest: Any) -> Order:
    return Order(amount, "USD", TRACK2, pin, **rest)


def result(dialogue: str, outcome: str = "approved", code: str = "00", **fields: str) -> Message:
    return Message(Kind.INFO, "RESULT", {"result": outcome, "code": code, **fields}, None, dialogue)


class Stage:
    """A terminal with everything around it."""

    def __init__(self, journal: Journal | None = None, timing: Timing = TIMING) -> None:
        self.clock = SteppedClock()
        self.journal: Journal = journal or MemoryJournal()
        if not self.journal.memory.date:
            self.journal.memory.date = BusinessDate("2026-11-19")  # numbers go on from 0
        self.timing = timing
        self.session = KeptSession()
        self.finished: list[Finished] = []
        self.asked: list[AskPin] = []
        self.hung_up: list[str] = []
        self.seed = 1
        self.start()

    def start(self) -> None:
        """Begin as after power-on."""
        self.seed += 1
        self.terminal = Terminal(
            TERMINAL,
            journal=self.journal,
            clock=self.clock,
            entropy=SeededEntropy(self.seed),
            encode_pin=encode_pin,
            timing=self.timing,
        )

    def connect(self, terms: Terms = TERMS) -> list[Said]:
        """Open a session; return what is said at once."""
        self.session = KeptSession()
        self.terminal.opened(self.session.sealed(), terms)
        return self.drain()

    def disconnect(self) -> None:
        self.terminal.closed()

    def drain(self) -> list[Said]:
        """Carry out what the terminal wants; return what it said."""
        before = len(self.session.said)
        self._keep(self.terminal.drain())
        return self.session.said[before:]

    def _keep(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Finished():
                    self.finished.append(effect)
                case AskPin():
                    self.asked.append(effect)
                case HangUp():
                    self.hung_up.append(effect.reason)
                case Say():
                    pass

    def wait(self, seconds: float) -> list[Said]:
        self.clock.advance(seconds)
        self.terminal.tick()
        return self.drain()

    def hear(self, message: Message) -> list[Said]:
        self.terminal.heard(message)
        return self.drain()

    def buy(self, amount: int = 1250, pin: str | None = PIN, **rest: Any) -> tuple[int, Said]:
        """Ask for a purchase; return its key and the line that asked."""
        key = self.terminal.purchase(order(amount, pin, **rest))
        return key, self.drain()[-1]
