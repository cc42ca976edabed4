"""Who lives in a simulated network: companies, cards, shops, terminals, their keys and the first ledger.

Made once for a process and never changed: every run starts from a copy of the same ledger file and
the same keys, so that a seed costs milliseconds. Everything is made by the code that a deployment
uses; only the cipher of the keys' store is missing (trus.hsm.memory).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

import attrs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from trus.admin.model import AdminRole
from trus.auth.policy import Policy
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
from trus.issuing.making import CardMaker, FreshCard
from trus.ledger.compose import FIELD_KEY_LABEL, FILE_KEY_LABEL, LOOKUP_KEY_LABEL, create_database, open_ledger
from trus.ledger.registry import Registry
from trus.ledger.registry_values import EmployeeRow, NewEmployee
from trus.pki.authority import Authority
from trus.pki.identity import INDIVIDUAL, IdentityService, create_backend_identity
from trus.pki.profiles import INDIVIDUAL_AUTHORITY
from trus.simulation.chance import SeededEntropy
from trus.values import DeviceRole, Secret, TerminalId

#: When the town was founded; runs begin some hours later. A Friday.
FOUNDED: Final = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
CURRENCY: Final = "USD"
BACKEND_NAME: Final = "backend"
ADMIN_NAME: Final = "ada"
ADMIN_SERIAL: Final = "ada0001"
IIN: Final = "999999"
#: Cards of this month are answered 54.
_OVER: Final = "2512"
_VALID: Final = "2912"
#: Purses hold little, so that some purchases meet their end.
PURSE: Final = 30_000
PREPAID: Final = 5_000_000
DAILY_AMOUNT: Final = 6_000
DAILY_COUNT: Final = 9
PIN_ABOVE: Final = 1_000
_ENOUGH_ENTROPY: Final = 48

#: Shops with their merchant category; the bar is one that no company pays for.
SHOPS: Final = (("BISTRO", "5812"), ("CANTEEN", "5811"), ("BAR", "5813"))
#: Honest terminals, then the one that a criminal has taken.
HONEST: Final = 12
THIEF: Final = TerminalId("T0000666")


@attrs.frozen
class Company:
    """A company: its policy's limits and how many employees it has."""

    name: str
    time_zone: str
    employees: int
    daily_amount: int | None
    daily_count: int | None
    pin_above: int


COMPANIES: Final = (
    Company("ACME", "UTC", 8, None, None, 0),
    Company("BETA", "Europe/Madrid", 6, DAILY_AMOUNT, DAILY_COUNT, PIN_ABOVE),
)


class CardInHand(Secret, frozen=True):
    """What a cardholder has and knows. `name` is the card's reference, never its number."""

    name: str
    company: str
    employee: str
    track2: str
    pin: str
    expired: bool = False


class DeviceIdentity:
    """trus.device.conversation.Identity that signs the same bytes the same way (RFC 6979)."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, chain: Sequence[bytes]) -> None:
        self._key = key
        self.chain = tuple(chain)

    def sign(self, payload: bytes) -> bytes:
        """Return the DER ECDSA P-256 SHA-256 signature of `payload`."""
        return self._key.sign(payload, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


@attrs.frozen
class Till:
    """An enrolled terminal: its name, its shop and what it proves itself with."""

    name: TerminalId
    shop: str
    identity: DeviceIdentity


@attrs.frozen(repr=False)
class Town:
    """Everything that a run starts from. `ledger` is the ciphered file's content."""

    keys: MemoryStore
    ledger: bytes
    trust: DeviceTrust
    cards: tuple[CardInHand, ...]
    tills: tuple[Till, ...]
    thief: Till
    db_key: bytes
    lookup_key: bytes
    field_keys: dict[int, bytes]
    stripes: StripeKeys


class _FoundingClock:
    """Stands still at the foundation."""

    def now(self) -> datetime:
        return FOUNDED

    def monotonic(self) -> float:
        return 0.0


@lru_cache(maxsize=1)
def town() -> Town:
    """Return the town, founded at the first call of a process."""
    folder = Path(tempfile.mkdtemp(prefix="trus-town-"))
    try:
        return _found(folder / "trus.db")
    finally:
        shutil.rmtree(folder)


def _found(path: Path) -> Town:
    clock, entropy = _FoundingClock(), SeededEntropy(0, "town")
    keys = MemoryStore(entropy, deterministic=True)
    for label, purpose in (
        (DATABASE_KEY_LABEL, KeyPurpose.DATA),
        (PIN_LABEL, KeyPurpose.PIN),
        (CARD_LABEL, KeyPurpose.CARD),
        (AUDIT_KEY_LABEL, KeyPurpose.SIGN),
    ):
        keys.generate(label, purpose)
    authority = Authority.create(
        keys, keys, INDIVIDUAL, INDIVIDUAL_AUTHORITY, "simulated individual authority", clock, entropy
    )
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
        service = IdentityService(
            name=BACKEND_NAME,
            keys=keys,
            objects=keys,
            data_keys=data_keys,
            activations=identities,
            register=identities,
            clock=clock,
            entropy=entropy,
        )
        with registry.changing(FOUNDED) as change:
            roles = (AdminRole.ADMINISTRATOR.value,)
            change.identities.add_admin(name=ADMIN_NAME, serial=ADMIN_SERIAL, roles=roles, at=change.at)
        cards = _settle_people(registry, CardMaker(keys, entropy, IIN, registry.card_names))
        tills = _open_shops(registry, service, entropy)
        ledger.checkpoint(truncate=True)
    finally:
        ledger.close()
    return Town(
        keys=keys,
        ledger=path.read_bytes(),
        trust=DeviceTrust.from_pem(authority.pem()),
        cards=cards,
        tills=tills[:HONEST],
        thief=tills[HONEST],
        db_key=db_key,
        lookup_key=lookup_key,
        stripes=StripeKeys(lambda: data_keys.derive_all(KEY_LABEL)),
        field_keys=field_keys,
    )


def _settle_people(registry: Registry, maker: CardMaker) -> tuple[CardInHand, ...]:
    """Register companies, employees with money, and cards; two of the first company share a purse."""
    cards: list[CardInHand] = []
    for company in COMPANIES:
        with registry.changing(FOUNDED) as change:
            row = change.people.add_company(
                company_id=company.name, name=company.name, currency=CURRENCY, time_zone=company.time_zone, at=change.at
            )
            change.people.set_policy(
                Policy(
                    0,
                    row.row,
                    "2020-01-01",
                    time_zone=company.time_zone,
                    daily_amount=company.daily_amount,
                    daily_count=company.daily_count,
                    week_days=(1, 2, 3, 4, 5, 6, 7),
                    pin_above=company.pin_above,
                ),
                change.at,
            )
            people = [NewEmployee(f"E{number}", f"Given{number}", "Family") for number in range(company.employees)]
            change.people.add_employees(row, people, change.at)
            holders = list(change.people.employees(row))
            external = change.external(CURRENCY)
            change.post(
                kind="funding",
                actor="town",
                rule="TOWN",
                figures={},
                postings=(Posting(external, -PREPAID, CURRENCY), Posting(row.prepaid_account, PREPAID, CURRENCY)),
            )
            change.give_out(row, holders, PURSE, kind="refill", actor="town", rule="TOWN", figures={})
            fresh = maker.make([*holders, holders[0]], _VALID, _nothing_taken)
            fresh += maker.make(holders[-1:], _OVER, _nothing_taken)
            change.cards.add_cards([each.stored for each in fresh], change.at)
        cards += [_in_hand(company, each) for each in fresh]
    return tuple(cards)


def _nothing_taken(names: Sequence[str], keys: Sequence[bytes]) -> tuple[set[str], set[bytes]]:
    return set(), set()


def _in_hand(company: Company, fresh: FreshCard) -> CardInHand:
    holder: EmployeeRow = fresh.holder
    stored = fresh.stored
    return CardInHand(
        stored.card, company.name, holder.employee, fresh.track2, fresh.pin, expired=stored.expiry == _OVER
    )


def _open_shops(registry: Registry, service: IdentityService, entropy: SeededEntropy) -> tuple[Till, ...]:
    """Register shops, and terminals with their individual certificates."""
    names = [TerminalId(f"T{number:07d}") for number in range(1, HONEST + 1)] + [THIEF]
    shops = [SHOPS[min(number % 6, 2)][0] if number % 6 < 3 else "BISTRO" for number in range(HONEST)] + ["CANTEEN"]
    with registry.changing(FOUNDED) as change:
        for shop, category in SHOPS:
            row = change.shops.add_shop(shop_id=shop, name=shop, mcc=category, currency=CURRENCY, at=change.at)
            for name, where in zip(names, shops, strict=True):
                if where == shop:
                    change.shops.add_terminal(terminal_id=name, owner=row, model="", at=change.at)
    tills = []
    for name, shop in zip(names, shops, strict=True):
        key = device_key(entropy.draw(_ENOUGH_ENTROPY))
        code = service.open_activation(DeviceRole.POS, name, shop=shop, validity=timedelta(days=1))
        issued = service.enrol(DeviceRole.POS, name, code, certificate_request(key, name))
        tills.append(Till(name, shop, DeviceIdentity(key, issued.chain)))
    return tuple(tills)


def device_key(drawn: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key that 48 drawn bytes amount to."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    return ec.derive_private_key(int.from_bytes(drawn, "big") % (order - 1) + 1, ec.SECP256R1())
