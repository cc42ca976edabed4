"""Notices terminals that try card numbers, verification values or PINs out: slows them down, then blocks them.

Pure figures, kept in the terminal's row: nothing here reads a clock or a card. A wrong verification value
counts, and a wrong PIN of another card than those counted before; each is forgotten after a while, so that an
honest shop never gets anywhere near. A right PIN of a card that was not counted forgives one wrong PIN.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trus.values import Frozen

#: Cards remembered of a terminal, so that each counts once: more than block it.
MAX_CARDS: Final = 64


class WatchLimits(Frozen, frozen=True):
    """When a terminal is slowed down and when it is blocked.

    One value or PIN is forgotten every `forget_seconds`. Up to `free_values` wrong verification values and wrong
    PINs of `free_cards` cards nothing happens; each one more doubles the seconds for which nothing is checked, up
    to `longest_wait`. With `most_values` or `most_cards` the terminal is blocked.
    """

    forget_seconds: int = 600
    free_values: int = 10
    most_values: int = 20
    free_cards: int = 10
    most_cards: int = 30
    longest_wait: int = 300


class Watch(msgspec.Struct, frozen=True, array_like=True):
    """What a terminal has tried lately. Moments are seconds since 1970-01-01 UTC.

    `values` wrong verification values are counted as of `values_at`, wrong PINs of `pins` cards as of `pins_at`;
    `cards` are those counted, by the ledger's numbers. Nothing is checked before `until`. `read` is the highest
    number of a stripe's reading that came from it, and `reads` has a bit for each of the last (trus.auth.readings);
    these are never forgotten.
    """

    values: int = 0
    values_at: int = 0
    pins: int = 0
    pins_at: int = 0
    cards: tuple[int, ...] = ()
    until: int = 0
    read: int = 0
    reads: int = 0


UNWATCHED: Final = Watch()


def wrong_value(watch: Watch, now: int, limits: WatchLimits) -> Watch:
    """Return what is known after a wrong verification value, or a card that does not exist."""
    watch = lately(watch, now, limits)
    return _slowed(
        msgspec.structs.replace(watch, values=watch.values + 1, values_at=watch.values_at or now), now, limits
    )


def wrong_pin(watch: Watch, card: int, now: int, limits: WatchLimits) -> Watch:
    """Return what is known after a wrong PIN of a card; a card that was counted before counts no more."""
    watch = lately(watch, now, limits)
    if card in watch.cards:
        return watch
    cards = (*watch.cards, card)[-MAX_CARDS:]
    pins = msgspec.structs.replace(watch, pins=watch.pins + 1, pins_at=watch.pins_at or now, cards=cards)
    return _slowed(pins, now, limits)


def right_pin(watch: Watch, card: int, now: int, limits: WatchLimits) -> Watch:
    """Return what is known after a right PIN: it forgives one wrong one, each card once."""
    watch = lately(watch, now, limits)
    if not watch.pins or card in watch.cards:
        return watch
    return _tidy(msgspec.structs.replace(watch, pins=watch.pins - 1, cards=(*watch.cards, card)[-MAX_CARDS:]))


def lately(watch: Watch, now: int, limits: WatchLimits) -> Watch:
    """Return what is still held against the terminal. A clock that goes back forgets nothing."""
    values, values_at = _left(watch.values, watch.values_at, now, limits.forget_seconds)
    pins, pins_at = _left(watch.pins, watch.pins_at, now, limits.forget_seconds)
    until = watch.until if watch.until > now else 0
    return _tidy(Watch(values, values_at, pins, pins_at, watch.cards, until, watch.read, watch.reads))


def seconds_left(watch: Watch, now: int) -> int:
    """Return for how many more seconds nothing is checked for the terminal; 0 when it may ask."""
    return max(0, watch.until - now)


def is_swept(watch: Watch, limits: WatchLimits) -> bool:
    """Return whether the terminal has tried so much that it is blocked."""
    return watch.values >= limits.most_values or watch.pins >= limits.most_cards


def with_readings(watch: Watch, highest: int, used: int) -> Watch:
    """Return what is known with another record of the readings of its stripes."""
    return msgspec.structs.replace(watch, read=highest, reads=used)


def forgiven(text: str) -> str:
    """Return what is kept of a terminal after its standing was changed: the readings of its stripes alone."""
    watch = watch_from_text(text)
    return watch_to_text(Watch(read=watch.read, reads=watch.reads))


def watch_to_text(watch: Watch) -> str:
    """Return what is kept, "" for nothing."""
    return "" if watch == UNWATCHED else _encode(watch).decode("ascii")


def watch_from_text(text: str) -> Watch:
    """Return what `watch_to_text` wrote. Raises msgspec.MsgspecError for anything else."""
    return _decode(text) if text else UNWATCHED


def _slowed(watch: Watch, now: int, limits: WatchLimits) -> Watch:
    over = max(watch.values - limits.free_values, watch.pins - limits.free_cards)
    if over <= 0:
        return watch
    wait = min(limits.longest_wait, 1 << min(over, 30))
    return msgspec.structs.replace(watch, until=max(watch.until, now + wait))


def _left(count: int, since: int, now: int, forget_seconds: int) -> tuple[int, int]:
    """Return what of a count is left, and the moment from which the next one is forgotten."""
    forgotten = max(0, now - since) // forget_seconds if count else 0
    return (count - forgotten, since + forgotten * forget_seconds) if forgotten < count else (0, 0)


def _tidy(watch: Watch) -> Watch:
    return watch if watch.pins else msgspec.structs.replace(watch, pins_at=0, cards=())


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Watch).decode
