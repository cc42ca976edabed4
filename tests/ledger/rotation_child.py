"""A writing process of its own that rotates K_DB and takes payments all the while.

Run by tests.ledger.test_rotation_kills: python -m tests.ledger.rotation_child FOLDER STAN STEP TIMES. It kills
itself without a word when it comes to STEP for the TIMES-th time; with STEP "-" it begins again when a rotation
is done, until it is killed from outside. It prints the reference of each purchase that is durable.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path

from tests.ledger.rotating import Bank, Place
from trus.ledger import rotation_file


def main(folder: Path, first: int, step: str, times: int) -> None:
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
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
