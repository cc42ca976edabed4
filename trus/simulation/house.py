"""Puts the real core together on a simulated disk and token, as trus.cli.compose does on real ones.

Composition only. A core that cannot be built raises TrusError with one sentence, as a deployment's
does; whether that may happen is for the run to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from trus.cards.sealed import StripeKeys
from trus.cli.heads import TokenHeadSigner
from trus.clock import Clock, Entropy
from trus.core.core import Core
from trus.core.holding import HoldExpiry
from trus.core.identity import IdentityDesk
from trus.core.keyring import find_card_keys
from trus.core.messages import BackendIdentity
from trus.core.pipeline import MoneyPipeline, PipelineSettings
from trus.core.upkeep import CoreUpkeep
from trus.hsm.datakeys import DataKeys
from trus.hsm.ports import KeyStore
from trus.issuing.desk import Desk, IssuingSettings
from trus.issuing.handlers import AdminHandlers
from trus.issuing.identities import RegistryIdentities
from trus.ledger.compose import open_ledger
from trus.ledger.expiring import LotExpiry
from trus.ledger.heads import HeadLog
from trus.ledger.registry import Registry
from trus.ledger.store import SqlLedger
from trus.pki.authority import ca_label
from trus.pki.identity import INDIVIDUAL, IdentityService
from trus.simulation.clockwork import Part
from trus.simulation.keys import UnreliableToken
from trus.simulation.staples import stamp
from trus.simulation.storage import Disk, UnreliableDirect
from trus.simulation.town import BACKEND_NAME, CURRENCY, IIN, Town
from trus.values import BusinessDate

Note = Callable[[str, str], None]
#: A pre-authorization lasts a day here, so that some expire.
HOLD_SECONDS: Final = 86_400.0


class SteadyDesk(IdentityDesk):
    """The core's desk of identities, whose OCSP answers bear the run's time (trus.simulation.staples)."""

    def __init__(
        self,
        service: IdentityService,
        business_date: Callable[[], BusinessDate],
        note: Note,
        clock: Clock,
        token: KeyStore,
    ) -> None:
        super().__init__(service, business_date, note)
        self._time = clock
        self._token = token
        self._stamped: tuple[bytes, bytes] = (b"", b"")

    def material(self) -> BackendIdentity:
        """Return the backend's chain and its OCSP answer."""
        made = super().material()
        if self._stamped[0] != made.staple:
            key = self._token.find(ca_label(INDIVIDUAL))
            again = stamp(made.staple, self._time.now(), lambda payload: self._token.sign(key, [payload])[0])
            self._stamped = (made.staple, again)
        return BackendIdentity(made.chain, self._stamped[1], made.name, made.valid_seconds)


class House:
    """A core with the ledger that it stands on."""

    def __init__(self, core: Core, ledger: SqlLedger) -> None:
        self.core: Final = core
        self.ledger: Final = ledger


def build_house(
    town: Town,
    part: Part,
    disk: Disk,
    token: UnreliableToken,
    entropy: Entropy,
    note: Note,
) -> House:
    """Open the ledger on what the disk holds, and compose the core. Raises TrusError."""
    path = disk.mount()
    made: list[UnreliableDirect] = []

    def direct(connection: Any) -> UnreliableDirect:
        made.append(UnreliableDirect(connection, part, disk.trouble))
        return made[-1]

    clock = part.clock
    ledger = open_ledger(
        path,
        db_key=town.db_key,
        lookup_key=town.lookup_key,
        field_keys=town.field_keys,
        clock=clock,
        entropy=entropy,
        direct=direct,
        open_file=disk.open_file,
    )
    try:
        disk.opened()
        for each in made:
            each.on_commit, each.on_checkpoint = disk.committed, disk.checkpointed
        return House(_compose(ledger, disk, token, part, entropy, note, town.stripes), ledger)
    except BaseException:
        ledger.close()
        raise


def _compose(
    ledger: SqlLedger, disk: Disk, token: UnreliableToken, part: Part, entropy: Entropy, note: Note, stripes: StripeKeys
) -> Core:
    clock = part.clock
    registry = Registry(ledger)
    identities = RegistryIdentities(registry, clock)
    service = IdentityService(
        name=BACKEND_NAME,
        keys=token,
        objects=token,
        data_keys=DataKeys(token),
        activations=identities,
        register=identities,
        clock=clock,
        entropy=entropy,
    )
    heads = HeadLog(ledger, TokenHeadSigner(token), disk.heads)
    upkeep = CoreUpkeep(ledger, token, clock, lambda: heads.sign(clock.now()))
    upkeep.keepers.append(HoldExpiry(ledger, clock, note).keep)
    upkeep.keepers.append(LotExpiry(ledger, clock, note).keep)
    settings = IssuingSettings(personalisation=str(disk.heads.with_name("personalisation")), currency=CURRENCY, iin=IIN)
    counters: dict[str, int] = {}
    identity = SteadyDesk(service, upkeep.business_date, note, clock, token)
    identity.advice_key = lambda: stripes.public
    desk = Desk(registry, token, service, clock, entropy, settings, upkeep.health, lambda: counters)
    return Core(
        money=MoneyPipeline(
            ledger,
            token,
            find_card_keys(token),
            clock,
            entropy,
            PipelineSettings(hold_seconds=HOLD_SECONDS),
            note,
            open_stripe=stripes.open,
        ),
        identity=identity,
        admin=AdminHandlers(desk),
        upkeep=upkeep,
        note=note,
        counters=counters,
    )
