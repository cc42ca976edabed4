"""The town of the transcripts: two companies, their cards, two shops and their terminals, made once a process.

Everything follows from a seed, so that the transcripts are the same octets wherever they are made.
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from trus.admin.model import AdminRole
from trus.auth.policy import Policy, PurseRule
from trus.auth.ports import Posting
from trus.cards.sealed import KEY_LABEL, StripeKeys
from trus.cli.heads import AUDIT_KEY_LABEL
from trus.core.keyring import CARD_LABEL, PIN_LABEL
from trus.device.enrolment import certificate_request
from trus.device.trust import DeviceTrust
from trus.hsm.datakeys import DATABASE_KEY_LABEL, DataKeys
from trus.hsm.memory import MemoryStore
from trus.hsm.ports import KeyPurpose
from trus.issuing.identities import RegistryIdentities
from trus.issuing.making import CardMaker
from trus.ledger.compose import FIELD_KEY_LABEL, FILE_KEY_LABEL, LOOKUP_KEY_LABEL, create_database, open_ledger
from trus.ledger.registry import Registry, RegistryChange
from trus.ledger.registry_values import NewEmployee
from trus.pki.authority import Authority
from trus.pki.identity import INDIVIDUAL, IdentityService, create_backend_identity
from trus.pki.profiles import INDIVIDUAL_AUTHORITY
from trus.simulation.chance import SeededEntropy
from trus.simulation.town import BACKEND_NAME, CardInHand, DeviceIdentity, Till, Town, device_key
from trus.values import DeviceRole, TerminalId

#: Half past eleven on a Friday, in the companies' time zone too.
FOUNDED: Final = datetime(2026, 11, 20, 11, 30, tzinfo=UTC)
CURRENCY: Final = "USD"
IIN: Final = "999999"
ADMIN: Final = ("ada", "ada0001")
#: Terminals and their shops; both shops are restaurants.
TERMINALS: Final = (("T0000001", "BISTRO"), ("T0000002", "BISTRO"), ("T0000003", "DINER"))
_ALL_WEEK: Final = (1, 2, 3, 4, 5, 6, 7)

#: Company, employee, what the main purse holds, what a purse for meals holds beside it, month of expiry.
PEOPLE: Final = (
    ("ACME", "GRACE", 10_000, 0, "2912"),
    ("ACME", "ALAN", 1_500, 0, "2912"),
    ("ACME", "OLDCARD", 5_000, 0, "2510"),
    ("BETA", "EMMY", 2_000, 1_200, "2912"),
)
POLICIES: Final[dict[str, dict[str, Any]]] = {
    # Up to 10.00 without PIN, 80.00 a day.
    "ACME": {"pin_above": 1_000, "daily_amount": 8_000},
    # Two purses, which may share a purchase.
    "BETA": {"split_purses": True, "purses": (PurseRule("MEAL", ("5812",)), PurseRule("MAIN"))},
}


class StoppedClock:
    """Stands still at the foundation."""

    def now(self) -> datetime:
        return FOUNDED

    def monotonic(self) -> float:
        return 0.0


@lru_cache(maxsize=1)
def town() -> Town:
    """Return the town, founded at the first call of a process."""
    folder = Path(tempfile.mkdtemp(prefix="trus-transcripts-"))
    try:
        return _found(folder / "trus.db")
    finally:
        shutil.rmtree(folder)


def _found(path: Path) -> Town:
    clock, entropy = StoppedClock(), SeededEntropy(0, "transcripts")
    keys = MemoryStore(entropy, deterministic=True)
    for label, purpose in (
        (DATABASE_KEY_LABEL, KeyPurpose.DATA),
        (PIN_LABEL, KeyPurpose.PIN),
        (CARD_LABEL, KeyPurpose.CARD),
        (AUDIT_KEY_LABEL, KeyPurpose.SIGN),
    ):
        keys.generate(label, purpose)
    title = "authority of the transcripts"
    authority = Authority.create(keys, keys, INDIVIDUAL, INDIVIDUAL_AUTHORITY, title, clock, entropy)
    data_keys = DataKeys(keys)
    db_key, lookup_key = data_keys.derive(FILE_KEY_LABEL), data_keys.derive(LOOKUP_KEY_LABEL)
    field_keys = {1: data_keys.derive(FIELD_KEY_LABEL)}
    create_database(path, db_key=db_key, clock=clock, entropy=entropy)
    ledger = open_ledger(
        path, db_key=db_key, lookup_key=lookup_key, field_keys=field_keys, clock=clock, entropy=entropy
    )
    try:
        registry = Registry(ledger)
        identities = RegistryIdentities(registry, clock)
        create_backend_identity(keys, keys, authority, identities, BACKEND_NAME)
        service = identity_service(keys, registry, clock, entropy)
        with registry.changing(FOUNDED) as change:
            name, serial = ADMIN
            change.identities.add_admin(name=name, serial=serial, roles=(AdminRole.ADMINISTRATOR.value,), at=change.at)
            _open_shops(change)
        cards = _settle(registry, CardMaker(keys, entropy, IIN, registry.card_names))
        tills = tuple(_enrol(TerminalId(name), shop, service, entropy) for name, shop in TERMINALS)
        ledger.checkpoint(truncate=True)
    finally:
        ledger.close()
    trust = DeviceTrust.from_pem(authority.pem())
    stripes = StripeKeys(lambda: data_keys.derive_all(KEY_LABEL))
    return Town(keys, path.read_bytes(), trust, cards, tills, tills[-1], db_key, lookup_key, field_keys, stripes)


def identity_service(keys: Any, registry: Registry, clock: Any, entropy: SeededEntropy) -> IdentityService:
    """Return the backend's service of identities, on a token and a registry."""
    identities = RegistryIdentities(registry, clock)
    return IdentityService(
        name=BACKEND_NAME,
        keys=keys,
        objects=keys,
        data_keys=DataKeys(keys),
        activations=identities,
        register=identities,
        clock=clock,
        entropy=entropy,
    )


def _open_shops(change: RegistryChange) -> None:
    for shop in dict.fromkeys(shop for _, shop in TERMINALS):
        row = change.shops.add_shop(shop_id=shop, name=shop, mcc="5812", currency=CURRENCY, at=change.at)
        for name in (name for name, where in TERMINALS if where == shop):
            change.shops.add_terminal(terminal_id=TerminalId(name), owner=row, model="", at=change.at)


def _settle(registry: Registry, maker: CardMaker) -> tuple[CardInHand, ...]:
    cards = []
    for company, rules in POLICIES.items():
        with registry.changing(FOUNDED) as change:
            row = change.people.add_company(
                company_id=company, name=company, currency=CURRENCY, time_zone="UTC", at=change.at
            )
            change.people.set_policy(Policy(0, row.row, "2020-01-01", week_days=_ALL_WEEK, **rules), change.at)
            _pay_in(change, "funding", row.prepaid_account, 10**6)
            for _, name, main, meals, expiry in (each for each in PEOPLE if each[0] == company):
                change.people.add_employees(row, [NewEmployee(name, name.title(), "Doe")], change.at)
                holder = change.people.employee(row, name)
                employer = change.people.company(company)
                assert holder is not None
                assert employer is not None
                change.give_out(employer, [holder], main, kind="refill", actor="town", rule="TOWN", figures={})
                if meals:
                    [purse] = change.purses.open([holder], "MEAL")
                    _pay_in(change, "refill", purse.purse_account, meals)
                [fresh] = maker.make([holder], expiry, lambda names, keys: (set(), set()))
                change.cards.add_cards([fresh.stored], change.at)
                cards.append(CardInHand(fresh.stored.card, company, name, fresh.track2, fresh.pin))
    return tuple(cards)


def _pay_in(change: RegistryChange, kind: str, account: int, amount: int) -> None:
    outside = Posting(change.external(CURRENCY), -amount, CURRENCY)
    postings = (outside, Posting(account, amount, CURRENCY))
    change.post(kind=kind, actor="town", rule="TOWN", figures={}, postings=postings)


def _enrol(name: TerminalId, shop: str, service: IdentityService, entropy: SeededEntropy) -> Till:
    key = device_key(entropy.draw(48))
    code = service.open_activation(DeviceRole.POS, name, shop=shop, validity=timedelta(days=1))
    issued = service.enrol(DeviceRole.POS, name, code, certificate_request(key, name))
    return Till(name, shop, DeviceIdentity(key, issued.chain))
