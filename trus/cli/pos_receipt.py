"""`trus pos receipt`: has the network prove an answer, and writes the file that a shop keeps.

Proves nothing itself: `trus verify-receipt` does, anywhere, with the network's public key.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint

from trus.cli.pos_till import DECLINED, find_purchase
from trus.cli.reacting import run
from trus.cli.screen import grouped
from trus.clock import SystemClock, SystemEntropy
from trus.device.home import DeviceHome
from trus.device.receipts import NotProved, ask_proof, evidence_of, slip_of
from trus.errors import ConfigurationError
from trus.receipts.proofs import read_evidence, write_evidence
from trus.values import ResponseCode

#: Seconds between two questions while no head covers the answer; one is signed within a second or two.
ASK_SECONDS: Final = 1.0
_FILE = click.Path(path_type=Path)


@click.command("receipt", short_help="Have an answer proved, and keep the proof in a file.")
@click.option("--number", type=click.IntRange(1, 999_999), help="The purchase's number.  [default: the last one]")
@click.option("--since", type=_FILE, help="An earlier receipt file: prove that the journal has only grown since.")
@click.option(
    "--wait", type=click.IntRange(0, 300), default=20, show_default=True, help="Seconds to wait for a signed head."
)
@click.option("--out", type=_FILE, help="Where to write the file.  [default: receipt-RRN.json]")
@click.pass_obj
def receipt_command(path: Path, number: int | None, since: Path | None, wait: int, out: Path | None) -> None:
    """Write what this terminal noted of a purchase, and the network's proof of it, into a file.

    The file is written in any case: where the network gives no proof, it says what the slip says. Exits 3
    when the network says that it has no such answer.
    """
    console = Console(highlight=False)
    home = DeviceHome.load(path)
    earlier = None if since is None else read_evidence(since.read_bytes()).proof
    if since is not None and earlier is None:
        raise ConfigurationError(f"{since} holds no proof")

    async def ask(reactor: Any) -> int:
        journal = home.journal()
        try:
            purchase = find_purchase(journal, number)
        finally:
            journal.close()
        proof = purchase.settled.proof
        if not proof:
            raise ConfigurationError("this purchase has no proof code: the backend gave none")
        given, problem = None, None
        for left in range(wait, -1, -1):
            try:
                given = await ask_proof(
                    home,
                    proof,
                    0 if earlier is None else earlier.head.read().number,
                    endpoint=HostnameEndpoint(reactor, home.settings.host, home.settings.port),
                    reactor=reactor,
                    clock=SystemClock(),
                    entropy=SystemEntropy(),
                )
            except NotProved as failure:
                problem = failure
                if not failure.too_early or not left:
                    break
                await _sleep(reactor)
            else:
                break
        target = out or Path(f"receipt-{purchase.settled.rrn}.json")
        target.write_bytes(write_evidence(evidence_of(proof, slip_of(purchase), given)))
        console.print(f"proof code {grouped(proof)}")
        if given is None:
            console.print(f"No proof: {problem}. {target} says what the slip says.", style="red")
            return DECLINED if problem is not None and problem.code == ResponseCode.RECORD_NOT_FOUND else 1
        head = given[0].head.read()
        console.print(f"Proved under signed head {head.number}: {target}", style="green")
        return 0

    with home.locked():
        code = run(ask)
    sys.exit(code)


def _sleep(reactor: Any) -> Deferred[None]:
    over: Deferred[None] = Deferred()
    reactor.callLater(ASK_SECONDS, over.callback, None)
    return over
