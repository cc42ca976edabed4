"""Writes the figures of a comparison into docs/performance.md, between its markers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

BEGIN: Final = "<!-- figures: begin -->"
END: Final = "<!-- figures: end -->"


def tables(result: dict[str, Any]) -> str:
    """Return the figures as Markdown tables."""
    rates, ratios, runs = result["rates"], result["ratios"], result["runs"]
    machine = result["machine"]
    shapes = {shape: middle(runs[f"purchases, {shape}"]) for shape in ("tills", "streams")}
    storm = middle(runs["purchases in a storm, tills"])
    lines = [
        f"Recorded {result['date']} on {machine['cores']} cores, Python {machine['python']}, the load, gateway, front",
        f"and core all on these; medians of {len(runs['raw debits'])} turns of {result['seconds']:.0f} s,",
        "a PIN on every purchase. In flight: "
        + "; ".join(f"{name}: {each['in_flight']} on {each['terminals']} terminals" for name, each in shapes.items())
        + ".",
        "",
        "| measured | a second |",
        "|---|---:|",
        *(f"| {name} | {rate:,.0f} |" for name, rate in rates.items()),
        "",
        "| ratio, taken in one run | is | aim |",
        "|---|---:|---|",
        *(f"| {name} | {ratio:.2f} | {_aim(name)} |" for name, ratio in ratios.items()),
        "",
        "| a purchase | tills | streams |",
        "|---|---:|---:|",
        *_rows(shapes),
        "",
        f"New handshakes a second in the storm: {storm['handshakes_per_second']:,.0f}.",
    ]
    return "\n".join(lines)


def _rows(shapes: dict[str, dict[str, Any]]) -> list[str]:
    """Return what is told of a purchase, a column for each shape."""
    told = [
        (
            "latency p50 / p95 / p99",
            [f"{run['p50_ms']} / {run['p95_ms']} / {run['p99_ms']} ms" for run in shapes.values()],
        ),
        ("commits a second", [f"{run['commits_per_second']:,.0f}" for run in shapes.values()]),
    ]
    costs = [run["cpu_us_per_purchase"] for run in shapes.values()]
    told += [(f"CPU of {part}", [f"{cost[part]} us" for cost in costs]) for part in costs[0]]
    told.append(("CPU, all processes", [f"{sum(cost.values()):.0f} us" for cost in costs]))
    return [f"| {name} | {' | '.join(cells)} |" for name, cells in told]


def middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the run whose rate is the median."""
    return sorted(runs, key=lambda run: float(run["rate"]))[len(runs) // 2]


def _aim(name: str) -> str:
    return {"(a)": "at least 0.33", "(b)": "more than 1", "(c)": "at least 0.5"}.get(name[:3], "told for comparison")


def write(page: Path, result: dict[str, Any]) -> None:
    """Replace the figures of `page`. Raises ValueError when it has no markers."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for figures")
    page.write_text(f"{before}{BEGIN}\n{tables(result)}\n{END}{after}", encoding="utf-8")
