"""`script/demo`: a whole day of lunches on real parts, from an empty folder to an audited ledger.

Pretends nothing: `trus init` provisions, two processes of twistd serve, an admin registers
everybody at the console, terminals enrol and pay over two-way TLS. Removes only a folder that
an earlier demo made. Exit code 0 when every answer was the expected one, the settlement is what
the terminals counted, a receipt is proved, and the audit finds the ledger sound.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint

from trus.admin.client import AdminClient
from trus.cli.admin_place import place_of
from trus.cli.demo_network import DemoFailed, LunchTime, NetworkFile, Registrar, read_network
from trus.cli.demo_report import (
    compare_settlement,
    refusals,
    show_payments,
    show_refusals,
    show_settlement,
)
from trus.cli.demo_servers import BACKEND, GATEWAY, MARKER, Server, clear, free_ports, split_config
from trus.cli.heads import HEAD_KEY_FILE
from trus.cli.init import InitOptions, describe
from trus.cli.layout import Layout, passphrase_of
from trus.cli.main import run as run_command
from trus.cli.reacting import run
from trus.cli.replay import Played, Player, Score, line, play_rows
from trus.cli.replay_file import Row, read_cards, read_rows
from trus.cli.signals import end_as_interrupted
from trus.clock import SystemClock, SystemEntropy
from trus.device.enrolment import enrol
from trus.device.home import DeviceHome, TerminalSettings
from trus.pki.channel import GATEWAY_HOST

PROJECT: Final = Path(__file__).resolve().parents[2]
STORY: Final = PROJECT / "examples" / "lunch-day"
DEFAULT_FOLDER: Final = PROJECT / "var" / "demo"
#: Columns of what is printed into a file or a pipe.
WIDTH: Final = 110
#: The first of four ports that are tried.
FIRST_PORT: Final = 7001


@attrs.define
class Demo:
    """What the demo works with; `root` is the deployment's folder."""

    root: Path
    console: Console
    network: NetworkFile
    rows: list[Row]
    ports: list[int]
    verbose: bool
    servers: list[Server] = attrs.field(factory=list)

    @property
    def terminals(self) -> Path:
        """The folder of the terminals' folders."""
        return self.root / "terminals"

    @contextlib.contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Say what is being done, and how long it took."""
        began = time.monotonic()
        with self.console.status(f"{doing} ...") if self.console.is_terminal else contextlib.nullcontext():
            yield
        self.console.print(f"[green]✓[/green] {doing} [dim]({time.monotonic() - began:.1f} s)[/dim]")


# --------------------------------------------------------------------------------------- steps


def provision(demo: Demo) -> None:
    """Make the deployment with `trus init`. Raises DemoFailed with its words."""
    devices, admins, links, directory = demo.ports
    command = [sys.executable, "-m", "trus.cli.main", "init", str(demo.root), "--name", "lunch-day"]
    command += ["--devices-port", str(devices), "--admin-port", str(admins), "--link-port", str(links)]
    command += ["--directory-port", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as init:
        try:
            output, errors = init.communicate()
        except KeyboardInterrupt:
            # It puts away what it began, and the demo does not leave before it has.
            init.send_signal(signal.SIGINT)
            init.communicate()
            raise
    if init.returncode:
        raise DemoFailed(f"trus init failed: {(errors or output).strip().removeprefix('Error: ')}")
    (demo.root / MARKER).write_text("This folder was made by script/demo, which may remove it.\n", "utf-8")
    split_config(demo.root)


async def serve(demo: Demo, reactor: Any) -> None:
    """Start backend and gateway and wait until both are ready."""
    demo.servers += [Server(BACKEND, demo.root), Server(GATEWAY, demo.root)]
    for server in demo.servers:
        server.start()
    for server in demo.servers:
        await server.ready(reactor)


async def register(demo: Demo, admin: AdminClient) -> tuple[dict[str, str], list[Path]]:
    """Register everybody; return the activation codes and the personalisation files."""
    registrar = Registrar(admin, demo.network, LunchTime.at(SystemClock().now()))
    await registrar.companies()
    codes = await registrar.shops()
    files = [demo.root / "personalisation" / name for name in await registrar.cards()]
    await registrar.misfortunes(_references(files))
    return codes, files


async def enrol_all(demo: Demo, reactor: Any, codes: dict[str, str]) -> None:
    """Enrol every terminal with its code, all at once."""
    layout = Layout(demo.root)
    bundle = layout.bundle("pos")
    passphrase = passphrase_of(bundle).read_bytes().split(b"\n", 1)[0]

    async def one(terminal: str, code: str) -> None:
        settings = TerminalSettings(terminal, "127.0.0.1", demo.ports[0], GATEWAY_HOST)
        home = DeviceHome.prepare(
            demo.terminals / terminal,
            settings,
            anchor=layout.anchor.read_bytes(),
            channel=bundle.read_bytes(),
            passphrase=passphrase,
        )
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", demo.ports[0])
        await enrol(home, code, endpoint=endpoint, reactor=reactor, clock=SystemClock(), entropy=SystemEntropy())

    await gatherResults([Deferred.fromCoroutine(one(*each)) for each in codes.items()], consumeErrors=True)


async def play(demo: Demo, reactor: Any, files: list[Path]) -> Score:
    """Play the day, with a bar that moves."""
    player = Player(reactor, demo.terminals, read_cards(files))
    columns = (TextColumn("[green]▸[/green] {task.description}"), BarColumn(30), MofNCompleteColumn())
    with Progress(
        *columns, console=demo.console, transient=True, disable=demo.verbose or not demo.console.is_terminal
    ) as progress:
        task = progress.add_task("lunch is being paid", total=len(demo.rows))

        def seen(played: Played) -> None:
            if demo.verbose or played.problem:
                demo.console.print(line(played))
            progress.update(task, advance=1, description=f"lunch is being paid, {played.row.at}")

        return await play_rows(player, demo.rows, seen)


async def explain(admin: AdminClient, score: Score) -> dict[str, str]:
    """Ask the backend why it refused, once for each code; return its words by reference (rrn)."""
    found: dict[str, str] = {}
    for rows in refusals(score).values():
        rrn = rows[0].answer.rrn
        if rrn:
            found[rrn] = (await admin.command("EXPLAIN", rrn=rrn)).text
    return found


def audit(demo: Demo) -> bool:
    """Prove the ledger with `trus audit`; return whether it is sound."""
    return _trus(demo, "audit", "--config", str(demo.root / "trus.yaml"))


def prove_receipt(demo: Demo, score: Score) -> bool:
    """Have the last purchase's receipt proved by its terminal, and verify it with the public key alone."""
    terminal = next((each.row.terminal for each in reversed(score.played) if each.paid > 0), None)
    if terminal is None:
        return False
    file, layout = demo.root / "receipt.json", Layout(demo.root)
    demo.console.print(f"A receipt of {terminal}, proved by the network, verified with its public key alone:")
    given = _trus(demo, "pos", "--home", str(demo.terminals / terminal), "receipt", "--out", str(file))
    return given and _trus(demo, "verify-receipt", str(file), "--key", str(layout.pki / HEAD_KEY_FILE))


def _trus(demo: Demo, *command: str) -> bool:
    """Run a command of trus and show what it says; return whether it exits with 0."""
    colours = {"FORCE_COLOR": "1"} if demo.console.is_terminal else {"COLUMNS": str(demo.console.width)}
    whole = [sys.executable, "-m", "trus.cli.main", *command]
    done = subprocess.run(whole, capture_output=True, text=True, check=False, env={**os.environ, **colours})
    demo.console.file.write(done.stdout + done.stderr)
    return done.returncode == 0


# ---------------------------------------------------------------------------------------- whole


async def whole_day(demo: Demo, reactor: Any) -> bool:
    """Do everything after provisioning; return whether all went as the story tells."""
    console = demo.console
    with demo.step("gateway and backend run under twistd, linked over two-way TLS"):
        await serve(demo, reactor)
    admin = await place_of(demo.root / "trus.yaml").connect(reactor)
    try:
        people = sum(len(company.employees) for company in demo.network.companies)
        what = f"{len(demo.network.companies)} companies, {people} cards and {len(demo.network.shops)} shops"
        with demo.step(f"an admin registered {what} at the console"):
            codes, files = await register(demo, admin)
        with demo.step(f"{len(codes)} terminals made their keys and enrolled with one-time codes"):
            await enrol_all(demo, reactor, codes)
        with demo.step(f"{len(demo.rows)} requests of the lunch day were answered"):
            score = await play(demo, reactor, files)
        date = (await admin.command("DAY")).rows[0]["business-date"]
        currency = demo.network.currency
        show_payments(console, score, currency)
        show_refusals(console, score, await explain(admin, score), demo.network)
        settlement = (await admin.command("SETTLEMENT", date=date)).rows
        show_settlement(console, settlement, date)
    finally:
        await admin.close()
    proved = prove_receipt(demo, score)
    sound = audit(demo) and proved
    differences = compare_settlement(score, settlement, currency)
    return _verdict(console, score, differences, sound)


def _verdict(console: Console, score: Score, differences: list[str], sound: bool) -> bool:
    for each in score.wrong:
        console.print(line(each))
    for text in differences:
        console.print(text, style="red", markup=False)
    if score.as_expected and not differences and sound:
        console.print(f"All {len(score.played)} answers were the expected ones.", style="bold green")
        return True
    counts = f"{len(score.wrong)} of {len(score.played)} answers, {len(differences)} shops"
    console.print(f"Not as expected: {counts}, ledger {'sound' if sound else 'not sound'}.", style="bold red")
    return False


def _references(files: list[Path]) -> dict[str, str]:
    """Return the cards' references by employee."""
    import csv

    found: dict[str, str] = {}
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            found |= {record["employee"]: record["card"] for record in csv.DictReader(file)}
    return found


def _say_how_to_reach(demo: Demo) -> None:
    """Tell what a visitor can type while the network runs."""
    devices, admins, links, _ = demo.ports
    root, print_ = demo.root, demo.console.print
    options = InitOptions(name="lunch-day", devices_port=devices, admin_port=admins, link_port=links)
    layout = Layout(root)
    example = next(row for row in demo.rows if row.expect == "00")
    print_("\nThe network is still running.", style="bold")
    lines = [
        f"  console       .venv/bin/trus admin --config {shlex.quote(str(layout.config))}",
        *(text for text in describe_openssl(options, layout)),
        f"  a terminal    .venv/bin/trus pos --home {shlex.quote(str(demo.terminals / example.terminal))} balance",
        f"                (stripes and PINs: {root / 'personalisation'}/*.csv)",
        f"  logs          {root / 'log'}",
        f"  stop it       kill {' '.join(str(server.pid) for server in demo.servers)}",
    ]
    for text in lines:
        print_(text, soft_wrap=True, markup=False, highlight=False)


def describe_openssl(options: InitOptions, layout: Layout) -> Iterator[str]:
    """Yield the line of `trus init` that reaches the console with openssl."""
    from trus.cli.provisioning import Provisioned

    made = Provisioned(
        directory=str(layout.root),
        config=str(layout.config),
        token_conf=str(layout.token_conf),
        pin_file=str(layout.pin_file),
        database=str(layout.database),
        anchor=str(layout.anchor),
        pki=str(layout.pki),
        admins=str(layout.admins),
    )
    for text in describe(made, options).splitlines():
        head, _, rest = text.partition("or with openssl ")
        if rest and not head.strip():
            yield f"  with openssl  {rest}"


@click.command("demo")
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=DEFAULT_FOLDER, help="Where to provision.")
@click.option("--keep", is_flag=True, help="Leave the network running, and say how to reach it.")
@click.option("--verbose", "-v", is_flag=True, help="Show every request as it is answered.")
@click.option("--story", type=click.Path(path_type=Path), default=STORY, hidden=True)
def demo_command(folder: Path, keep: bool, verbose: bool, story: Path) -> int:
    """Play a day of lunches on a whole network: gateway, backend, console, terminals.

    Exit code 0 when every answer was the expected one.
    """
    end_as_interrupted()
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    root = folder.absolute()
    network, rows = read_network(story / "network.yaml"), read_rows(story / "purchases.csv")
    demo = Demo(root, console, network, rows, free_ports(4, FIRST_PORT), verbose)
    clear(root)
    with demo.step(f"trus init made keys in a token, authorities and a ciphered ledger in {_short(root)}"):
        provision(demo)

    async def main(reactor: Any) -> bool:
        good = False
        try:
            good = await whole_day(demo, reactor)
        finally:
            if not (keep and good):
                for server in reversed(demo.servers):
                    await server.stop(reactor)
        return good

    try:
        good = run(main)
    finally:
        if not keep:
            for server in demo.servers:
                server.kill()
    if keep and good:
        _say_how_to_reach(demo)
    return 0 if good else 1


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def main() -> None:
    """Run the demo as a program."""
    sys.exit(run_command(lambda: demo_command(prog_name="script/demo", standalone_mode=False)))


if __name__ == "__main__":
    main()
