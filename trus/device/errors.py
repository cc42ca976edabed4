"""Names why a terminal has no answer to give; what the backend answers is never an error."""

from __future__ import annotations

from trus.errors import TrusError


class Unreachable(TrusError):
    """No session with the backend came about; `why` is a fixed word, or the network's sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the backend could not be reached through the gateway: {why}")
        self.why = why


class Stopped(TrusError):
    """The terminal was stopped, or its journal failed, before the answer came."""
