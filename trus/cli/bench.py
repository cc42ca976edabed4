"""`trus bench`: purchases through the whole running network, and what they cost.

Everything on the way is real: two-way TLS, the sealed session, stripe and PIN, the token, the
rules, one durable commit a batch. The load comes from this process over persistent
connections. Registers a company, cards and terminals of its own (named BENCH...) and says so.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater

from trus.cli.bench_setup import Bench, BenchFailed, prepare
from trus.cli.load import LoadTerminal, Tally
from trus.cli.processes import Used, children, listener, used
from trus.cli.reacting import run
from trus.cli.settle import settle
from trus.cli.storm import Storm
from trus.clock import SystemClock, SystemEntropy
from trus.settings.loading import load
from trus.settings.model import Settings

#: Seconds under load before anything is counted.
WARM_UP_SECONDS: Final = 2.0
#: Within which every terminal has its session, and between two looks whether it has.
SESSIONS_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.05
#: Minor units of every purchase.
AMOUNT: Final = 1


class Load:
    """Terminals under load on one reactor."""

    def __init__(self, reactor: Any, bench: Bench, depth: int) -> None:
        self._reactor = reactor
        self._bench = bench
        self._depth = depth
        self._clock = SystemClock()
        self._entropy = SystemEntropy()
        self._cards = itertools.cycle(bench.cards)
        self.tally = Tally(self._clock.monotonic)
        self._terminals: list[LoadTerminal] = []

    async def connect(self) -> None:
        """Connect every terminal; each begins to pay. Returns once all have their sessions. Raises BenchFailed."""
        for index in range(len(self._bench.homes)):
            self._terminals.append(await self._dial(index))
        deadline = self._clock.monotonic() + SESSIONS_SECONDS
        while self.tally.handshakes < len(self._terminals):
            if self.tally.refused or self._clock.monotonic() > deadline:
                raise BenchFailed(f"{self.tally.handshakes} of {len(self._terminals)} terminals have a session")
            await deferLater(self._reactor, POLL_SECONDS)

    def stop(self) -> None:
        """Send no more purchases."""
        for terminal in self._terminals:
            terminal.stop()

    def hang_up(self) -> None:
        """End every connection."""
        for terminal in self._terminals:
            terminal.hang_up()

    async def _dial(self, index: int) -> LoadTerminal:
        home = self._bench.homes[index]
        terminal = LoadTerminal(
            self._reactor,
            home.identity,
            home.trust,
            self._cards,
            self._depth,
            AMOUNT,
            self.tally,
            self._clock,
            self._entropy,
        )
        endpoint = TCP4ClientEndpoint(self._reactor, self._bench.host, self._bench.port)
        await endpoint.connect(home.wrap(terminal, self._reactor))
        return terminal


def _processes(settings: Settings) -> dict[str, int]:
    """Return the network's processes on this machine, by part."""
    found: dict[str, int] = {}
    if settings.gateway is not None:
        pid = listener(settings.gateway.devices.port)
        if pid is not None:
            found["gateway"] = pid
    link_port = settings.backend.link.port if settings.backend is not None else 0
    pid = listener(link_port) if link_port else None
    if pid is not None:
        name = "gateway + front" if found.get("gateway") == pid else "front"
        found.pop("gateway", None) if found.get("gateway") == pid else None
        found[name] = pid
        cores = children(pid)
        if cores:
            found["core"] = cores[0]
    return found


async def _measure(
    reactor: Any, settings: Settings, bench: Bench, depth: int, seconds: float, storm: bool
) -> dict[str, Any]:
    """Load the network for `seconds` and return what was seen."""
    processes = _processes(settings)
    under = Load(reactor, bench, depth)
    await under.connect()
    gale = Storm(reactor, bench) if storm else None
    if gale is not None:
        gale.begin()
    await deferLater(reactor, WARM_UP_SECONDS)
    commits = await bench.commits()
    before = {name: used(pid) for name, pid in processes.items()}
    clock = SystemClock()
    own = used(_me())
    under.tally.reset()
    handshakes = gale.handshakes if gale is not None else 0
    began = clock.monotonic()
    await deferLater(reactor, seconds)
    elapsed = clock.monotonic() - began
    tally, under.tally.latencies = list(under.tally.latencies), []
    codes = dict(under.tally.codes)
    handshakes = gale.handshakes - handshakes if gale is not None else 0
    after = {name: used(pid) for name, pid in processes.items()}
    own_after = used(_me())
    commits = await bench.commits() - commits
    lost = under.tally.lost
    under.stop()
    if gale is not None:
        await gale.end()
    await deferLater(reactor, 0.5)
    under.hang_up()
    ordered = sorted(tally)
    count = len(ordered)
    cpu = {name: _share(before[name], after[name], elapsed) for name in processes}
    cpu["load"] = _share(own, own_after, elapsed)
    return {
        "seconds": round(elapsed, 3),
        "purchases": count,
        "rate": round(count / elapsed, 1),
        "p50_ms": _milliseconds(ordered, 0.50),
        "p95_ms": _milliseconds(ordered, 0.95),
        "p99_ms": _milliseconds(ordered, 0.99),
        "codes": codes,
        "lost": lost,
        "cpu": cpu,
        "cpu_us_per_purchase": {name: round(share * elapsed * 1e6 / max(count, 1), 1) for name, share in cpu.items()},
        "commits_per_second": round(commits / elapsed, 1),
        "handshakes_per_second": round(handshakes / elapsed, 1),
        "terminals": len(bench.homes),
        "in_flight": len(bench.homes) * depth,
    }


def _me() -> int:
    return int(Path("/proc/self").resolve().name)


def _share(before: Used | None, after: Used | None, elapsed: float) -> float:
    """Return processors in use between two looks."""
    if before is None or after is None:
        return 0.0
    return round((after.cpu_seconds - before.cpu_seconds) / elapsed, 3)


def _milliseconds(ordered: list[float], share: float) -> float:
    if not ordered:
        return 0.0
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2)


def show(result: dict[str, Any], console: Console) -> None:
    """Print a result for people."""
    table = Table(title=f"{result['purchases']} purchases in {result['seconds']:.1f} s", title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_row("purchases a second", f"{result['rate']:,.0f}")
    table.add_row("p50 / p95 / p99", f"{result['p50_ms']} / {result['p95_ms']} / {result['p99_ms']} ms")
    table.add_row("in flight", f"{result['in_flight']} on {result['terminals']} terminals")
    table.add_row("commits a second", f"{result['commits_per_second']:,.0f}")
    if result["handshakes_per_second"]:
        table.add_row("handshakes a second beside", f"{result['handshakes_per_second']:,.0f}")
    for name, share in result["cpu"].items():
        table.add_row(f"CPU of {name}", f"{share:.0%}, {result['cpu_us_per_purchase'][name]} us a purchase")
    answers = ", ".join(f"{code}: {count}" for code, count in sorted(result["codes"].items()))
    table.add_row("answers", answers or "none")
    table.add_row("lost", str(result["lost"]))
    console.print(table)


@click.command("bench", short_help="Measure purchases through the whole running network.")
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The deployment's trus.yaml."
)
@click.option("--clients", default=16, show_default=True, type=click.IntRange(1, 1000), help="Terminals.")
@click.option("--depth", default=8, show_default=True, type=click.IntRange(1, 64), help="Purchases in flight on each.")
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(1, 3600), help="How long to count.")
@click.option("--cards", default=256, show_default=True, type=click.IntRange(1, 1000), help="Cards that pay.")
@click.option("--storm", is_flag=True, help="Make new handshakes without end beside the purchases.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench_command(
    config: Path, clients: int, depth: int, seconds: float, cards: int, storm: bool, as_json: bool
) -> None:
    """Measure a running deployment: rate, latencies, processor time, commits.

    Run it on the machine of the deployment. Exit code 1 when any purchase was not approved.
    """
    settings = load(config)
    console = Console(stderr=as_json)

    async def body(reactor: Any) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="trus-bench-") as scratch:
            with console.status("registering terminals and cards"):
                bench = await prepare(reactor, config, settings, Path(scratch), clients, cards)
            try:
                settle()
                with console.status(f"paying for {seconds:.0f} s"):
                    return await _measure(reactor, settings, bench, depth, seconds, storm)
            finally:
                await bench.close()

    result = run(body)
    if as_json:
        click.echo(json.dumps(result))
    else:
        show(result, console)
    if set(result["codes"]) - {"00"} or result["lost"]:
        raise SystemExit(1)
