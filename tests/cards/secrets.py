"""Looks for a secret in everything that a failure can show."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from types import TracebackType

from rich.pretty import pretty_repr


def shown(value: object) -> str:
    """Return every form in which a value gets into logs and tracebacks."""
    return "\n".join((repr(value), str(value), f"{value}", pretty_repr(value)))


def shown_by_failure(work: Callable[[], object], expected: type[BaseException]) -> str:
    """Return what a traceback with local values shows when `work` fails as expected.

    The frame of `work` itself belongs to the test and is left out.
    """
    try:
        work()
    except expected as failure:
        trace = failure.__traceback__
        frames: list[str] = []
        step: TracebackType | None = trace.tb_next.tb_next if trace is not None and trace.tb_next is not None else None
        while step is not None:
            frames.extend(shown(value) for value in step.tb_frame.f_locals.values())
            step = step.tb_next
        return "\n".join((*frames, *traceback.format_exception(failure, limit=0), repr(failure), str(failure)))
    raise AssertionError(f"{expected.__name__} was expected")
