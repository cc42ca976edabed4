"""Lists every kind of fault that a run can have: its name, how often it strikes, and what it does.

Does nothing (trus.simulation.nemesis does). The command line, the documentation and the tests that
count them read this one table. What a dishonest gateway does to lines and what a criminal's terminal
says are listed beside it, since they are drawn elsewhere.
"""

from __future__ import annotations

from typing import Final

import attrs


@attrs.frozen
class FaultKind:
    """One kind: its name, its weight among the kinds of a run, its place, and what it does."""

    name: str
    weight: int
    where: str
    what: str


_NETWORK: Final = "network"
_TERMINAL: Final = "terminal"
_GATEWAY: Final = "gateway"
_BACKEND: Final = "backend"
_LEDGER: Final = "ledger"
_TOKEN: Final = "key store"  # noqa: S105 - a place
_CLOCK: Final = "clocks"

FAULTS: Final = (
    FaultKind("connection cut", 8, _NETWORK, "a connection ends; what is on the way is lost, both ends hear of it"),
    FaultKind("connection half open", 3, _NETWORK, "a connection ends, and one end or both do not hear of it"),
    FaultKind("partition", 3, _NETWORK, "nothing passes between one place and another, or all others"),
    FaultKind("one-way partition", 2, _NETWORK, "nothing passes in one direction"),
    FaultKind("slow network", 3, _NETWORK, "pieces take up to 12 s on their way"),
    FaultKind("terminal killed", 4, _TERMINAL, "the process dies; all that was written is there"),
    FaultKind("terminal's power cut", 4, _TERMINAL, "the journal keeps what was synced and any part of the rest"),
    FaultKind(
        "terminal died while writing", 4, _TERMINAL, "its power fails just before or after a sync of the journal"
    ),
    FaultKind("journal's disk failed", 2, _TERMINAL, "a sync of the journal fails: the terminal is out of order"),
    FaultKind("died at an await", 5, "any part", "terminal, gateway, front or core dies at its n-th next event"),
    FaultKind("gateway killed", 2, _GATEWAY, "the process dies"),
    FaultKind("gateway's power cut", 2, _GATEWAY, "the machine is gone without a word"),
    FaultKind("dishonest gateway", 3, _GATEWAY, "it changes lines on their way for a while, as below"),
    FaultKind("core killed", 3, _BACKEND, "the core's process dies between two batches"),
    FaultKind("core died at a commit", 3, _BACKEND, "the core's process dies just before or after a commit"),
    FaultKind("core died in a statement", 3, _BACKEND, "the core's process dies in the middle of a transaction"),
    FaultKind("front killed", 3, _BACKEND, "the front dies; the core works off what it has received, and ends"),
    FaultKind("front and core killed", 2, _BACKEND, "both die at once"),
    FaultKind("backend's power cut", 3, _BACKEND, "the machine is gone; the file keeps what was durable and any more"),
    FaultKind("power cut at a commit", 2, _BACKEND, "the same, just before or after a commit"),
    FaultKind("power cut in a checkpoint", 1, _BACKEND, "the same, with pages of the main file half moved"),
    FaultKind("commit refused: disk full", 3, _LEDGER, "a commit fails for certain"),
    FaultKind("commit of unknown outcome", 3, _LEDGER, "a commit fails with an error; it is stored, or it is not"),
    FaultKind("statement failed", 2, _LEDGER, "a statement fails: disk full, or an error of the medium"),
    FaultKind("slow commits", 3, _LEDGER, "every batch takes up to 9 s longer"),
    FaultKind("token gone", 3, _TOKEN, "the key store is away for a while"),
    FaultKind("token pulled out in a batch", 2, _TOKEN, "it goes at its n-th next call"),
    FaultKind("slow token", 2, _TOKEN, "every call takes up to 2 s"),
    FaultKind("clock jumped", 2, _CLOCK, "one machine's wall clock goes on or back, by seconds up to two days"),
    FaultKind("all suspended", 1, _CLOCK, "all wall clocks go on by up to 25 h while nothing runs"),
    FaultKind("certificate expired", 2, _CLOCK, "a channel certificate ends, and is renewed a while later"),
    FaultKind("clock past all certificates", 1, _TERMINAL, "a terminal's clock shows a year in which none is valid"),
)

#: What cuts into the ledger's file: whoever asks for one of these gets a ledger in its file.
CUTTING: Final = frozenset({"backend's power cut", "power cut at a commit", "power cut in a checkpoint"})

#: What a dishonest gateway does to one line.
MEDDLING: Final = (
    "drop",
    "duplicate",
    "replay",
    "replay elsewhere",
    "reorder",
    "truncate",
    "alter",
    "splice",
    "reflect",
    "misdirect",
    "forge",
)


def fault_names() -> tuple[str, ...]:
    """Return the names of all kinds."""
    return tuple(each.name for each in FAULTS)
