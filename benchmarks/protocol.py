"""Measures what the protocol core costs a line, without any network: microseconds of CPU.

Prints the best of several rounds for each step of a purchase with PIN, for the link's envelope and
for a handshake with everything but the signatures' verification of chains.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from tests.protocol.network import BACKEND, POS, TERMS, Network, Verifier, lines_in
from trus.protocol.handshake import run
from trus.protocol.link import format_device_line, parse_link_line
from trus.protocol.messages import Kind, Phase, Side, parse_line, peek
from trus.protocol.session import SealedSession

Measured = TypeVar("Measured")
ROUNDS: Final = 7
PURCHASE: Final = {"stan": "000042", "amount": "12.50", "currency": "USD", "date": "2026-11-20"}
CARD: Final = {
    "rid": "A" * 22,
    "track2": "4000340000000506=2511111123400001230",
    "pin": "A" * 22,
    "format": "4",
    "entry": "stripe",
}
RESULT: Final = {"result": "approved", "code": "00", "approval": "A1B2C3", "rrn": "632500000042"}
ANSWER: Final = {"balance": "100.00", "currency": "USD"}


def best(step: Callable[[], object], count: int) -> float:
    """Return the least CPU of a step over all rounds, in microseconds."""
    least = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(count):
            step()
        least = min(least, (time.process_time() - started) / count)
    return least * 1e6


class Costs:
    """The clock around each step of a purchase."""

    def __init__(self) -> None:
        """Open a session."""
        self.device, self.backend = Network("costs").sessions()
        self.spent: dict[str, float] = {}

    def _timed(self, name: str, step: Callable[[], Measured]) -> Measured:
        started = time.process_time_ns()
        value = step()
        taken = (time.process_time_ns() - started) / 1000
        self.spent[name] = min(taken, self.spent.get(name, float("inf")))
        return value

    def purchase(self) -> None:
        """Carry PROCESS, RESULT and COMPLETE, noting what each side spends on each."""
        name = self.device.open_dialogue()

        def carry(
            speaker: SealedSession, hearer: SealedSession, kind: Kind, verb: str, *fields: dict[str, str]
        ) -> None:
            line = self._timed(f"seal {verb}", lambda: speaker.seal(kind, verb, *fields, dialogue=name))
            octets = line[:-2]
            self._timed(f"open {verb}", lambda: hearer.open(octets))

        carry(self.device, self.backend, Kind.COMMAND, "PROCESS", PURCHASE, CARD)
        carry(self.backend, self.device, Kind.INFO, "RESULT", RESULT, ANSWER)
        carry(self.device, self.backend, Kind.INFO, "COMPLETE", {}, {})

    def whole(self) -> None:
        """Carry the same three lines without a clock in between."""
        device, backend, name = self.device, self.backend, self.device.open_dialogue()
        backend.open(device.seal(Kind.COMMAND, "PROCESS", PURCHASE, CARD, dialogue=name)[:-2])
        device.open(backend.seal(Kind.INFO, "RESULT", RESULT, ANSWER, dialogue=name)[:-2])
        backend.open(device.seal(Kind.INFO, "COMPLETE", {}, {}, dialogue=name)[:-2])


def handshake() -> None:
    """Make a full handshake, both sides, with software keys."""
    network, verifier = Network("costs"), Verifier()
    initiator, responder = network.initiator(), network.responder()
    (line1,) = lines_in(initiator.start())
    (line2,) = lines_in(run(responder, responder.receive(line1[:-2]), BACKEND, verifier))
    (line3,) = lines_in(run(initiator, initiator.receive(line2[:-2]), POS, verifier))
    (line4,) = lines_in(run(responder, responder.receive(line3[:-2]), BACKEND, verifier, TERMS))
    initiator.receive(line4[:-2])


def main() -> None:
    """Print the table."""
    costs = Costs()
    rows = {"purchase, three lines sealed and opened": best(costs.whole, 2000)}
    for _ in range(3000):
        costs.purchase()
    rows |= costs.spent
    line = costs.device.seal(Kind.COMMAND, "PROCESS", PURCHASE, CARD, dialogue=costs.device.open_dialogue())[:-2]
    wrapped = format_device_line(17, line)[:-2]
    rows["parse PROCESS, seal unopened"] = best(
        lambda: parse_line(line, phase=Phase.SEALED, sender=Side.INITIATOR), 5000
    )
    rows["peek"] = best(lambda: peek(line), 20000)
    rows["link: wrap a device line"] = best(lambda: format_device_line(17, line), 20000)
    rows["link: unwrap a device line"] = best(lambda: parse_link_line(wrapped), 20000)
    rows["handshake, both sides"] = best(handshake, 20)
    for name, taken in rows.items():
        print(f"{name:<42} {taken:9.2f} us")


if __name__ == "__main__":
    main()
