"""Seals lines to one authenticated peer and opens that peer's lines.

Opens no sockets and never answers a forgery: a wrong tag or sequence number raises
SessionEnded and the session is over without a word.
Specification: docs/protocol.md, "The seal".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from trus.protocol.messages import Kind, Message, Side
from trus.values import PeerIdentity

#: Records in one direction under one key before the session resumes in place.
MAX_RECORDS: Final = 1 << 20
#: Age of the keys in seconds before the session resumes in place.
MAX_KEY_AGE_SECONDS: Final = 3600


class SealedSession:
    """One sealed session, seen from one side.

    `label` is the session's name on the connection (field s). `peer` is the verified holder
    of the other end's certificate. `side` is this end. `pin_key` (16 bytes, AES) is the key
    of the ISO 9564-1 format 4 PIN blocks of this session.
    """

    label: str
    peer: PeerIdentity
    side: Side
    pin_key: bytes
    records: int

    def seal(
        self,
        kind: Kind,
        verb: str,
        clear: Mapping[str, str],
        sealed: Mapping[str, str],
        *,
        dialogue: str | None = None,
    ) -> bytes:
        """Return the sealed line with its CR LF.

        Fields that the table seals go into `sealed`, the others into `clear`; `dialogue` is
        the field id. Raises LocalProtocolError for what table or state forbid, SessionEnded
        after the end.
        """
        raise NotImplementedError

    def open(self, line: bytes) -> Message:
        """Return what a line (without CR LF) of the peer says, clear and sealed fields merged.

        Raises SessionEnded for a wrong tag, sequence or unsealed line (close, say nothing),
        RemoteProtocolError for a genuine line that breaks grammar, table or order (answer
        INFO ERROR with its code, sealed; the session goes on).
        """
        raise NotImplementedError

    def open_dialogue(self) -> str:
        """Return the id of a new dialogue of this side, such as "c7"."""
        raise NotImplementedError

    def needs_rekey(self, now: datetime) -> bool:
        """Say whether key age or record count asks for a resumption in place."""
        raise NotImplementedError

    def end(self, reason: str) -> None:
        """Forget the keys; every later use raises SessionEnded."""
        raise NotImplementedError
