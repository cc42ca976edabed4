"""The link between gateway and backend."""

from __future__ import annotations

from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from trus.protocol.buffer import MAX_SEALED_LINE_BYTES
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.protocol.link import (
    MAX_LINK_LINE_BYTES,
    MAX_STREAM_CHUNK_BYTES,
    Authenticated,
    Bye,
    Close,
    Closed,
    DeviceLine,
    EchoAnswer,
    EchoRequest,
    Found,
    FoundPart,
    Hello,
    LinkEvent,
    Lookup,
    Opened,
    Pause,
    Port,
    Resume,
    StreamBytes,
    format_device_line,
    format_link_line,
    parse_link_line,
    split_stream,
)

EVENTS: tuple[tuple[LinkEvent, bytes], ...] = (
    (Hello("gw1", "gateway"), b"INFO LINK name=gw1 role=gateway version=1 max-line=16384"),
    (
        Opened(17, Port.DEVICE, "192.0.2.1:4000", bytes(32), "t13d", "pos"),
        b"INFO OPENED c=17 port=device peer=192.0.2.1:4000 exporter=" + b"A" * 43 + b" fingerprint=t13d subject=pos",
    ),
    (Opened(18, Port.ADMIN, "[2001:db8::1]:5"), b'INFO OPENED c=18 port=admin peer="[2001:db8::1]:5"'),
    (DeviceLine(17, b'INFO X a=" :b" seal=AA'), b'DATA LINE c=17 :INFO X a=" :b" seal=AA'),
    (DeviceLine(999999999, b""), b"DATA LINE c=999999999 :"),
    (DeviceLine(1, b"\x00\xff :"), b"DATA LINE c=1 :\x00\xff :"),
    (StreamBytes(18, b"\x16\x03\x01"), b"DATA STREAM c=18 b=FgMB"),
    (Close(17, "idle"), b"COMMAND CLOSE c=17 reason=idle"),
    (Closed(17, "gone"), b"INFO CLOSED c=17 reason=gone"),
    (Pause(17), b"COMMAND PAUSE c=17"),
    (Resume(17), b"COMMAND RESUME c=17"),
    (Authenticated(17), b"INFO AUTHENTICATED c=17"),
    (EchoRequest(5), b"COMMAND ECHO n=5"),
    (EchoAnswer(5), b"INFO ECHO n=5"),
    (Lookup(7, "ocsp", "request", b"\x30\x03"), b"COMMAND LOOKUP n=7 what=ocsp by=request b=MAM"),
    (FoundPart(7, b"\x16\x03\x01"), b"DATA FOUND n=7 b=FgMB"),
    (Found(7, "found", (2, 1), 60), b"INFO FOUND n=7 result=found sizes=2,1 seconds=60"),
    (Found(7, "absent"), b'INFO FOUND n=7 result=absent sizes="" seconds=0'),
    (Bye("restart"), b"INFO BYE reason=restart"),
)


class LinkTests(SynchronousTestCase):
    def test_every_line(self) -> None:
        """Each line of the link is written as the specification says and read as what it was."""
        for event, line in EVENTS:
            self.assertEqual(format_link_line(event), line + b"\r\n")
            heard = parse_link_line(line)
            self.assertEqual((type(heard), heard), (type(event), event))

    def test_device_lines_are_untouched(self) -> None:
        """TR-11: A device line passes byte for byte, whatever octets it holds."""
        for line in (b"", b" :", b"c=1 :x", b"\x00\x80\xff", b"A" * (MAX_SEALED_LINE_BYTES - 2)):
            wrapped = format_device_line(17, line)
            self.assertLessEqual(len(wrapped), MAX_LINK_LINE_BYTES)
            self.assertEqual(parse_link_line(wrapped[:-2]), DeviceLine(17, line))

    def test_streams_are_cut(self) -> None:
        """An unopened stream of any length travels in lines within the limit and comes out whole."""
        data = bytes(range(256)) * 100
        lines = split_stream(3, data)
        self.assertEqual(len(lines), -(-len(data) // MAX_STREAM_CHUNK_BYTES))
        self.assertLessEqual(max(map(len, lines)), MAX_LINK_LINE_BYTES)
        heard = [parse_link_line(line[:-2]) for line in lines]
        self.assertEqual(b"".join(event.data for event in heard if isinstance(event, StreamBytes)), data)
        self.assertEqual(split_stream(3, b""), [])

    def test_refused(self) -> None:
        """A link line of the wrong form is refused with a code that says which kind of fault it is."""
        for line, code in (
            (b"", ErrorCode.MALFORMED),
            (b"HELLO", ErrorCode.MALFORMED),
            (b"DATA LINE", ErrorCode.UNKNOWN_VERB),
            (b"INFO OPEN c=1", ErrorCode.UNKNOWN_VERB),
            (b"DATA LINE c=17", ErrorCode.BAD_FIELD),
            (b"DATA LINE c= :x", ErrorCode.BAD_FIELD),
            (b"DATA LINE c=0 :x", ErrorCode.BAD_FIELD),
            (b"DATA LINE c=017 :x", ErrorCode.BAD_FIELD),
            (b"DATA LINE c=-1 :x", ErrorCode.BAD_FIELD),
            (b"DATA LINE c=1234567890 :x", ErrorCode.BAD_FIELD),
            ("DATA LINE c=١ :x".encode(), ErrorCode.BAD_FIELD),
            (b"DATA LINE c=1 2 :x", ErrorCode.BAD_FIELD),
            (b"DATA LINE c=1 :" + b"A" * (MAX_SEALED_LINE_BYTES - 1), ErrorCode.BAD_FIELD),
            (b"DATA STREAM c=1 b=", ErrorCode.BAD_FIELD),
            (b"DATA STREAM c=1 b=AB", ErrorCode.BAD_FIELD),
            (b"DATA STREAM c=x b=AA", ErrorCode.BAD_FIELD),
            (b"DATA STREAM c=1 AA", ErrorCode.BAD_FIELD),
            (b"DATA STREAM c=1 b=" + b"A" * 11000, ErrorCode.BAD_FIELD),
            (b"INFO LINK name=a role=device version=1 max-line=1", ErrorCode.BAD_FIELD),
            (b"INFO LINK name=a role=gateway version=0 max-line=1", ErrorCode.BAD_FIELD),
            (b"INFO LINK name=a", ErrorCode.BAD_FIELD),
            (b"INFO LINK name=a role=gateway version=1 max-line=1 x=1", ErrorCode.BAD_FIELD),
            (b"INFO OPENED c=1 port=web peer=a", ErrorCode.BAD_FIELD),
            (b"INFO OPENED c=1 port=device", ErrorCode.BAD_FIELD),
            (b"INFO OPENED c=1 port=device peer=a exporter=AAAA", ErrorCode.BAD_FIELD),
            (b"INFO OPENED c=1 port=device peer=a exporter=A", ErrorCode.BAD_FIELD),
            ('INFO OPENED c=1 port=device peer=a exporter="é"'.encode(), ErrorCode.BAD_FIELD),
            (b"INFO OPENED c=1 port=device peer=a x=1", ErrorCode.BAD_FIELD),
            (b"COMMAND CLOSE c=1", ErrorCode.BAD_FIELD),
            (b'COMMAND CLOSE c=1 reason="a b"', ErrorCode.BAD_FIELD),
            (b"COMMAND CLOSE c=1 why=idle", ErrorCode.BAD_FIELD),
            (b'COMMAND PAUSE c="\xc2\xb2"', ErrorCode.BAD_FIELD),
            (b"DATA FOUND n=1 b=", ErrorCode.BAD_FIELD),
            (b"DATA FOUND n=0 b=AA", ErrorCode.BAD_FIELD),
            (b"DATA FOUND n=1 b=" + b"A" * 11000, ErrorCode.BAD_FIELD),
            (b"COMMAND LOOKUP n=1 what=list by=path", ErrorCode.BAD_FIELD),
            (b'COMMAND LOOKUP n=1 what=list by=path b=""', ErrorCode.BAD_FIELD),
            (b"COMMAND LOOKUP n=1 what=list by=path b=A", ErrorCode.BAD_FIELD),
            (b"COMMAND LOOKUP n=1 what=list by=path b=" + b"A" * 5468, ErrorCode.BAD_FIELD),
            (b"COMMAND LOOKUP n=1 what=LIST by=path b=AA", ErrorCode.BAD_FIELD),
            (b'INFO FOUND n=1 result=maybe sizes="" seconds=0', ErrorCode.BAD_FIELD),
            (b"INFO FOUND n=1 result=found sizes=1,0 seconds=0", ErrorCode.BAD_FIELD),
            (b"INFO FOUND n=1 result=found sizes=1, seconds=0", ErrorCode.BAD_FIELD),
            (b"INFO FOUND n=1 result=found sizes=1 seconds=-1", ErrorCode.BAD_FIELD),
            (b"COMMAND ECHO", ErrorCode.BAD_FIELD),
            (b"COMMAND ECHO n=1 n=1", ErrorCode.BAD_FIELD),
        ):
            error = self.assertRaises(RemoteProtocolError, parse_link_line, line)
            self.assertEqual(error.code, code, line[:60])

    def test_what_is_not_said(self) -> None:
        """Neither end says what the other would refuse or hear as something else."""
        for event in (
            DeviceLine(17, b"INFO A\r\nDATA LINE c=18 :INFO B"),
            DeviceLine(17, b"\n"),
            DeviceLine(17, b"A" * MAX_SEALED_LINE_BYTES),
            DeviceLine(0, b""),
            StreamBytes(1_000_000_000, b"x"),
            StreamBytes(1, b""),
            StreamBytes(1, bytes(MAX_STREAM_CHUNK_BYTES + 1)),
            FoundPart(1, b""),
            FoundPart(0, b"x"),
            Lookup(1, "list", "path", b""),
            Lookup(1, "list", "no path", b"x"),
            Found(1, "maybe"),
            Found(1, "found", (0,)),
            Close(1, "Not a word"),
            Closed(0, "idle"),
            Opened(1, Port.DEVICE, "a", b"short"),
            Opened(1, Port.DEVICE, "a\nb"),
            Hello("a", "device"),
            EchoRequest(0),
        ):
            self.assertRaises(LocalProtocolError, format_link_line, event)
        self.assertRaises(LocalProtocolError, format_link_line, object())
        self.assertRaises(LocalProtocolError, format_link_line, Pause(cast("int", "17")))

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=120), st.sampled_from([b"", b"DATA LINE c=", b"DATA STREAM c=1 b=", b"INFO OPENED c=1 "]))
    def test_any_bytes(self, noise: bytes, head: bytes) -> None:
        """Any bytes whatsoever are an event or RemoteProtocolError."""
        try:
            event = parse_link_line(head + noise)
        except RemoteProtocolError as error:
            self.assertIn(error.code, ErrorCode)
            return
        if not isinstance(event, DeviceLine):
            self.assertEqual(parse_link_line(format_link_line(event)[:-2]), event)
