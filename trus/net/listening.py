"""Opens the ports of a deployment, or stops its start with one clear sentence.

Chooses no port and no protocol: endpoints and factories come in. Twisted's own service merely
logs a port that cannot be opened; here the start fails, so that nobody operates half a network.
"""

from __future__ import annotations

import sys

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.tcp import Port as TcpPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from trus.errors import TrusError


class ListenFailed(TrusError):
    """A port could not be opened; the message names it and says why."""


def _why(problem: BaseException | None) -> str:
    if isinstance(problem, CannotListenError):
        problem = problem.socketError
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror.lower()
    return type(problem).__name__


class LoudStreamService(Service):
    """Listens on one endpoint while it runs.

    `description` names the port for people, such as "device port tcp:7001". Privileged ports
    (below 1024) are the business of the endpoint: `systemd:` hands over an open one.
    """

    def __init__(self, endpoint: IStreamServerEndpoint, factory: IProtocolFactory, description: str) -> None:
        self._endpoint = endpoint
        self._factory = factory
        self._description = description
        self._port: IListeningPort | None = None

    def startService(self) -> None:
        """Start listening; return only when the port is open.

        Raises ListenFailed, also for an endpoint that would open its port later.
        """
        outcomes: list[object] = []
        listening: Deferred[IListeningPort] = self._endpoint.listen(self._factory)
        listening.addBoth(outcomes.append)
        if not outcomes:
            listening.cancel()
            raise ListenFailed(f"cannot open the {self._description}: its endpoint does not open at once")
        outcome = outcomes[0]
        if isinstance(outcome, Failure):
            raise ListenFailed(f"cannot open the {self._description}: {_why(outcome.value)}") from outcome.value
        self._port = IListeningPort(outcome)
        super().startService()  # type: ignore[no-untyped-call]

    def stopService(self) -> Deferred[None]:
        """Close the port; fires when it is closed. Open connections are the factory's business."""
        super().stopService()  # type: ignore[no-untyped-call]
        port, self._port = self._port, None
        closed = port.stopListening() if port is not None else None
        return closed if closed is not None else succeed(None)

    def rest(self) -> None:
        """Accept no connection until `wake`; they wait in the system's queue."""
        port: object = self._port
        if isinstance(port, TcpPort):
            port.stopReading()

    def wake(self, at_once: int) -> None:
        """Accept again, at most `at_once` before others have their turn."""
        port: object = self._port
        if isinstance(port, TcpPort):
            port.numberAccepts = at_once
            port.startReading()

    @property
    def port(self) -> int:
        """The number of the open TCP port: the real one when 0 was asked for.

        Raises ListenFailed when the service does not listen, or not on TCP.
        """
        address = self._port.getHost() if self._port is not None else None
        number = getattr(address, "port", None)
        if not isinstance(number, int):
            raise ListenFailed(f"the {self._description} is not open")
        return number


class ClearStart(MultiService):
    """The root of a deployment's services: a start that fails says why in one line and exits 1.

    The reason of a TrusError raised by any service below goes to the log and to standard error,
    and SystemExit, which twistd lets through, follows; the services that had started before are
    stopped. Other exceptions are bugs and keep their traceback.
    """

    def privilegedStartService(self) -> None:
        """Let every service do what it must before privileges are shed."""
        with _Refusals(self):
            super().privilegedStartService()  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """Start every service, in the order in which they were added."""
        with _Refusals(self):
            super().startService()  # type: ignore[no-untyped-call]


class _Refusals:
    """Turns a TrusError of the start into a SystemExit."""

    _log = Logger()

    def __init__(self, services: ClearStart) -> None:
        self._services = services

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, where: object) -> None:
        if isinstance(problem, TrusError):
            self._log.critical("the start failed: {problem}", problem=problem)
            # twistd has put its log in the place of sys.stderr by now.
            print(f"trus: {problem}", file=sys.__stderr__, flush=True)
            for service in reversed(list(self._services)):
                if service.running:
                    service.stopService()
            raise SystemExit(1) from problem
