"""Names the files that are changed and the tests that should notice.

Runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).resolve().parents[1]


@attrs.frozen
class Subject:
    """Files that belong together, and the tests that prove them."""

    name: str
    paths: Sequence[str]  #: glob patterns, relative to the checkout
    tests: Sequence[str]  #: trial targets

    def files(self) -> list[Path]:
        """Return the files, in a fixed order."""
        return sorted({path for pattern in self.paths for path in ROOT.glob(pattern)})


SUBJECTS: Final = (
    Subject(
        "auth",
        ("trus/auth/*.py",),
        (
            "tests.auth",
            "tests.core.test_pipeline",
        ),
    ),
    Subject(
        "unit of work",
        ("trus/ledger/unit.py", "trus/ledger/posting.py", "trus/ledger/compose.py", "trus/ledger/writer.py"),
        (
            "tests.ledger.test_store",
            "tests.ledger.test_chain",
            "tests.ledger.test_lots",
            "tests.ledger.test_compose",
            "tests.ledger.test_crash.BrokenCase",
            "tests.ledger.test_crash.FenceCase",
            "tests.ledger.test_double_entry.DoubleEntryCase.test_any_entries",
            "tests.ledger.test_engine",
            "tests.ledger.test_migrations",
            "tests.ledger.test_plans",
            "tests.ledger.test_posting",
            "tests.ledger.test_registry_money",
            "tests.ledger.test_restoring",
            "tests.ledger.test_unit",
            "tests.ledger.test_unit_keeps",
        ),
    ),
)
