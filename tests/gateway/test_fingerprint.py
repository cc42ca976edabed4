"""The JA4 fingerprint of a device's TLS program."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from trus.gateway.fingerprint import MAX_HELLO_BYTES, is_whole, ja4

#: What the browser of JA4's own published example offers: t13d1516h2_8daaf6152771_e5627efa2ab1.
CIPHERS = (
    *(0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8),
    *(0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035),
)
SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
OTHERS = (0x0005, 0x000A, 0x000B, 0x0012, 0x0015, 0x0017, 0x001B, 0x0023, 0x002D, 0x0033, 0x4469, 0xFF01)
EXAMPLE = "t13d1516h2_8daaf6152771_e5627efa2ab1"
GREASE = (0x0A0A, 0x1A1A, 0xFAFA)


def vector(octets: int, content: bytes) -> bytes:
    return len(content).to_bytes(octets, "big") + content


def numbers(values: tuple[int, ...]) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def extension(kind: int, content: bytes = b"") -> bytes:
    return kind.to_bytes(2, "big") + vector(2, content)


def hello(
    ciphers: tuple[int, ...] = CIPHERS,
    extensions: bytes | None = None,
    *,
    record_bytes: int = 16_384,
) -> bytes:
    """Return a ClientHello as it stands on the wire."""
    if extensions is None:
        extensions = b"".join(
            [
                extension(0x0000, b"\0\x0c\0\0\x09localhost"),
                *(extension(kind) for kind in OTHERS),
                extension(0x000D, vector(2, numbers(SIGNATURES))),
                extension(0x0010, vector(2, vector(1, b"h2") + vector(1, b"http/1.1"))),
                extension(0x002B, vector(1, numbers((0x0304, 0x0303)))),
            ]
        )
    body = b"\x03\x03" + bytes(32) + vector(1, bytes(32)) + vector(2, numbers(ciphers)) + b"\x01\x00"
    body += vector(2, extensions)
    message = b"\x01" + vector(3, body)
    parts = [message[at : at + record_bytes] for at in range(0, len(message), record_bytes)]
    return b"".join(b"\x16\x03\x01" + vector(2, part) for part in parts)


class KnownAnswersTests(SynchronousTestCase):
    """What others get, this gets."""

    def test_published_example(self) -> None:
        """The browser of the published example has the published fingerprint."""
        self.assertEqual(ja4(hello()), EXAMPLE)

    def test_grease_and_order_change_nothing(self) -> None:
        """Values drawn at random, and the order of ciphers, do not change the fingerprint."""
        self.assertEqual(ja4(hello((*GREASE, *reversed(CIPHERS)))), EXAMPLE)

    def test_several_records(self) -> None:
        """A ClientHello cut into several records has the same fingerprint."""
        self.assertEqual(ja4(hello(record_bytes=50)), EXAMPLE)

    def test_nothing_offered(self) -> None:
        """A ClientHello without extensions has a fingerprint too."""
        self.assertEqual(ja4(hello((0x1301,), b"")), "t12i010000_0f2cb44170f4_000000000000")

    def test_odd_protocol_name(self) -> None:
        """A protocol name that is no word shows as hexadecimal digits."""
        odd = extension(0x0010, vector(2, vector(1, b"\xab\xcd")))
        self.assertTrue(ja4(hello(CIPHERS, odd)).startswith("t12i1501ad_"))

    def test_openssl(self) -> None:
        """What OpenSSL really sends has a fingerprint of TLS 1.3, the same each time."""
        found = set()
        for _ in range(2):
            context = SSL.Context(SSL.TLS_METHOD)
            context.set_min_proto_version(SSL.TLS1_3_VERSION)
            client = SSL.Connection(context, None)
            client.set_connect_state()
            self.assertRaises(SSL.WantReadError, client.do_handshake)
            sent = client.bio_read(65_536)
            self.assertTrue(is_whole(sent))
            found.add(ja4(sent))
        self.assertEqual(len(found), 1)
        self.assertRegex(found.pop(), r"\At13i03[0-9]{2}00_[0-9a-f]{12}_[0-9a-f]{12}\Z")


class HostileTests(SynchronousTestCase):
    """What is no ClientHello has no fingerprint, and nothing else happens."""

    def test_not_whole_yet(self) -> None:
        """Every beginning of a ClientHello waits for more, and the whole does not."""
        whole = hello(record_bytes=100)
        for length in range(len(whole)):
            self.assertFalse(is_whole(whole[:length]), length)
            self.assertEqual(ja4(whole[:length]), "")
        self.assertTrue(is_whole(whole))

    def test_something_else(self) -> None:
        """Another protocol, another message or an endless one is not waited for."""
        for data in (b"GET / HTTP/1.1\r\n", b"\x17\x03\x03\x00\x01x", b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"):
            self.assertTrue(is_whole(data))
            self.assertEqual(ja4(data), "")
        endless = b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16_380)
        self.assertTrue(is_whole(endless))
        self.assertEqual(ja4(endless), "")
        self.assertTrue(is_whole(b"\x16" * MAX_HELLO_BYTES))

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=300))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes give a fingerprint or none, never an error."""
        is_whole(data)
        self.assertIsInstance(ja4(data), str)

    @settings(max_examples=300, deadline=None)
    @given(st.integers(0, 400), st.integers(0, 255))
    def test_any_change(self, position: int, value: int) -> None:
        """A ClientHello with any byte changed gives a fingerprint or none, never an error."""
        data = bytearray(hello())
        data[position % len(data)] = value
        is_whole(bytes(data))
        self.assertIsInstance(ja4(bytes(data)), str)
