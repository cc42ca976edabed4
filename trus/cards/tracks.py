"""Writes and reads the two tracks of a card's magnetic stripe (ISO/IEC 7813).

Judges nothing: an unknown number, a past date and a wrong verification value are found by the
issuer. What does not have the form of a track is refused with a fixed word, never repeated. The
check digit is not looked at here: a number that was never issued answers like one with a wrong
verification value, after equal work.
"""

from __future__ import annotations

import re
from typing import Final

from trus.cards.errors import CardDataRefused
from trus.cards.numbers import CardNumber
from trus.values import Secret, TrackTwo

#: Closed network, authorized on line by the issuer, goods and services with PIN.
SERVICE_CODE: Final = "725"
#: The same, PIN where feasible.
SERVICE_CODE_PIN_WHERE_FEASIBLE: Final = "727"

#: ISO/IEC 7813: longest tracks in characters, sentinels and LRC included.
TRACK_ONE_CHARACTERS: Final = 79
TRACK_TWO_CHARACTERS: Final = 40
_FRAME_CHARACTERS: Final = 3  # start sentinel, end sentinel, LRC
_MAX_ONE: Final = TRACK_ONE_CHARACTERS - _FRAME_CHARACTERS
_MAX_TWO: Final = TRACK_TWO_CHARACTERS - _FRAME_CHARACTERS

_EXPIRY: Final = r"([0-9]{2}(?:0[1-9]|1[0-2]))"
_TRACK_TWO: Final = re.compile(rf"([0-9]{{8,19}})={_EXPIRY}([0-9]{{3}})([0-9]*)", re.ASCII)
_TRACK_ONE: Final = re.compile(
    rf"B([0-9]{{8,19}})\^([ .\-/0-9A-Z]{{2,26}})\^{_EXPIRY}([0-9]{{3}})([ #$()./0-9A-Z\[\\\]-]*)", re.ASCII
)


class StripeData(Secret, frozen=True):
    """What the tracks hold: number, expiry (YYMM), service code (3 digits), discretionary data."""

    number: CardNumber
    expiry: str
    service_code: str
    discretionary: str


class TrackOne(Secret, frozen=True):
    """Track 1, format B, without sentinels and LRC: B PAN ^ NAME ^ YYMM SSS discretionary."""

    text: str


class RawTrack(Secret, frozen=True):
    """A track as a reader gives it: start sentinel, text, end sentinel, and its LRC if the reader passes it on."""

    text: str


def encode_track_two(data: StripeData) -> TrackTwo:
    """Return track 2 of the data. Raises CardDataRefused for a part of wrong form or length."""
    track = TrackTwo(f"{data.number.digits}={data.expiry}{data.service_code}{data.discretionary}")
    parse_track_two(track)
    return track


def parse_track_two(track: TrackTwo) -> StripeData:
    """Return what track 2 holds. Raises CardDataRefused."""
    match = _TRACK_TWO.fullmatch(track.text) if len(track.text) <= _MAX_TWO else None
    if match is None:
        raise CardDataRefused("track2")
    digits, expiry, service_code, discretionary = match.groups()
    return StripeData(CardNumber(digits), expiry, service_code, discretionary)


def encode_track_one(data: StripeData, name: str) -> TrackOne:
    """Return track 1 of the data and a name made by trus.cards.names.track_name.

    Raises CardDataRefused for a part of wrong form or length.
    """
    track = TrackOne(f"B{data.number.digits}^{name}^{data.expiry}{data.service_code}{data.discretionary}")
    parse_track_one(track)
    return track


def parse_track_one(track: TrackOne) -> tuple[StripeData, str]:
    """Return what track 1 holds, and the name on it. Raises CardDataRefused."""
    match = _TRACK_ONE.fullmatch(track.text) if len(track.text) <= _MAX_ONE else None
    if match is None:
        raise CardDataRefused("track1")
    digits, name, expiry, service_code, discretionary = match.groups()
    return StripeData(CardNumber(digits), expiry, service_code, discretionary), name


def raw_track_one(track: TrackOne) -> RawTrack:
    """Return track 1 as it lies on the stripe: %, text, ?, LRC."""
    return _framed("%", track.text, 0x20, 0x3F)


def raw_track_two(track: TrackTwo) -> RawTrack:
    """Return track 2 as it lies on the stripe: ;, text, ?, LRC."""
    return _framed(";", track.text, 0x30, 0x0F)


def read_track_one(raw: RawTrack) -> TrackOne:
    """Return track 1 from a reader's output, with or without its LRC.

    Raises CardDataRefused for missing sentinels or a wrong LRC (a misread stripe).
    """
    track = TrackOne(_unframed("%", raw.text, 0x20, 0x3F) or "")
    if not track.text:
        raise CardDataRefused("track1-misread")
    return track


def read_track_two(raw: RawTrack) -> TrackTwo:
    """Return track 2 from a reader's output, with or without its LRC.

    Raises CardDataRefused for missing sentinels or a wrong LRC (a misread stripe).
    """
    track = TrackTwo(_unframed(";", raw.text, 0x30, 0x0F) or "")
    if not track.text:
        raise CardDataRefused("track2-misread")
    return track


def _framed(start: str, text: str, base: int, mask: int) -> RawTrack:
    framed = f"{start}{text}?"
    return RawTrack(framed + _redundancy(framed, base, mask))


def _unframed(start: str, raw: str, base: int, mask: int) -> str | None:
    end = raw.find("?")
    if end < 1 or raw[0] != start:
        return None
    framed, redundancy = raw[: end + 1], raw[end + 1 :]
    if redundancy and redundancy != _redundancy(framed, base, mask):
        return None
    return framed[1:-1]


def _redundancy(framed: str, base: int, mask: int) -> str:
    """Return the longitudinal redundancy character (ISO/IEC 7811-2): even parity of each bit column."""
    total = 0
    for character in framed:
        total ^= (ord(character) - base) & mask
    return chr(base + total)
