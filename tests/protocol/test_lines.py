"""Lines become messages and messages lines; nothing else does."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from trus.protocol import fields, grammar
from trus.protocol.errors import MEANINGS, ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.protocol.messages import (
    Kind,
    Message,
    Peek,
    Phase,
    Side,
    format_console_line,
    format_line,
    parse_console_line,
    parse_line,
    peek,
)
from trus.protocol.table import DEVICE_TABLE

LABEL = "QmQmQmQmQmQmQmQm"
PROCESS = b"COMMAND PROCESS s=QmQmQmQmQmQmQmQm id=c7 stan=000042 amount=12.50 currency=USD date=2026-11-20"
SEAL = b" seal=" + b"A" * 107


class ParseTests(SynchronousTestCase):
    def code(self, line: bytes, phase: Phase = Phase.SEALED, sender: Side = Side.INITIATOR) -> ErrorCode:
        error = self.assertRaises(RemoteProtocolError, parse_line, line, phase=phase, sender=sender)
        assert isinstance(error, RemoteProtocolError)
        return error.code

    def test_purchase(self) -> None:
        """TR-19: A purchase line is read into kind, verb, session, dialogue and fields; its seal is kept."""
        message = parse_line(PROCESS + b" partial=yes" + SEAL, phase=Phase.SEALED, sender=Side.INITIATOR)
        self.assertEqual((message.kind, message.verb), (Kind.COMMAND, "PROCESS"))
        self.assertEqual((message.session, message.dialogue), (LABEL, "c7"))
        self.assertEqual(
            message.fields,
            {"stan": "000042", "amount": "12.50", "currency": "USD", "date": "2026-11-20", "partial": "yes"},
        )
        self.assertEqual(message.seal, bytes(80))

    def test_wrong_forms(self) -> None:
        """Each small fault of a purchase line is refused with the code that the specification names."""
        for old, new in (
            (b"stan=000042", b"stan=42"),
            (b"stan=000042", "stan=٠٠٠٠٤٢".encode()),
            (b"stan=000042 ", b""),
            (b"amount=12.50", b"amount=-12.50"),
            (b"amount=12.50", b"amount=1e9"),
            (b"amount=12.50", b"amount=1_2"),
            (b"amount=12.50 currency=USD", b"currency=USD amount=12.50"),
            (b"currency=USD", b'currency="USD"'),
            (b"date=2026-11-20", b"date=2026-11-20 note=hello"),
            (b"date=2026-11-20", b"date=2026-11-20 stan=000042"),
            (b"date=2026-11-20", b"date=2026-11-20 track2=4000340000000506=2511"),
            (b"date=2026-11-20", b"date=2026-11-20 repeat=no"),
            (b"id=c7", b"id=c0"),
            (b"s=QmQmQmQmQmQmQmQm", b"s=short"),
            (b"s=QmQmQmQmQmQmQmQm ", b""),
        ):
            expected = ErrorCode.MALFORMED if not new.isascii() else ErrorCode.BAD_FIELD
            self.assertEqual(self.code(PROCESS.replace(old, new) + SEAL), expected, new)

    def test_not_lines(self) -> None:
        """What does not follow the grammar is malformed."""
        for line in (b"", b" ", b"HELLO", b"COMMAND", b"COMMAND ", b"COMMAND  PROCESS", b"\x16\x03\x01", b"\xff" * 9):
            self.assertEqual(self.code(line), ErrorCode.MALFORMED, line)
        self.assertEqual(self.code(PROCESS + b" " + SEAL), ErrorCode.MALFORMED)
        self.assertEqual(self.code(PROCESS + b"\r" + SEAL), ErrorCode.MALFORMED)

    def test_verbs(self) -> None:
        """A verb is refused when it is unknown, the other side's, or of the other phase."""
        self.assertEqual(self.code(b"COMMAND REBOOT s=" + LABEL.encode()), ErrorCode.UNKNOWN_VERB)
        self.assertEqual(self.code(b"INFO PROCESS"), ErrorCode.UNKNOWN_VERB)
        self.assertEqual(self.code(PROCESS + SEAL, sender=Side.RESPONDER), ErrorCode.UNKNOWN_VERB)
        self.assertEqual(self.code(PROCESS + SEAL, phase=Phase.OPENING), ErrorCode.OUT_OF_ORDER)

    def test_seal_is_there_when_it_must(self) -> None:
        """A line that must be sealed and is not is refused, and so is a seal where none belongs."""
        self.assertEqual(self.code(PROCESS), ErrorCode.UNSEALED)
        self.assertEqual(self.code(PROCESS + b" seal=A"), ErrorCode.BAD_FIELD)
        self.assertEqual(self.code(PROCESS + b" seal=AB"), ErrorCode.BAD_FIELD)
        self.assertEqual(self.code(PROCESS + b" seal=AA=="), ErrorCode.BAD_FIELD)
        notice = b"INFO NOTICE code=slow-down seal=AAAA"
        self.assertEqual(self.code(notice, sender=Side.GATEWAY), ErrorCode.BAD_FIELD)

    def test_unknown_fields_of_info(self) -> None:
        """An unknown field is ignored in INFO, unless it stands twice or bears a known name."""
        line = b'INFO NOTICE code=slow-down text="a b" later=1 more="x y"'
        message = parse_line(line, phase=Phase.SEALED, sender=Side.GATEWAY)
        self.assertEqual(message.fields, {"code": "slow-down", "text": "a b"})
        for tail in (b" later=1 later=2", b" x=1 code=a", b" x=1 s=QmQmQmQmQmQmQmQm", b" x=1 seal=AA", b" x=1 id=c1"):
            self.assertEqual(self.code(b"INFO NOTICE code=a" + tail, sender=Side.GATEWAY), ErrorCode.BAD_FIELD, tail)

    def test_fields_that_belong_together(self) -> None:
        """A ticket without its binder is refused."""
        line = (
            b"COMMAND AUTHENTICATE s=QmQmQmQmQmQmQmQm to=backend versions=1 suites=1 mode=resume share="
            + b"A" * 43
            + b" nonce="
            + b"A" * 22
        )
        parse_line(line, phase=Phase.OPENING, sender=Side.INITIATOR)
        self.assertEqual(self.code(line + b" ticket=AAAA", phase=Phase.OPENING), ErrorCode.BAD_FIELD)
        both = line + b" ticket=AAAA binder=" + b"A" * 43
        self.assertEqual(parse_line(both, phase=Phase.OPENING, sender=Side.INITIATOR).fields["ticket"], "AAAA")

    def test_errors_say_nothing_of_the_line(self) -> None:
        """No error carries an octet of what a peer sent; each code has a sentence."""
        for line in (b"COMMAND 4000340000000506", PROCESS.replace(b"000042", b"4000340000000506"), b"4000340000000506"):
            error = self.assertRaises(RemoteProtocolError, parse_line, line, phase=Phase.SEALED, sender=Side.INITIATOR)
            self.assertNotIn("4000340000000506", str(error) + repr(error) + error.detail)
        self.assertEqual(set(MEANINGS), set(ErrorCode))


class PeekTests(SynchronousTestCase):
    def test_head(self) -> None:
        """The gateway learns kind, verb and session of a line without reading its fields."""
        self.assertEqual(peek(PROCESS + SEAL), Peek(Kind.COMMAND, "PROCESS", LABEL))
        self.assertEqual(peek(b"INFO BYE"), Peek(Kind.INFO, "BYE", None))
        self.assertEqual(peek(b"INFO BYE s=short"), Peek(Kind.INFO, "BYE", None))

    def test_not_a_head(self) -> None:
        """What does not begin like a line is malformed."""
        for line in (b"", b"INFO", b"INFO bye", b"GET / HTTP/1.1", b"INFO BYE\x00"):
            self.assertEqual(self.assertRaises(RemoteProtocolError, peek, line).code, ErrorCode.MALFORMED)


class FormatTests(SynchronousTestCase):
    def error(self, **fields: str) -> bytes:
        return format_line(
            Kind.INFO, "ERROR", fields, phase=Phase.OPENING, sender=Side.RESPONDER, session=LABEL, dialogue="c1"
        )

    def test_line(self) -> None:
        """A line is written with its fields in the table's order and ends in CR LF."""
        self.assertEqual(self.error(code="refused"), b"INFO ERROR s=QmQmQmQmQmQmQmQm id=c1 code=refused\r\n")
        sealed = format_line(
            Kind.INFO, "BYE", {}, phase=Phase.SEALED, sender=Side.INITIATOR, session=LABEL, seal=bytes(16)
        )
        self.assertEqual(sealed, b"INFO BYE s=QmQmQmQmQmQmQmQm seal=AAAAAAAAAAAAAAAAAAAAAA\r\n")

    def test_what_is_not_said(self) -> None:
        """This side never says what it would refuse to hear."""
        for fields_ in ({}, {"code": "a b"}, {"code": "x id=c2"}, {"code": "refused", "x": "1"}, {"code": "é"}):
            self.assertRaises(LocalProtocolError, self.error, **fields_)
        arguments = {"phase": Phase.SEALED, "sender": Side.INITIATOR, "session": LABEL}
        self.assertRaises(LocalProtocolError, format_line, Kind.INFO, "BYE", {}, **arguments)
        self.assertRaises(LocalProtocolError, format_line, Kind.INFO, "RESULT", {}, **arguments)
        self.assertRaises(LocalProtocolError, format_line, Kind.INFO, "É", {}, **arguments)
        opening = {"phase": Phase.OPENING, "sender": Side.INITIATOR}
        self.assertRaises(LocalProtocolError, format_line, Kind.INFO, "BYE", {}, seal=b"x" * 16, **opening)

    def test_no_smuggled_fields(self) -> None:
        """A value that holds a space cannot bring another field along."""
        line = DEVICE_TABLE.named(Phase.SEALED, Side.INITIATOR, Kind.COMMAND, "PROCESS")
        values = {"s": LABEL, "id": "c1", "stan": "000042", "amount": "1.00", "currency": "USD", "date": "2026-11-20"}
        self.assertIn(b"date=2026-11-20", line.format_clear(values))
        for smuggled in ("2026-11-20 partial=yes", "2026-11-20\r\nINFO BYE"):
            self.assertRaises(LocalProtocolError, line.format_clear, {**values, "date": smuggled})
        sealed = {"rid": "A" * 22, "track2": "4000340000000506=2511"}
        self.assertRaises(LocalProtocolError, line.format_sealed, {**sealed, "entry": "stripe pin=" + "A" * 22})
        self.assertRaises(LocalProtocolError, line.format_sealed, {**sealed, "pin": "A" * 22})
        self.assertRaises(LocalProtocolError, line.format_sealed, {**sealed, "unknown": "1"})
        self.assertRaises(LocalProtocolError, line.format_sealed, {"rid": "A" * 22})

    def test_padding(self) -> None:
        """The length of a seal says only how many blocks of 64 octets it holds, at least one."""
        line = DEVICE_TABLE.named(Phase.SEALED, Side.RESPONDER, Kind.INFO, "RESULT")
        for count, size in ((0, 64), (50, 64), (58, 64), (59, 128), (200, 256)):
            sealed = {"text": "x" * count} if count else {}
            plaintext = line.format_sealed(sealed)
            self.assertEqual(len(plaintext), size)
            self.assertEqual(line.parse_sealed(plaintext), sealed)
            self.assertEqual(line.parse_sealed(plaintext + b" " * 64), sealed)
        for wrong in (b"", b"text=x ", b" " * 63, b"\x00" * 64, b" text=x ".ljust(64), b"text=x".ljust(63) + b"\x00"):
            self.assertRaises(RemoteProtocolError, line.parse_sealed, wrong)

    def test_unknown_sealed_fields(self) -> None:
        """A field that stands clear and sealed is refused even if it is unknown."""
        line = DEVICE_TABLE.named(Phase.SEALED, Side.RESPONDER, Kind.INFO, "RESULT")
        self.assertEqual(line.parse_sealed(b"text=x later=1 ".ljust(64)), {"text": "x"})
        clear = b"INFO RESULT s=QmQmQmQmQmQmQmQm id=c1 result=approved code=00 later=1"
        _, unknown = line.parse_clear(clear)
        self.assertRaises(RemoteProtocolError, line.parse_sealed, b"text=x later=1 ".ljust(64), unknown)
        self.assertRaises(RemoteProtocolError, line.parse_sealed, b"x=1 text=x ".ljust(64))
        self.assertRaises(RemoteProtocolError, line.parse_sealed, b"x=1 x=1 ".ljust(64))
        self.assertRaises(RemoteProtocolError, line.parse_sealed, b"code=00 ".ljust(64))

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=60))
    def test_text_survives(self, text: str) -> None:
        """Any text either arrives as it was or is refused by its sender; no control character arrives."""
        line = DEVICE_TABLE.named(Phase.SEALED, Side.RESPONDER, Kind.INFO, "RESULT")
        try:
            plaintext = line.format_sealed({"text": text})
        except LocalProtocolError:
            return
        self.assertEqual(line.parse_sealed(plaintext), {"text": text})
        self.assertFalse([char for char in text if ord(char) < 32 or 127 <= ord(char) < 160])


class ReprTests(SynchronousTestCase):
    def test_secrets_are_not_shown(self) -> None:
        """TR-16: A message shows clear fields; sealed ones by name alone, in every way of printing it."""
        message = Message(
            Kind.COMMAND,
            "PROCESS",
            {"stan": "000042", "track2": "4000340000000506=2511", "pin": "s3cret"},
            LABEL,
            "c7",
            b"\x01" * 80,
        )
        console = Console(file=io.StringIO(), width=200)
        console.print(message)
        assert isinstance(console.file, io.StringIO)
        for shown in (repr(message), str(message), f"{message}", console.file.getvalue()):
            self.assertIn("000042", shown)
            self.assertIn("track2", shown)
            self.assertNotIn("4000340000000506", shown)
            self.assertNotIn("s3cret", shown)

    def test_tickets_and_console_arguments(self) -> None:
        """Tickets, binders and the arguments of console commands are not shown either."""
        for message in (
            Message(Kind.COMMAND, "AUTHENTICATE", {"ticket": "s3cret", "binder": "s3cret"}),
            parse_console_line(b"COMMAND CARD-ISSUE code=s3cret"),
        ):
            self.assertNotIn("s3cret", repr(message))


class ConsoleTests(SynchronousTestCase):
    def test_free_commands(self) -> None:
        """DC-5: The console's lines may have any verb and fields, in any order, also quoted."""
        message = parse_console_line(b'COMMAND COMPANY-ADD name="Caf\xc3\xa9 \\"A\\"" vat=1')
        self.assertEqual((message.verb, message.fields), ("COMPANY-ADD", {"name": 'Café "A"', "vat": "1"}))
        self.assertEqual(parse_console_line(b"INFO OK").fields, {})

    def test_refused(self) -> None:
        """A name that stands twice and anything outside the grammar is refused."""
        self.assertEqual(
            self.assertRaises(RemoteProtocolError, parse_console_line, b"INFO A x=1 x=2").code, ErrorCode.BAD_FIELD
        )
        for line in (b"", b"LIST", b"COMMAND list", b"COMMAND A x", b"COMMAND A x=\x07", b"COMMAND A "):
            self.assertEqual(
                self.assertRaises(RemoteProtocolError, parse_console_line, line).code, ErrorCode.MALFORMED, line
            )

    def test_written_and_read(self) -> None:
        """What is written is read as the same."""
        line = format_console_line(Kind.DATA, "ROW", {"name": 'Łukasz \\ "O\'Brien"', "empty": "", "n": "1"})
        self.assertTrue(line.endswith(b"\r\n"))
        self.assertEqual(parse_console_line(line[:-2]).fields, {"name": 'Łukasz \\ "O\'Brien"', "empty": "", "n": "1"})
        for verb, values in (("row", {}), ("ROW", {"X": "1"}), ("ROW", {"x": "\n"}), ("ROW", {"x": "\ud800"})):
            self.assertRaises(LocalProtocolError, format_console_line, Kind.DATA, verb, values)


class ValueTests(SynchronousTestCase):
    def test_sums(self) -> None:
        """Amounts added up have the currency's decimals too, and 18 digits in all."""
        self.assertEqual(fields.parse_sum("9999999999999999.99", "USD"), 10**18 - 1)
        self.assertEqual(fields.parse_sum("1250", "JPY"), 1250)
        for text in ("10000000000000000.00", "12.5", "-1.00"):
            self.assertRaises(RemoteProtocolError, fields.parse_sum, text, "USD")

    def test_amounts(self) -> None:
        """An amount has exactly its currency's decimals, or is refused."""
        self.assertEqual(fields.parse_amount("12.50", "USD"), 1250)
        self.assertEqual(fields.parse_amount("1250", "JPY"), 1250)
        self.assertEqual(fields.parse_amount("12.500", "KWD"), 12500)
        for text, currency in (("12.5", "USD"), ("12.500", "USD"), ("12.50", "JPY"), ("1٢", "JPY"), ("1", "XXX")):
            self.assertRaises(RemoteProtocolError, fields.parse_amount, text, currency)
        self.assertEqual(fields.format_amount(5, "USD"), "0.05")
        self.assertRaises(LocalProtocolError, fields.format_amount, -1, "USD")
        self.assertRaises(LocalProtocolError, fields.format_amount, 1, "XXX")

    def test_numbers(self) -> None:
        """Trace numbers and counts are ASCII digits of the stated length."""
        self.assertEqual(fields.parse_stan("000042"), 42)
        self.assertEqual(fields.format_stan(42), "000042")
        self.assertEqual(fields.parse_count("0"), 0)
        for text in ("42", "00004٢", "1_0000", " 00042", "+00042"):
            self.assertRaises(RemoteProtocolError, fields.parse_stan, text)
        for text in ("", "01", "1234567890", "1_0", "²"):
            self.assertRaises(RemoteProtocolError, fields.parse_count, text)
        for number in (-1, 1_000_000):
            self.assertRaises(LocalProtocolError, fields.format_stan, number)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=80))
    def test_octets(self, data: bytes) -> None:
        """Octets have one spelling in base64url."""
        text = fields.format_octets(data)
        self.assertEqual(fields.parse_octets(text), data)

    def test_one_spelling(self) -> None:
        """Padding, stray bits, the other alphabet and white space are refused."""
        for text in ("A", "AA=", "AB", "AAB", "A+A", "A/A", "AA\n", "A A", "AAAA====", "éé", "AAAAA"):
            self.assertRaises(RemoteProtocolError, fields.parse_octets, text)

    def test_every_character(self) -> None:
        """Every character is either carried or refused by the rule of the specification."""
        for point in (*range(0x3000), 0xD7FF, 0xE000, 0xFEFF, 0xFFFF, 0x10000, 0x1F600, 0x10FFFF):
            forbidden = (
                point < 0x20
                or 0x7F <= point <= 0x9F
                or point in (0x2028, 0x2029)
                or 0x202A <= point <= 0x202E
                or 0x2066 <= point <= 0x2069
            )
            text = "x " + chr(point)
            if forbidden:
                self.assertRaises(LocalProtocolError, grammar.encode_value, text)
            else:
                self.assertEqual(grammar.decode_value(grammar.encode_value(text)), text)
