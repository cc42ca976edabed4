"""The processes of one deployment under test: started, found, killed, stopped, and started again.

The deployment is made by `trus init`'s own provisioning and its people come through the real console
(tests.integration.network). Gateways, backend and terminals are processes of their own; between them are
wires (tests.faults.proxy). Judges nothing.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import attrs
import msgspec
from twisted.internet.task import deferLater

from tests.faults.evidence import Book
from tests.faults.hooks import Traps
from tests.faults.proxy import Wire
from tests.faults.steps import Part
from tests.faults.store import SqlCipherStore, Store
from tests.faults.till import Plan
from tests.faults.tools import Tool, clock_environment, mount, unmount
from tests.integration.network import PROJECT, Network
from trus.device.home import DeviceHome
from trus.simulation.papers import Papers
from trus.values import TerminalId

#: Seconds between two looks at a condition.
LOOK_SECONDS: Final = 0.1
#: A process that does not become ready within this time never will, however busy the machine is.
READY_SECONDS: Final = 120.0
#: Below the range from which Linux draws ports of outgoing connections (ip_local_port_range).
LASTING_PORTS: Final = (12_000, 32_000)
#: The small disk under the ledger, in bytes.
DISK_BYTES: Final = 48 << 20
#: A terminal's journal is rewritten above this size, so that it happens now and then.
COMPACT_ABOVE_BYTES: Final = 24 << 10


class Late(Exception):
    """Something did not happen in time; the message says what."""


@attrs.frozen(kw_only=True)
class Shape:
    """How large the tested network is; `think` is a cashier's longest pause in seconds."""

    terminals: int = 3
    gateways: int = 2
    lanes: int = 2
    think: float = 0.4
    cards: int = 4
    seed: int = 1


class Program:
    """One process that can die and be started again; its output goes to a log."""

    def __init__(self, name: str, command: list[str], log: Path, ready: Path | None, environment: Mapping[str, str]):
        self.name = name
        self.starts = 0
        self._command = command
        self._ready = ready
        self._environment = environment
        self.log = log
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; does not wait until it is ready."""
        if self._ready is not None:
            self._ready.unlink(missing_ok=True)
        self.starts += 1
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=PROJECT,
                env=dict(self._environment),
            )

    @property
    def pid(self) -> int:
        """Its process id. Raises Late when it does not run."""
        if self.popen is None or self.popen.poll() is not None:
            raise Late(f"{self.name} does not run:\n{self.text()[-2000:]}")
        return self.popen.pid

    @property
    def input(self) -> IO[bytes]:
        """Its standard input. Raises Late when it was never started."""
        if self.popen is None or self.popen.stdin is None:
            raise Late(f"{self.name} was not started")
        return self.popen.stdin

    @property
    def dead(self) -> bool:
        """Whether it has ended."""
        return self.popen is None or self.popen.poll() is not None

    @property
    def ready(self) -> bool:
        """Whether it says that it serves."""
        return not self.dead and (self._ready is None or self._ready.exists())

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it as a machine that fails does, and wait until it is gone."""
        if self.popen is not None:
            self.popen.kill()
            self.popen.wait(READY_SECONDS)
            self.input.close()

    def text(self) -> str:
        """Return its log."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class TillProgram(Program):
    """A terminal's process, one incarnation after the other."""

    def __init__(self, plan: Plan, folder: Path, environment: Mapping[str, str]) -> None:
        self._plan = plan
        self._file = folder / "plan.json"
        command = [sys.executable, "-m", "tests.faults.till", str(self._file)]
        super().__init__(folder.name, command, folder / "till.log", None, environment)

    def start(self) -> None:
        """Start the next incarnation."""
        plan = msgspec.structs.replace(self._plan, incarnation=self.starts + 1)
        self._file.write_bytes(msgspec.json.encode(plan))
        super().start()

    def say(self, text: str) -> None:
        """Tell its cashiers something; a terminal that is dead does not hear it."""
        try:
            self.input.write(text.encode("ascii") + b"\n")
            self.input.flush()
        except (BrokenPipeError, ValueError):
            return


class House:
    """A deployment, its processes and its wires."""

    def __init__(self, reactor: Any, shape: Shape, faketime: Tool, *, small_disk: bool) -> None:
        """Provision; nothing runs yet. `faketime` lets wall clocks be moved; `small_disk` mounts one."""
        self.reactor = reactor
        self.shape = shape
        self.began = time.monotonic()
        self.network = Network(split=True)
        self.root = self.network.layout.root
        self.folder = self.network.folder
        self.mounted = False
        self.disk_missing = self._mount() if small_disk else "not asked for"
        self.store: Store = SqlCipherStore(self.network.layout)
        self.traps = Traps(self.folder / "traps")
        self.traps.folder.mkdir()
        self.papers = Papers()
        self.books: dict[str, Book] = {}
        self.tills: list[TillProgram] = []
        self._wish = 0
        chance = random.Random(f"wires/{shape.seed}")
        self.front_door = Wire(reactor, "terminals to gateways", chance)
        self.link = Wire(reactor, "gateways to backend", chance)
        self._drawn = (self.network.devices_port, self.network.admin_port, self.network.directory_port)
        self.link.targets = self._move_link_port()
        self.clocks = {"backend": self.folder / "backend.clock", "gateways": self.folder / "gateways.clock"}
        self._faketime = faketime
        for which in self.clocks:
            self.set_clock(which, 0)
        self.backend = self._server("backend", self._environment("backend"))
        self.gateways = [self._gateway(number + 1) for number in range(shape.gateways)]
        self.network.devices_port = self.front_door.port

    # ---------------------------------------------------------------------------- to begin

    async def open(self) -> None:
        """Start everything, register the people, enrol the terminals, and let them trade."""
        for program in (self.backend, *self.gateways):
            program.start()
        for program in (self.backend, *self.gateways):
            await self.until(partial(self._is_ready, program), READY_SECONDS, f"{program.name} serves")
        town = await self.network.small_town(self.reactor, employees=self.shape.cards, purse="200000.00")
        cards = [(card["track2"], card["pin"]) for card in town.cards]
        for number in range(self.shape.terminals):
            name = f"T{number + 1:07d}"
            home = await self.network.enrolled(self.reactor, town, name)
            self.tills.append(self._till(number, home, cards))
        await town.admin.close()
        for till in self.tills:
            till.start()

    async def close(self, *, keep: bool) -> None:
        """End every process; remove the folder unless `keep`."""
        self.end(keep=keep)
        await self.front_door.close()
        await self.link.close()

    def end(self, *, keep: bool) -> None:
        """End every process at once, stopped ones too; remove the folder unless `keep`. Twice is once."""
        for program in (*self.tills, *self.gateways, self.backend):
            if program.popen is not None and not program.dead:
                for each in [*children(program.popen.pid), program.popen.pid]:
                    resume(each)
                program.kill()
        if self.mounted:
            self.mounted = False
            self._keep_disk() if keep else unmount(self.root / "db")
        if not keep:
            self.network.remove()

    def _is_ready(self, program: Program) -> bool:
        if program.dead:
            raise Late(f"{program.name} ended:\n{program.text()[-3000:]}")
        return program.ready

    # --------------------------------------------------------------------------- to find

    @property
    def core_pid(self) -> int:
        """The core's process id. Raises Late when there is none at the moment."""
        found = children(self.backend.pid)
        if len(found) != 1:
            raise Late(f"the backend has {len(found)} child processes")
        return found[0]

    def program(self, part: Part, chance: random.Random) -> Program:
        """Return a process of this kind; of the core, the front that starts it."""
        if part is Part.TERMINAL:
            return chance.choice(self.tills)
        return chance.choice(self.gateways) if part is Part.GATEWAY else self.backend

    def by_pid(self, pid: int) -> Program | None:
        """Return the process of that id, None for a core's."""
        for each in (*self.tills, *self.gateways, self.backend):
            if each.popen is not None and each.popen.pid == pid:
                return each
        return None

    def read(self) -> None:
        """Take in what is new of every terminal's evidence."""
        for book in self.books.values():
            book.read()

    def set_clock(self, which: str, seconds: int) -> None:
        """Put the wall clock of a machine off by so many seconds."""
        fresh = self.clocks[which].with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self.clocks[which])

    # ---------------------------------------------------------------------------- to wait

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        await deferLater(self.reactor, seconds)

    async def until(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        """Return when the condition holds. Raises Late when it does not within `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise Late(f"{what}: not within {seconds:.0f} s")
            await self.pause(LOOK_SECONDS)

    def revive(self) -> None:
        """Start what is dead and is no core: as the system's service manager does, and a cashier with a terminal."""
        for each in (*self.tills, *self.gateways, self.backend):
            if each.dead:
                if each.popen is not None and each.popen.returncode == 1:
                    raise Late(f"{each.name} ended by itself:\n{each.text()[-3000:]}")
                each.start()

    def restart_core(self) -> None:
        """Restart the core as an operator does who has read that the ledger asks for it; the front starts it."""
        for pid in children(self.backend.pid):
            os.kill(pid, signal.SIGKILL)

    def rest(self) -> None:
        """Ask every terminal to come to rest."""
        self._wish += 1
        self.repeat_wish()

    def repeat_wish(self) -> None:
        """Tell terminals that were started since."""
        for till in self.tills:
            till.say(f"rest {self._wish}")

    @property
    def resting(self) -> bool:
        """Whether all terminals rest."""
        self.read()
        return all(book.rested == self._wish for book in self.books.values())

    def trade(self) -> None:
        """Let every terminal trade."""
        for till in self.tills:
            till.say("go")

    # ----------------------------------------------------------------------------- inside

    def _environment(self, clock: str) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        environment["PYTHONPATH"] = str(PROJECT)
        if clock in self.clocks and not self._faketime.missing:
            environment |= clock_environment(Path(self._faketime.command[0]), self.clocks[clock])
        return environment

    def _move_link_port(self) -> list[int]:
        """Give the backend a port that it finds free whenever it is started again; return it."""
        file = self.root / "backend.yaml"
        ports = lasting_ports(1)
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(f"port: {self.network.link_port}\n", f"port: {ports[0]}\n"), encoding="utf-8")
        return ports

    def _server(self, name: str, environment: dict[str, str]) -> Program:
        config, ready = self.root / f"{name}.yaml", self.root / f"{name}.ready"
        command = [sys.executable, "-m", "tests.faults.entry", "serve", str(config), str(ready)]
        return Program(name, [*command, str(self.traps.folder)], self.root / f"{name}.log", ready, environment)

    def _gateway(self, number: int) -> Program:
        """Write a gateway's configuration: ports of its own, and the spoilable wire as its way to the backend."""
        text = (self.root / "gateway.yaml").read_text(encoding="utf-8")
        drawn, fresh = self._drawn, lasting_ports(3)
        for old, new in zip(drawn, fresh, strict=True):
            text = text.replace(f"port: {old}\n", f"port: {new}\n")
        text = text.replace(f"port: {self.network.link_port}\n", f"port: {self.link.port}\n")
        if number == 1:
            self.network.admin_port = fresh[1]
        text = text.replace("name: gateway-1\n", f"name: gateway-{number}\n")
        waits = "    keep_alive: 2s\n    silence: 6s\n    max_reconnect_delay: 2s\n"
        text = re.sub(r"(?m)^  link:\n", "  link:\n" + waits, text, count=1)
        (self.root / f"gateway-{number}.yaml").write_text(text, encoding="utf-8")
        self.front_door.targets = [*self.front_door.targets, fresh[0]]
        return self._server(f"gateway-{number}", self._environment("gateways"))

    def _till(self, number: int, home: DeviceHome, cards: list[tuple[str, str]]) -> TillProgram:
        evidence = home.path / "evidence"
        plan = Plan(
            home=str(home.path),
            evidence=str(evidence),
            traps=str(self.traps.folder),
            cards=cards,
            seed=self.shape.seed,
            incarnation=0,
            lanes=self.shape.lanes,
            think=self.shape.think,
            compact_above=COMPACT_ABOVE_BYTES,
        )
        self.books[home.path.name] = Book(TerminalId(home.path.name), evidence, self.papers, self.began)
        return TillProgram(plan, home.path, self._environment(f"terminal {number}"))

    def _keep_disk(self) -> None:
        """Put what is on the small disk into the folder that it was mounted on: that one is kept."""
        folder = self.root / "db"
        files = {file.name: file.read_bytes() for file in folder.iterdir()}
        unmount(folder)
        for name, data in files.items():
            (folder / name).write_bytes(data)

    def _mount(self) -> str:
        """Put the ledger on a small disk of its own; return why that is not possible."""
        folder = self.root / "db"
        aside = self.root / "db.aside"
        folder.rename(aside)
        folder.mkdir(mode=0o700)
        problem = mount(folder, DISK_BYTES)
        self.mounted = not problem
        for file in aside.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
            (folder / file.name).chmod(0o600)
            file.unlink()
        aside.rmdir()
        return problem


def lasting_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, and that the system gives to no outgoing connection meanwhile."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(*LASTING_PORTS)
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue  # somebody's
        if port not in ports:
            ports.append(port)
    return ports


def children(pid: int) -> list[int]:
    """Return the children of a process, none when it is gone."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def resume(pid: int) -> None:
    """Let a stopped process go on; one that is gone needs nothing."""
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return
