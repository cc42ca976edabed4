"""Puts the questions to the prover: `python -m proofs`, or script/prove.

Prints one line a question; returns 1 when an answer is not the expected one. Changes nothing, unless asked to
renew the tables of docs/security/proof.md.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from proofs import report
from proofs.cases import LAYERS, LIMITS, POSSIBLE, PROOFS, SHORT, STOLEN, TOGETHER, WEAKENINGS, Case
from proofs.report import Row
from proofs.spass import ProverFailed, ask, stop

PARTS: Final = {
    "possible": "what must be possible",
    "holds": "what must hold",
    "stolen": "what must hold though one side's key was stolen",
    "together": "what must hold when modes that share a key are on one network",
    "weak": "what must break when a part is missing",
    "layers": "what holds even without one part",
    "limits": "what is not promised, and can be done",
}


def questions(part: str) -> list[tuple[Case, str]]:
    """Return the cases of a part, each with the claim that it must break; "" for none of them."""
    held: dict[str, Iterable[Case]] = {"holds": PROOFS, "stolen": STOLEN, "layers": LAYERS, "together": TOGETHER}
    if part in held:
        return [(case, "") for case in held[part]]
    if part == "possible":
        return [(case, "possible") for case in POSSIBLE]
    return [(each.case, each.breaks) for each in (WEAKENINGS if part == "weak" else LIMITS)]


def short(part: str) -> list[tuple[Case, str]]:
    """Return the cases of a part that script/test asks too."""
    return [(case, breaks) for case, breaks in questions(part) if case.name in SHORT]


def main(arguments: list[str]) -> int:
    """Ask, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="script/prove", description="Prove the sealed session.")
    parser.add_argument("parts", nargs="*", help=f"which parts to ask: {', '.join(PARTS)}; all unless told")
    parser.add_argument("--short", action="store_true", help="only what script/test asks too")
    parser.add_argument("--steps", action="store_true", help="show the ways that were found, rule by rule")
    parser.add_argument("--record", action="store_true", help=f"write the answers into {report.PAGE.name}")
    parser.add_argument("--print", metavar="CASE", dest="shown", help="print one case's problem (TPTP), and stop")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.parts) - PARTS.keys():
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    if chosen.record and chosen.short:
        parser.error("--record needs every answer of a part")
    if chosen.shown:
        return show(chosen.shown)
    tables: dict[str, list[Row]] = {}
    try:
        for part in chosen.parts or PARTS:
            tables[part] = prove(PARTS[part], short(part) if chosen.short else questions(part), chosen.steps)
    except ProverFailed as problem:
        print(f"script/prove: {problem}", file=sys.stderr)
        return 2
    rows = [row for table in tables.values() for row in table]
    wrong = sum(not row.expected for row in rows)
    if chosen.record and not wrong:
        report.record(tables)
    seconds = sum(row.answer.seconds for row in rows)
    print(f"{len(rows)} questions, {seconds:.0f} s of processor time: ", end="")
    print(f"{wrong} answers are not the expected ones" if wrong else "every answer is the expected one")
    return 1 if wrong or not rows else 0


def prove(title: str, asked: list[tuple[Case, str]], steps: bool) -> list[Row]:
    """Ask all of it, one prover a processor, and print the answers in order. Raises ProverFailed."""
    rows = []
    print(f"{title}:", flush=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            answers = pool.map(lambda case: ask(case.theory()), [case for case, _ in asked])
            for (case, breaks), answer in zip(asked, answers, strict=True):
                rows.append(Row(case, breaks, answer))
                print(rows[-1].line(), flush=True)
                for step in answer.steps if steps else ():
                    print(f"      {step}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
            raise
    return rows


def show(name: str) -> int:
    """Print the problem of the case that is called so."""
    for part in PARTS:
        for case, _ in questions(part):
            if case.name == name:
                print(case.theory().problem(), end="")
                return 0
    print(f"script/prove: there is no case {name!r}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("script/prove: stopped"))
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("script/prove: stopped")
