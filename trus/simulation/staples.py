"""Stamps OCSP answers with the run's own time, so that the same seed gives the same bytes.

The library that builds an answer (RFC 6960) reads the machine's clock for `producedAt` and takes no
other. Here that one field is replaced and the answer is signed again by the same key.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

_SEQUENCE: Final = 0x30
_BIT_STRING: Final = 0x03
_OCTET_STRING: Final = 0x04
_GENERALIZED_TIME: Final = 0x18
_EXPLICIT_0: Final = 0xA0


def stamp(answer: bytes, produced_at: datetime, sign: Callable[[bytes], bytes]) -> bytes:
    """Return an OCSP answer (DER) that says `produced_at`, signed again by `sign` (ECDSA, DER)."""
    [response] = _parts(answer)
    status, wrapped = _parts(response[1])
    [response_bytes] = _parts(wrapped[1])
    kind, octets = _parts(response_bytes[1])
    [basic] = _parts(octets[1])
    data, algorithm, _, *certificates = _parts(basic[1])
    fields = _parts(data[1])
    place = next(index for index, (tag, _) in enumerate(fields) if tag == _GENERALIZED_TIME)
    fields[place] = (_GENERALIZED_TIME, produced_at.strftime("%Y%m%d%H%M%SZ").encode("ascii"))
    signed = _whole(_SEQUENCE, *fields)
    signature = (_BIT_STRING, b"\x00" + sign(signed))
    basic_again = _whole(_SEQUENCE, _parts(signed)[0], algorithm, signature, *certificates)
    inner = _whole(_SEQUENCE, kind, (_OCTET_STRING, basic_again))
    return _whole(_SEQUENCE, status, (_EXPLICIT_0, inner))


_Part = tuple[int, bytes]


def _parts(content: bytes) -> list[_Part]:
    """Return the tags and contents that follow one another in `content`."""
    parts: list[_Part] = []
    place = 0
    while place < len(content):
        tag, length = content[place], content[place + 1]
        place += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(content[place : place + count], "big")
            place += count
        parts.append((tag, content[place : place + length]))
        place += length
    return parts


def _whole(tag: int, *parts: _Part) -> bytes:
    content = b"".join(_encoded(part) for part in parts)
    return _encoded((tag, content))


def _encoded(part: _Part) -> bytes:
    tag, content = part
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content
