"""A small issuer for tests: a real SQLCipher ledger, a real individual authority, one admin for each role."""

from __future__ import annotations

import csv
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from twisted.trial.unittest import SynchronousTestCase

from trus.admin.model import AdminRole
from trus.cards.pin import Pin, seal_pin
from trus.cards.tracks import parse_track_two
from trus.cli.admin_bundles import AdminBundles
from trus.cli.database_keys import TokenKeySource
from trus.cli.layout import Layout
from trus.clock import SystemEntropy
from trus.core.keyring import find_card_keys
from trus.core.messages import AdminAnswer, AdminCommand, Outcome, Purchase, Reverse
from trus.core.pipeline import MoneyPipeline, PipelineSettings
from trus.hsm.datakeys import DATABASE_KEY_LABEL, DataKeys
from trus.hsm.memory import MemoryStore
from trus.hsm.pkcs11 import Pkcs11Store
from trus.hsm.ports import KeyPurpose
from trus.issuing.desk import Desk, IssuingSettings
from trus.issuing.handlers import AdminHandlers
from trus.issuing.identities import RegistryIdentities
from trus.ledger.compose import FIELD_KEY_LABEL, FILE_KEY_LABEL, LOOKUP_KEY_LABEL, create_database, open_ledger
from trus.ledger.registry import Registry
from trus.ledger.registry_reports import JournalFilter
from trus.ledger.registry_values import TransactionRow
from trus.ledger.rotation import KeyRotation
from trus.pki.authority import Authority
from trus.pki.channel import ADMIN
from trus.pki.identity import INDIVIDUAL, IdentityService, create_backend_identity
from trus.pki.policy import DEFAULT_POLICY
from trus.pki.profiles import ADMIN_AUTHORITY, INDIVIDUAL_AUTHORITY
from trus.values import BusinessDate, DeviceRole, Identity, PeerIdentity, PinMaterial, TerminalId, TrackTwo

#: A Friday.
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TODAY = BusinessDate("2026-11-20")


class SetClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def advance(self, by: timedelta) -> None:
        self.moment += by


class CountedEntropy:
    """Bytes that look random and are the same in every run."""

    def __init__(self, seed: bytes = b"house") -> None:
        self._seed = seed
        self._count = 0

    def draw(self, count: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(self._seed + self._count.to_bytes(8, "big")).digest(count)


class House:
    """The issuer's side of the core, opened in a folder of a test's own."""

    def __init__(self, case: SynchronousTestCase, keys: MemoryStore | Pkcs11Store | None = None) -> None:
        self.folder = Path(case.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.clock = SetClock()
        self.entropy = CountedEntropy()
        self.keys = MemoryStore(SystemEntropy()) if keys is None else keys
        for label, purpose in (
            (DATABASE_KEY_LABEL, KeyPurpose.DATA),
            ("K_PIN", KeyPurpose.PIN),
            ("K_CARD", KeyPurpose.CARD),
        ):
            self.keys.generate(label, purpose)
        self.data_keys = DataKeys(self.keys)
        self.database = self.folder / "trus.db"
        create_database(
            self.database,
            db_key=self.data_keys.derive(FILE_KEY_LABEL),
            clock=self.clock,
            entropy=self.entropy,
            business_date=TODAY,
        )
        self.ledger = open_ledger(
            self.database,
            db_key=self.data_keys.derive(FILE_KEY_LABEL),
            lookup_key=self.data_keys.derive(LOOKUP_KEY_LABEL),
            field_keys={self.data_keys.version: self.data_keys.derive(FIELD_KEY_LABEL)},
            clock=self.clock,
            entropy=self.entropy,
        )
        case.addCleanup(self.ledger.close)
        self.registry = Registry(self.ledger)
        self.store = RegistryIdentities(self.registry, self.clock)
        authority = Authority.create(
            self.keys,
            self.keys,
            INDIVIDUAL,
            INDIVIDUAL_AUTHORITY,
            "trus individual authority",
            self.clock,
            self.entropy,
        )
        create_backend_identity(self.keys, self.keys, authority, self.store, "backend")
        self.identities = IdentityService(
            name="backend",
            keys=self.keys,
            objects=self.keys,
            data_keys=self.data_keys,
            activations=self.store,
            register=self.store,
            clock=self.clock,
            entropy=self.entropy,
        )
        self.health = {"token": "ok", "database": "ok"}
        self.cards_folder = self.folder / "cards"
        source = TokenKeySource(self.keys)
        self.rotation = KeyRotation(self.ledger, self.database, source, self.clock, self.entropy, file_version=1)
        self.desk = Desk(
            self.registry,
            self.keys,
            self.identities,
            self.clock,
            self.entropy,
            IssuingSettings(personalisation=str(self.cards_folder)),
            lambda: self.health,
            rotation=self.rotation,
        )
        admins = Authority.create(
            self.keys, self.keys, ADMIN, ADMIN_AUTHORITY, "trus admin authority", self.clock, SystemEntropy()
        )
        self.desk.admin_certificates = AdminBundles(admins, DEFAULT_POLICY, Layout(self.folder), SystemEntropy())
        self.handlers = AdminHandlers(self.desk)
        self.notes: list[tuple[str, str]] = []
        self.pipeline = MoneyPipeline(
            self.ledger,
            self.keys,
            find_card_keys(self.keys),
            self.clock,
            self.entropy,
            PipelineSettings(),
            lambda level, text: self.notes.append((level, text)),
        )
        self._stan = 0
        self.rids: dict[int, tuple[Identity, bytes]] = {}
        with self.registry.changing(self.clock.now()) as change:
            for role in AdminRole:
                change.identities.add_admin(name=role.value, serial=serial_of(role), roles=[role.value], at=change.at)

    def order(self, verb: str, role: str = "administrator", **arguments: str) -> AdminAnswer:
        """Give a command as the admin who holds `role`; `valid_from` means `valid-from`."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        return self.handlers.handle(AdminCommand(role, serial_of(role), verb, named))

    def done(self, verb: str, role: str = "administrator", **arguments: str) -> AdminAnswer:
        """Give a command that must be carried out."""
        answer = self.order(verb, role, **arguments)
        if answer.code != "00":
            raise AssertionError(f"{verb}: {answer.code} {answer.text}")
        return answer

    def lunch(self) -> None:
        """Register a company with three employees, its money, a shop and a terminal."""
        self.done("COMPANY-ADD", id="ACME", name="Acme Ltd", time_zone="Europe/Madrid")
        self.done("EMPLOYEES-ADD", company="ACME", people="E1|Anna|Kowalska;E2|Björn|Åse;E3|علي|حسن")
        self.done("COMPANY-FUND", company="ACME", amount="1000.00")
        self.done("SHOP-ADD", id="S1", name="Żabka", mcc="5812")
        self.done("TERMINAL-ADD", id="T0000001", shop="S1")

    def lunch_card(self, terminal: str = "") -> None:
        """Register a company with one employee, a card and 50.00; with `terminal` a new one of shop S1."""
        self.done("COMPANY-ADD", id="ACME", name="Acme Ltd")
        self.done("EMPLOYEE-ADD", company="ACME", id="E1", name="Anna", surname="Kowalska")
        self.done("COMPANY-FUND", company="ACME", amount="50.00")
        self.done("REFILL", company="ACME", amount="50.00")
        self.done("CARD-ISSUE", company="ACME")
        if self.order("SHOPS").rows == []:
            self.done("SHOP-ADD", id="S1", name="Shop", mcc="5812")
        if terminal or self.order("TERMINALS").rows == []:
            self.done("TERMINAL-ADD", id=terminal or "T0000001", shop="S1")

    def cards(self) -> list[dict[str, str]]:
        """Return the rows of all personalisation files."""
        found: list[dict[str, str]] = []
        for path in sorted(self.cards_folder.glob("*.csv")):
            with path.open(newline="", encoding="utf-8") as file:
                found += list(csv.DictReader(file))
        return found

    def pay(self, card: dict[str, str], amount: int, pin: str | None = None, stan: int | None = None) -> Outcome:
        """Pay `amount` cents at T0000001 with a card of a personalisation file and its PIN (or another)."""
        self._stan = self._stan + 1 if stan is None else stan
        session_key = self.entropy.draw(32)
        cipher = Cipher(algorithms.AES(session_key), modes.ECB())

        def encrypt(block: bytes) -> bytes:
            encryptor = cipher.encryptor()
            return encryptor.update(block) + encryptor.finalize()

        track = TrackTwo(card["track2"])
        number = parse_track_two(track).number
        block = seal_pin(Pin(card["pin"] if pin is None else pin), number, encrypt, self.entropy.draw(8))
        peer = PeerIdentity(DeviceRole.POS, "T0000001", "1f", "S1")
        identity = Identity(TerminalId("T0000001"), self.registry.business_date(), self._stan)
        rid = self.entropy.draw(16)
        self.rids[self._stan] = (identity, rid)
        asked = Purchase(peer, identity, rid, amount, "USD", track, PinMaterial(session_key, block))
        [answer] = self.pipeline.handle([asked])
        if not isinstance(answer, Outcome):
            raise AssertionError(f"no outcome: {answer!r}")
        return answer

    def take_back(self, stan: int, amount: int) -> Outcome:
        """Reverse the purchase of a STAN."""
        original, original_rid = self.rids[stan]
        self._stan += 1
        identity = Identity(TerminalId("T0000001"), self.registry.business_date(), self._stan)
        peer = PeerIdentity(DeviceRole.POS, "T0000001", "1f", "S1")
        asked = Reverse(peer, identity, self.entropy.draw(16), original, original_rid, amount, "USD")
        [answer] = self.pipeline.handle([asked])
        if not isinstance(answer, Outcome):
            raise AssertionError(f"no outcome: {answer!r}")
        return answer

    def orders(self) -> list[TransactionRow]:
        """Return the events that orders left, oldest first."""
        return self.journal("admin", "funding", "refill")

    def journal(self, *kinds: str) -> list[TransactionRow]:
        """Return events of some kinds, oldest first."""
        with self.registry.reading() as view:
            rows, _ = view.reports.transactions(JournalFilter(kinds), None, 100_000)
        return rows[::-1]


def serial_of(role: str) -> str:
    """Return the serial number of the certificate of a role's admin."""
    return f"{sum(role.encode()):x}"
