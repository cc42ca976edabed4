"""Starts gateway and backend as two processes of twistd, and stops them whatever happens.

Knows nothing of what they do: a server is up when its ready file says so. Each logs to a file
of its own, whose end is shown when it does not come up.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.task import deferLater

from trus.cli.demo_network import DemoFailed
from trus.settings.loading import load
from trus.settings.writing import dump

#: How long a server may take to be ready, and to stop, in seconds.
READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.05
_SHOWN_LINES: Final = 12
#: Says that a demo made a folder, and may remove it.
MARKER: Final = ".made-by-demo"

GATEWAY: Final = "gateway"
BACKEND: Final = "backend"


class Server:
    """One process of twistd, in a session of its own so that a Ctrl-C reaches the demo alone."""

    def __init__(self, name: str, root: Path) -> None:
        """Run the role `name` of the deployment in `root`, as NAME.yaml configures it."""
        self.name = name
        self._root = root
        self.config = root / f"{name}.yaml"
        self.log = root / "log" / f"{name}.log"
        self.pid_file = root / "run" / f"{name}.pid"
        self._ready = root / "run" / f"{name}.ready"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's number, 0 before it runs."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start the process; it is not ready yet. Raises DemoFailed."""
        for folder in (self.log.parent, self.pid_file.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._ready.unlink(missing_ok=True)
        twistd = str(Path(sys.executable).with_name("twistd"))
        command = [twistd, "-n", f"--pidfile={self.pid_file}", f"--logfile={self.log}", f"--rundir={self._root}"]
        command += ["trus", "--config", str(self.config), "--ready-file", str(self._ready)]
        with (self.log.parent / f"{self.name}.out").open("wb") as output:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as problem:
                raise DemoFailed(f"{twistd} cannot be run: {problem.strerror}") from None

    async def ready(self, reactor: Any) -> dict[str, str]:
        """Wait until it serves; return what listens where. Raises DemoFailed with the end of its log."""
        waited = 0.0
        while waited < READY_SECONDS:
            if self._ready.exists():
                content: dict[str, Any] = json.loads(self._ready.read_text("utf-8"))
                return dict(content[self.name])
            if self._process is None or self._process.poll() is not None:
                raise DemoFailed(f"the {self.name} did not start:\n{self._last_words()}")
            await deferLater(reactor, _LOOK_SECONDS)
            waited += _LOOK_SECONDS
        raise DemoFailed(f"the {self.name} was not ready after {READY_SECONDS:.0f} seconds:\n{self._last_words()}")

    async def stop(self, reactor: Any) -> None:
        """End the process, by force when it does not follow."""
        process = self._process
        if process is None:
            return
        waited = 0.0
        if process.poll() is None:
            process.terminate()
        while process.poll() is None and waited < STOP_SECONDS:
            await deferLater(reactor, _LOOK_SECONDS)
            waited += _LOOK_SECONDS
        self.kill()

    def kill(self) -> None:
        """End the process and its children at once: for ways out on which nothing can be awaited."""
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _last_words(self) -> str:
        lines: list[str] = []
        for path in (self.log.parent / f"{self.name}.out", self.log):
            if path.exists():
                lines += path.read_text("utf-8", "replace").splitlines()
        return "\n".join(lines[-_SHOWN_LINES:]) or "it said nothing"


def split_config(root: Path) -> None:
    """Write gateway.yaml and backend.yaml out of trus.yaml, one for each process."""
    settings = load(root / "trus.yaml")
    for name, part in (
        (GATEWAY, attrs.evolve(settings, backend=None)),
        (BACKEND, attrs.evolve(settings, gateway=None)),
    ):
        heading = f"The {name} of trus.yaml, for a process of its own. Written by the demo."
        (root / f"{name}.yaml").write_text(dump(part, root, heading), "utf-8")


def free_ports(count: int, wanted: int) -> list[int]:
    """Return ports of the loopback address: `wanted` and the next ones when they are free, else others."""
    ports: list[int] = []
    with contextlib.ExitStack() as stack:
        for number in range(count):
            listening = stack.enter_context(socket.socket())
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(("127.0.0.1", wanted + number))
            except OSError:
                listening.bind(("127.0.0.1", 0))
            ports.append(listening.getsockname()[1])
    return ports


def clear(root: Path) -> None:
    """Remove what an earlier demo made in `root`, and stop what it left running.

    Raises DemoFailed for a folder that holds anything else.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return
    if not root.is_dir():
        raise DemoFailed(f"{root} is a file: name a folder with --dir")
    if not (root / MARKER).is_file():
        raise DemoFailed(
            f"{root} is not empty and was not made by a demo: nothing in it is touched; name another --dir"
        )
    for pid_file in (root / "run").glob("*.pid"):
        _stop_left_over(pid_file, root)
    shutil.rmtree(root)


def _stop_left_over(pid_file: Path, root: Path) -> None:
    """Stop a server that --keep left running; a number that belongs to anything else is left alone."""
    text = pid_file.read_text("ascii", "replace").strip()
    if not text.isdigit():
        return
    try:
        command = Path(f"/proc/{text}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return
    if os.fsencode(root / f"{pid_file.stem}.yaml") in command:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(text), signal.SIGKILL)
