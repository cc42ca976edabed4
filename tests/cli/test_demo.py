"""The lunch day's story, and what the demo does around it without a network."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.trial import unittest

from trus.cli.demo import STORY
from trus.cli.demo_network import DemoFailed, LunchTime, read_network
from trus.cli.demo_servers import MARKER, clear, free_ports
from trus.cli.reacting import first_cause
from trus.cli.replay_file import Action, Stripe, read_rows
from trus.errors import ConfigurationError


class Story(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.rows = read_rows(STORY / "purchases.csv")
        self.network = read_network(STORY / "network.yaml")

    def test_told_again(self) -> None:
        """Telling the story again changes neither file."""
        done = subprocess.run(
            [sys.executable, str(STORY / "story.py"), "--check"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.assertEqual((done.returncode, done.stdout), (0, "as the story tells\n"), done.stderr)

    def test_whole_day(self) -> None:
        """At least 200 purchases, with every kind of answer that a lunch can get."""
        bought = [row for row in self.rows if row.action in (Action.BUY, Action.RETRY, Action.PARTIAL)]
        self.assertGreaterEqual(len(bought), 200)
        codes = {row.expect for row in self.rows}
        self.assertEqual(
            codes, {"00", "03", "10", "14", "34", "41", "43", "51", "54", "55", "57", "61", "62", "65", "75"}
        )
        self.assertEqual({row.action for row in self.rows}, set(Action))
        self.assertEqual({row.stripe for row in self.rows}, set(Stripe))
        self.assertEqual({row.pin for row in self.rows}, {"right", "wrong", "none", "asked"})

    def test_no_secret(self) -> None:
        """The example holds no card number, stripe or PIN: those are made when it is played."""
        with (STORY / "purchases.csv").open(encoding="utf-8", newline="") as file:
            longest = max(len(digits) for row in csv.reader(file) for value in row for digits in _numbers(value))
        self.assertLess(longest, 8)

    def test_names(self) -> None:
        """Employees' names come from many scripts, and everybody in the file works somewhere."""
        people = {one.id: one for company in self.network.companies for one in company.employees}
        letters = {ord(one.name[0]) >> 7 for one in people.values()}
        self.assertGreater(len(letters), 12)
        shops = {terminal: shop.id for shop in self.network.shops for terminal in shop.terminals}
        for row in self.rows:
            self.assertEqual(shops[row.terminal], row.shop)
            self.assertTrue(row.employee in people or row.action is Action.CLOSE)

    def test_nonsense(self) -> None:
        """A network file with an unknown key or a wrong word is refused with its place."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        for text in ("{", "currency: USD\ntime-zone: noon\ncompanies: []\nshops: []\n", "- a\n"):
            (folder / "network.yaml").write_text(text, "utf-8")
            self.assertRaises(ConfigurationError, read_network, folder / "network.yaml")


def _numbers(text: str) -> list[str]:
    return "".join(each if each.isdigit() else " " for each in text).split() or [""]


class LunchTimes(unittest.SynchronousTestCase):
    def test_every_hour(self) -> None:
        """Whenever the demo is played it is between twelve and one where the companies are."""
        for hour in range(24):
            for minute in (0, 59):
                now = datetime(2026, 12, 31, hour, minute, tzinfo=UTC)
                lunch = LunchTime.at(now)
                there = now.astimezone(ZoneInfo(lunch.zone))
                self.assertEqual((there.hour, there.minute), (12, minute), lunch.zone)
                self.assertEqual(there.date(), lunch.local.date())

    def test_days(self) -> None:
        """The company that rests rests today, and a month that is over is over in January too."""
        lunch = LunchTime.at(datetime(2027, 1, 1, 12, tzinfo=UTC))
        self.assertEqual(lunch.week_days("not-today"), "1,2,3,4,6,7")
        self.assertEqual(lunch.week_days("1-7"), "1-7")
        self.assertEqual(lunch.expired, "2611")


class Interrupted(unittest.SynchronousTestCase):
    """Whoever stops the demo, at whatever point, finds nothing running and can start it again."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def stopped(self, module: str, *arguments: str, after: str, by: signal.Signals) -> tuple[int, str]:
        """Run a program until it has said `after`, send it the signal `by`; return exit code and last words."""
        with subprocess.Popen(
            [sys.executable, "-u", "-m", module, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if after in line:
                    break
            process.send_signal(by)
            rest = process.stdout.read()
        return process.returncode, rest.strip().splitlines()[-1]

    def test_closed_terminal(self) -> None:
        """A terminal window that is closed takes gateway and backend with it."""
        root = self.folder / "demo"
        ended = self.stopped("trus.cli.demo", "--dir", str(root), after="trus init made", by=signal.SIGHUP)
        self.assertEqual(ended, (130, "trus: interrupted"))
        left = subprocess.run(["pgrep", "-f", str(root)], capture_output=True, text=True, check=False)
        self.assertEqual(left.stdout, "")
        clear(root)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_during_init(self) -> None:
        """`trus init` that is stopped half-way leaves nothing behind, least of all keys."""
        for by in (signal.SIGTERM, signal.SIGHUP):
            ended = self.stopped("trus.cli.main", "init", str(self.folder / "lunch"), after="making keys", by=by)
            self.assertEqual(ended, (130, "trus: interrupted"))
            self.assertEqual(list(self.folder.iterdir()), [])

    def test_first_cause(self) -> None:
        """When one of several things done at once fails, its own reason is told."""
        several = gatherResults([fail(DemoFailed("no")), Deferred()], consumeErrors=True)
        self.assertEqual(str(first_cause(self.failureResultOf(several)).value), "no")


class Folders(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def test_only_its_own(self) -> None:
        """A folder that no demo made is never touched."""
        (self.folder / "thesis.txt").write_text("irreplaceable")
        self.assertRaisesRegex(DemoFailed, "not made by a demo", clear, self.folder)
        self.assertTrue((self.folder / "thesis.txt").exists())

    def test_its_own(self) -> None:
        """A folder that a demo made is removed; a foreign process with an old number is left alone."""
        (self.folder / MARKER).write_text("")
        (self.folder / "run").mkdir()
        (self.folder / "run" / "gateway.pid").write_text(str(os.getpid()))
        (self.folder / "run" / "backend.pid").write_text("not a number")
        clear(self.folder)
        self.assertFalse(self.folder.exists())
        clear(self.folder)

    def test_a_file(self) -> None:
        """A --dir that is a file is said to be one."""
        (self.folder / "notes").write_text("")
        self.assertRaisesRegex(DemoFailed, "is a file", clear, self.folder / "notes")

    def test_ports(self) -> None:
        """Ports that are taken are replaced by free ones."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            wanted = taken.getsockname()[1]
            self.assertNotIn(wanted, free_ports(1, wanted))
