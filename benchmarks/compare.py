"""Measures trus and its baselines one after the other, in turns, and writes the ratios down.

    python -m benchmarks.compare [--seconds S] [--turns N] [--json FILE] [--record docs/performance.md]

(a) a bare echo over two hops of two-way TLS; (b) the same debits in raw SQLCipher, one commit
each; (c) purchases beside a storm of new handshakes. Each turn measures all of them, so that a
noisy machine is noisy for all; ratios are of medians.

As many requests are in flight in two shapes. `tills`: each terminal has one, as a till has one
customer. `streams`: few connections have many each, as where a shop's server speaks for its tills;
there the echo gains more than the purchases, because many short lines then share one TLS record, one
read and one write.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import report
from tests.integration.network import Network
from trus.clock import SystemClock

PROJECT = Path(__file__).resolve().parents[1]
#: Connections, and requests in flight on each.
TILLS, STREAMS = (256, 1), (32, 8)
#: Figures with their names in the tables, in the order in which a turn takes them.
PURCHASES, ECHO = "purchases, tills", "echo of lines, tills"
STREAMED, STREAMED_ECHO, BULK = "purchases, streams", "echo of lines, streams", "echo in bulk, streams"
DEBITS, STORM = "raw debits", "purchases in a storm, tills"
FIGURES = (PURCHASES, ECHO, STREAMED, STREAMED_ECHO, BULK, DEBITS, STORM)


def purchases(network: Network, seconds: float, shape: tuple[int, int], storm: bool = False) -> dict[str, Any]:
    """Return what `trus bench` says of a running network."""
    clients, depth = shape
    command = [sys.executable, "-m", "trus.cli.main", "bench", "--config", str(network.layout.config), "--json"]
    command += ["--clients", str(clients), "--depth", str(depth), "--seconds", str(seconds)]
    if storm:
        command.append("--storm")
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=seconds + 240, check=False)
    if not done.stdout.strip():
        raise RuntimeError(f"trus bench failed: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def echo(pki: Path, seconds: float, shape: tuple[int, int], how: str) -> dict[str, Any]:
    """Return what the bare echo reaches, `how` being lines or bulk."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "benchmarks.echo", *arguments]
        return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)

    server = start("server", str(pki), how)
    hop = None
    try:
        hop = start("hop", str(pki), how, server.stdout.readline().strip())  # type: ignore[union-attr]
        port = hop.stdout.readline().strip()  # type: ignore[union-attr]
        load = start("load", str(pki), port, *map(str, shape), str(seconds))
        said, _ = load.communicate(timeout=seconds + 60)
        result: dict[str, Any] = json.loads(said)
        return result
    finally:
        for process in (hop, server):
            if process is not None:
                process.kill()
                process.wait()


def debits(seconds: float) -> dict[str, Any]:
    """Return what raw SQLCipher reaches with one commit each."""
    command = [sys.executable, "-m", "benchmarks.debits", str(seconds)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=seconds + 60, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def measure(seconds: float, turns: int, console: Console) -> dict[str, Any]:
    """Measure everything in turns and return all figures."""
    figures: dict[str, list[dict[str, Any]]] = {name: [] for name in FIGURES}
    network = Network(split=False)
    # The gateway's limit on lines of one connection is meant for terminals, not for a generator.
    text = network.layout.config.read_text(encoding="utf-8")
    limits = "  screening: {lines_per_second: 1000000, line_burst: 1000000, handshakes_per_second: 100000,\n"
    limits += "              handshake_burst: 100000}\n"
    network.layout.config.write_text(text.replace("  # Limits of the device port.\n", limits, 1), encoding="utf-8")
    network.configs = network._split()
    try:
        network.start()
        pki = network.layout.root / "pki"
        take: dict[str, Callable[[], dict[str, Any]]] = {
            PURCHASES: lambda: purchases(network, seconds, TILLS),
            ECHO: lambda: echo(pki, seconds, TILLS, "lines"),
            STREAMED: lambda: purchases(network, seconds, STREAMS),
            STREAMED_ECHO: lambda: echo(pki, seconds, STREAMS, "lines"),
            BULK: lambda: echo(pki, seconds, STREAMS, "bulk"),
            DEBITS: lambda: debits(seconds),
            STORM: lambda: purchases(network, seconds, TILLS, storm=True),
        }
        for turn in range(turns):
            for name in FIGURES:
                with console.status(f"turn {turn + 1} of {turns}: {name}"):
                    figures[name].append(take[name]())
    finally:
        network.remove()
    rates = {name: statistics.median(each["rate"] for each in runs) for name, runs in figures.items()}
    return {
        "date": SystemClock().now().date().isoformat(),
        "seconds": seconds,
        "machine": {"cores": os.cpu_count(), "python": sys.version.split()[0]},
        "rates": rates,
        "ratios": {
            "(a) of the echo, tills": round(rates[PURCHASES] / rates[ECHO], 3),
            "(a) of the echo, streams": round(rates[STREAMED] / rates[STREAMED_ECHO], 3),
            "(a') of the echo in bulk": round(rates[STREAMED] / rates[BULK], 3),
            "(b) of raw debits": round(rates[PURCHASES] / rates[DEBITS], 3),
            "(c) kept in a storm": round(rates[STORM] / rates[PURCHASES], 3),
        },
        "runs": figures,
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Print medians and ratios."""
    table = Table(title="medians, a second", title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for name, rate in result["rates"].items():
        table.add_row(name, f"{rate:,.0f}")
    for name, ratio in result["ratios"].items():
        table.add_row(name, f"{ratio:.2f}")
    for name in (PURCHASES, STREAMED):
        each = report.middle(result["runs"][name])
        for part, cost in each["cpu_us_per_purchase"].items():
            table.add_row(f"{name}: CPU of {part}, us", f"{cost}")
        table.add_row(f"{name}: commits a second", f"{each['commits_per_second']:,.0f}")
        table.add_row(f"{name}: p50 / p95 / p99, ms", f"{each['p50_ms']} / {each['p95_ms']} / {each['p99_ms']}")
    handshakes = report.middle(result["runs"][STORM])["handshakes_per_second"]
    table.add_row("handshakes a second in the storm", f"{handshakes:,.0f}")
    console.print(table)


def main() -> None:
    """Measure, show, and write the figures to a file if asked."""
    parser = argparse.ArgumentParser(description="Measure trus against bare baselines.")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--record", type=Path, help="docs/performance.md")
    options = parser.parse_args()
    console = Console()
    result = measure(options.seconds, options.turns, console)
    show(result, console)
    if options.record is not None:
        report.write(options.record, result)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
