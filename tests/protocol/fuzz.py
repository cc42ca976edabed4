"""The long form of the fuzzer, behind script/fuzz."""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from tests.protocol.fuzzing import Fuzzer, Wrong


def main() -> int:
    """Fuzz until the time is up; return 1 at the first wrong answer."""
    parser = argparse.ArgumentParser(description="Throw mutated bytes at the parsers of the protocol.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    fuzzer = Fuzzer(arguments.seed)
    ends, shown = time.monotonic() + arguments.seconds, 0.0
    try:
        while time.monotonic() < ends:
            for name in fuzzer.targets:
                for _ in range(5 if name in ("responder", "initiator", "proof") else 100):
                    fuzzer.once(name)
            if time.monotonic() - shown > 5:
                shown = time.monotonic()
                print(f"{sum(fuzzer.counts.values())} inputs, slowest {fuzzer.slowest * 1000:.1f} ms", flush=True)
    except Wrong as wrong:
        print(wrong)
        return 1
    print(f"{sum(fuzzer.counts.values())} inputs, no wrong answer: {fuzzer.counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
