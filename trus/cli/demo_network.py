"""Sets up the lunch day's network at the console: companies, people, cards, shops, terminals.

Does it as an admin would, with the console's commands over two-way TLS; a refusal of any of them
ends the demo. It is always lunch time: the companies get a time zone in which it is between
twelve and one o'clock now, because the backend decides by its own clock and nothing pretends
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import msgspec
import yaml

from trus.admin.client import AdminClient, AdminReply
from trus.errors import ConfigurationError, TrusError
from trus.money import format_amount, parse_amount

#: The hour that it is where the companies are.
LUNCH_HOUR: Final = 12
#: The console's orders for cards that are not good any more.
_CARD_ORDERS: Final = {
    "lost": "CARD-LOST",
    "stolen": "CARD-STOLEN",
    "suspected": "CARD-SUSPECT",
    "blocked": "CARD-BLOCK",
    "closed": "CARD-CLOSE",
}

Order = tuple[str, dict[str, str]]


class DemoFailed(TrusError):
    """The demo cannot go on; the message says at what."""


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Base of what network.yaml holds."""


class EmployeeFile(_Struct, frozen=True):
    """An employee, and what is to become of the card."""

    id: str
    name: str
    surname: str
    card: Literal["good", "expired", "lost", "stolen", "suspected", "blocked", "closed", "employee-blocked"] = "good"


class PolicyFile(_Struct, frozen=True):
    """What a company allows, in the words of POLICY-SET; `week_days` may be not-today."""

    daily_amount: str
    daily_count: str
    single_amount: str
    week_days: str
    opens: str
    closes: str
    categories: str
    pin_above: str


class CompanyFile(_Struct, frozen=True):
    """A company; every employee's purse is filled with `purse`."""

    id: str
    name: str
    purse: str
    policy: PolicyFile
    employees: list[EmployeeFile]
    state: Literal["active", "blocked"] = "active"


class ShopFile(_Struct, frozen=True):
    """A shop with its terminals."""

    id: str
    name: str
    category: str
    terminals: list[str]
    state: Literal["active", "blocked"] = "active"


class NetworkFile(_Struct, frozen=True):
    """The file network.yaml."""

    currency: str
    time_zone: Literal["lunchtime"]
    companies: list[CompanyFile]
    shops: list[ShopFile]


def read_network(path: Path) -> NetworkFile:
    """Return what network.yaml says. Raises ConfigurationError."""
    try:
        return msgspec.convert(yaml.safe_load(path.read_text("utf-8")), NetworkFile)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as problem:
        raise ConfigurationError(f"{path} cannot be used: {problem}") from None


class LunchTime(msgspec.Struct, frozen=True):
    """A time zone in which it is lunch time: its IANA name, and the local date and time there."""

    zone: str
    local: datetime

    @classmethod
    def at(cls, now: datetime) -> LunchTime:
        """Choose by the present moment (aware, UTC)."""
        offset = LUNCH_HOUR - now.hour
        # IANA's Etc zones count westwards: Etc/GMT-5 is five hours ahead of UTC.
        zone = f"Etc/GMT{-offset:+d}" if offset else "Etc/GMT"
        return cls(zone, now + timedelta(hours=offset))

    def week_days(self, written: str) -> str:
        """Return the console's week days for the file's."""
        if written != "not-today":
            return written
        return ",".join(str(day) for day in range(1, 8) if day != self.local.isoweekday())

    @property
    def expired(self) -> str:
        """YYMM of a month that is over."""
        month = self.local.year * 12 + self.local.month - 1 - 2
        return f"{month // 12 % 100:02d}{month % 12 + 1:02d}"


class Registrar:
    """Gives the orders."""

    def __init__(self, admin: AdminClient, network: NetworkFile, lunch: LunchTime) -> None:
        self._admin = admin
        self._network = network
        self._lunch = lunch

    async def companies(self) -> None:
        """Register companies with their policies, employees and money."""
        companies = self._network.companies
        zone = self._lunch.zone
        await self.demand(("COMPANY-ADD", {"id": each.id, "name": each.name, "time-zone": zone}) for each in companies)
        await self.demand(self._policy(each) for each in companies)
        await self.demand(
            (
                "EMPLOYEES-ADD",
                {
                    "company": each.id,
                    "people": ";".join(f"{one.id}|{one.name}|{one.surname}" for one in each.employees),
                },
            )
            for each in companies
        )
        await self.demand(self._funding(each) for each in companies)
        await self.demand(
            ("REFILL", {"company": each.id, "amount": each.purse, "reference": f"lunch {each.id}"})
            for each in companies
        )

    async def cards(self) -> list[str]:
        """Issue everybody's card; return the names of the personalisation files."""
        orders: list[Order] = []
        for company in self._network.companies:
            expired = [one for one in company.employees if one.card == "expired"]
            orders += [
                ("CARD-ISSUE", {"company": company.id, "employee": one.id, "expiry": self._lunch.expired})
                for one in expired
            ]
            if len(expired) < len(company.employees):
                orders.append(("CARD-ISSUE", {"company": company.id}))
        return [reply.rows[0]["file"] for reply in await self.demand(orders)]

    async def shops(self) -> dict[str, str]:
        """Register shops and terminals; return the activation codes by terminal."""
        shops = self._network.shops
        await self.demand(("SHOP-ADD", {"id": one.id, "name": one.name, "mcc": one.category}) for one in shops)
        terminals = [(name, shop.id) for shop in shops for name in shop.terminals]
        replies = await self.demand(("TERMINAL-ADD", {"id": name, "shop": shop}) for name, shop in terminals)
        return {reply.rows[0]["terminal"]: reply.rows[0]["activation-code"] for reply in replies}

    async def misfortunes(self, references: Mapping[str, str]) -> None:
        """Block what the story blocks; `references` are the cards' by employee."""
        orders: list[Order] = []
        for company in self._network.companies:
            for one in company.employees:
                if one.card in _CARD_ORDERS:
                    orders.append((_CARD_ORDERS[one.card], {"card": references[one.id]}))
                elif one.card == "employee-blocked":
                    orders.append(("EMPLOYEE-BLOCK", {"company": company.id, "employee": one.id}))
            if company.state == "blocked":
                orders.append(("COMPANY-BLOCK", {"company": company.id}))
        orders += [("SHOP-BLOCK", {"shop": shop.id}) for shop in self._network.shops if shop.state == "blocked"]
        await self.demand(orders)

    async def demand(self, orders: Iterable[Order]) -> list[AdminReply]:
        """Give orders at once; return the replies. Raises DemoFailed at the first refusal, ConsoleGone."""
        given = list(orders)
        replies = await self._admin.orders(given)
        for (verb, _), reply in zip(given, replies, strict=True):
            if not reply.ok:
                raise DemoFailed(f"the console refused {verb}: {reply.text}")
        return replies

    def _policy(self, company: CompanyFile) -> Order:
        policy = msgspec.structs.asdict(company.policy)
        arguments = {name.replace("_", "-"): str(value) for name, value in policy.items()}
        arguments["week-days"] = self._lunch.week_days(company.policy.week_days)
        return "POLICY-SET", {"company": company.id, "valid-from": f"{self._lunch.local:%Y-%m-%d}", **arguments}

    def _funding(self, company: CompanyFile) -> Order:
        currency = self._network.currency
        total = parse_amount(company.purse, currency) * len(company.employees)
        arguments = {"company": company.id, "amount": format_amount(total, currency), "reference": f"bank {company.id}"}
        return "COMPANY-FUND", arguments
