"""Writes down what is said on every connection, and reads it with the device's private keys, by the specification.

Knows nothing of the program: tests.protocol.observer reads, tests.protocol.stranger has the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.protocol import stranger
from tests.protocol.observer import Conversation
from tests.transactions.pipe import binding_of
from trus.clock import Entropy


class Overheard:
    """Entropy of a device whose every draw is remembered."""

    def __init__(self, inner: Entropy) -> None:
        self._inner = inner
        self.draws: list[bytes] = []

    def draw(self, count: int) -> bytes:
        """Return `count` bytes."""
        drawn = self._inner.draw(count)
        self.draws.append(drawn)
        return drawn


@dataclass
class Session:
    """A sealed session: its number in the scene, its name and everything that was said in it."""

    number: int
    terminal: str
    mode: str
    talk: Conversation

    @property
    def label(self) -> str:
        """The session's name on the wire."""
        first = self.talk.steps[0].line.decode()
        return stranger.read_fields(first)["s"]


@dataclass
class Said:
    """A line after authentication: of which session, by which side, and what its seal held."""

    session: Session
    side: str
    line: str
    plaintext: str | None

    @property
    def clear(self) -> str:
        """What stands before the seal."""
        return self.line.rpartition(" seal=")[0] if self.plaintext is not None else self.line

    @property
    def words(self) -> str:
        """Kind and verb."""
        return " ".join(self.line.split(" ")[:2])

    @property
    def fields(self) -> dict[str, str]:
        """All fields, clear and sealed."""
        return stranger.read_fields(self.clear) | stranger.read_fields(self.plaintext or "")


@dataclass
class Remark:
    """Something that happened beside the wire, in words."""

    text: str


@dataclass
class Notebook:
    """Everything of a scene, in its order."""

    entries: list[Said | Remark] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    _by_pipe: dict[int, Session] = field(default_factory=dict)

    def hear(self, pipe: int, terminal: str, draws: list[bytes], side: str, line: bytes) -> None:
        """Note a line of a connection; `draws` are what the device has drawn so far."""
        if line.startswith(b"COMMAND AUTHENTICATE"):
            self._begin(pipe, terminal, draws, line)
        session = self._by_pipe[pipe]
        talk = session.talk
        if line.startswith(b"DATA REKEY"):
            talk.rekey_private = _private(draws, talk.opened["COMMshare"])
        opening = talk.keys is None
        talk.hear(side, line)
        step = talk.steps[-1]
        if opening or line.startswith(b"INFO AUTHENTICATED"):
            return
        plaintext = None if step.plaintext is None else step.plaintext.decode()
        self.entries.append(Said(session, side, step.line.decode(), plaintext))

    def _begin(self, pipe: int, terminal: str, draws: list[bytes], line: bytes) -> None:
        told = stranger.read_fields(line.decode())
        schedule = stranger.Schedule()
        if "ticket" in told:
            schedule = stranger.Schedule(self._secret_of(told["ticket"]))
        private = _private(draws, told["share"])
        talk = Conversation("", "", schedule, private, private, binding_of(pipe))
        session = Session(len(self.sessions), terminal, told["mode"], talk)
        self.sessions.append(session)
        self._by_pipe[pipe] = session

    def _secret_of(self, ticket: str) -> bytes:
        """Return the resumption secret of the session that brought a ticket."""
        for session in reversed(self.sessions):
            keys = session.talk.keys
            mark = f"ticket={ticket} ".encode()
            if keys is not None and any(mark in (each.plaintext or b"") for each in session.talk.steps):
                return keys.resumption
        raise LookupError("nobody brought that ticket")


def _private(draws: list[bytes], share: str) -> X25519PrivateKey:
    """Return the private key of a share among what was drawn."""
    for drawn in reversed(draws):
        if len(drawn) == 32:
            private = X25519PrivateKey.from_private_bytes(drawn)
            if private.public_key().public_bytes_raw() == stranger.unb64(share):
                return private
    raise LookupError("nobody drew that share's key")
