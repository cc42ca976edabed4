"""Notices what one card cannot do and two can: too many tries in a while, and places too far apart in too little time.

Pure figures of a card, kept in its row, for companies whose policy asks for them. Counted are requests of a genuine
card after its PIN; the place is that of the last purchase that was approved. Shops without coordinates are
nowhere: nothing is said of them.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from trus.auth.case import Case, Figures

#: Within this distance two shops are one place: coordinates are often those of a street.
SAME_PLACE_KM: Final = 5
_EARTH_KM: Final = 6371.0


class Signals(msgspec.Struct, frozen=True, array_like=True):
    """What a card did lately. Moments are seconds since 1970-01-01 UTC.

    `tries` requests since `window`; the last approved purchase was made at `at`, at `shop` in `place`
    ("latitude,longitude" in degrees, "" where there was none). Its stripe was last read at the terminal `read_at` as
    number `read`, and `odd` readings were out of order (trus.auth.readings).
    """

    window: int = 0
    tries: int = 0
    at: int = 0
    place: str = ""
    shop: str = ""
    read_at: str = ""
    read: int = 0
    odd: int = 0


QUIET: Final = Signals()


def velocity(case: Case) -> Figures | None:
    """The card made as many requests as the company allows in that time."""
    limit, signals = case.policy.velocity_count, signals_of(case)
    tries = signals.tries if _window(case, signals) == signals.window else 0
    if limit is None or tries < limit:
        return None
    return {"count": tries, "count_limit": limit, "minutes": case.policy.velocity_minutes}


def too_far(case: Case) -> Figures | None:
    """The card was used too far away too short a time ago: one of the two is a copy."""
    speed, signals, place = case.policy.travel_speed, signals_of(case), case.terminal.place
    if speed is None or not place or not signals.place or place == signals.place:
        return None
    away = distance_km(signals.place, place)
    seconds = max(0, case.moment - signals.at)
    if away <= SAME_PLACE_KM or away * 3600 <= speed * seconds:
        return None
    return {"distance_km": int(away), "minutes": seconds // 60, "speed": speed, "shop_before": signals.shop}


def signals_of(case: Case) -> Signals:
    """Return what is kept of the card."""
    kept = case.card.signals
    return _decode(kept) if kept else QUIET


def after(case: Case, approved: bool) -> str:
    """Return what is kept after a request that the rules above let through."""
    signals = signals_of(case)
    window = _window(case, signals)
    tries = signals.tries + 1 if window == signals.window else 1
    last = (signals.at, signals.place, signals.shop)
    if approved and case.terminal.place:
        last = (case.moment, case.terminal.place, case.terminal.shop)
    return _to_text(Signals(window, tries, *last, signals.read_at, signals.read, signals.odd))


def with_reading(kept: str, terminal: str, number: int, *, odd: bool) -> str:
    """Return what is kept of a card with one more reading of its stripe: counted when it was odd, the last when not."""
    signals = _decode(kept) if kept else QUIET
    if odd:
        return _to_text(msgspec.structs.replace(signals, odd=signals.odd + 1))
    if not number or (terminal == signals.read_at and number < signals.read):
        return kept
    return _to_text(msgspec.structs.replace(signals, read_at=terminal, read=number))


def distance_km(one: str, other: str) -> float:
    """Return the distance between two places "latitude,longitude" in kilometres, on a round earth (haversine)."""
    (lat, lon), (lat_too, lon_too) = _radians(one), _radians(other)
    half = math.sin((lat_too - lat) / 2) ** 2 + math.cos(lat) * math.cos(lat_too) * math.sin((lon_too - lon) / 2) ** 2
    return 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(half)))


def _radians(place: str) -> tuple[float, float]:
    latitude, _, longitude = place.partition(",")
    return math.radians(float(latitude)), math.radians(float(longitude))


def _window(case: Case, signals: Signals) -> int:
    """Return where the window begins that this request falls into: that which is open, or a new one."""
    length = case.policy.velocity_minutes * 60
    return signals.window if signals.window and case.moment < signals.window + length else case.moment


def _to_text(signals: Signals) -> str:
    return _encode(signals).decode("ascii")


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Signals).decode
