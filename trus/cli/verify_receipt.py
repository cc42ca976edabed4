"""`trus verify-receipt`: proves with a public key alone that the journal holds an answer, or does not.

Opens the files that it is given and nothing else: no token, no database, no network.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trus.errors import ConfigurationError
from trus.money import format_amount, parse_amount
from trus.receipts.documents import ExportedLine
from trus.receipts.links import KEY_BYTES, Receipt, ReceiptError
from trus.receipts.proofs import EVIDENCE_VERSION, Evidence, read_evidence
from trus.receipts.verdicts import CONTRADICTED, Judgement, Verdict, judge

#: Exit code when the network is shown to be wrong; 1 when nothing is proved either way.
WRONG: Final = 3
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_KEY: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)
_SAYS: Final = {
    Verdict.INCLUDED: ("INCLUDED", "bold white on green", "The journal holds this answer, as the slip says it."),
    Verdict.CHANGED: ("CHANGED", "bold white on red", "The journal does not say what the slip says."),
    Verdict.NOT_INCLUDED: ("NOT INCLUDED", "bold white on red", "The network cannot prove an answer that it gave."),
    Verdict.INCONSISTENT: ("INCONSISTENT", "bold white on red", "The network signed two journals: one was rewritten."),
    Verdict.NOT_YET: ("NOT YET", "bold black on yellow", "No signed head covers the answer yet: ask again."),
    Verdict.NOT_SIGNED: (
        "NOT SIGNED",
        "bold black on yellow",
        "The key did not sign the head: nothing is proved.",
    ),
}
#: Options that say what a paper slip says, and the field of a statement that each is.
_SLIP: Final = {"rrn": "rrn", "approval": "approval", "terminal": "terminal", "date": "business_date"}


@click.command("verify-receipt", short_help="Prove a receipt with the public key alone.")
@click.argument("evidence", type=_FILE)
@click.option("--key", "keys", type=_FILE, multiple=True, required=True, help="The network's public key, PEM.")
@click.option("--head", "heads", type=_FILE, multiple=True, help="Further heads: exported lines or receipt files.")
@click.option("--opening", metavar="HEX", help="The receipt key that the network opened to an arbiter.")
@click.option("--proof", help="The proof code as the slip prints it.")
@click.option("--rrn", help="The reference as the slip prints it.")
@click.option("--approval", help="The approval code as the slip prints it.")
@click.option("--terminal", help="The terminal as the slip prints it.")
@click.option("--date", help="The business date as the slip prints it.")
@click.option("--amount", help="The amount as the slip prints it, such as 12.50.")
@click.option("--json", "json_output", is_flag=True, help="Print one JSON object instead of a table.")
def verify_receipt_command(
    evidence: Path,
    keys: tuple[Path, ...],
    heads: tuple[Path, ...],
    opening: str | None,
    proof: str | None,
    amount: str | None,
    json_output: bool,
    **slip: str | None,
) -> None:
    """Check the file of a receipt against the network's public key.

    Exits 0 when the journal holds the answer, 3 when the network is shown to be wrong (changed, not
    included, inconsistent), 1 when nothing is proved either way.
    """
    held = _with_slip(read_evidence(evidence.read_bytes()), proof, amount, slip)
    judgement = judge(held, _signed_by(keys), [line for path in heads for line in _heads(path)], _opening(opening))
    if json_output:
        click.echo(msgspec.json.format(msgspec.json.encode(judgement)).decode("utf-8"))
    else:
        show(judgement, held, Console(highlight=False))
    sys.exit(0 if judgement.verdict is Verdict.INCLUDED else WRONG if judgement.verdict in CONTRADICTED else 1)


def show(judgement: Judgement, evidence: Evidence, console: Console) -> None:
    """Print what was looked at, line by line, and the verdict."""
    table = Table(title=f"receipt {judgement.receipt}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column()
    table.add_column(overflow="fold")
    for each in judgement.findings:
        words = {True: Text("holds", "green"), False: Text("wrong", "bold red"), None: Text("unknown", "yellow")}
        table.add_row(each.check, words[each.holds], Text(each.words))
    console.print(table)
    said = evidence.slip or ({} if evidence.proof is None else msgspec.structs.asdict(evidence.proof.statement))
    if said:
        console.print(Text(_line(said)), soft_wrap=True)
    word, style, sentence = _SAYS[judgement.verdict]
    console.print(Text(f" {word} ", style), Text(sentence))


def _line(said: dict[str, Any]) -> str:
    """Return an answer in one line, as a slip would."""
    parts = [str(said[name]) for name in ("kind", "terminal", "business_date", "rrn", "result") if said.get(name)]
    if said.get("authorized") is not None and said.get("currency"):
        parts.append(f"{format_amount(said['authorized'], said['currency'])} {said['currency']}")
    return ", ".join(parts)


def _with_slip(evidence: Evidence, proof: str | None, amount: str | None, slip: dict[str, str | None]) -> Evidence:
    """Return the evidence with what a paper slip says in the place of what the file says."""
    said: dict[str, Any] = dict(evidence.slip)
    said |= {_SLIP[name]: value for name, value in slip.items() if value is not None}
    if amount is not None:
        currency = said.get("currency") or (evidence.proof.statement.currency if evidence.proof else "")
        if not currency:
            raise ConfigurationError("the file does not say the currency of the amount")
        said["authorized"] = parse_amount(amount, currency)
    receipt = evidence.receipt if proof is None else Receipt.parse(proof).text()
    return Evidence(EVIDENCE_VERSION, receipt, said, evidence.proof, evidence.since)


def _heads(path: Path) -> list[ExportedLine]:
    """Return the heads of a file: exported lines, or those of a receipt file. Raises ReceiptError."""
    content = path.read_bytes()
    try:
        return [msgspec.json.decode(line, type=ExportedLine) for line in content.splitlines() if line.strip()]
    except msgspec.MsgspecError:
        held = read_evidence(content)
    found = [] if held.proof is None else [held.proof.head]
    return found if held.since is None else [*found, held.since.head]


def _opening(text: str | None) -> bytes:
    try:
        key = bytes.fromhex(text or "")
    except ValueError:
        key = b"?"
    if text is not None and len(key) != KEY_BYTES:
        raise ReceiptError("a receipt key has 64 hexadecimal digits")
    return key


def _signed_by(paths: tuple[Path, ...]) -> Callable[[bytes, bytes], bool]:
    """Return what checks signatures under the keys of these files. Raises ConfigurationError."""
    public: list[ec.EllipticCurvePublicKey] = []
    for path in paths:
        for pem in _KEY.findall(path.read_bytes()):
            key = load_pem_public_key(pem)
            if isinstance(key, ec.EllipticCurvePublicKey):
                public.append(key)
    if not public:
        raise ConfigurationError("no file given with --key holds an elliptic-curve public key in PEM")

    def signed(payload: bytes, signature: bytes) -> bool:
        for key in public:
            try:
                key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
            except InvalidSignature:
                continue
            return True
        return False

    return signed
