"""Registers what a measurement needs: a company with money, cards, a shop, enrolled terminals.

Goes the ways that admins and terminals go: the console for the one, activation codes over the
sealed session for the other. Leaves the records in the deployment and the keys in a scratch
folder.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory

from trus.admin.client import AdminClient, AdminReply
from trus.cli.admin_place import place_of
from trus.cli.leantill import LoadCard
from trus.cli.load import LoadTerminal
from trus.clock import SystemClock, SystemEntropy
from trus.device.conversation import KeyIdentity
from trus.device.enrolment import enrol
from trus.device.home import DeviceHome, TerminalSettings
from trus.device.trust import DeviceTrust
from trus.errors import ConfigurationError, TrusError
from trus.net.contexts import ClientChannel
from trus.pki.channel import GATEWAY_HOST
from trus.settings.channels import read_file, read_passphrase
from trus.settings.model import Settings
from trus.values import Frozen

#: Money for every card: at one minor unit a purchase it is never spent.
PURSE: Final = "100000.00"
_NAME_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class BenchFailed(TrusError):
    """The network refused what a measurement needs."""


class BenchHome:
    """One enrolled terminal under load."""

    def __init__(self, identity: KeyIdentity, trust: DeviceTrust, channel: ClientChannel) -> None:
        self.identity = identity
        self.trust = trust
        self._channel = channel

    def wrap(self, terminal: LoadTerminal, reactor: Any) -> IProtocolFactory:
        """Return a factory that connects `terminal` over TLS."""
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: terminal  # type: ignore[method-assign]
        return self._channel.wrap(factory, reactor)


class Bench:
    """What was registered, and the console over which the core's counters are read."""

    def __init__(self, host: str, port: int, admin: AdminClient) -> None:
        self.host = host
        self.port = port
        self.homes: list[BenchHome] = []
        self.folders: list[Path] = []
        self.cards: list[LoadCard] = []
        self._admin = admin

    async def commits(self) -> int:
        """Return how many batches of money the core has answered so far: one commit each."""
        reply = await self._admin.command("HEALTH")
        for row in reply.rows:
            if row.get("part") == "money-batches":
                return int(row.get("state", "0"))
        return 0

    async def close(self) -> None:
        """Leave the console."""
        await self._admin.close()


class Tag(Frozen, frozen=True):
    """A few letters and digits that make the names of one measurement its own."""

    text: str

    @classmethod
    def draw(cls) -> Tag:
        """Return a random tag of four characters."""
        return cls("".join(_NAME_DIGITS[byte % len(_NAME_DIGITS)] for byte in SystemEntropy().draw(4)))


async def prepare(reactor: Any, config: Path, settings: Settings, scratch: Path, clients: int, cards: int) -> Bench:
    """Register and enrol. Raises TrusError with one sentence when the network refuses."""
    if settings.gateway is None or settings.backend is None:
        raise ConfigurationError("trus bench needs a configuration of gateway and backend")
    devices = settings.gateway.devices
    admin = await place_of(config).connect(reactor)
    tag = Tag.draw().text
    bench = Bench(devices.host, devices.port, admin)
    await _issue(bench, admin, settings, config, tag, cards)
    await _demand(admin, "SHOP-ADD", id=f"BENCH{tag}", name="Bench shop", mcc="5812")
    pki = config.parent / "pki"
    anchor = read_file(settings.backend.identity.anchor, "the individual authority's anchor")
    channel = read_file(pki / "pos.p12", "the terminals' channel certificate")
    passphrase = read_passphrase(pki / "pos.pass")
    for number in range(clients):
        name = f"B{tag}{number:03d}"
        reply = await _demand(admin, "TERMINAL-ADD", id=name, shop=f"BENCH{tag}")
        place = TerminalSettings(name, devices.host, devices.port, GATEWAY_HOST)
        home = DeviceHome.prepare(scratch / name, place, anchor=anchor, channel=channel, passphrase=passphrase)
        endpoint = TCP4ClientEndpoint(reactor, devices.host, devices.port)
        code = reply.rows[0]["activation-code"]
        await enrol(home, code, endpoint=endpoint, reactor=reactor, clock=SystemClock(), entropy=SystemEntropy())
        identity = home.identity()
        bench.folders.append(home.path)
        bench.homes.append(BenchHome(identity, home.trust(), home.channel()))
    return bench


async def _issue(bench: Bench, admin: AdminClient, settings: Settings, config: Path, tag: str, cards: int) -> None:
    company = f"BENCH{tag}"
    currency = settings.network.currency
    await _demand(admin, "COMPANY-ADD", id=company, name="Bench company")
    await _demand(
        admin,
        "POLICY-SET",
        **{
            "company": company,
            "valid-from": SystemClock().now().date().isoformat(),
            "daily-amount": "none",
            "daily-count": "none",
        },
        **{"week-days": "1-7", "opens": "00:00", "closes": "24:00"},
    )
    people = [f"E{number:05d}|Bench|Payer" for number in range(cards)]
    for start in range(0, cards, 100):
        await _demand(admin, "EMPLOYEES-ADD", company=company, people=";".join(people[start : start + 100]))
    await _demand(admin, "COMPANY-FUND", company=company, amount=_times(PURSE, cards), reference=f"bench {currency}")
    await _demand(admin, "REFILL", company=company, amount=PURSE, reference="bench")
    reply = await _demand(admin, "CARD-ISSUE", company=company)
    file = config.parent / "personalisation" / reply.rows[0]["file"]
    with file.open(encoding="utf-8", newline="") as text:
        bench.cards = [LoadCard.of(row["track2"], row["pin"]) for row in csv.DictReader(text)]


def _times(amount: str, count: int) -> str:
    whole, _, decimals = amount.partition(".")
    return f"{int(whole) * count}.{decimals}"


async def _demand(admin: AdminClient, verb: str, **arguments: str) -> AdminReply:
    reply = await admin.order(verb, arguments)
    if not reply.ok:
        raise BenchFailed(f"{verb} was refused: {reply.text}")
    return reply
