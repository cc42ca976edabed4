"""script/bench-ledger runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[2]


class BenchCase(SynchronousTestCase):
    """The measurement that docs/performance.md quotes can be repeated by anybody."""

    def test_bench(self) -> None:
        """It measures plain SQLCipher and four sizes of groups in one run, and leaves nothing behind."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        done = subprocess.run(
            [ROOT / "script" / "bench-ledger", "--dir", folder, "--cards", "40", "--purchases", "256", "--profile"],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for line in ("raw, one commit each", *(f"ledger, groups of {size}" for size in (1, 8, 64, 256))):
            self.assertRegex(done.stdout, rf"{line} +[0-9.]+ +[0-9.]+ +[0-9]+ +[0-9.]+\n")
        self.assertIn("function calls", done.stdout)
        self.assertEqual(list(folder.iterdir()), [])
