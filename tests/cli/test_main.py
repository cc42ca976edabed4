"""The command `trus`: finds its subcommands, and says in one sentence what went wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import NoReturn

import click
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from trus.cli.main import COMMANDS, run, trus
from trus.errors import WrongTokenPin

PROJECT = Path(__file__).resolve().parents[2]


def raising(problem: BaseException) -> Callable[[], NoReturn]:
    """Return what raises `problem`."""

    def command() -> NoReturn:
        raise problem

    return command


class ErrorBoundaryTests(SynchronousTestCase):
    """What ends a command, and how it shows."""

    def outcome(self, command: Callable[[], object]) -> tuple[int, str]:
        with redirect_stderr(StringIO()) as errors:
            code = run(command)
        return code, errors.getvalue()

    def test_what_the_operator_can_mend(self) -> None:
        """An error of trus is one sentence on standard error and exit code 1, without a traceback."""
        self.assertEqual(
            self.outcome(raising(WrongTokenPin("the token 'trus' refused the PIN"))),
            (1, "trus: the token 'trus' refused the PIN\n"),
        )

    def test_what_the_machine_refuses(self) -> None:
        """A full disk or a forbidden file is one sentence that names the file."""
        self.assertEqual(
            self.outcome(raising(OSError(28, "No space left on device", "/srv/trus/db"))),
            (1, "trus: no space left on device: /srv/trus/db\n"),
        )
        self.assertEqual(self.outcome(raising(OSError("odd"))), (1, "trus: oserror\n"))

    def test_interrupt(self) -> None:
        """The user's interrupt ends with 130, as shells have it."""
        self.assertEqual(self.outcome(raising(KeyboardInterrupt())), (130, "trus: interrupted\n"))
        self.assertEqual(self.outcome(raising(click.Abort()))[0], 130)

    def test_bugs_keep_their_traceback(self) -> None:
        """Anything else is a bug, and not hidden."""
        self.assertRaises(ZeroDivisionError, run, raising(ZeroDivisionError()))

    def test_exit_codes(self) -> None:
        """A command's own exit code is the process's."""
        self.assertEqual(run(lambda: None), 0)
        self.assertEqual(run(lambda: 1), 1)
        self.assertEqual(run(raising(click.exceptions.Exit(3))), 3)

    def test_usage(self) -> None:
        """Wrong usage says how to use the command, and ends with 2."""
        code, said = self.outcome(lambda: trus(["check-config"], standalone_mode=False))
        self.assertEqual(code, 2)
        self.assertIn("Missing argument", said)


class CommandsTests(SynchronousTestCase):
    """The subcommands."""

    def test_each_exists(self) -> None:
        """Every command of the list can be imported, and explains itself."""
        for name in COMMANDS:
            outcome = CliRunner().invoke(trus, [name, "--help"], prog_name="trus")
            self.assertEqual(outcome.exit_code, 0, name)
            self.assertIn(f"Usage: trus {name}", outcome.output)

    def test_list(self) -> None:
        """`trus --help` lists every command."""
        outcome = CliRunner().invoke(trus, ["--help"])
        for name, place in COMMANDS.items():
            self.assertIn(f"{name} ", outcome.output)
            self.assertIn(place.help, outcome.output)

    def test_unknown(self) -> None:
        """A command that does not exist is refused with exit code 2."""
        outcome = CliRunner().invoke(trus, ["launch"])
        self.assertEqual(outcome.exit_code, 2)
        self.assertIn("No such command 'launch'", outcome.output)

    def test_imports_nothing_that_is_not_asked_for(self) -> None:
        """`trus --help` loads neither database, nor token, nor reactor."""
        script = (
            "import sys; from trus.cli.main import run, trus\n"
            "run(lambda: trus(['--help'], standalone_mode=False))\n"
            "loaded = {'sqlalchemy', 'pkcs11', 'twisted', 'cryptography'} & set(sys.modules)\n"
            "print(sorted(loaded), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, cwd=PROJECT, check=True, timeout=60
        )
        self.assertEqual(done.stderr, "[]\n")

    def test_reader_that_goes_away(self) -> None:
        """Output into a pipe whose reader has gone ends quietly."""
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "trus.cli.main", "--help"],
            stdout=writing,
            stderr=subprocess.PIPE,
            cwd=PROJECT,
            check=False,
            timeout=60,
        )
        os.close(writing)
        self.assertEqual((done.returncode, done.stderr), (1, b""))
