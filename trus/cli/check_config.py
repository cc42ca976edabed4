"""`trus check-config FILE`: names everything that is wrong with a configuration, at once.

Starts nothing and opens no token: `trus doctor` looks at what the files hold.
"""

from __future__ import annotations

from pathlib import Path

import click

from trus.cli.policy import load_policy
from trus.settings.files import check_files
from trus.settings.loading import load
from trus.settings.model import Settings
from trus.settings.problems import Problem, SettingsInvalid


def check(file: Path) -> Settings:
    """Return the settings of `file`. Raises SettingsInvalid with every problem, missing files included.

    The problems of a certificate policy that the file names are among them.
    """
    settings = load(file)
    problems = check_files(settings)
    policy = None if settings.backend is None else settings.backend.identity.policy
    if policy is not None and policy.is_file():
        try:
            load_policy(policy)
        except SettingsInvalid as invalid:
            place = "backend.identity.policy"
            problems += [Problem(f"{place}: {each.path}", each.found, each.expected) for each in invalid.problems]
    if problems:
        raise SettingsInvalid(file, problems)
    return settings


@click.command("check-config", short_help="Name everything wrong with a file.")
@click.argument("file", type=click.Path(path_type=Path))
def check_config_command(file: Path) -> None:
    """Name everything that is wrong with the configuration FILE, and exit 1; or say that it is fine."""
    settings = check(file)
    roles = " and ".join(
        name for name, part in (("gateway", settings.gateway), ("backend", settings.backend)) if part is not None
    )
    click.echo(f"{file} is fine: {roles} of the network {settings.network.name}")
