"""script/demo as a visitor runs it: a whole day of lunches on a real network."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial import unittest

from trus.cli.demo import STORY
from trus.cli.demo_servers import BACKEND, GATEWAY, MARKER

PROJECT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb"}


def shape(text: str) -> list[str]:
    """Return what of a transcript is the same in every run: its words without numbers, times and rules."""
    lines = []
    for each in text.splitlines():
        plain = re.sub(r"[0-9a-f]{32}|[0-9]+(?:[.,:-][0-9]+)*", "#", each)
        plain = re.sub(r" in \S+ \(# s\)", " in DIR (# s)", plain)
        plain = re.sub(r"[─━═]+", "─", re.sub(r"\s+", " ", plain)).strip()
        if plain:
            lines.append(plain)
    return lines


def trus(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command of this checkout."""
    command = [sys.executable, "-m", "trus.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, cwd=PROJECT)


class LunchDay(unittest.SynchronousTestCase):
    """The demo in a scratch folder; one run is looked at from all sides, since it takes seconds."""

    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp()) / "demo"
        self.addCleanup(shutil.rmtree, self.root.parent, ignore_errors=True)
        self.addCleanup(self.stop)

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "trus.cli.demo", "--dir", str(self.root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, cwd=PROJECT)

    def stop(self) -> None:
        """End what --keep left running."""
        for name in (BACKEND, GATEWAY):
            text = _read(self.root / "run" / f"{name}.pid")
            if text.isdigit():
                subprocess.run(["kill", "-KILL", "--", f"-{text}"], check=False, capture_output=True)

    def test_day(self) -> None:
        """The day goes as told, shows no secret, and with --keep stays open to visitors."""
        self.demo = self.play("--keep")
        self.as_expected()
        self.transcript()
        self.no_secret()
        self.still_running()
        self.cashier()
        self.replays()
        self.made_anew()

    def cards(self) -> dict[str, dict[str, str]]:
        found = {}
        for path in (self.root / "personalisation").glob("*.csv"):
            with path.open(encoding="utf-8", newline="") as file:
                found |= {record["employee"]: record for record in csv.DictReader(file)}
        return found

    def replay(self, *lines: str) -> subprocess.CompletedProcess[str]:
        path = self.root / "rows.csv"
        path.write_text("at,shop,terminal,employee,amount,pin,expect,action\n" + "\n".join(lines) + "\n", "utf-8")
        cards = [word for file in (self.root / "personalisation").glob("*.csv") for word in ("--cards", str(file))]
        return trus("pos", "--home", str(self.root / "terminals"), "replay", str(path), *cards)

    def as_expected(self) -> None:
        """Every answer of the day is the one that the story tells, the ledger is sound, the exit code 0."""
        self.assertEqual(self.demo.returncode, 0, self.demo.stdout + self.demo.stderr)
        self.assertIn(f"All {len(_rows())} answers were the expected ones.", self.demo.stdout)
        self.assertIn("the ledger is sound", self.demo.stdout)
        self.assertEqual(self.demo.stderr, "")

    def transcript(self) -> None:
        """What README.md shows of a run is what a run prints, figures aside."""
        readme = (PROJECT / "README.md").read_text("utf-8")
        [told] = re.findall(r"```console\n\$ script/demo\n(.*?)```", readme, re.DOTALL)
        printed = shape(self.demo.stdout)
        position = 0
        for each in shape(told):
            if each == "...":
                continue
            self.assertIn(each, printed[position:], "README.md tells what no run prints")
            position = printed.index(each, position) + 1

    def no_secret(self) -> None:
        """No card number, stripe or code stands in what was printed, in a log or in a journal."""
        texts = {"printed": self.demo.stdout + self.demo.stderr}
        for path in (*self.root.glob("log/*"), *self.root.glob("terminals/*/journal")):
            texts[path.name] = path.read_text("utf-8", "replace")
        self.assertEqual(len(texts["printed"].splitlines()) > 60, True)
        self.assertGreater(len(texts), 4)
        for name, text in texts.items():
            for card in self.cards().values():
                self.assertNotIn(card["track2"].partition("=")[0], text, name)
                self.assertNotIn(card["track2"].partition("=")[2], text, name)

    def still_running(self) -> None:
        """With --keep the network runs on: the lines that it printed reach it."""
        self.assertIn("The network is still running.", self.demo.stdout)
        done = trus("admin", "--config", str(self.root / "trus.yaml"), "--json", "SHOPS")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("TAVERNA", done.stdout)

    def cashier(self) -> None:
        """A cashier sells, sells too much, takes back and closes the batch with `trus pos`."""
        home = str(self.root / "terminals" / "T1000003")
        card = self.cards()["E103"]
        track, pin = self.root / "track", self.root / "pin"
        track.write_text(f";{card['track2']}?\n")
        pin.write_text(card["pin"])
        read = ["--track2-file", str(track), "--pin-file", str(pin)]
        bought = trus("pos", "--home", home, "buy", "--amount", "1.10", *read)
        self.assertEqual((bought.returncode, bought.stderr), (0, ""))
        self.assertIn("1.10 USD", bought.stdout)
        declined = trus("pos", "--home", home, "buy", "--amount", "900.00", *read)
        self.assertEqual(declined.returncode, 3)
        self.assertIn("code 61", declined.stdout)
        odd = trus("pos", "--home", home, "buy", "--amount", "1.1", *read)
        self.assertEqual((odd.returncode, odd.stderr.count("\n")), (1, 1))
        self.assertEqual(trus("pos", "--home", home, "reverse").returncode, 0)
        closed = trus("pos", "--home", home, "close")
        self.assertEqual(closed.returncode, 0)
        self.assertIn("both sides counted the same", closed.stdout)
        again = trus("pos", "--home", home, "buy", "--amount", "1.10", *read)
        reference = re.search(r"reference\s+([0-9]{12})", again.stdout)
        assert reference is not None, again.stdout
        refund = ("pos", "--home", home, "refund", "--reference", reference[1], "--amount")
        for amount, code in (("1.11", 3), ("0.40", 0), ("0.71", 3), ("0.70", 0), ("0.01", 3)):
            done = trus(*refund, amount)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        unknown = trus("pos", "--home", home, "refund", "--amount", "1.10", "--reference", "632500000042")
        self.assertEqual(unknown.returncode, 3)
        self.assertIn("code 25", unknown.stdout)
        closed = trus("pos", "--home", home, "close")
        self.assertIn("both sides counted the same", closed.stdout)
        self.assertIn("2 refunds, 1.10 USD", closed.stdout)
        for done in (bought, declined, closed):
            self.assertNotIn(card["track2"][:16], done.stdout + done.stderr)

    def replays(self) -> None:
        """`trus pos replay` exits 0 when the answers are the expected ones, and else names the row."""
        row = "12:30,CANTEEN,T1000001,E102,{amount},right,{code},{action}"
        good = self.replay(
            row.format(amount="1.00", code="00", action="retry"), row.format(amount="", code="00", action="reverse")
        )
        self.assertEqual(good.returncode, 0, good.stdout + good.stderr)
        self.assertEqual(good.stdout.count("✓"), 2)
        bad = self.replay(row.format(amount="900.00", code="00", action="buy"))
        self.assertEqual(bad.returncode, 1)
        self.assertIn("expected 00, got 61", bad.stdout)

    def made_anew(self) -> None:
        """A second demo in the same folder stops what the first left running, and cleans up after itself."""
        pids = [_read(self.root / "run" / f"{name}.pid") for name in (BACKEND, GATEWAY)]
        again = self.play("--verbose")
        self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
        self.assertEqual(len(re.findall(r"^✓ 1[1-4]:[0-5][0-9]:", again.stdout, re.MULTILINE)), len(_rows()))
        for pid in pids:
            self.assertFalse(Path(f"/proc/{pid}/cmdline").exists() and _command(pid))
        self.assertEqual(list((self.root / "run").glob("*.pid")), [])

    def test_foreign_folder(self) -> None:
        """A folder that no demo made is left alone, with one sentence and exit code 1."""
        other = self.root.parent / "other"
        other.mkdir(parents=True)
        (other / "letter.txt").write_text("dear")
        command = [sys.executable, "-m", "trus.cli.demo", "--dir", str(other)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, cwd=PROJECT)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1))
        self.assertTrue((other / "letter.txt").exists())
        self.assertFalse((other / MARKER).exists())


def _rows() -> list[str]:
    return (STORY / "purchases.csv").read_text("utf-8").splitlines()[1:]


def _command(pid: str) -> bool:
    """Say whether a process that still has this number is one of ours, and no zombie."""
    return b"trus.yaml" in Path(f"/proc/{pid}/cmdline").read_bytes()


def _read(path: Path) -> str:
    return path.read_text("ascii").strip() if path.exists() else ""
