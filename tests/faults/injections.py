"""The faults: what is done to which process, wire, clock or token, and when it is healed.

Each is a value that strikes once and says when the healing was done; whoever calls it waits for the service
to come back and judges. A fault that this machine does not allow says why in `missing` and is never struck:
a run reports it as not injected. Disks are in tests.faults.disks.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from typing import ClassVar, Final, Protocol

import attrs
from twisted.internet.defer import Deferred, gatherResults

from tests.faults.hooks import Trap
from tests.faults.house import House, Late, Program, resume
from tests.faults.proxy import Spoil, flood
from tests.faults.steps import Part, Step
from tests.faults.tools import Tool
from trus.simulation.invariants import Finding

#: How long the harness waits until a request comes to an armed step: the terminals trade all the time.
CATCH_SECONDS: Final = 240.0
#: How long a fault waits at most for somebody to notice it.
NOTICE_SECONDS: Final = 90.0
#: Connections of one flood: more than one address may open at once.
FLOOD_CONNECTIONS: Final = 300


@attrs.define
class Field:
    """Where faults strike: the network, what the machine allows, and chance."""

    house: House
    chance: random.Random
    strace: Tool
    #: When the present round began, monotonic.
    began: float = 0.0


@attrs.define
class Blow:
    """What came of a strike: the monotonic second of the healing, what was done, and what did not hold.

    `restarted` says that healing was a restart of the core: what the ledger asked for before is done.
    """

    healed_at: float
    detail: str
    findings: list[Finding] = attrs.field(factory=list)
    restarted: bool = False


class Fault(Protocol):
    """Something that can be done to a network."""

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """A row of the closing table."""
        ...

    async def strike(self, field: Field) -> Blow:
        """Do it, and heal it. Raises Late when it could not be done."""
        ...


def _victim(field: Field, part: Part) -> tuple[int, Program | None]:
    """Return a process of that kind: its id, and the program unless it is the core."""
    if part is Part.CORE:
        return field.house.core_pid, None
    program = field.house.program(part, field.chance)
    return program.pid, program


async def kill(field: Field, part: Part) -> Blow:
    """Kill -9 one process, and start it again; the front starts its core itself."""
    pid, program = _victim(field, part)
    if program is None:
        os.kill(pid, signal.SIGKILL)
        return Blow(time.monotonic(), f"killed the core {pid}")
    program.kill()
    healed = time.monotonic()
    program.start()
    return Blow(healed, f"killed {program.name} ({pid})")


@attrs.frozen
class DieAtStep:
    """A process kills itself at a named step of a transaction, and is started again."""

    kind: ClassVar[str] = "step"
    step: Step
    trap: Trap = attrs.field(factory=Trap)

    @property
    def name(self) -> str:
        """The part whose step it is."""
        return f"death of a {self.step.part} at a step"

    async def strike(self, field: Field) -> Blow:
        """Lay the trap, wait until a process is in it, and start that process again."""
        house, step = field.house, self.step
        house.traps.lay(step, self.trap)
        try:
            await house.until(lambda: house.traps.caught(step), CATCH_SECONDS, f"a request comes to '{step.name}'")
        finally:
            house.traps.take_up(step)
        pid = house.traps.caught(step)
        program = house.by_pid(pid)
        if program is not None:
            await house.until(lambda: program.dead, NOTICE_SECONDS, f"{program.name} dies")
            healed = time.monotonic()
            program.start()
        else:
            healed = time.monotonic()
        return Blow(healed, f"{step.name} ({self.trap.verb}, after {self.trap.skip})")


@attrs.frozen
class Kill:
    """kill -9."""

    kind: ClassVar[str] = "kill"
    part: Part

    @property
    def name(self) -> str:
        """The part that is killed."""
        return f"kill -9 of a {self.part}"

    async def strike(self, field: Field) -> Blow:
        """Kill one, at any moment."""
        await field.house.pause(field.chance.uniform(0, 0.5))
        return await kill(field, self.part)


@attrs.frozen
class Stop:
    """SIGSTOP, and after a while SIGCONT: a machine that swaps, a virtual machine that is moved."""

    kind: ClassVar[str] = "stop"
    part: Part
    seconds: float

    @property
    def name(self) -> str:
        """The part that is stopped."""
        return f"SIGSTOP of a {self.part}"

    async def strike(self, field: Field) -> Blow:
        """Stop one for a while."""
        pid, _ = _victim(field, self.part)
        os.kill(pid, signal.SIGSTOP)
        try:
            await field.house.pause(self.seconds)
        finally:
            resume(pid)
        return Blow(time.monotonic(), f"stopped {self.part} {pid} for {self.seconds:.1f} s")


@attrs.frozen
class ClockJump:
    """The wall clock of a machine jumps, and is put right later."""

    kind: ClassVar[str] = "clock"
    which: str
    seconds: int

    @property
    def name(self) -> str:
        """The machine."""
        return f"clock jump of the {self.which}"

    async def strike(self, field: Field) -> Blow:
        """Jump, trade on for a while, jump back."""
        house = field.house
        house.set_clock(self.which, self.seconds)
        try:
            await house.pause(field.chance.uniform(2.0, 4.0))
        finally:
            house.set_clock(self.which, 0)
        # The library looks at its file once a second.
        await house.pause(1.1)
        return Blow(time.monotonic(), f"{self.which} off by {self.seconds:+d} s")


@attrs.frozen
class TokenAway:
    """The PKCS#11 token is taken away under the running core, and brought back."""

    kind: ClassVar[str] = "token"

    @property
    def name(self) -> str:
        """The token."""
        return "token taken away"

    async def strike(self, field: Field) -> Blow:
        """Take it away until somebody hears of it; nothing that was asked meanwhile is approved."""
        house = field.house
        tokens = house.network.layout.token / "tokens"
        away = tokens.with_name("taken")
        tokens.rename(away)
        gone = time.monotonic()
        try:
            await house.until(lambda: _refused_since(house, gone), NOTICE_SECONDS, "somebody is refused for the token")
            refused = time.monotonic()
            await house.pause(field.chance.uniform(0, 2.0))
        finally:
            away.rename(tokens)
        healed = time.monotonic()
        findings = approved_between(house, refused, healed, "TOKEN", "the token was away")
        return Blow(healed, f"away for {healed - gone:.1f} s", findings)


def _refused_since(house: House, moment: float) -> bool:
    house.read()
    return any(
        asked_at >= moment and answer.code in ("91", "96")
        for book in house.books.values()
        for asked_at, _, _, answer in book.told
    )


def approved_between(house: House, since: float, until: float, name: str, why: str) -> list[Finding]:
    """Return the purchases that were both asked and approved between two moments, as findings."""
    house.read()
    return [
        Finding(name, f"{answer.rrn} was asked and approved while {why}", round(1000 * (told_at - house.began)))
        for book in house.books.values()
        for asked_at, told_at, asked, answer in book.told
        if since < asked_at and told_at < until and answer.approved and asked.value == "purchase"
    ]


@attrs.frozen
class LinkTrouble:
    """The wire between two parts is cut, dead or slow for a while."""

    kind: ClassVar[str] = "link"
    where: str
    spoil: Spoil
    seconds: float

    @property
    def name(self) -> str:
        """What happens to which wire."""
        return f"{self.spoil} wire, {self.where}"

    async def strike(self, field: Field) -> Blow:
        """Spoil it, and heal it."""
        house = field.house
        wire = house.link if self.where == "gateway to backend" else house.front_door
        wire.set(self.spoil)
        try:
            await house.pause(self.seconds)
        finally:
            wire.set(Spoil.NOTHING)
        return Blow(time.monotonic(), f"{self.spoil} for {self.seconds:.1f} s")


@attrs.frozen
class Flood:
    """Hundreds of connections with garbage, from another address, at the device port and the link port."""

    kind: ClassVar[str] = "flood"
    seconds: float

    @property
    def name(self) -> str:
        """The flood."""
        return "flood of connections"

    async def strike(self, field: Field) -> Blow:
        """Open them all, hold them, close them."""
        house = field.house
        opened = []
        try:
            for port in (*house.front_door.targets, *house.link.targets):
                opened += flood(port, field.chance, FLOOD_CONNECTIONS)
            await house.pause(self.seconds)
        finally:
            for each in opened:
                each.close()
        return Blow(time.monotonic(), f"{len(opened)} connections for {self.seconds:.1f} s")


@attrs.frozen
class Together:
    """Several faults at once, such as gateway and backend both restarting in the middle."""

    kind: ClassVar[str] = "together"
    faults: tuple[Fault, ...]

    @property
    def name(self) -> str:
        """One row for all of them."""
        return "two at once"

    async def strike(self, field: Field) -> Blow:
        """Strike with all; healed when the last one is."""
        blows: list[Blow] = await gatherResults(
            [Deferred.fromCoroutine(self._one(fault, field)) for fault in self.faults], consumeErrors=True
        )
        return Blow(
            max(blow.healed_at for blow in blows),
            "; ".join(blow.detail for blow in blows),
            [finding for blow in blows for finding in blow.findings],
        )

    @staticmethod
    async def _one(fault: Fault, field: Field) -> Blow:
        try:
            return await fault.strike(field)
        except Late as late:
            # The other fault took its victim away.
            return Blow(time.monotonic(), f"{fault.name}: {str(late).splitlines()[0]}")


Choice = Callable[[random.Random], Fault]
