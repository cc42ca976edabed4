"""The faults of disks: full, refusing to make durable, and a process that dies inside fsync.

A disk that has once refused to make a ledger's page durable may hold less than the system shows: until the
core is started again nothing that was asked after it may be approved, and that is checked here.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

import attrs

from tests.faults.house import House
from tests.faults.injections import CATCH_SECONDS, NOTICE_SECONDS, Blow, Field, approved_between
from trus.device.home import JOURNAL
from trus.simulation.invariants import Finding

_PIECE: Final = bytes(64 << 10)
_INJECTED: Final = re.compile(r"(\d+\.\d+) f(?:data)?sync\(.*\(INJECTED\)")


@attrs.frozen
class FullDisk:
    """The ledger's disk is full for a while: a small one in memory, or a limit on the size of the core's files."""

    kind: ClassVar[str] = "disk"
    seconds: float

    @property
    def name(self) -> str:
        """The disk."""
        return "full disk"

    async def strike(self, field: Field) -> Blow:
        """Fill it until somebody is refused or the time is over; make room again."""
        house = field.house
        began = time.monotonic()
        give_back, how = _fill(house) if house.mounted else _limit(house)
        try:
            deadline = time.monotonic() + self.seconds
            while time.monotonic() < deadline and not refusals(house, began):
                await house.pause(0.05)
        finally:
            give_back()
        healed = time.monotonic()
        return Blow(healed, f"{how} for {healed - began:.1f} s, {refusals(house, began)} refused")


def refusals(house: House, since: float) -> int:
    """Return how many orders since a moment were answered with 91 or 96."""
    house.read()
    return sum(
        asked_at >= since and answer.code in ("91", "96")
        for book in house.books.values()
        for asked_at, _, _, answer in book.told
    )


def _fill(house: House) -> tuple[Callable[[], None], str]:
    """Use up the last byte of the ledger's small disk."""
    path = house.root / "db" / "filler"
    with path.open("wb", buffering=0) as filler:
        size = len(_PIECE)
        while size:
            try:
                filler.write(_PIECE[:size])
            except OSError as failure:
                if failure.errno != errno.ENOSPC:
                    raise
                size //= 2
    return path.unlink, "a small disk was full"


def _limit(house: House) -> tuple[Callable[[], None], str]:
    """Let no file of the core grow beyond the largest one of the ledger (RLIMIT_FSIZE, prlimit(2))."""
    pid = house.core_pid
    size = max((each.stat().st_size for each in house.store.files() if each.exists()), default=0)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    def give_back() -> None:
        try:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
        except ProcessLookupError:
            return

    return give_back, "files could not grow"


class Tracer:
    """strace on one process: changes what fsync and fdatasync of some files do."""

    def __init__(self, field: Field, pid: int, paths: Sequence[Path], inject: str) -> None:
        """`inject` is what strace's -e inject says after the names of the calls. See strace(1)."""
        self._log = field.house.folder / f"strace.{time.monotonic_ns()}"
        calls = "fsync,fdatasync"
        only = [part for path in paths for part in ("-P", str(path))]
        command = [*field.strace.command, "-f", "-qq", "-ttt", "-y", "-e", f"trace={calls}"]
        command += [*only, "-e", f"inject={calls}:{inject}", "-o", str(self._log), "-p", str(pid)]
        self._popen = subprocess.Popen(command, env={**os.environ, **field.strace.environment})

    def failed_at(self) -> float:
        """Return the monotonic second of the first injected failure, 0 when there was none yet."""
        if not self._log.exists():
            return 0.0
        found = _INJECTED.search(self._log.read_text(errors="replace"))
        return 0.0 if found is None else float(found[1]) - time.time() + time.monotonic()

    def detach(self) -> None:
        """Leave the process alone."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
        self._popen.wait(NOTICE_SECONDS)


@attrs.frozen
class FailedFsync:
    """One fsync of the core answers EIO."""

    kind: ClassVar[str] = "fsync"
    nth: int

    @property
    def name(self) -> str:
        """The call."""
        return "EIO on the ledger's fsync"

    async def strike(self, field: Field) -> Blow:
        """Fail it; see that nothing is approved any more; restart the core as an operator does."""
        house = field.house
        pid = house.core_pid
        tracer = Tracer(field, pid, house.store.files(), f"error=EIO:when={self.nth}")
        try:
            await house.until(tracer.failed_at, CATCH_SECONDS, "an fsync of the ledger fails")
            failed = tracer.failed_at()
            await house.until(lambda: asked_since(house, failed), CATCH_SECONDS, "every terminal asks and hears")
        finally:
            tracer.detach()
        healed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        findings = approved_between(house, failed, healed, "FSYNC", "a failed fsync was not yet cured by a restart")
        refused = refusals(house, failed)
        detail = f"fsync number {self.nth} failed; {refused} refused until the restart"
        return Blow(healed, detail, findings, restarted=True)


def asked_since(house: House, moment: float) -> bool:
    """Return whether at every terminal something was asked and answered since a moment."""
    house.read()
    return all(any(asked_at > moment for asked_at, *_ in book.told) for book in house.books.values())


@attrs.frozen
class FailedJournal:
    """One fsync of a terminal's journal answers EIO: the terminal is out of order until somebody starts it again."""

    kind: ClassVar[str] = "fsync"
    nth: int

    @property
    def name(self) -> str:
        """The call."""
        return "EIO on a journal's fsync"

    async def strike(self, field: Field) -> Blow:
        """Fail it; the terminal says no more; switch it off and on."""
        house = field.house
        till = field.chance.choice(house.tills)
        book = house.books[till.name]
        home = house.folder / "terminals" / till.name
        tracer = Tracer(field, till.pid, [home / JOURNAL, home], f"error=EIO:when={self.nth}")
        try:
            await house.until(tracer.failed_at, CATCH_SECONDS, "an fsync of a journal fails")
            failed = tracer.failed_at()
            await house.until(lambda: till.dead, CATCH_SECONDS, f"{till.name} is out of order")
        finally:
            tracer.detach()
        house.read()
        findings = [
            Finding("FSYNC", f"{till.name} told {answer.code or 'nothing'} after its journal had failed")
            for asked_at, _, _, answer in book.told
            if asked_at > failed and answer.approved
        ]
        healed = time.monotonic()
        till.start()
        return Blow(healed, f"fsync number {self.nth} of {till.name} failed: {book.broken or 'no reason'}", findings)


@attrs.frozen
class KilledInFsync:
    """The core dies as it enters an fsync of the ledger: inside the commit."""

    kind: ClassVar[str] = "fsync"
    nth: int

    @property
    def name(self) -> str:
        """The call."""
        return "kill -9 of the core inside fsync"

    async def strike(self, field: Field) -> Blow:
        """Wait until it has died."""
        house = field.house
        pid = house.core_pid
        tracer = Tracer(field, pid, house.store.files(), f"signal=KILL:when={self.nth}")
        try:
            await house.until(lambda: not _runs(pid), CATCH_SECONDS, "the core dies inside fsync")
        finally:
            tracer.detach()
        return Blow(time.monotonic(), f"died at its fsync number {self.nth}")


def _runs(pid: int) -> bool:
    try:
        return not re.search(r"^State:\s+[ZX]", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except FileNotFoundError:
        return False
