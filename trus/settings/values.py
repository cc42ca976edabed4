"""Says quantities of the settings so that they cannot be misread: durations, sizes, databases.

Reads no file. A bare number is refused where a unit belongs, so that 30 is never taken for
minutes by one reader and for seconds by another.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import attrs

_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)", re.ASCII)
_SECONDS_OF: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZE: Final = re.compile(r"([0-9]{1,9})(B|KiB|MiB|GiB)", re.ASCII)
_BYTES_OF: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_PASSWORD: Final = re.compile(r"(://[^:/@]*):[^@/]*@")


@attrs.frozen(order=True)
class Duration:
    """A length of time; written as a whole number and ms, s, m, h or d: `30s`."""

    seconds: float

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Return the duration that `text` writes. Raises ValueError."""
        found = _DURATION.fullmatch(text)
        if found is None:
            raise ValueError("not a duration")
        return cls(int(found[1]) * _SECONDS_OF[found[2]])

    def __str__(self) -> str:
        """Write with the largest unit that leaves a whole number."""
        milliseconds = round(self.seconds * 1000)
        for unit in ("d", "h", "m", "s"):
            step = round(_SECONDS_OF[unit] * 1000)
            if milliseconds and milliseconds % step == 0:
                return f"{milliseconds // step}{unit}"
        return f"{milliseconds}ms"


@attrs.frozen(order=True)
class Size:
    """An amount of memory; written as a whole number and B, KiB, MiB or GiB: `64KiB`."""

    octets: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """Return the size that `text` writes. Raises ValueError."""
        found = _SIZE.fullmatch(text)
        if found is None:
            raise ValueError("not a size")
        return cls(int(found[1]) * _BYTES_OF[found[2]])

    def __str__(self) -> str:
        """Write with the largest unit that leaves a whole number."""
        for unit in ("GiB", "MiB", "KiB"):
            if self.octets and self.octets % _BYTES_OF[unit] == 0:
                return f"{self.octets // _BYTES_OF[unit]}{unit}"
        return f"{self.octets}B"


@attrs.frozen
class DatabaseUrl:
    """Where the ledger is: a SQLCipher file, or a PostgreSQL server.

    Exactly one is set: `path`, absolute, for `sqlcipher:FILE`; `server`, a SQLAlchemy URL,
    for `postgresql+psycopg://...`. The repr and str never show a password.
    """

    path: Path | None = None
    server: str | None = attrs.field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str, base: Path) -> DatabaseUrl:
        """Return what `text` names, a relative file being below `base`. Raises ValueError."""
        scheme, colon, rest = text.partition(":")
        if not colon or not rest:
            raise ValueError("no scheme")
        if scheme == "sqlcipher":
            return cls(path=(base / rest.removeprefix("//")).absolute())
        if scheme == "postgresql+psycopg" and rest.startswith("//"):
            return cls(server=text)
        raise ValueError("unknown scheme")

    def __str__(self) -> str:
        """Write the URL, the password replaced by three stars."""
        if self.path is not None:
            return f"sqlcipher:{self.path}"
        return _PASSWORD.sub(r"\1:***@", self.server or "")
