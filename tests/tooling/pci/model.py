"""What a line of docs/security/pci-dss.md is: a requirement, who meets it, by what, and what is missing.

Judges nothing: tests.tooling.test_pci_dss holds every claim against tests, settings and pages that exist.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Standing(StrEnum):
    """Who meets a requirement."""

    SOFTWARE = "software"
    BOTH = "software and operator"
    OPERATOR = "operator"
    OPEN = "not yet"
    NONE = "not applicable"


class Line(NamedTuple):
    """A requirement by number and in short words of our own.

    `software` says what the program does, `tests` are dotted names that show it; `operator` says what is left to
    people, with `settings` of the configuration's or the policy's file and a `page`; `missing` is not done;
    `none` is why there is nothing to do.
    """

    id: str
    words: str
    software: str = ""
    tests: tuple[str, ...] = ()
    operator: str = ""
    settings: tuple[str, ...] = ()
    page: str = ""
    missing: str = ""
    none: str = ""

    @property
    def standing(self) -> Standing:
        """Who meets it: what is missing weighs most."""
        if self.missing:
            return Standing.OPEN
        if self.none:
            return Standing.NONE
        if self.software:
            return Standing.BOTH if self.operator else Standing.SOFTWARE
        return Standing.OPERATOR


def met(ident: str, words: str, software: str, *tests: str) -> Line:
    """Return a line that the software meets by itself."""
    return Line(ident, words, software, tests)


def by_people(ident: str, words: str, operator: str, *settings: str, page: str = "") -> Line:
    """Return a line that is the operator's alone."""
    return Line(ident, words, operator=operator, settings=settings, page=page)


def not_here(ident: str, words: str, why: str) -> Line:
    """Return a line that asks for nothing here, and why."""
    return Line(ident, words, none=why)
