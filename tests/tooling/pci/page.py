"""Writes docs/security/pci-dss.md from the register of requirements.

.venv/bin/python -m tests.tooling.pci.page
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.tooling.pci.model import Line, Standing
from tests.tooling.pci.protecting import SETTINGS, STORED, TRANSIT
from tests.tooling.pci.software import ACCESS, PEOPLE, SOFTWARE
from tests.tooling.pci.watching import RECORD, TESTS
from tests.tooling.sources import ROOT

PAGE: Final = ROOT / "docs" / "security" / "pci-dss.md"
#: Title and lines of each requirement, in the order of the page.
REQUIREMENTS: Final[tuple[tuple[str, Sequence[Line]], ...]] = (
    ("Requirement 2: secure settings", SETTINGS),
    ("Requirement 3: stored account data", STORED),
    ("Requirement 4: data under way", TRANSIT),
    ("Requirement 6: secure software", SOFTWARE),
    ("Requirement 7: access by need", ACCESS),
    ("Requirement 8: who is who", PEOPLE),
    ("Requirement 10: what is on record", RECORD),
    ("Requirement 11: tests", TESTS),
)

_HEAD: Final = """\
# PCI DSS v4.0.1, line by line

What each requirement asks, in our words and by its number (the standard's own text is the council's), and who
meets it: the **software**, with the tests that show it; the **operator**, with setting and page; or nobody
**yet**, with what is missing. A requirement of which a part is missing counts as missing.

This is a developer's own assessment and no one's certificate. trus is a closed-loop network: its cards begin with a
number from a private range, no scheme of the card industry routes them, and no scheme's rules bind it. PCI DSS is
what it was designed by. An operator whose network also touches cards of a scheme needs an assessor.

**Not applicable** means one of three things, and each line says which: the thing does not exist here (wireless
networks, passwords, web pages); it is asked of a provider that serves several customers, and a deployment
serves one issuer; or what it guards is never kept. It never means that a rule was judged too hard.

Requirements 1, 5, 9 and 12 are about networks, malware, doors and the organisation: the operator's, whatever software
runs. The gateway's part in requirement 1 is in [the threat model](index.md).

This page is written by `python -m tests.tooling.pci.page`; a test proves that every number of the standard's list is
here, and that each test, setting and page named exists.
"""


def cell(line: Line) -> str:
    """Return by what a requirement is met, as one cell of the table."""
    parts = []
    if line.software:
        parts.append(f"{line.software} {' '.join(f'`{test}`' for test in line.tests)}")
    if line.operator:
        said = f"**Operator:** {line.operator}"
        if line.settings:
            names = [each.removeprefix("policy:") for each in line.settings]
            said += f" {' '.join(f'`{name}`' for name in names)}"
        parts.append(said + (f" ([how]({line.page}))" if line.page else ""))
    if line.missing:
        parts.append(f"**Missing:** {line.missing}")
    if line.none:
        parts.append(line.none)
    return "<br>".join(parts)


def page() -> str:
    """Return the whole page as it should be now."""
    parts = [_HEAD, "| requirement | " + " | ".join(Standing) + " |\n|---|" + "---|" * len(Standing)]
    for title, lines in REQUIREMENTS:
        counts = [sum(line.standing is standing for line in lines) for standing in Standing]
        parts[-1] += (
            f"\n| {title.partition(':')[0].removeprefix('Requirement ')} | " + " | ".join(map(str, counts)) + " |"
        )
    parts[-1] += "\n"
    for title, lines in REQUIREMENTS:
        rows = [f"| {line.id} | {line.words} | {line.standing} | {cell(line)} |" for line in lines]
        parts.append(
            f"## {title}\n\n| number | asks | met by | by what |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
