"""The quick way of reading and writing a line and the thorough one never disagree."""

from __future__ import annotations

import itertools
import random
from functools import partial
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from tests.protocol.fuzzing import Fuzzer, mutate
from trus.protocol import grammar, table
from trus.protocol.errors import LocalProtocolError, RemoteProtocolError
from trus.protocol.messages import Phase, Side
from trus.protocol.table import DEVICE_TABLE, SEAL_BLOCK_BYTES, Line, head_of

RUNS = 4000
LABEL = b"s=QmQmQmQmQmQmQmQm id=c7"
#: Purchases of every choice of optional fields, and answers with what cashiers read.
LINES = [
    b"COMMAND PROCESS %b stan=000042 amount=12.50 currency=USD date=2026-11-20%b" % (LABEL, more)
    for more in (b"", b" partial=yes", b" repeat=yes", b" partial=yes repeat=yes")
] + [
    b"INFO COMPLETE " + LABEL,
    b"INFO COMPLETE %b x=1" % LABEL,
    b"INFO RESULT %b result=approved code=00 approval=A1B2C3 rrn=632500000042" % LABEL,
    b"INFO RESULT %b result=declined code=55" % LABEL,
    b"INFO RESULT %b result=declined code=55 later=x" % LABEL,
]
PLAINTEXTS = [
    b"rid=AAAAAAAAAAAAAAAAAAAAAA track2=4000340000000506=2511111123400001230 " + more
    for more in (
        b"",
        b"pin=AAAAAAAAAAAAAAAAAAAAAA format=4 ",
        b"pin=AAAAAAAAAAAAAAAAAAAAAA format=4 entry=stripe ",
        b"pin=AAAAAAAAAAAAAAAAAAAAAA ",
        b"format=4 entry=stripe ",
    )
] + [
    b"",
    b'amount=12.50 currency=USD text="A \\"b\\" \xc3\xa9 text=x" ',
    b"amount=12.50 balance=1.00 currency=USD text=ok ",
    b"tries=2 text=no later=1 ",
]


class FormsTests(SynchronousTestCase):
    """One choice of fields (_Form) against the whole pattern of a line."""

    def setUp(self) -> None:
        """Take the lines of the transcripts beside the purchases."""
        fuzzer = Fuzzer(seed=20261121)
        self.chance = random.Random(20261121)
        self.clear = LINES + [line.rpartition(b" seal=")[0] or line for line in fuzzer.lines]
        self.plain = PLAINTEXTS + fuzzer.plaintexts

    def said(self) -> list[Line]:
        """Return every line that anybody says in a session, compiled anew."""
        specs = {line.head: line.spec for side in Side for line in DEVICE_TABLE.lines(Phase.SEALED, side).values()}
        return [Line(spec) for spec in specs.values()]

    def test_reading_clear_parts(self) -> None:
        """Any line is read alike whatever line came before it: the same fields, or the same error."""
        by_head = {line.head.encode(): line for line in self.said()}
        read = 0
        for _ in range(RUNS):
            octets = mutate(self.chance, self.clear)
            line = by_head.get(head_of(octets), by_head[b"COMMAND PROCESS"])
            read += self.alike(partial(line.parse_clear, octets), partial(line._parse_clear, octets.decode("latin-1")))
        self.assertGreater(read, RUNS // 10)

    def test_reading_plaintexts(self) -> None:
        """So is any plaintext under a seal, of every verb."""
        lines = self.said()
        read = 0
        for _ in range(RUNS):
            octets = mutate(self.chance, self.plain)
            octets = octets.ljust(max(1, -(-len(octets) // SEAL_BLOCK_BYTES)) * SEAL_BLOCK_BYTES)
            line = self.chance.choice(lines)
            for each in (line, *(one for one in lines if one.head in ("COMMAND PROCESS", "INFO RESULT"))):
                read += self.alike(
                    partial(each.parse_sealed, octets),
                    partial(each._parse_sealed, octets.decode("latin-1"), ""),
                )
        self.assertGreater(read, RUNS // 10)

    def alike(self, quick, thorough) -> bool:  # type: ignore[no-untyped-def]
        """Check that both give the same, twice, since the first may change what is usual."""
        for _ in range(2):
            self.assertEqual(outcome(quick), outcome(thorough))
        return not isinstance(outcome(quick), Refusal)

    def test_writing(self) -> None:
        """What is written is what the whole pattern reads back; what it would not is refused."""
        written = refused = 0
        for line in self.said():
            for part, pattern, padding in (
                (line._clear, line._clear_pattern, ""),
                (line._sealed, line._sealed_pattern, " *"),
            ):
                for _ in range(RUNS // 40):
                    values = self.values(part)
                    text = part.encode(values)
                    naive = part._begin + "".join(
                        f"{part._before}{name}={table._spelled(values[name]) if name in part._texts else values[name]}"
                        f"{part._after}"
                        for name in part.names
                        if name in values
                    )
                    match = pattern.fullmatch(naive)
                    whole = match is not None and not match.groups()[-1] and not part.torn(values)
                    found = line._whole(part, match.groups()) if match is not None and whole else None
                    if found == values:
                        written += 1
                        self.assertEqual(text, naive, (line.head, padding))
                    else:
                        refused += 1
                        self.assertIsNone(text, (line.head, values))
        self.assertGreater(min(written, refused), RUNS // 40)

    def values(self, part: table._Part) -> dict[str, str]:
        """Return some fields of a part in any order: mostly well formed, sometimes anything."""
        drawn: dict[str, str] = {}
        for name, spec in part._specs.items():
            if name not in part._must and self.chance.random() < 0.4:
                continue
            good = EXAMPLES.get(spec.type.name, "x")
            drawn[name] = good if self.chance.random() < 0.97 else self.chance.choice(BAD)
        names = list(drawn)
        self.chance.shuffle(names)
        return {name: drawn[name] for name in names[self.chance.random() < 0.03 :]}

    def test_unlisted_field(self) -> None:
        """A field that the table does not list here is this program's mistake."""
        line = next(each for each in self.said() if each.head == "INFO COMPLETE")
        with self.assertRaises(LocalProtocolError):
            line.format_clear({"s": "QmQmQmQmQmQmQmQm", "id": "c7", "stan": "000042"})

    def test_memory_is_bounded(self) -> None:
        """A peer that sends every choice of fields there is makes a line remember a few of them."""
        line = next(each for each in self.said() if each.head == "INFO RESULT")
        optional = [name for name in line._sealed.names if name not in line._sealed._must]
        head = {name: EXAMPLES[line._sealed._specs[name].type.name] for name in line._sealed._must}
        for chosen in itertools.islice(itertools.product((0, 1), repeat=len(optional)), 200):
            more = {
                name: EXAMPLES[line._sealed._specs[name].type.name]
                for name, is_in in zip(optional, chosen, strict=True)
                if is_in
            }
            values = head | more
            if line._sealed.torn(values):
                continue
            self.assertEqual(line.parse_sealed(line.format_sealed(values)), values)
        self.assertEqual(len(line._sealed._forms), table._MOST_FORMS)


#: One good value of each type.
EXAMPLES = {
    "label": "QmQmQmQmQmQmQmQm",
    "dialogue": "c7",
    "word": "timeout",
    "name": "POS00001",
    "flag": "yes",
    "stan": "000042",
    "amount": "12.50",
    "sum": "12.50",
    "currency": "USD",
    "date": "2026-11-20",
    "count": "12",
    "code": "00",
    "approval": "A1B2C3",
    "rrn": "632500000042",
    "track2": "4000340000000506=2511111123400001230",
    "rid": "A" * 22,
    "block": "A" * 22,
    "nonce": "A" * 22,
    "share": "A" * 43,
    "digest": "A" * 43,
    "blob": "AAAA",
    "chain": "AAAA,AAAA",
    "versions": "1,2",
    "number": "1",
    "format": "4",
    "activation": "K7QM2-XW4TR-9BNHC-6JDPF",
    "passphrase": "A" * 26,
    "text": 'Take "it" text=x \\ é',
    "receipt": "a|b",
    "proof": "1-48213-0000004D4F2A90C1D2E3F4A5B6C7D8E9",
}
BAD = [
    "",
    " ",
    "a b",
    "yes repeat=yes",
    'x"',
    "A" * 7000,
    "é",
    "0 ",
    "00",
    "c0",
    "1.5.",
    "2026-13-01",
    "%s",
    "A1B2C3 rrn=x",
]


class Refusal(NamedTuple):
    """How something was refused."""

    code: str
    detail: str


def outcome(read) -> object:  # type: ignore[no-untyped-def]
    """Return what was read, or that it was refused and how."""
    try:
        return read()
    except RemoteProtocolError as error:
        return Refusal(error.code, error.detail)


class Base64Tests(SynchronousTestCase):
    """Canonical base64url."""

    def test_every_ending(self) -> None:
        """Of all texts of one to four characters exactly the spellings that encoding gives are read."""
        alphabet = bytes(range(33, 127))
        chance = random.Random(7)
        texts = [bytes(each) for size in (1, 2) for each in itertools.product(alphabet, repeat=size)]
        texts += [bytes(chance.choices(alphabet, k=chance.choice((3, 4)))) for _ in range(20000)]
        for text in texts:
            try:
                octets = grammar.decode_base64url(text)
            except RemoteProtocolError:
                self.assertNotIn(text, spellings(text))
            else:
                self.assertEqual(grammar.encode_base64url(octets), text)


def spellings(text: bytes) -> list[bytes]:
    """Return the canonical text that has the octets of `text` by a tolerant reading, if there are any."""
    from base64 import urlsafe_b64decode

    try:
        return [grammar.encode_base64url(urlsafe_b64decode(text + b"=" * (-len(text) % 4)))]
    except ValueError:
        return []
