"""Holds the octet patterns of a line, each beside the rule of the specification it implements.

Knows no verb and keeps no state. Every quantifier of one set of octets is possessive or
bounded, no alternative starts like another one, and no repeated group starts like what may
follow it, so that matching is linear in the length of the line. No group is possessive:
Python before 3.11.5, which Debian 12 has, goes on in the middle of a group that failed.
Specification: docs/protocol.md, "Lines" (the ABNF there is tested against these patterns).
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError

#: kind = %s"INFO" / %s"DATA" / %s"COMMAND"
KIND: Final = rb"(?:INFO|DATA|COMMAND)"
#: verb = UPPER 0*30( UPPER / DIGIT / "-" )
VERB: Final = rb"[A-Z][A-Z0-9-]{0,30}+"
#: name = LOWER 0*30( LOWER / DIGIT / "-" )
NAME: Final = rb"[a-z][a-z0-9-]{0,30}+"
#: token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / ":" / "/" / "+" / "=" / "@" / "," / "*" )
TOKEN: Final = rb"[A-Za-z0-9._~:/+=@,*-]++"
#: What a quoted value may hold beside escapes: printable ASCII, and UTF-8 (RFC 3629) without
#: C1 controls, line and paragraph separators, and the characters that turn the direction of
#: text (U+202A-202E, U+2066-2069), which make a screen or a log say something else.
QCHAR: Final = (
    rb"(?:[\x20\x21\x23-\x5b\x5d-\x7e]"
    rb"|\xc2[\xa0-\xbf]|[\xc3-\xdf][\x80-\xbf]"
    rb"|\xe0[\xa0-\xbf][\x80-\xbf]|\xe1[\x80-\xbf][\x80-\xbf]"
    rb"|\xe2(?:\x80[\x80-\xa7\xaf-\xbf]|\x81[\x80-\xa5\xaa-\xbf]|[\x82-\xbf][\x80-\xbf])"
    rb"|[\xe3-\xec\xee\xef][\x80-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
    rb'|\\["\\])'
)
#: quoted = DQUOTE *qchar DQUOTE
QUOTED: Final = rb'"' + QCHAR + rb'*"'
#: value = token / quoted
VALUE: Final = rb"(?:" + TOKEN + rb"|" + QUOTED + rb")"
#: base64url = 2*( ALPHA / DIGIT / "-" / "_" ), RFC 4648 section 5, never padded
BASE64URL: Final = rb"[A-Za-z0-9_-]++"
#: label = 16( ALPHA / DIGIT / "-" / "_" ): 96 bits
LABEL: Final = rb"[A-Za-z0-9_-]{16}"
#: dialogue = ( "c" / "s" ) %x31-39 0*8DIGIT
DIALOGUE: Final = rb"[cs][1-9][0-9]{0,8}+"

#: What stands between the line's checked part and its seal.
SEAL_MARK: Final = b" seal="

_TOKEN_TEXT: Final = re.compile(r"[A-Za-z0-9._~:/+=@,*-]+", re.ASCII)
_QUOTED_OCTETS: Final = re.compile(QUOTED)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
# "+", "/" and "=" belong to the other alphabet: they become an octet that no alphabet has.
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
#: By length modulo 4: the last characters that leave no stray bit (RFC 4648 section 3.5), and the padding.
_ENDINGS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", b""),
    (b"", b""),
    (b"AQgw", b"=="),
    (b"AEIMQUYcgkosw048", b"="),
)


def encode_base64url(data: bytes) -> bytes:
    """Return `data` in base64url without padding (RFC 4648 section 5)."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=")


def decode_base64url(text: bytes) -> bytes:
    """Return the octets that canonical, unpadded base64url stands for.

    Each value has one spelling: padding, white space, the other alphabet and stray bits in
    the last character are refused with RemoteProtocolError (bad-field).
    """
    if not text:
        return b""
    ends, padding = _ENDINGS[len(text) & 3]
    if text[-1] not in ends:
        raise RemoteProtocolError(ErrorCode.BAD_FIELD, "base64url")
    try:
        return binascii.a2b_base64(text.translate(_FROM_URL) + padding, strict_mode=True)
    except binascii.Error:
        raise RemoteProtocolError(ErrorCode.BAD_FIELD, "base64url") from None


def encode_value(text: str) -> bytes:
    """Return `text` as it stands after "name=": bare when it is a token, else quoted.

    Raises LocalProtocolError for characters that no line may carry.
    """
    if _TOKEN_TEXT.fullmatch(text):
        return text.encode("ascii")
    try:
        octets = b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode("utf-8") + b'"'
    except UnicodeEncodeError:
        raise LocalProtocolError("a value holds half a surrogate pair") from None
    if _QUOTED_OCTETS.fullmatch(octets) is None:
        raise LocalProtocolError("a value holds a character that no line may carry")
    return octets


def decode_value(octets: bytes) -> str:
    """Return the text of a value that already matched VALUE."""
    if octets[:1] != b'"':
        return octets.decode("ascii")
    text = octets[1:-1].decode("utf-8")
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text
