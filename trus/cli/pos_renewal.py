"""`trus pos renew`: gives a terminal its next certificates, when asked and by itself when they are due.

A renewal that fails while the present certificate still works holds nothing up: it is told, and
tried again with the next command.
"""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.console import Console
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError

from trus.cli.reacting import run
from trus.clock import SystemClock, SystemEntropy
from trus.device.channel import is_due as channel_is_due
from trus.device.channel import renew_channel
from trus.device.home import DeviceHome
from trus.device.renewal import NotRenewed, Renewal, ends, is_due, renew
from trus.errors import TrusError

#: Exit code when the backend said no.
DECLINED = 3


async def renew_home(home: DeviceHome, reactor: Any, *, same_key: bool = False) -> Renewal:
    """Renew a terminal's certificate over its gateway. Raises as trus.device.renewal.renew."""
    return await renew(
        home,
        endpoint=HostnameEndpoint(reactor, home.settings.host, home.settings.port),
        reactor=reactor,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        same_key=same_key,
    )


async def fetch_channel(home: DeviceHome, console: Console, reactor: Any) -> None:
    """Fetch the terminal's next channel certificate, if there is one; a failure is told and holds nothing up."""
    try:
        newer = await renew_channel(
            home,
            endpoint=HostnameEndpoint(reactor, home.settings.host, home.settings.port),
            reactor=reactor,
            clock=SystemClock(),
            entropy=SystemEntropy(),
        )
    except (TrusError, ConnectError) as problem:
        console.print(f"The channel certificate: {str(problem) or type(problem).__name__}.", style="yellow")
    else:
        if newer:
            until = home.credentials().chain[0].not_valid_after_utc
            console.print(f"The channel certificate was replaced; it ends {until:%Y-%m-%d}.", style="green")


async def renew_if_due(home: DeviceHome, console: Console, reactor: Any) -> None:
    """Renew a terminal's certificates when they are due; a failure is told and holds nothing up."""
    if home.enrolled and channel_is_due(home, SystemClock().now()):
        await fetch_channel(home, console, reactor)
    if not is_due(home, SystemClock().now()):
        return
    try:
        await renew_home(home, reactor)
    except (TrusError, ConnectError) as problem:
        if not (isinstance(problem, NotRenewed) and problem.too_early):
            console.print(f"{str(problem) or type(problem).__name__}; it ends {ends(home):%Y-%m-%d}.", style="yellow")
    else:
        console.print(f"The certificate was renewed; it ends {ends(home):%Y-%m-%d}.", style="green")


@click.command("renew", short_help="Obtain the terminal's next certificate.")
@click.option("--same-key", is_flag=True, help="Keep the key instead of making a new one.")
@click.pass_obj
def renew_command(path: Any, same_key: bool) -> None:
    """Obtain the terminal's next certificate over its own session, and use it from now on.

    The channel certificate that all terminals share is replaced as well, if the backend has another one.

    The backend gives one inside the renewal window alone; exits 3 before it. Terminals in use renew by
    themselves when it is time.
    """
    console = Console(highlight=False)
    home = DeviceHome.load(path)

    async def visit(reactor: Any) -> int:
        await fetch_channel(home, console, reactor)
        try:
            done = await renew_home(home, reactor, same_key=same_key)
        except NotRenewed as problem:
            console.print(str(problem), style="red")
            return DECLINED if problem.code else 1
        word = "renewed" if done is Renewal.RENEWED else "renewed (an interrupted renewal was finished)"
        console.print(f"The certificate is {word}; it ends {ends(home):%Y-%m-%d}.", style="green")
        return 0

    with home.locked():
        code = run(visit)
    sys.exit(code)
