"""Is the command `trus`: finds the subcommand, and says in one sentence what went wrong.

Does nothing itself and imports a subcommand only when it is asked for, so that `trus pos`
loads no database and `trus check-config` no token. An error that the operator can mend shows
no traceback: one sentence on standard error, exit code 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, NamedTuple

import click

from trus.errors import TrusError

#: Exit code after the user's interrupt: 128 and the number of SIGINT, as shells have it.
_INTERRUPTED: Final = 130


class Place(NamedTuple):
    """Where a subcommand lives, and its line in the list of commands."""

    module: str
    attribute: str
    help: str


COMMANDS: Final[dict[str, Place]] = {
    "init": Place("trus.cli.init", "init_command", "Provision a deployment in a new folder."),
    "check-config": Place("trus.cli.check_config", "check_config_command", "Name everything wrong with a file."),
    "doctor": Place("trus.cli.doctor", "doctor_command", "Look at token, database, certificates and ports."),
    "admin": Place("trus.cli.admin", "admin_command", "Give commands to the console."),
    "pos": Place("trus.cli.pos", "pos_command", "Be a terminal: enrol, buy, reverse, replay a file."),
    "ca": Place("trus.cli.ca", "ca_group", "Hold a ceremony of the root, look at its transcripts."),
    "certificates": Place("trus.cli.certificates", "certificates_group", "Certify admins, keep revocation lists."),
    "token": Place("trus.cli.token", "token_group", "Seal the token's PIN; check and renew the key store."),
    "rotate-key": Place("trus.cli.rotate_key", "rotate_key_command", "Re-cipher the database under a new K_DB."),
    "backup": Place("trus.cli.backup", "backup_command", "Back database and keys up, for two officers."),
    "restore": Place("trus.cli.restore", "restore_command", "Restore a backup, with both officers' keys."),
    "officer": Place("trus.cli.officer", "officer_group", "Make the keys of the officers who open backups."),
    "policy": Place("trus.cli.policy_try", "policy_group", "Try a spending policy on past traffic."),
    "audit": Place("trus.cli.audit", "audit_command", "Prove the ledger, or name the row that is wrong."),
    "verify-receipt": Place(
        "trus.cli.verify_receipt", "verify_receipt_command", "Prove a receipt with the public key alone."
    ),
    "simulate": Place("trus.cli.simulate", "simulate_command", "Run the network under faults, from a seed."),
    "bench": Place("trus.cli.bench", "bench_command", "Measure purchases through the whole stack."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which an operator meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, None when there is none of that name."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        command = getattr(import_module(place.module), place.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place.module}.{place.attribute} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in COMMANDS.items()])


def _version() -> str:
    try:
        return version("trus")
    except PackageNotFoundError:
        return "unknown: not installed"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="trus")
def trus() -> None:
    """Run a closed-loop meal-payment network.

    The server itself runs under twistd:  twistd -n trus --config FILE
    """


def run(command: Callable[[], Any]) -> int:
    """Call `command`, and return the exit code of the process.

    What the operator can mend becomes one line on standard error; a bug keeps its traceback.
    """
    try:
        outcome = command()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as problem:
        problem.show()
        return problem.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("trus: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; nothing can be said, not even by the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except TrusError as problem:
        print(f"trus: {problem}", file=sys.stderr)
        return 1
    except OSError as problem:
        where = f": {problem.filename}" if problem.filename else ""
        print(f"trus: {(problem.strerror or type(problem).__name__).lower()}{where}", file=sys.stderr)
        return 1
    return outcome if isinstance(outcome, int) else 0


def main() -> None:
    """Run the command line of this process, and exit."""
    sys.exit(run(lambda: trus(prog_name="trus", standalone_mode=False)))


if __name__ == "__main__":
    main()
