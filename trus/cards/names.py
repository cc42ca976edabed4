"""Writes a person's name in the few characters that track 1 of a stripe has (ISO/IEC 7813).

Keeps no name and judges none: names come in every script, and what cannot be written is left
out. The spelling on the stripe is for a receipt; nobody is recognised by it.
"""

from __future__ import annotations

import re
from typing import Final

from anyascii import anyascii

#: ISO/IEC 7813: the name has 2 to 26 characters.
MAX_NAME_CHARACTERS: Final = 26
#: Between surname and given name.
SEPARATOR: Final = "/"
#: ISO/IEC 7813's form of "no name".
NO_NAME: Final = " /"

# Of the 64 characters of track 1, "!\"&'*+,:;<=>@_" are for the machine and "%^?" frame the fields.
_UNWRITABLE: Final = re.compile(r"[^ .\-0-9A-Z]+", re.ASCII)
_TRACK_NAME: Final = re.compile(r"[ .\-/0-9A-Z]{2,26}", re.ASCII)


def track_name(surname: str, given: str) -> str:
    """Return "SURNAME/GIVEN" in the characters of track 1, at most 26 of them.

    Both parts may be in any script; where they are too long, the given name gives way first.
    """
    family, first = _plain(surname), _plain(given)
    if not family:
        family, first = first, ""
    if not family:
        return NO_NAME
    if not first:
        return family[: MAX_NAME_CHARACTERS - 1].rstrip() + SEPARATOR
    room = MAX_NAME_CHARACTERS - len(SEPARATOR)
    if len(family) + len(first) > room:
        first = first[: max(1, room - len(family))].rstrip()
        family = family[: room - len(first)].rstrip()
    return f"{family}{SEPARATOR}{first}"


def is_track_name(name: str) -> bool:
    """Return whether a name can stand on track 1."""
    return _TRACK_NAME.fullmatch(name) is not None


def _plain(text: str) -> str:
    words = (_UNWRITABLE.sub("", word) for word in anyascii(text).upper().split())
    return " ".join(word for word in words if word)
