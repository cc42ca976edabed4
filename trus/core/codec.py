"""Turns batches into frames between front and core, and back.

Opens nothing: the frames' transport belongs to trus.net.framing. The payload of a frame is
MessagePack made by msgspec from the frozen values of trus.core.messages, so that decoding
can build nothing but those values, whatever the bytes say.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trus.core.messages import Answer, Request
from trus.values import Frozen

#: The longest frame in bytes. A batch of 1,024 requests of two certificates each is about
#: 2 MiB; an answer that lists rows for an admin stays below 4 MiB.
MAX_FRAME_BYTES: Final = 16 << 20


class Batch(Frozen, frozen=True, tag="batch"):
    """Front to core: answer these, in order."""

    number: int
    requests: list[Request]


class Stop(Frozen, frozen=True, tag="stop"):
    """Front to core: finish what is under way, close token and database, exit."""


class Started(Frozen, frozen=True, tag="started"):
    """Core to front, first and once: `fault` is empty when token and database are open.

    Otherwise it is one sentence for the operator, and the core exits; `wrong_pin` says that the token
    refused the PIN, which must not be tried again.
    """

    fault: str = ""
    wrong_pin: bool = False


class Answers(Frozen, frozen=True, tag="answers"):
    """Core to front: the answers of the batch of that number, in its order."""

    number: int
    answers: list[Answer]


class Note(Frozen, frozen=True, tag="note"):
    """Core to front: a line for the operator's log. Never holds a secret or peer's bytes."""

    level: str
    text: str


ToCore = Batch | Stop
FromCore = Started | Answers | Note

_encoder: Final = msgspec.msgpack.Encoder()
_to_core: Final[msgspec.msgpack.Decoder[ToCore]] = msgspec.msgpack.Decoder(ToCore)
_from_core: Final[msgspec.msgpack.Decoder[FromCore]] = msgspec.msgpack.Decoder(FromCore)


def encode(value: ToCore | FromCore) -> bytes:
    """Return the payload of one frame."""
    return _encoder.encode(value)


def decode_to_core(payload: bytes) -> ToCore:
    """Return what the front said. Raises msgspec.DecodeError for anything else."""
    return _to_core.decode(payload)


def decode_from_core(payload: bytes) -> FromCore:
    """Return what the core said. Raises msgspec.DecodeError for anything else."""
    return _from_core.decode(payload)
