"""Says how a line is described: its kind, its sides, its phase, its cover, its fields.

Describes nothing itself: the one list is trus.protocol.verbs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from trus.protocol.fields import FieldType


class Kind(StrEnum):
    """The three kinds of line (TR-19): state, order, material."""

    INFO = "INFO"
    DATA = "DATA"
    COMMAND = "COMMAND"


class Phase(StrEnum):
    """Whether the session of a line is authenticated."""

    OPENING = "opening"
    SEALED = "sealed"


class Side(StrEnum):
    """Who says a line, seen from its session.

    The device is the initiator towards the backend; the card is towards a POS.
    """

    INITIATOR = "initiator"
    RESPONDER = "responder"
    GATEWAY = "gateway"

    @property
    def other(self) -> Side:
        """The other end of a session."""
        return Side.RESPONDER if self is Side.INITIATOR else Side.INITIATOR


class Cover(StrEnum):
    """Whether a line ends in a seal."""

    CLEAR = "clear"
    SEALED = "sealed"


class Need(StrEnum):
    """Whether a field is there."""

    NEVER = "never"
    MAY = "may"
    MUST = "must"


class FieldSpec(NamedTuple):
    """A field of a verb. `since` is the protocol version that brought it."""

    name: str
    type: FieldType
    meaning: str
    need: Need = Need.MUST
    since: int = 1


class VerbSpec(NamedTuple):
    """A line that one side may say.

    `opening` and `after` say how the line is covered before and after its session is
    authenticated; None means that it may not be said then. The fields `together` are all
    there or all absent.
    """

    kind: Kind
    verb: str
    by: tuple[Side, ...]
    opening: Cover | None
    after: Cover | None
    session: Need
    dialogue: Need
    clear: tuple[FieldSpec, ...]
    sealed: tuple[FieldSpec, ...]
    meaning: str
    since: int = 1
    together: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """Kind and verb, such as "COMMAND PROCESS"."""
        return f"{self.kind} {self.verb}"
