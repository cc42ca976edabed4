"""Starts the roles that a configuration names, as linked services under twistd.

    twistd -n trus --config trus.yaml

Composition only. twistd forks after makeService and before startService: token, database,
processes and ports are opened in startService. Whatever an operator can cause ends in one
clear line and a non-zero exit, in the foreground on standard error, as a daemon in its log.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol

import attrs
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.logger import Logger
from twisted.python import usage

from trus.cli.backend import compose_backend
from trus.cli.memory import forbid_core_dumps
from trus.cli.settle import settle
from trus.clock import Clock, Entropy, SystemClock, SystemEntropy
from trus.errors import TrusError
from trus.gateway.service import GatewayService
from trus.gateway.service import Reactor as GatewayReactor
from trus.net.steady import steady
from trus.settings.loading import load
from trus.settings.model import BackendSettings, GatewaySettings, Settings

#: Objects between collections. Lines come and go by counting references alone; cycles are rare.
_GC_THRESHOLDS: Final = (50_000, 20, 50)

#: Open files beside connections: links, logs, the core's socket pair, Python's own.
_OTHER_FILES: Final = 200


class Options(usage.Options):
    """The options of `twistd trus`."""

    optParameters = [
        ["config", "c", None, "The configuration file (see docs/reference/configuration.md)."],
        ["ready-file", None, None, "Write this file (JSON) once every role is ready; it is removed at the end."],
    ]

    def postOptions(self) -> None:
        """Insist on a configuration; twistd itself would exit with 0 after a usage error."""
        if not self["config"]:
            raise SystemExit("trus: say which configuration: twistd -n trus --config FILE")


class RoleService(Protocol):
    """A role as a Twisted service that says when it can serve."""

    def when_ready(self) -> Deferred[None]:
        """Fire once, when the role can serve."""
        ...


@attrs.frozen
class Role:
    """One role of this process.

    `addresses` tells, once ready, what listens where; `files` how many connections may be open.
    """

    name: str
    service: RoleService
    addresses: Callable[[], dict[str, str]]
    files: int = 0

    def ready_line(self) -> str:
        """Return such as `gateway ready: devices on 127.0.0.1:7001, admins on 127.0.0.1:7002`."""
        ports = ", ".join(f"{what} on {address}" for what, address in self.addresses().items())
        return f"{self.name} ready: {ports}"


class Deployment(MultiService):
    """The roles of one process: they start in order and stop together."""

    _log = Logger()

    def __init__(self, roles: Sequence[Role], ready_file: Path | None = None) -> None:
        MultiService.__init__(self)
        self._roles = roles
        self._ready_file = ready_file
        for role in roles:
            self.addService(role.service)  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """Start every role. Raises TrusError, having logged it, when one cannot start."""
        forbid_core_dumps()
        try:
            for role in self._roles:
                self._make_room(role)
            MultiService.startService(self)
        except TrusError as problem:
            self._log.critical("trus cannot start: {problem}", problem=str(problem))
            raise
        _settle_memory()
        self._announce()

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[object], object, None]:
        """Stop every role; fires when all are closed."""
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        yield MultiService.stopService(self)

    def _make_room(self, role: Role) -> None:
        """Let this process open as many files as the role's connections need, if the system lets it."""
        wanted = role.files + _OTHER_FILES
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, reachable), hard))
            if reachable < wanted:
                self._log.warn(
                    "{role}: the system allows {hard} open files, its connections may need {wanted}",
                    role=role.name,
                    hard=hard,
                    wanted=wanted,
                )

    def _announce(self) -> None:
        """Say of each role when it is ready, and write the ready file after the last."""
        waiting: list[Deferred[None]] = []
        for role in self._roles:
            ready = role.service.when_ready()
            ready.addCallback(self._say_ready, role)
            waiting.append(ready)
        everything = gatherResults(waiting)
        everything.addCallback(self._everything_ready)
        everything.addErrback(lambda failure: self._log.failure("the start is not complete", failure=failure))

    def _say_ready(self, _: None, role: Role) -> None:
        self._log.info("{line}", line=role.ready_line())

    def _everything_ready(self, _: object) -> None:
        settle()
        self._write_ready_file()

    def _write_ready_file(self) -> None:
        """Write it whole or not at all: whoever waits for it reads it at once."""
        if self._ready_file is None or not self.running:
            return
        content = {"pid": os.getpid()} | {role.name: role.addresses() for role in self._roles}
        unfinished = self._ready_file.with_name(f"{self._ready_file.name}.{os.getpid()}")
        unfinished.write_text(json.dumps(content) + "\n", encoding="utf-8")
        unfinished.replace(self._ready_file)


def make_service(
    settings: Settings,
    config: Path,
    clock: Clock,
    entropy: Entropy,
    reactor: object,
    ready_file: Path | None = None,
) -> Deployment:
    """Return the services of every role of `settings`, nothing opened yet. Raises TrusError."""
    roles: list[Role] = []
    if settings.backend is not None:
        roles.append(_backend_role(settings, settings.backend, config, clock, entropy, reactor))
    if settings.gateway is not None:
        roles.append(_gateway_role(settings.gateway, clock, entropy, reactor))
    return Deployment(roles, ready_file)


def _backend_role(
    settings: Settings, backend: BackendSettings, config: Path, clock: Clock, entropy: Entropy, reactor: object
) -> Role:
    service = compose_backend(settings, config, clock, entropy, reactor)
    return Role("backend", service, lambda: {"links": _join(backend.link.host, service.link_port)})


def _gateway_role(gateway: GatewaySettings, clock: Clock, entropy: Entropy, reactor: object) -> Role:
    service = GatewayService(gateway, clock, entropy, _as_gateway_reactor(reactor))

    def addresses() -> dict[str, str]:
        found = {
            "devices": service.device_address,
            "admins": service.admin_address,
            "directory": service.directory_address,
        }
        return {what: address for what, address in found.items() if address}

    admins = 0 if gateway.admin is None else gateway.admin.max_connections
    return Role("gateway", service, addresses, gateway.screening.max_connections + admins)


def _as_gateway_reactor(reactor: object) -> GatewayReactor:
    return reactor  # type: ignore[return-value]


def _settle_memory() -> None:
    """Keep the collector from walking again and again through what lives as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def makeService(options: Options) -> Deployment:
    """Return what twistd runs. Raises TrusError for a configuration that cannot be used."""
    from twisted.internet import reactor

    sys.excepthook = _one_line
    config = Path(options["config"]).absolute()
    ready_file = Path(options["ready-file"]).absolute() if options["ready-file"] else None
    steady(reactor, SystemClock())
    return make_service(load(config), config, SystemClock(), SystemEntropy(), reactor, ready_file)


def _one_line(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    """Show an error that the operator can mend in one line, a bug with its traceback.

    Python exits with 1 after either. An exception, rather than SystemExit, lets twistd remove
    its PID file and tell the shell that started a daemon.
    """
    if isinstance(problem, TrusError):
        # twistd has put its log in the place of sys.stderr, and the line stands there already.
        print(f"trus: {problem}", file=sys.__stderr__)
    else:
        sys.__excepthook__(kind, problem, trace)
