"""Runs one coroutine of a command under the reactor, and gives back what it returns or raises.

Decides nothing. An interrupt cancels the coroutine first, so that its `finally` clauses close
what it opened, and only then stops the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, FirstError
from twisted.python.failure import Failure

from trus.clock import SystemClock
from trus.net.steady import steady

T = TypeVar("T")


def run(main: Callable[[Any], Coroutine[Deferred[Any], Any, T]]) -> T:
    """Return what `main(reactor)` returns. Raises what it raises, and KeyboardInterrupt.

    Once in a process: a reactor does not start again.
    """
    from twisted.internet import reactor as installed

    reactor: Any = installed
    steady(reactor, SystemClock())
    outcome: list[T | Failure] = []
    running: list[Deferred[T]] = []

    def finish(result: T | Failure) -> None:
        outcome.append(result)
        if reactor.running and not stopping:
            reactor.stop()

    stopping: list[bool] = []

    def begin() -> None:
        task = Deferred.fromCoroutine(main(reactor))
        running.append(task)
        task.addBoth(finish)

    def interrupted() -> Deferred[T] | None:
        if outcome:
            return None
        stopping.append(True)
        running[0].cancel()
        return running[0]

    reactor.callWhenRunning(begin)
    reactor.addSystemEventTrigger("before", "shutdown", interrupted)
    reactor.run()
    result = outcome[0] if outcome else None
    if isinstance(result, Failure):
        result = first_cause(result)
        if stopping and result.check(CancelledError):
            raise KeyboardInterrupt
        result.raiseException()
    if result is None and not outcome:
        raise KeyboardInterrupt
    return result  # type: ignore[return-value]


def first_cause(failure: Failure) -> Failure:
    """Return why the first of several things that were waited for together failed."""
    while isinstance(failure.value, FirstError):
        failure = failure.value.subFailure
    return failure
