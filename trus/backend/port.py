"""What the front asks of a core, wherever that core runs.

Says nothing about processes or sockets: trus.backend.corelink runs the core as a process,
InlineCore runs it in this one (tests, simulation).
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred, succeed

from trus.core.messages import Answer, BatchHandler, Request


class CorePort(Protocol):
    """Takes batches, answers each once."""

    def submit(self, batch: list[Request]) -> Deferred[list[Answer]]:
        """Hand a batch to the core.

        Fires with the answers, one each, in order. Never fails: a core that is gone answers
        Failed with code 91 for what it certainly never received and 96 for what it may have.
        """
        ...


class InlineCore:
    """A core in this process: the same answers, at once."""

    def __init__(self, handler: BatchHandler) -> None:
        self._handler = handler

    def submit(self, batch: list[Request]) -> Deferred[list[Answer]]:
        """Answer before returning."""
        return succeed(self._handler.handle(batch))
