"""Decides, from the source address alone, whether a connection may come in.

Opens no socket and reads no clock: time is passed in. Memory is bounded whatever the number
of sources: a source without connections whose allowance has refilled says nothing that a new
one would not, and may be forgotten; so is the longest silent one when the table is full.

A maintainer must not break: a refusal is one of fixed words and costs no handshake.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import attrs

from trus.settings.kinds import IpNetwork
from trus.settings.model import AdminPortSettings, ScreeningSettings
from trus.settings.model_directory import DirectoryPortSettings

#: An IPv6 subscriber holds at least a /64 (RFC 6177): its addresses count as one source.
_IPV6_SOURCE_BITS: Final = 64


class Refusal(StrEnum):
    """Why a connection was not let in; fixed words for log and counters."""

    DENIED_SOURCE = "denied-source"
    TOO_MANY = "too-many-connections"
    TOO_MANY_FROM_SOURCE = "too-many-from-source"
    TOO_FAST = "too-fast"
    TOO_MANY_SOURCES = "too-many-sources"


@attrs.frozen(kw_only=True)
class ScreenRules:
    """Limits of one port. Rates are per second and per source."""

    allow: tuple[IpNetwork, ...]
    deny: tuple[IpNetwork, ...]
    max_connections: int
    max_per_source: int
    rate: float
    burst: float
    max_sources: int

    @classmethod
    def of_devices(cls, settings: ScreeningSettings) -> ScreenRules:
        """Return the rules of the device port."""
        return cls(
            allow=settings.allow,
            deny=settings.deny,
            max_connections=settings.max_connections,
            max_per_source=settings.max_per_address,
            rate=settings.handshakes_per_second,
            burst=settings.handshake_burst,
            max_sources=settings.tracked_addresses,
        )

    @classmethod
    def of_directory(cls, settings: DirectoryPortSettings) -> ScreenRules:
        """Return the rules of the directory port's connections."""
        return cls(
            allow=settings.allow,
            deny=settings.deny,
            max_connections=settings.max_connections,
            max_per_source=settings.max_per_address,
            rate=settings.requests_per_second,
            burst=settings.request_burst,
            max_sources=settings.tracked_addresses,
        )

    @classmethod
    def of_admins(cls, settings: AdminPortSettings) -> ScreenRules:
        """Return the rules of the admin port."""
        return cls(
            allow=settings.allow,
            deny=settings.deny,
            max_connections=settings.max_connections,
            max_per_source=settings.max_connections,
            rate=settings.connections_per_second,
            burst=settings.connection_burst,
            max_sources=max(1_000, settings.max_connections),
        )


class AddressBlocks:
    """A list of address blocks that can be asked quickly."""

    def __init__(self, networks: Iterable[IpNetwork]) -> None:
        self._blocks = [(network.version, int(network.network_address), int(network.netmask)) for network in networks]

    def __contains__(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        version, number = address.version, int(address)
        return any(version == kind and number & mask == base for kind, base, mask in self._blocks)


@attrs.define
class _Source:
    """What is remembered of one source: open connections, and allowance left at a moment."""

    connections: int
    allowance: float
    at: float


class Screen:
    """The decisions of one port."""

    def __init__(self, rules: ScreenRules) -> None:
        self._rules = rules
        self._allow = AddressBlocks(rules.allow)
        self._deny = AddressBlocks(rules.deny)
        self._connections = 0
        self._busy: dict[str, _Source] = {}
        # Sources without connections, the longest silent one first.
        self._idle: OrderedDict[str, _Source] = OrderedDict()
        self.refusals: Counter[Refusal] = Counter()

    @property
    def connections(self) -> int:
        """Connections admitted and not yet over."""
        return self._connections

    @property
    def sources(self) -> int:
        """Sources remembered: never more than the rules say."""
        return len(self._busy) + len(self._idle)

    def admit(self, host: str, now: float) -> Refusal | None:
        """Count a connection from the IP address `host` in, or say why not.

        `now` is in monotonic seconds. Whoever got None owes a `leave` when it is over.
        """
        refusal = self._judge(host, now)
        if refusal is not None:
            self.refusals[refusal] += 1
        return refusal

    def leave(self, host: str, now: float) -> None:
        """Count a connection out that `admit` had counted in."""
        key = source_of(host)
        source = self._busy[key]
        source.connections -= 1
        self._connections -= 1
        if source.connections == 0:
            del self._busy[key]
            self._refill(source, now)
            self._idle[key] = source

    def _judge(self, host: str, now: float) -> Refusal | None:
        address = plain_address(host)
        if address in self._deny or address not in self._allow:
            return Refusal.DENIED_SOURCE
        if self._connections >= self._rules.max_connections:
            return Refusal.TOO_MANY
        key = _source_key(address)
        source = self._busy.get(key)
        if source is None:
            source = self._idle.pop(key, None)
            if source is None:
                if not self._make_room():
                    return Refusal.TOO_MANY_SOURCES
                source = _Source(0, self._rules.burst, now)
        self._refill(source, now)
        refusal = self._spend(source)
        if source.connections:
            self._busy[key] = source
        else:
            self._idle[key] = source
        return refusal

    def _spend(self, source: _Source) -> Refusal | None:
        if source.connections >= self._rules.max_per_source:
            return Refusal.TOO_MANY_FROM_SOURCE
        if source.allowance < 1:
            return Refusal.TOO_FAST
        source.allowance -= 1
        source.connections += 1
        self._connections += 1
        return None

    def _refill(self, source: _Source, now: float) -> None:
        gained = (now - source.at) * self._rules.rate
        source.allowance = min(self._rules.burst, source.allowance + gained)
        source.at = now

    def _make_room(self) -> bool:
        if self.sources < self._rules.max_sources:
            return True
        if not self._idle:
            return False
        self._idle.popitem(last=False)
        return True


def plain_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address that `host` writes; an IPv4 address inside IPv6 as the former (RFC 4291 2.5.5.2)."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def source_of(host: str) -> str:
    """Return what counts as one source: an IPv4 address, or an IPv6 /64."""
    return _source_key(plain_address(host))


def _source_key(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return f"{int(address) >> (128 - _IPV6_SOURCE_BITS):x}::/{_IPV6_SOURCE_BITS}"
