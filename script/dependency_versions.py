"""Writes the locked versions into the tables of docs/dependencies.md; script/lock runs it.

Adds and removes no row: which packages stand there, and why, is written by people.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Replace the version of every row that names a locked package."""
    lock = "".join((ROOT / "requirements" / name).read_text() for name in ("mutation.txt", "dev.txt"))
    versions = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock, re.MULTILINE))
    page = ROOT / "docs/dependencies.md"

    def renew(row: re.Match[str]) -> str:
        name = re.sub(r"[-_.]+", "-", row[1].partition("[")[0]).lower()
        return f"| {row[1]} | {versions.get(name, row[2])} |"

    page.write_text(re.sub(r"^\| ([\w.\[\]-]+) \| (\d\S*) \|", renew, page.read_text(), flags=re.MULTILINE))


if __name__ == "__main__":
    main()
