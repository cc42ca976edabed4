"""Measures trus and its baselines one after the other, in turns, and writes the ratios down.

    python -m benchmarks.compare [--seconds S] [--turns N] [--json FILE] [--record docs/performance.md]

(a) a bare echo over two hops of two-way TLS; (b) the same debits in raw SQLCipher, one commit
each; (c) purchases beside a storm of new handshakes. Each turn measures all of them, so that a
noisy machine is noisy for all; ratios are of medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import report
from tests.integration.network import Network
from trus.clock import SystemClock

PROJECT = Path(__file__).resolve().parents[1]
CLIENTS, DEPTH = 16, 8


def purchases(network: Network, seconds: float, storm: bool = False) -> dict[str, Any]:
    """Return what `trus bench` says of a running network."""
    command = [sys.executable, "-m", "trus.cli.main", "bench", "--config", str(network.layout.config), "--json"]
    command += ["--clients", str(CLIENTS), "--depth", str(DEPTH), "--seconds", str(seconds)]
    if storm:
        command.append("--storm")
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=seconds + 120, check=False)
    if not done.stdout.strip():
        raise RuntimeError(f"trus bench failed: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def echo(pki: Path, seconds: float, how: str) -> dict[str, Any]:
    """Return what the bare echo reaches, `how` being lines or bulk."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "benchmarks.echo", *arguments]
        return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)

    server = start("server", str(pki), how)
    hop = None
    try:
        hop = start("hop", str(pki), how, server.stdout.readline().strip())  # type: ignore[union-attr]
        port = hop.stdout.readline().strip()  # type: ignore[union-attr]
        load = start("load", str(pki), port, str(CLIENTS), str(DEPTH), str(seconds))
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
    figures: dict[str, list[dict[str, Any]]] = {
        "purchases": [],
        "echo of lines": [],
        "echo in bulk": [],
        "raw debits": [],
        "purchases in a storm": [],
    }
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
        for turn in range(turns):
            for name in figures:
                with console.status(f"turn {turn + 1} of {turns}: {name}"):
                    if name == "purchases":
                        figures[name].append(purchases(network, seconds))
                    elif name.startswith("echo"):
                        figures[name].append(echo(pki, seconds, "lines" if "lines" in name else "bulk"))
                    elif name == "raw debits":
                        figures[name].append(debits(seconds))
                    else:
                        figures[name].append(purchases(network, seconds, storm=True))
    finally:
        network.remove()
    rates = {name: statistics.median(each["rate"] for each in runs) for name, runs in figures.items()}
    return {
        "date": SystemClock().now().date().isoformat(),
        "seconds": seconds,
        "machine": {"cores": os.cpu_count(), "python": sys.version.split()[0]},
        "rates": rates,
        "ratios": {
            "(a) of the echo of lines": round(rates["purchases"] / rates["echo of lines"], 3),
            "(a') of the echo in bulk": round(rates["purchases"] / rates["echo in bulk"], 3),
            "(b) of raw debits": round(rates["purchases"] / rates["raw debits"], 3),
            "(c) kept in a storm": round(rates["purchases in a storm"] / rates["purchases"], 3),
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
    last = result["runs"]["purchases"][-1]
    for name, cost in last["cpu_us_per_purchase"].items():
        table.add_row(f"CPU of {name}, us a purchase", f"{cost}")
    table.add_row("commits a second", f"{last['commits_per_second']:,.0f}")
    table.add_row("p50 / p95 / p99, ms", f"{last['p50_ms']} / {last['p95_ms']} / {last['p99_ms']}")
    table.add_row(
        "handshakes a second in the storm",
        f"{result['runs']['purchases in a storm'][-1]['handshakes_per_second']:,.0f}",
    )
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
