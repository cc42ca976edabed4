"""A simulated gateway: the real screening, sessions, router and links, on the simulated network.

Composes what trus.gateway.service composes, without files and TLS. A gateway that dies loses
nothing but its connections; a dishonest one is trus.simulation.meddling's work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from trus.gateway.devices import DeviceConnection, DeviceTerms, Surroundings
from trus.gateway.frontdoor import ConnectionFactory, Doorkeeper, FrontDoor
from trus.gateway.links import LinkTerms
from trus.gateway.pool import Attempts, LinkPool
from trus.gateway.router import Router
from trus.gateway.screening import Screen, ScreenRules
from trus.gateway.service import DEVICE_ROLES
from trus.gateway.tally import LineDigest, Tally
from trus.net.contexts import ClientChannel
from trus.settings.model import ScreeningSettings
from trus.simulation import backend
from trus.simulation.chance import Chance, SeededEntropy
from trus.simulation.clockwork import Clockwork, Part
from trus.simulation.network import ChannelName, Listener, Network, SimulatedChannel, SimulatedEndpoint
from trus.simulation.town import BACKEND_NAME
from trus.values import ChannelRole

#: What a link's settings say unless told (trus.settings.model), seconds and bytes.
KEEP_ALIVE: Final = 15.0
SILENCE: Final = 45.0
MAX_RECONNECT: Final = 10.0
LINK_BUFFER: Final = 1 << 20
_SCREENING: Final = ScreeningSettings()
PAUSE: Final = (0.5, 5.0)


class Gateway:
    """One gateway's machine."""

    def __init__(
        self,
        work: Clockwork,
        network: Network,
        name: str,
        chance: Chance,
        channel: ChannelName,
        screening: ScreeningSettings = _SCREENING,
    ) -> None:
        self.name = name
        self._screening = screening
        self._work = work
        self._network = network
        self._chance = chance
        self._channel = channel
        self._incarnations = 0
        self.offset = 0.0
        self.part: Part | None = None
        self.pool: LinkPool | None = None
        self.tally: Tally | None = None
        self.present: dict[DeviceConnection, None] = {}

    @property
    def up(self) -> bool:
        """Whether it serves: its port is open and a backend can be reached."""
        return self.part is not None and self.pool is not None and bool(self.pool.links)

    def start(self) -> None:
        """Open the device port and begin to reach the backend."""
        if self.part is not None and self.part.alive:
            return
        self._incarnations += 1
        part = Part(self._work, self.name, self._incarnations)
        part.offset = self.offset
        entropy = SeededEntropy(self._chance.seed, f"{self.name}/{self._incarnations}")
        reactor: Any = part.reactor
        self.part = part
        self.pool = pool = LinkPool()
        endpoint = SimulatedEndpoint(
            self._network, part, self.name, (backend.PLACE,), self._channel, ChannelRole.BACKEND
        )
        terms = LinkTerms(
            gateway=self.name,
            backend=BACKEND_NAME,
            keep_alive_seconds=KEEP_ALIVE,
            silence_seconds=SILENCE,
            buffer_bytes=LINK_BUFFER,
        )
        channel = cast("ClientChannel", SimulatedChannel())
        pool.add(terms, cast("Any", endpoint), channel, Attempts(MAX_RECONNECT, entropy), reactor)
        self.tally = tally = Tally(reactor)
        around = Surroundings(
            clock=reactor,
            router=Router(pool),
            tally=tally,
            digest=LineDigest(entropy.draw(16)),
            terms=DeviceTerms.of(self._screening),
        )
        self.present = around.present
        keeper = Doorkeeper(Screen(ScreenRules.of_devices(self._screening)), tally, reactor)
        make: Callable[[Callable[[], None]], DeviceConnection] = lambda gone: DeviceConnection(around, gone)  # noqa: E731
        door = FrontDoor("device port", keeper, ConnectionFactory(make, keeper))
        address = self._network.address(self.name, 7001)
        self._network.listen(Listener(part, self.name, address, door.buildProtocol, self._channel, DEVICE_ROLES))
        pool.startService()  # type: ignore[no-untyped-call]
        self._work.say(self.name, "serves")

    def kill(self, *, silently: bool) -> None:
        """Kill the process, or cut the machine's power; it comes back by itself."""
        part, self.part = self.part, None
        if part is None or not part.alive:
            return
        self._work.say(self.name, "loses power" if silently else "is killed")
        part.die()
        self._network.part_died(part, silently=silently)
        self._work.later(self._chance.seconds(*PAUSE), None, self.start)
