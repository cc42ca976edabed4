"""docs/tutorial/first-lunch.md, typed as it stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial import unittest

from tests.integration.network import free_ports

PROJECT = Path(__file__).resolve().parents[2]
TUTORIAL = PROJECT / "docs" / "tutorial" / "first-lunch.md"


class Tutorial(unittest.SynchronousTestCase):
    def test_first_lunch(self) -> None:
        """Whoever types the tutorial's commands gets what the tutorial says; only the ports are others here."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.addCleanup(_stop, folder / "lunch" / "twistd.pid")
        blocks = re.findall(r"^```sh\n(.*?)^```$", TUTORIAL.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        self.assertGreater(len(blocks), 8)
        devices, admins, links, directory = free_ports(4)
        script = "set -euo pipefail\n" + "".join(blocks)
        ports = f" --devices-port {devices} --admin-port {admins} --link-port {links} --directory-port {directory}\n"
        script = script.replace("trus init lunch\n", "trus init lunch" + ports).replace(":7001", f":{devices}")
        bin_folder = str(Path(sys.executable).parent)
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "COLUMNS": "120", "NO_COLOR": "1"}
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=600,
        )
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, said)
        place = 0
        for expected in (
            "Terminal T0000001 is enrolled",
            "APPROVED",
            "code 55",
            "exit code 3",
            "code 61",
            "exit code 3",
            "TAKEN BACK",
            "the card holds 50.00 USD",
            "9.80 USD",
            "both sides counted the same",
            "12.51",
            "25.00",
            "9.80",
            "the ledger is sound",
        ):
            self.assertIn(expected, said[place:])
            place = said.index(expected, place)


def _stop(pid_file: Path) -> None:
    if pid_file.exists():
        subprocess.run(["kill", pid_file.read_text("ascii").strip()], check=False)
