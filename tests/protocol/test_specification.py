"""Holds docs/protocol.md against the program, in both directions."""

from __future__ import annotations

import json
import re
import runpy
import sys
from typing import Any

from abnf import ParseError, Rule
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.trial.unittest import SynchronousTestCase

from tests.protocol import stranger, transcripts
from tests.protocol.test_link import EVENTS
from trus.certificates.oids import DEVICE_USAGE
from trus.protocol import describe, fields, grammar
from trus.protocol.errors import LocalProtocolError, RemoteProtocolError
from trus.protocol.messages import parse_console_line
from trus.protocol.table import DEVICE_TABLE, Line
from trus.protocol.verbs import VERBS
from trus.values import ResponseCode

PAGE = transcripts.PAGE.read_text(encoding="utf-8")


class Specified(Rule):
    """The rules of every ABNF block of the page."""


for block in re.findall(r"```abnf\n(.*?)```", PAGE, re.DOTALL):
    rules = re.split(r"\n(?=[A-Za-z])", block.strip())
    for rule in rules:
        Specified.create(re.sub(r"\s+", " ", rule))


def follows(rule: str, octets: bytes) -> bool:
    """Say whether all of `octets` follow a rule of the page."""
    try:
        Specified(rule).parse_all(octets.decode("latin-1"))
    except ParseError:
        return False
    return True


#: Values of each type: accepted, refused.
ITEM = "000007:2026-11-20:purchase:stands:12.50:632400000007"
ZEROS = "0" * 32
VALUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "label": (("AAAAAAAAAAAAAAAA", "a-_09ZZZZZZZZZZZ"), ("", "AAAA", "AAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA=")),
    "dialogue": (("c1", "s999999999"), ("c0", "c", "d1", "c01", "c1234567890", "C1")),
    "word": (("full", "a-1"), ("", "Full", "1a", "a_b", "a" * 32)),
    "name": (("backend", "POS00001", "a.b-c_d"), ("", ".a", "a b", "a" * 65, "caf\xe9")),
    "flag": (("yes",), ("no", "YES", "")),
    "stan": (("000000", "000042", "999999"), ("42", "0000042", "00004a", "", "-00042")),
    "amount": (
        ("0", "12.50", "1250", "0.001", "999999999999"),
        ("012", "12.", ".5", "1e3", "1_0", "-1", "+1", "1.2345", "1234567890123", "12,50", " 1", ""),
    ),
    "sum": (
        ("0", "12.50", "1250", "0.001", "9" * 18, "9999999999999999.99"),
        ("012", "12.", ".5", "-1", "1.2345", "1" * 19, "12,50", ""),
    ),
    "items": (
        (ITEM, f"{ITEM},000008:2026-11-20:refund:voided:0:AAAAAAAAAAAA", ",".join([ITEM] * 64)),
        ("", "-", f"{ITEM},", ITEM.replace("stands", "gone"), ITEM.replace("12.50", "-1"), ",".join([ITEM] * 65)),
    ),
    "differences": (
        (f"amount/{ITEM}/{ITEM}", f"missing-at-host/{ITEM}/-,missing-at-terminal/-/{ITEM}"),
        ("", f"amount/{ITEM}", f"odd/{ITEM}/-", f"kind/{ITEM}/-,", "state//"),
    ),
    "currency": (("USD",), ("usd", "US", "USDX", "")),
    "date": (("2026-11-20", "2026-01-31"), ("2026-13-01", "2026-00-10", "2026-1-1", "2026-11-32", "20261120", "")),
    "count": (("0", "7", "123456789"), ("01", "1234567890", "-1", "", "1.0")),
    "code": (("00", "96"), ("0", "000", "A1", "")),
    "approval": (("A1B2C3",), ("a1b2c3", "A1B2C", "A1B2C34", "")),
    "rrn": (("632500000042",), ("63250000004", "63250000004a", "")),
    "track2": (
        ("4000340000000506=2511111123400001230", "12345678=1", "1234567890123456789=="),
        ("4000340000000506", "1234567=1", "4000340000000506=", "400034000000050A=1", ""),
    ),
    "reading": (("1", "1795219200", "9" * 15), ("0", "01", "1" * 16, "-1", "")),
    "rid": (("A" * 22, "a" * 21 + "w"), ("A" * 21, "A" * 23, "A" * 21 + "B", "")),
    "block": (("A" * 22,), ("A" * 21 + "=",)),
    "nonce": (("_" * 21 + "g",), ("_" * 21 + "h",)),
    "share": (("A" * 43, "z" * 42 + "8"), ("A" * 42, "A" * 44, "A" * 42 + "B")),
    "digest": (("A" * 43,), ("A" * 43 + "=",)),
    "blob": (("AA", "_-_-"), ("", "A", "AA=", "A+", "AA,AA")),
    "chain": (("AA", "AA,AA,AA,AA"), ("", ",AA", "AA,", "AA,AA,AA,AA,AA")),
    "versions": (("1", "2,1", "999,1"), ("", "0", "1,", "1000", "1,1,1,1,1,1,1,1,1")),
    "number": (("1", "999"), ("0", "01", "1000", "")),
    "format": (("4",), ("3", "0", "")),
    "activation": (("K7QM2-XW4TR-9BNHC", "a" * 64), ("a" * 15, "a" * 65, "K7QM2_XW4TR_9BNHC")),
    "passphrase": (("a" * 26, "Z9" * 32), ("a" * 25, "a" * 65, "a" * 26 + "-", "")),
    "text": (
        ("a", '""', '"a b"', '"\\"\\\\"', '"Bon app\u00e9tit \U0001f600"', "x" * 255),
        ("", "a b", '"', '"a', '"\\n"', '"a\u0085b"', '"\u202e"', '"\t"', '"' + "x" * 256 + '"', "\u00e9"),
    ),
    "receipt": (('"a|b"', "a"), ('"a\nb"', "a|b")),
    "proof": (
        ("1-48213-0000004D4F2A90C1D2E3F4A5B6C7D8E9", f"99999-1-{ZEROS}"),
        (
            "",
            "0-1-00000000000000000000000000000000",
            "1-01-00000000000000000000000000000000",
            "1-1-0000000000000000000000000000000",
            "1-1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "1-00000000000000000000000000000000",
        ),
    ),
}


class GrammarTests(SynchronousTestCase):
    """The ABNF of the page and the patterns of the program say the same."""

    def test_every_rule_is_defined(self) -> None:
        """The ABNF of the page uses no rule that it does not define."""
        names = {name.lower() for name in re.findall(r"^([A-Za-z][A-Za-z0-9-]*) *=", self.abnf(), re.MULTILINE)}
        core = {"alpha", "digit", "sp", "dquote", "crlf", "cr", "lf"}
        bare = re.sub(r'%s"[^"]*"|"[^"]*"|%x[0-9A-F.-]+', " ", self.abnf())
        used = {name.lower() for name in re.findall(r"[A-Za-z][A-Za-z0-9-]*", bare)}
        self.assertEqual(used - names - core, set())

    def abnf(self) -> str:
        return "\n".join(re.findall(r"```abnf\n(.*?)```", PAGE, re.DOTALL))

    def test_values(self) -> None:
        """Each type of field accepts and refuses the same values by grammar and by pattern."""
        self.assertEqual(set(VALUES), {kind.name for kind in fields.TYPES})
        for kind in fields.TYPES:
            accepted, refused = VALUES[kind.name]
            for text, wanted in [*((text, True) for text in accepted), *((text, False) for text in refused)]:
                octets = text.encode()
                matched = re.fullmatch(kind.pattern, octets) is not None
                self.assertEqual((matched, follows(kind.name, octets)), (wanted, wanted), (kind.name, text))

    def test_generic_lines(self) -> None:
        """Lines that follow the generic grammar are read, others are malformed, by both alike."""
        accepted = [b"INFO A", b"DATA ROW x=1 y-2=a=b", b'COMMAND X-1 t="a \\"b\\" \xc3\xa9"', b"INFO A b=:/+@,*~._-"]
        refused = [
            b"",
            b"INFO",
            b"info A",
            b"INFO a",
            b"INFO  A",
            b"INFO A ",
            b" INFO A",
            b"INFO A b",
            b"INFO A b=",
            b"INFO A B=1",
            b"INFO A b=1  c=2",
            b"INFO A b='1'",
            b'INFO A b="',
            b'INFO A b="\x00"',
            b'INFO A b="\xff"',
            b'INFO A b="\xc0\xaf"',
            b"INFO A b=\xc3\xa9",
            b"INFO A\tb=1",
            b"INFO A b=1\r",
            b"NEWS A",
            b"INFO 1A",
            b"INFO " + b"A" * 32,
        ]
        for octets, wanted in [*((line, True) for line in accepted), *((line, False) for line in refused)]:
            self.assertEqual(follows("line", octets + b"\r\n"), wanted, octets)
            if wanted:
                parse_console_line(octets)
            else:
                self.assertRaises(RemoteProtocolError, parse_console_line, octets)
        self.assertFalse(follows("line", b"INFO A\n"))

    def test_link_lines(self) -> None:
        """Every line of the link follows the grammar of the page."""
        for _, octets in EVENTS:
            self.assertTrue(follows("link-line", octets + b"\r\n"), octets)
        for octets in (b"DATA LINE c=0 :", b"DATA LINE c=1 :a\nb", b"DATA STREAM c=1 b=", b"INFO link"):
            self.assertFalse(follows("link-line", octets + b"\r\n"), octets)

    def test_every_line(self) -> None:
        """For every line of the table, program and ABNF accept and refuse the same variations."""
        for spec in VERBS:
            line = Line(spec)
            rule = describe.rule_name(spec)
            for octets in _variations(_sample(line, clear=True)):
                wanted = follows(rule, octets) and _in_place(line, octets)
                self.assertEqual(_parses(line.parse_clear, octets), wanted, octets)
            if spec.sealed:
                for octets in _variations(_sample(line, clear=False)):
                    # Padding and fields that belong together are rules beside the grammar.
                    padded = octets.ljust(-(-max(1, len(octets)) // 64) * 64)
                    wanted = follows(f"{rule}-sealed", padded) and _in_place(line, padded)
                    self.assertEqual(_parses(line.parse_sealed, padded), wanted, padded)


def _parses(parse: Any, octets: bytes) -> bool:
    try:
        parse(octets)
    except RemoteProtocolError:
        return False
    return True


def _in_place(line: Line, octets: bytes) -> bool:
    """Say what the grammar cannot: known names stand once, in form, before the unknown; some together."""
    types = {field.name: field.type for field in (*line.spec.clear, *line.spec.sealed)}
    known = ["s", "id", *types]
    found = re.findall(rb"(?:\A|(?<= ))([a-z][a-z0-9-]*)=([^ ]*)", octets)
    names = [name.decode() for name, _ in found]
    places = [known.index(name) if name in known else len(known) for name in names]
    formed = all(re.fullmatch(types[name.decode()].pattern, value) for name, value in found if name.decode() in types)
    together = [name for name in line.spec.together if name in names]
    return (
        formed
        and places == sorted(places)
        and len(set(names)) == len(names)
        and together in ([], list(line.spec.together))
    )


def _sample(line: Line, clear: bool) -> bytes:
    """Return the line with every field, each with the shortest value that its type accepts."""
    part = line.spec.clear if clear else line.spec.sealed
    values = {field.name: min(VALUES[field.type.name][0], key=len) for field in part}
    if not clear:
        return b"".join(f"{name}={value} ".encode() for name, value in values.items())
    if line.spec.session != "never":
        values = {"s": "A" * 16, **values}
    words = [line.head, *(f"{name}={value}" for name, value in values.items())]
    if line.spec.dialogue != "never":
        words.insert(2, "id=c1")
    return " ".join(words).encode()


def _variations(octets: bytes) -> list[bytes]:
    """Return the octets themselves and what becomes of them by one small fault."""
    found = [octets, octets + b" ", octets + b" x=1", octets + b"x=1 ", octets + b"\x00", octets.lower()]
    words = octets.split(b" ")
    swapped = [*words[:-2], words[-1], words[-2]]
    found += [b" ".join(swapped), b" ".join([*words, words[-1]])]
    for index in range(2, len(words) - 1, 2):
        found.append(b" ".join(words[:index] + words[index + 1 :] + [b"y=1"]))
        found.append(b" ".join([*words[:index], words[index] + b"\x80", *words[index + 1 :]]))
    return found


class GeneratedTests(SynchronousTestCase):
    """What the page shows of the program is what the program is."""

    def test_tables_are_fresh(self) -> None:
        """Every generated table, rule and diagram of the specification is up to date."""
        self.assertEqual(describe.renew(PAGE), PAGE)

    def test_transcripts_are_fresh(self) -> None:
        """Every transcript of the specification is what the program says today, octet for octet."""
        talks = transcripts.conversations()
        self.assertEqual(transcripts.page(PAGE, talks), PAGE)
        self.assertEqual(transcripts.vectors(talks), transcripts.VECTORS.read_text(encoding="utf-8"))

    def test_page_without_a_block(self) -> None:
        """A page that lost a generated block is an error, not silently incomplete."""
        self.assertRaises(LocalProtocolError, describe.renew, "# nothing\n")

    def test_renewing_command(self) -> None:
        """`python -m trus.protocol.describe PAGE` renews a stale page and leaves a fresh one alone."""
        path = self.mktemp()
        stale = PAGE.replace("systems trace audit number", "something else")
        with open(path, "w", encoding="utf-8") as page:
            page.write(stale)
        output: list[str] = []
        self.patch(sys.stdout, "write", output.append)
        self.patch(sys.stderr, "write", output.append)
        self.assertEqual(self.run_describe(path), 0)
        with open(path, encoding="utf-8") as page:
            self.assertEqual(page.read(), PAGE)
        self.assertEqual(self.run_describe(path), 0)
        self.assertEqual(self.run_describe(), 2)
        self.assertEqual([word.split(": ")[-1].strip() for word in output[:2]], ["renewed", "up to date"])

    def run_describe(self, *arguments: str) -> object:
        """Run the module as `python -m` does; return its exit status."""
        self.patch(sys, "argv", ["describe", *arguments])
        status = self.assertRaises(SystemExit, runpy.run_path, str(describe.__file__), run_name="__main__")
        assert isinstance(status, SystemExit)
        return status.code

    def test_usages(self) -> None:
        """TR-16: The page names the extended key usage of each role as certificates carry it."""
        for role, usage in DEVICE_USAGE.items():
            self.assertIn(f"| `{role}` | {usage.dotted_string} |\n", PAGE)

    def test_every_code_is_explained(self) -> None:
        """The page explains every response code in use."""
        self.assertEqual(set(describe.CODE_MEANINGS), set(ResponseCode))


class VectorTests(SynchronousTestCase):
    """The vectors suffice to check a client: nothing but the file and the page is needed."""

    def setUp(self) -> None:
        self.vectors = json.loads(transcripts.VECTORS.read_text(encoding="utf-8"))

    def test_proofs_open(self) -> None:
        """From a private key and the lines of the file, every key and plaintext of the file follows."""
        for talk in self.vectors["conversations"]:
            values = talk["values"]
            lines = [line["line"].encode() for line in talk["lines"]]
            secret = values.get("ticket's resumption secret")
            schedule = stranger.Schedule(bytes.fromhex(secret) if secret else stranger.ZEROS)
            schedule.line1(lines[0])
            private = X25519PrivateKey.from_private_bytes(bytes.fromhex(talk["initiator x25519 private"]))
            clear = stranger.split_seal(lines[1])[0]
            schedule.agree(private, stranger.read_fields(clear.decode())["share"], clear)
            self.assertEqual(schedule.secret.hex(), values["secret"])
            plaintext = schedule.open_proof("responder", lines[1])
            self.assertEqual(plaintext.decode(), talk["lines"][1]["plaintext"])
            schedule.line2(lines[1], bytes.fromhex(values["CR"]))
            self.assertEqual(schedule.open_proof("initiator", lines[2]).decode(), talk["lines"][2]["plaintext"])
            keys = schedule.line3(lines[2], bytes.fromhex(values["CI"]))
            self.assertEqual({f"TH{n}": th.hex() for n, th in schedule.th.items()}.items() - values.items(), set())
            self.assertEqual((keys.pin.hex(), keys.resumption.hex()), (values["pin key"], values["resumption"]))

    def test_records_open(self) -> None:
        """Each sealed line of the file opens under the keys of the file, by its place in its direction."""
        for talk in self.vectors["conversations"]:
            values, prefix = talk["values"], {"initiator": "", "responder": ""}
            count = {"initiator": 0, "responder": 0}
            opened = 0
            for entry in talk["lines"][3:]:
                if "plaintext" not in entry:
                    continue
                side, line = entry["from"], entry["line"].encode()
                key, iv = (bytes.fromhex(values[f"{prefix[side]}{side} {part}"]) for part in ("key", "iv"))
                nonce = (int.from_bytes(iv, "big") ^ count[side]).to_bytes(12, "big")
                clear, sealed = stranger.split_seal(line)
                self.assertEqual(AESGCM(key).decrypt(nonce, sealed, clear).decode(), entry["plaintext"])
                count[side] += 1
                opened += 1
                if line.startswith((b"DATA REKEY", b"INFO REKEYED")):
                    prefix[side], count[side] = "rekeyed ", 0
            self.assertGreaterEqual(opened, 1)


class ListTests(SynchronousTestCase):
    """The list of lines is sound."""

    def test_names(self) -> None:
        """No field is both clear and sealed in one line, and none is called s, id or seal."""
        for spec in DEVICE_TABLE.specs:
            names = [field.name for field in (*spec.clear, *spec.sealed)]
            self.assertEqual(len(set(names)), len(names), spec.head)
            self.assertTrue({"s", "id", "seal"}.isdisjoint(names))
            for name in names:
                self.assertIsNotNone(re.fullmatch(grammar.NAME, name.encode()))
            self.assertTrue(set(spec.together) <= set(names))
