"""Throws mutated bytes at every parser of the protocol and checks that each has a defined answer.

The short form runs with the tests; `script/fuzz` runs the long one. A failure prints seed, target
and input, from which it can be repeated.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509

from tests.protocol import stranger
from tests.protocol.network import BACKEND, BINDING, POS, STAPLE, TERMS, Network, Verifier, lines_in
from tests.protocol.transcripts import VECTORS
from trus.protocol.buffer import LineBuffer, NeedMore
from trus.protocol.effects import Established, Refused
from trus.protocol.errors import RemoteProtocolError, SessionEnded
from trus.protocol.handshake import run
from trus.protocol.link import format_device_line, parse_link_line
from trus.protocol.messages import Message, Phase, Side, parse_console_line, parse_line, peek
from trus.protocol.session import SealedSession

#: No input of at most a line's length may take longer: a quadratic pattern takes seconds.
MAX_SECONDS: Final = 0.1

_TOKENS: Final = (
    b" ", b"  ", b"=", b'"', b'\\"', b"\\", b"\r", b"\n", b"\r\n", b"\x00", b"\x7f", b"\xff", b"\xc2\x80",
    b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b" seal=", b" seal=AAAA", b" s=", b" id=c1", b" id=s1", b" x=1",
    b"INFO ", b"DATA ", b"COMMAND ", b"PROCESS", b"AUTHENTICATE", b"A" * 43, b"0", b"-1", b"1e9",
    "٣".encode(), b" :", b"c=17", b'x="a b"', b'" ', b"/", b"+",
)  # fmt: skip


class Wrong(AssertionError):
    """A parser gave an answer that the specification does not allow."""


def mutate(chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return one of the seeds after a few random faults."""
    octets = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(octets) + 1)
        match chance.randrange(7):
            case 0:
                octets[at:at] = chance.choice(_TOKENS)
            case 1:
                del octets[at : at + chance.choice((1, 2, 7, 40))]
            case 2 if at < len(octets):
                octets[at] ^= 1 << chance.randrange(8)
            case 3:
                octets[at:at] = octets[at : at + chance.randrange(60)] * chance.choice((1, 2, 30))
            case 4:
                other = chance.choice(seeds)
                octets[at:] = other[chance.randrange(len(other) + 1) :]
            case 5:
                words = octets.split(b" ")
                chance.shuffle(words)
                octets = bytearray(b" ".join(words))
            case _:
                octets[at:at] = chance.randbytes(chance.randrange(12))
    return bytes(octets[:20_000])


@dataclass
class Fuzzer:
    """One seeded run over all targets."""

    seed: int
    chance: random.Random = field(init=False)
    counts: dict[str, int] = field(default_factory=dict)
    slowest: float = 0.0
    _pair: tuple[SealedSession, SealedSession] | None = None

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
        lines = [entry for talk in vectors["conversations"] for entry in talk["lines"]]
        self.lines = [entry["line"].encode() for entry in lines]
        self.plaintexts = [entry["plaintext"].encode() for entry in lines if "plaintext" in entry]
        self.links = [format_device_line(17, line)[:-2] for line in self.lines[:4]] + [
            b"DATA STREAM c=18 b=FgMBAgAB",
            b"INFO OPENED c=17 port=device peer=192.0.2.1:4000 exporter=" + b"A" * 43,
            b"INFO LINK name=gw1 role=gateway version=1 max-line=16384",
            b"COMMAND CLOSE c=17 reason=idle",
        ]
        self.targets: dict[str, tuple[Callable[[bytes], None], Sequence[bytes]]] = {
            "lines": (self._lines, self.lines),
            "peek": (self._peek, self.lines),
            "console": (self._console, [*self.lines, b'COMMAND COMPANY-ADD name="a \\"b\\"" vat=1']),
            "link": (self._link, self.links),
            "stream": (self._stream, [line + b"\r\n" for line in self.lines]),
            "wire": (self._wire, self.lines),
            "seal": (self._seal, self.plaintexts),
            "responder": (self._responder, self.lines),
            "initiator": (self._initiator, self.lines),
            "proof": (self._proof, self.plaintexts),
        }

    def once(self, name: str) -> None:
        """Give one mutated input to a target."""
        target, seeds = self.targets[name]
        octets = mutate(self.chance, seeds)
        started = time.process_time()
        try:
            target(octets)
        except Exception as error:
            raise Wrong(f"seed {self.seed}, target {name}, input {octets!r}: {error!r}") from error
        taken = time.process_time() - started
        self.slowest = max(self.slowest, taken)
        if taken > MAX_SECONDS:
            raise Wrong(f"seed {self.seed}, target {name}: {taken:.3f} s for {octets!r}")
        self.counts[name] = self.counts.get(name, 0) + 1

    # ---------------------------------------------------------------- targets

    def _lines(self, octets: bytes) -> None:
        for phase in Phase:
            for sender in Side:
                try:
                    message = parse_line(octets, phase=phase, sender=sender)
                except RemoteProtocolError as error:
                    _check_error(error)
                else:
                    _check_message(message)

    def _peek(self, octets: bytes) -> None:
        try:
            peek(octets)
        except RemoteProtocolError as error:
            _check_error(error)

    def _console(self, octets: bytes) -> None:
        try:
            _check_message(parse_console_line(octets))
        except RemoteProtocolError as error:
            _check_error(error)

    def _link(self, octets: bytes) -> None:
        try:
            parse_link_line(octets)
        except RemoteProtocolError as error:
            _check_error(error)

    def _stream(self, octets: bytes) -> None:
        buffer = LineBuffer()
        try:
            for start in range(0, len(octets), 997):
                buffer.feed(octets[start : start + 997])
                while not isinstance(line := buffer.next_line(), NeedMore):
                    if b"\n" in line or len(line) > buffer.limit - 2:
                        raise Wrong("a line past its bounds")
                if buffer.buffered > buffer.limit:
                    raise Wrong("the buffer holds more than a line")
        except RemoteProtocolError as error:
            _check_error(error)

    def _wire(self, octets: bytes) -> None:
        """Nothing that was not sealed by the peer opens, whatever it looks like."""
        device, backend = self._sessions()
        for session in (device, backend):
            try:
                message = session.open(octets)
            except SessionEnded:
                continue
            if message.verb != "NOTICE" or session is backend:
                raise Wrong("a forgery opened")

    def _seal(self, octets: bytes) -> None:
        """A genuine seal over any fields is a message or RemoteProtocolError, and the session lives."""
        device, backend = self._sessions()
        clear = mutate(self.chance, self.lines).rpartition(b" seal=")[0]
        clear = clear.replace(b"P3uCE0SDdgzAT4AO", device.label.encode())
        line = device._send.seal(clear, octets)[:-2]
        try:
            _check_message(backend.open(line))
        except RemoteProtocolError as error:
            _check_error(error)
            if backend.ended:
                raise Wrong("a genuine line ended the session") from None
        except SessionEnded:
            # A clear part that itself contains CR, LF or " seal=" is cut elsewhere.
            if b" seal=" not in clear:
                raise

    def _responder(self, octets: bytes) -> None:
        network = Network("fuzz")
        responder = network.responder()
        effects = run(responder, responder.receive(octets), BACKEND, Verifier(), TERMS)
        effects += run(responder, responder.receive(mutate(self.chance, self.lines)), BACKEND, Verifier(), TERMS)
        if any(isinstance(effect, Established) for effect in effects):
            raise Wrong("a session without a proof")
        _check_sent(lines_in(effects))

    def _initiator(self, octets: bytes) -> None:
        network = Network("fuzz")
        initiator = network.initiator()
        initiator.start()
        effects = run(initiator, initiator.receive(octets), POS, Verifier())
        effects += run(initiator, initiator.receive(mutate(self.chance, self.lines)), POS, Verifier())
        if any(isinstance(effect, Established) for effect in effects):
            raise Wrong("a session without a proof")
        _check_sent(lines_in(effects))

    def _proof(self, octets: bytes) -> None:
        """A message 3 sealed under the right keys but holding anything whatsoever gives no session."""
        network = Network("fuzz")
        responder, draw = network.responder(), network.device_entropy.draw
        authority = x509.load_der_x509_certificate(POS.chain[0])
        client = stranger.Client(draw, POS.key, BINDING, authority, POS.chain)
        (line2,) = lines_in(run(responder, responder.receive(client.message1()), BACKEND, Verifier()))
        clear2, _ = stranger.split_seal(line2[:-2])
        client.schedule.agree(client.private, stranger.read_fields(clear2.decode())["share"], clear2)
        client.schedule.line2(line2[:-2], stranger.h("credential", *BACKEND.chain, STAPLE))
        line3 = client.schedule.seal_proof("initiator", f"DATA AUTHENTICATE s={client.label}".encode(), octets)
        effects = run(responder, responder.receive(line3), BACKEND, Verifier(), TERMS)
        if any(isinstance(effect, Established) for effect in effects):
            raise Wrong("a session without a proof")
        if any(isinstance(effect, Refused) and effect.reason == "tag" for effect in effects):
            raise Wrong("the fuzzer's own seal does not open")
        _check_sent(lines_in(effects))

    def _sessions(self) -> tuple[SealedSession, SealedSession]:
        if self._pair is None or any(one.ended for one in self._pair):
            self._pair = Network("fuzz").sessions()
        return self._pair


def _check_error(error: RemoteProtocolError) -> None:
    """An error says fixed words only."""
    if not error.detail.isascii() or len(str(error)) > 100 or "=" in str(error):
        raise Wrong(f"an error that says {error}")


def _check_message(message: Message) -> None:
    for value in message.fields.values():
        if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in value):
            raise Wrong("a control character survived")


def _check_sent(lines: list[bytes]) -> None:
    for line in lines:
        if not line.endswith(b"\r\n") or b"\n" in line[:-2] or len(line) > 4096:
            raise Wrong("an answer that is no line")
