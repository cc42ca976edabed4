"""Tells what a run did: the closing table, JSON, and the figures of docs/reliability.md."""

from __future__ import annotations

import os
import platform
import statistics
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.faults.plans import Missing
from tests.faults.run import Record, Round
from tests.faults.steps import STEPS, table

FIGURES: Final = ("<!-- figures: begin -->", "<!-- figures: end -->")
STEPS_TABLE: Final = ("<!-- steps: begin -->", "<!-- steps: end -->")


def rows(record: Record) -> list[tuple[str, int, int, str, float, float]]:
    """Return fault, how often, purchases asked during, what held, recovery p50 and max in seconds."""
    groups: dict[str, list[Round]] = defaultdict(list)
    for each in record.rounds:
        groups[each.name].append(each)
    found = []
    for name, rounds in groups.items():
        back = [each.recovery for each in rounds if each.recovery >= 0] or [-1.0]
        broken = sorted({finding.invariant for each in rounds for finding in each.findings})
        held = f"not {', '.join(broken)}" if broken else "all"
        purchases = sum(each.purchases for each in rounds)
        found.append((name, len(rounds), purchases, held, statistics.median(back), max(back)))
    return found


def lines(record: Record, missing: Sequence[Missing]) -> list[str]:
    """Return the closing table for people."""
    head = ("fault", "times", "purchases", "held", "back p50", "max")
    body = [
        (name, str(n), str(p), held, f"{p50:.1f} s", f"{most:.1f} s") for name, n, p, held, p50, most in rows(record)
    ]
    widths = [max(len(row[column]) for row in [head, *body]) for column in range(len(head))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *body]
    ]
    text += [f"not injected: {each.fault}: {each.why}" for each in missing]
    text.append(
        f"{len(record.rounds)} faults in {record.seconds:.0f} s on {record.store}: {record.orders} orders, "
        f"{record.approved} approved, {record.events} events; steps {_visited(record)} of {len(STEPS)}; "
        f"full disk by {record.disk}"
    )
    return text


def _visited(record: Record) -> int:
    return len({each.step for each in record.rounds if each.step})


def as_dict(record: Record, missing: Sequence[Missing]) -> dict[str, Any]:
    """Return everything for a program."""
    names = ("fault", "times", "purchases", "held", "recovery_p50_s", "recovery_max_s")
    return {
        "held": record.held,
        "seconds": round(record.seconds, 1),
        "store": record.store,
        "disk": record.disk,
        "terminals": record.shape.terminals,
        "gateways": record.shape.gateways,
        "seed": record.shape.seed,
        "orders": record.orders,
        "approved": record.approved,
        "events": record.events,
        "operator_restarts": record.restarts,
        "steps_visited": _visited(record),
        "steps": len(STEPS),
        "faults": [dict(zip(names, row, strict=True)) for row in rows(record)],
        "rounds": [
            {"fault": each.name, "detail": each.detail, "step": each.step, "recovery_s": round(each.recovery, 2)}
            for each in record.rounds
        ],
        "not_injected": [{"fault": each.fault, "why": each.why} for each in missing],
        "findings": [str(each) for each in [*(f for one in record.rounds for f in one.findings), *record.findings]],
    }


def markdown(record: Record, missing: Sequence[Missing], command: str) -> str:
    """Return the figures for docs/reliability.md."""
    now = datetime.now(UTC).date().isoformat()
    body = [
        f"| {name} | {times} | {purchases} | {held} | {p50:.1f} s | {most:.1f} s |"
        for name, times, purchases, held, p50, most in rows(record)
    ]
    shape = record.shape
    about = [
        f"Recorded {now} with `{command}` on {os.cpu_count()} cores, Python {platform.python_version()},",
        f"{record.store}; {shape.terminals} terminals, {shape.gateways} gateways, one backend.",
        f"{len(record.rounds)} faults in {record.seconds / 60:.0f} minutes; {record.orders:,} orders,",
        f"{record.approved:,} approved, {record.events:,} events in the ledger;",
        f"{_visited(record)} of {len(STEPS)} steps.",
        f"The full disk was {record.disk}.",
    ]
    head = ["", "| fault | times | purchases during | held | back p50 | back max |", "|---|---:|---:|---|---:|---:|"]
    left_out = [f"\nNot injected: {each.fault}: {each.why}." for each in missing]
    return "\n".join([*about, *head, *body, *left_out])


def write(page: Path, marks: tuple[str, str], text: str) -> None:
    """Replace what is between two marks of a page. Raises ValueError when it has no such marks."""
    whole = page.read_text(encoding="utf-8")
    before, begin, rest = whole.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"{page} has no place for this")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def steps_table() -> str:
    """Return the table of steps, for its place in docs/reliability.md."""
    return table()
