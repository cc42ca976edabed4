"""A dishonest gateway: holds the link to the backend, and does to the lines what it likes.

Knows every line in both directions and no key of a sealed session. It drops, repeats, delays,
reflects, cuts, splices, misdirects and forges; what it cannot do is make a line that opens.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from trus.protocol.link import format_device_line
from trus.simulation.chance import Chance
from trus.simulation.clockwork import Clockwork
from trus.simulation.wires import Wire

_HEAD: Final = b"DATA LINE c="
#: Lines remembered of each direction.
_REMEMBERED: Final = 400
_FORGERIES: Final = (
    b"INFO RESULT s=%b id=%b result=approved code=00 approval=AAAAAA rrn=632400000001",
    b"INFO RESULT s=%b id=%b result=declined code=05",
    b"INFO RESULT s=%b id=%b result=reversed code=00",
    b"INFO ERROR s=%b id=%b code=busy",
    b"COMMAND PRESENT-PIN s=%b id=%b",
)


class Meddler:
    """What one dishonest gateway knows and does, over all its links."""

    def __init__(self, work: Clockwork, name: str, chance: Chance) -> None:
        self._work = work
        self._name = name
        self._chance = chance
        self.active = False
        self.rate = 0.0
        self.counts: Counter[str] = Counter()
        #: Lines seen towards the backend (0) and towards devices (1): connection, line.
        self._seen: tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]] = ([], [])
        self._held: list[bytes] = []

    def take_hold(self, near: Wire, far: Wire) -> None:
        """Sit on a link: `near` is the gateway's end, `far` the backend's."""
        near.meddling = lambda data: self._pass(data, 0)
        far.meddling = lambda data: self._pass(data, 1)

    def _pass(self, data: bytes, direction: int) -> bytes:
        if not self.active:
            if self._held:
                held, self._held = self._held, []
                return b"".join(held) + data
            return data
        out: list[bytes] = []
        for line in data.splitlines(keepends=True):
            out += self._line(line, direction)
        return b"".join(out)

    def _line(self, line: bytes, direction: int) -> list[bytes]:
        if not line.startswith(_HEAD) or not line.endswith(b"\r\n"):
            return [line]
        head, _, inner = line.partition(b" :")
        connection, inner = int(head[len(_HEAD) :]), inner[:-2]
        seen = self._seen[direction]
        seen.append((connection, inner))
        del seen[:-_REMEMBERED]
        held, self._held = self._held, []
        if not self._chance.happens(self.rate):
            return [line, *held]
        name, lines = self._meddle(connection, inner, line, direction)
        self.counts[name] += 1
        self._work.say(self._name, "meddles:", name, "towards", "devices" if direction else "backend")
        return lines + held

    def _meddle(self, connection: int, inner: bytes, line: bytes, direction: int) -> tuple[str, list[bytes]]:
        chance = self._chance
        match chance.below(11):
            case 0:
                return "drop", []
            case 1:
                return "duplicate", [line, line]
            case 2:
                number, old = chance.choose(self._seen[direction])
                return "replay", [line, format_device_line(number, old)]
            case 3:
                _, old = chance.choose(self._seen[direction])
                return "replay elsewhere", [line, format_device_line(connection, old)]
            case 4:
                self._held.append(line)
                return "reorder", []
            case 5:
                return "truncate", [format_device_line(connection, inner[: chance.below(len(inner) + 1)])]
            case 6:
                place = chance.below(len(inner))
                changed = bytes([inner[place] ^ (1 << chance.below(7))])
                if changed in b"\r\n":
                    changed = b"?"
                return "alter", [format_device_line(connection, inner[:place] + changed + inner[place + 1 :])]
            case 7:
                _, other = chance.choose(self._seen[direction])
                mine, _, _ = inner.rpartition(b" seal=")
                _, _, seal = other.rpartition(b" seal=")
                return "splice", [format_device_line(connection, mine + b" seal=" + seal)]
            case 8:
                opposite = self._seen[1 - direction]
                if not opposite:
                    return "drop", []
                _, theirs = chance.choose(opposite)
                return "reflect", [line, format_device_line(connection, theirs)]
            case 9:
                number, _ = chance.choose(self._seen[direction])
                return "misdirect", [format_device_line(number, inner)]
            case _:
                return "forge", [format_device_line(connection, self._forgery(inner)), line]

    def _forgery(self, inner: bytes) -> bytes:
        """Return a line without a seal, or with somebody's, about a dialogue that is open."""
        fields = dict(part.partition(b"=")[::2] for part in inner.split(b" ")[2:])
        made = self._chance.choose(_FORGERIES) % (fields.get(b"s", b"AAAAAAAAAAAAAAAA"), fields.get(b"id", b"c1"))
        if self._chance.below(2):
            made += b" seal=" + fields.get(b"seal", b"AAAA")
        return made
