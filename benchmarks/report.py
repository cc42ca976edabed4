"""Writes the figures of a comparison into docs/performance.md, between its markers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

BEGIN: Final = "<!-- figures: begin -->"
END: Final = "<!-- figures: end -->"


def tables(result: dict[str, Any]) -> str:
    """Return the figures as Markdown tables."""
    rates, ratios = result["rates"], result["ratios"]
    last = result["runs"]["purchases"][-1]
    storm = result["runs"]["purchases in a storm"][-1]
    machine = result["machine"]
    lines = [
        f"Recorded {result['date']} on {machine['cores']} cores, Python {machine['python']}, the load, gateway, front",
        f"and core all on these; medians of {len(result['runs']['purchases'])} turns of {result['seconds']:.0f} s;",
        f"{last['in_flight']} purchases in flight on {last['terminals']} terminals, a PIN on every one.",
        "",
        "| measured | a second |",
        "|---|---:|",
        *(f"| {name} | {rate:,.0f} |" for name, rate in rates.items()),
        "",
        "| ratio, taken in one run | is | aim |",
        "|---|---:|---|",
        *(f"| {name} | {ratio:.2f} | {_aim(name)} |" for name, ratio in ratios.items()),
        "",
        "| a purchase | |",
        "|---|---:|",
        f"| latency p50 / p95 / p99 | {last['p50_ms']} / {last['p95_ms']} / {last['p99_ms']} ms |",
        f"| commits a second | {last['commits_per_second']:,.0f} |",
        *(f"| CPU of {name} | {cost} us |" for name, cost in last["cpu_us_per_purchase"].items()),
        f"| CPU, all processes | {sum(last['cpu_us_per_purchase'].values()):.0f} us |",
        f"| new handshakes a second in the storm | {storm['handshakes_per_second']:,.0f} |",
    ]
    return "\n".join(lines)


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
