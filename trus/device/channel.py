"""Fetches the terminal's next channel certificate inside its sealed session, and tries it before it is used (TR-14).

Believes the backend, which has proven itself in that session, and nobody else. The present bundle stays in use
until a session stood over a connection with the next one; killed at any moment, the terminal has one of the two
whole. A terminal asks once a day, so that an overlap of days reaches every terminal that is at work.

| file of the home | holds |
|---|---|
| pos-next.p12 | the next bundle: fetched, and not yet tried |
| channel-asked | when the backend was last asked (ISO 8601, UTC) |
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives import hashes
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from trus.clock import Clock, Entropy
from trus.device.connection import DeviceConnection
from trus.device.conversation import Conversation
from trus.device.home import CHANNEL, DeviceHome, write_private
from trus.device.renewal import NotRenewed, Visit
from trus.errors import ConfigurationError
from trus.net.credentials import ChannelCredentials, from_pkcs12
from trus.net.peers import channel_role
from trus.protocol.fields import format_octets, parse_octets
from trus.values import ChannelRole, ResponseCode

NEXT_CHANNEL: Final = "pos-next.p12"
ASKED: Final = "channel-asked"
#: Between two questions.
ASK_EVERY: Final = timedelta(days=1)


def is_due(home: DeviceHome, now: datetime) -> bool:
    """Say whether the backend should be asked at `now` (aware, UTC): a day after it was, or after an interruption."""
    if (home.path / NEXT_CHANNEL).exists():
        return True
    try:
        asked = datetime.fromisoformat((home.path / ASKED).read_text("ascii").strip())
    except (OSError, ValueError):
        return True
    return not timedelta(0) <= now - asked.replace(tzinfo=asked.tzinfo or UTC) < ASK_EVERY


def note_asked(home: DeviceHome, now: datetime) -> None:
    """Remember that the bundle is the newest at `now`. Raises ConfigurationError."""
    try:
        write_private(home.path / ASKED, now.isoformat().encode("ascii") + b"\n")
    except OSError as problem:
        raise ConfigurationError(f"{home.path} cannot be written to: {problem.strerror}") from problem


async def renew_channel(
    home: DeviceHome, *, endpoint: IStreamClientEndpoint, reactor: IReactorTime, clock: Clock, entropy: Entropy
) -> bool:
    """Fetch the next channel bundle, if there is one, try it and use it from now on; return whether there was one.

    Raises NotRenewed, ConfigurationError, and what the network raises when the gateway does not answer.
    """

    async def visit(name: str, sealed: dict[str, str]) -> dict[str, str]:
        def converse(binding: bytes) -> Conversation:
            return Conversation(
                identity=home.identity(), trust=home.trust(), clock=clock, entropy=entropy, channel_binding=binding
            )

        made = Visit("CHANNEL", sealed)
        factory = Factory.forProtocol(lambda: DeviceConnection(reactor, converse, made))
        await endpoint.connect(home.channel(name).wrap(factory, reactor))
        heard = await made.result
        return {} if heard is None else dict(heard.fields)

    # What an interrupted exchange left may be half: it is fetched anew.
    (home.path / NEXT_CHANNEL).unlink(missing_ok=True)
    have = home.credentials().chain[0].fingerprint(hashes.SHA256())
    try:
        given = await visit(CHANNEL, {"have": format_octets(have)})
    except NotRenewed as problem:
        if problem.code != ResponseCode.RECORD_NOT_FOUND:
            raise
        note_asked(home, clock.now())
        return False
    home.keep_channel(NEXT_CHANNEL, check_bundle(parse_octets(given["p12"]), given["passphrase"], clock.now()))
    try:
        await visit(NEXT_CHANNEL, {})
    except NotRenewed:
        (home.path / NEXT_CHANNEL).unlink(missing_ok=True)
        raise
    try:
        (home.path / NEXT_CHANNEL).replace(home.path / CHANNEL)
    except OSError as problem:
        raise ConfigurationError(f"{home.path} cannot be written to: {problem.strerror}") from problem
    note_asked(home, clock.now())
    return True


def check_bundle(p12: bytes, passphrase: str, now: datetime) -> ChannelCredentials:
    """Return what was given, if it is a terminal's channel certificate that is good now. Raises NotRenewed."""
    try:
        credentials = from_pkcs12(p12, passphrase.encode("ascii"), "the bundle that the backend gave")
    except ConfigurationError as problem:
        raise NotRenewed(str(problem)) from None
    leaf = credentials.chain[0]
    try:
        role = channel_role(leaf)
    except ValueError:
        role = None
    if role is not ChannelRole.POS or not credentials.authorities:
        raise NotRenewed("the backend gave the bundle of somebody else")
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise NotRenewed("the backend gave a bundle that is not good now")
    return credentials
