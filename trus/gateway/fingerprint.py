"""Names a device's TLS program by what its ClientHello offers: the JA4 fingerprint.

Decides nothing about it, and believes nothing: whoever knows a fingerprint can imitate it. It tells
one program from another where many share a certificate, and is reported to the backend with each
connection. Any bytes whatsoever give a fingerprint or an empty text, never an error.
Sources: JA4 (TLS client fingerprint, FoxIO), RFC 8446 section 4.1.2, RFC 8701 (GREASE).
"""

from __future__ import annotations

import hashlib
from typing import Final

from twisted.internet.interfaces import IProtocol
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

#: A ClientHello of two records at most: more is no device of ours.
MAX_HELLO_BYTES: Final = 16_384 + 2_048

_HANDSHAKE_RECORD: Final = 0x16
_CLIENT_HELLO: Final = 0x01
_SERVER_NAME: Final = 0x0000
_SIGNATURE_ALGORITHMS: Final = 0x000D
_ALPN: Final = 0x0010
_SUPPORTED_VERSIONS: Final = 0x002B
_VERSIONS: Final = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10"}
_NOTHING: Final = "000000000000"
_MOST_COUNTED: Final = 99


class _Short(Exception):
    """The bytes end before the structure does."""


class _Octets:
    """Reads the vectors of TLS one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes. Raises _Short."""
        if count > self.left:
            raise _Short
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "big")

    def vector(self, octets: int) -> bytes:
        """Return what a length of so many octets announces."""
        return self.take(self.number(octets))


def ja4(data: bytes) -> str:
    """Return the JA4 fingerprint of the ClientHello that a TCP stream begins with.

    `data` is what has arrived. Returns an empty text when that is no whole ClientHello.
    """
    try:
        return _fingerprint(_Octets(_message(_Octets(data))))
    except _Short:
        return ""


def is_whole(data: bytes) -> bool:
    """Say whether more bytes would not change the fingerprint of what has arrived."""
    if len(data) >= MAX_HELLO_BYTES or (data and data[0] != _HANDSHAKE_RECORD):
        return True
    try:
        _message(_Octets(data))
    except _Short:
        return False
    return True


def _message(stream: _Octets) -> bytes:
    """Return the body of the first handshake message, gathered from its records. Raises _Short."""
    gathered = b""
    while True:
        if stream.number(1) != _HANDSHAKE_RECORD:
            raise _Short
        stream.take(2)
        gathered += stream.vector(2)
        if len(gathered) >= 4:
            length = 4 + int.from_bytes(gathered[1:4], "big")
            if gathered[0] != _CLIENT_HELLO or length > MAX_HELLO_BYTES:
                return b""
            if len(gathered) >= length:
                return gathered[4:length]


def _fingerprint(hello: _Octets) -> str:
    version = hello.number(2)
    hello.take(32)
    hello.vector(1)
    ciphers = _plain(_numbers(hello.vector(2)))
    hello.vector(1)
    extensions = _extensions(_Octets(hello.vector(2))) if hello.left else {}
    kinds = _plain(list(extensions))
    offered = _plain(_numbers(extensions.get(_SUPPORTED_VERSIONS, b"")[1:]))
    head = "".join(
        [
            "t",
            _VERSIONS.get(max(offered, default=version), "00"),
            "d" if _SERVER_NAME in extensions else "i",
            f"{min(len(ciphers), _MOST_COUNTED):02d}{min(len(kinds), _MOST_COUNTED):02d}",
            _protocol(extensions.get(_ALPN, b"")),
        ]
    )
    signatures = _numbers(extensions.get(_SIGNATURE_ALGORITHMS, b"")[2:])
    listed = _listed(sorted(kind for kind in kinds if kind not in (_SERVER_NAME, _ALPN)))
    if signatures:
        listed += "_" + _listed(_plain(signatures))
    return f"{head}_{_hashed(_listed(sorted(ciphers)))}_{_hashed(listed)}"


def _extensions(octets: _Octets) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while octets.left:
        kind = octets.number(2)
        found[kind] = octets.vector(2)
    return found


def _numbers(octets: bytes) -> list[int]:
    return [int.from_bytes(octets[at : at + 2], "big") for at in range(0, len(octets) - 1, 2)]


def _plain(numbers: list[int]) -> list[int]:
    """Leave out GREASE values, which are drawn anew for each connection (RFC 8701)."""
    return [number for number in numbers if not (number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF)]


def _protocol(alpn: bytes) -> str:
    """Return the first and last character of the first protocol that ALPN offers (RFC 7301)."""
    name = alpn[3 : 3 + alpn[2]] if len(alpn) > 2 else b""
    if not name:
        return "00"
    ends = name[:1] + name[-1:]
    return ends.decode("ascii") if ends.isalnum() else f"{name.hex()[0]}{name.hex()[-1]}"


def _listed(numbers: list[int]) -> str:
    return ",".join(f"{number:04x}" for number in numbers)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:12] if text else _NOTHING


class FingerprintingTLS(TLSMemoryBIOProtocol):
    """TLS that looks at the ClientHello before OpenSSL does, and then steps out of the way.

    `fingerprint` is there once the handshake is complete. Small writes are not gathered: an answer
    is one line, so that gathering would cost a delayed call each and gather nothing.
    """

    fingerprint = ""

    def __init__(self, factory: TLSMemoryBIOFactory, wrappedProtocol: IProtocol) -> None:  # noqa: N803 - Twisted's name
        super().__init__(factory, wrappedProtocol)  # type: ignore[no-untyped-call]
        self._beginning = b""
        # An instance's attribute hides the class's method until it is deleted: no cost afterwards.
        self.dataReceived = self._hello_received  # type: ignore[method-assign]

    def _hello_received(self, data: bytes) -> None:
        self._beginning += data
        if is_whole(self._beginning):
            self.fingerprint = ja4(self._beginning)
            self._beginning = b""
            del self.dataReceived
        TLSMemoryBIOProtocol.dataReceived(self, data)
