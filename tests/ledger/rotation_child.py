"""A writing process of its own that rotates K_DB and takes payments all the while.

Run by tests.ledger.test_rotation_kills: python -m tests.ledger.rotation_child, with a line of orders for each
process: FOLDER STAN STEP TIMES TOLD. A process is forked from this one, which has imported everything and
opened nothing, and is told of by its number and at last by how it ended. It kills itself without a word when it
comes to STEP for the TIMES-th time; with STEP "-" it begins again when a rotation is done, until it is killed
from outside. It writes the reference of each purchase that is durable to the named pipe TOLD.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path

from tests.ledger.rotating import Bank, Place
from trus.ledger import rotation_file


def main() -> None:
    """Fork a process for each order."""
    for order in sys.stdin:
        folder, first, step, times, told = order.split()
        number = os.fork()
        if number == 0:
            os.dup2(os.open(told, os.O_WRONLY), sys.stdout.fileno())
            rotate(Path(folder), int(first), step, int(times))
            os._exit(0)
        print(number, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), flush=True)


def rotate(folder: Path, first: int, step: str, times: int) -> None:
    """Pay and rotate."""
    left = times

    def at(reached: str) -> None:
        nonlocal left
        if reached == step:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    rotation_file.PAGES_A_STEP = 16  # type: ignore[misc] - so that a small file is copied in many steps
    stans = count(first)

    def serve(seconds: float) -> None:
        stan = next(stans)
        print(bank.pay(stan % 40, stan), flush=True)

    bank = Bank(Place(folder), at)
    print("ready", flush=True)
    serve(0)
    while True:
        if not bank.rotation.waiting:
            bank.rotation.begin("admin/child")
        while bank.rotation.waiting:
            bank.rotation.work(serve)
            serve(0)
        if step != "-":
            return


if __name__ == "__main__":
    main()
