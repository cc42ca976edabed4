"""Names every setting of a deployment, with its kind, its default and its reason.

Reads no file (trus.settings.loading does) and holds no secret: passphrases and PINs are in
files of their own, named here. docs/reference/configuration.md is written from this module.
"""
# ruff: noqa: RUF009 - setting() and section() are attrs.field()

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import attrs

from trus.settings import kinds
from trus.settings.kinds import IpNetwork
from trus.settings.model_directory import DirectoryPortSettings, DirectorySettings
from trus.settings.model_payments import PaymentSettings
from trus.settings.model_sweeps import SweepSettings
from trus.settings.problems import Misfit
from trus.settings.sections import Section, section, setting
from trus.settings.values import DatabaseUrl, Duration, Size

EVERYWHERE: tuple[IpNetwork, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))
ANY_PORT = 0


@attrs.frozen(kw_only=True)
class NetworkSettings(Section):
    """The network as a whole; every role of one network says the same here."""

    name: str = setting(kinds.NAME, "The network's name, shown at start and in certificates.")
    currency: str = setting(
        kinds.text(r"[A-Z]{3}", "an ISO 4217 code such as USD"),
        "The currency of accounts and purchases.",
        "USD",
        spell=True,
    )


@attrs.frozen(kw_only=True)
class TlsSettings(Section):
    """What one end of two-way TLS shows, and what it trusts."""

    certificate: Path = setting(kinds.FILE, "PKCS#12 file with the channel certificate, its chain and its key.")
    passphrase_file: Path = setting(kinds.FILE, "File with the passphrase of that PKCS#12 file, one line.")
    anchors: Path = setting(kinds.FILE, "PEM file with the authority that peers' certificates must come from.")
    crl: Path = setting(kinds.FILE, "PEM file with that authority's revocation list; an expired list refuses all.")


@attrs.frozen(kw_only=True)
class DevicesSettings(Section):
    """The device port: terminals and phones, over two-way TLS (TR-14)."""

    host: str = setting(kinds.ADDRESS, "Address to listen on.", "127.0.0.1", spell=True)
    port: int = setting(kinds.PORT, "Port to listen on.", 7001, spell=True)
    tls: TlsSettings = section("The gateway's channel certificate, and the authority of devices.")


@attrs.frozen(kw_only=True)
class AdminPortSettings(Section):
    """The admin port: passed on to the backend unopened, so it holds no key."""

    host: str = setting(kinds.ADDRESS, "Address to listen on.", "127.0.0.1", spell=True)
    port: int = setting(kinds.PORT, "Port to listen on.", 7002, spell=True)
    allow: tuple[IpNetwork, ...] = setting(
        kinds.NETWORKS, "Sources that may connect.", (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    )
    deny: tuple[IpNetwork, ...] = setting(kinds.NETWORKS, "Sources refused even when allowed above.", ())
    max_connections: int = setting(kinds.whole(1, 1_000), "Most admin connections at once.", 32)
    connections_per_second: int = setting(
        kinds.whole(1, 1_000), "New connections of one address in a second, on average.", 5
    )
    connection_burst: int = setting(kinds.whole(1, 1_000), "New connections of one address at once.", 20)
    opening_deadline: Duration = setting(
        kinds.duration("1s", "5m"), "A connection that the backend has not admitted by then is closed.", Duration(15)
    )
    idle_timeout: Duration = setting(
        kinds.duration("10s", "24h"), "A connection without a byte in either direction is closed.", Duration(1800)
    )


@attrs.frozen(kw_only=True)
class BackendAddress(Section):
    """One backend that the gateway keeps a link to."""

    name: str = setting(kinds.NAME, "The backend's name, as its own configuration says it.")
    host: str = setting(kinds.HOST, "Where its link port is.", "127.0.0.1", spell=True)
    port: int = setting(kinds.PEER_PORT, "Its link port.", 7003, spell=True)
    server_name: str = setting(
        kinds.HOST, "The host name that the backend's certificate bears.", "backend.trus.internal"
    )


@attrs.frozen(kw_only=True)
class LinkSettings(Section):
    """The links from the gateway to the backends, over two-way TLS."""

    backends: tuple[BackendAddress, ...] = section("The backends, at least one.")
    tls: TlsSettings = section("The gateway's link certificate (not the device port's), and the backends' authority.")
    keep_alive: Duration = setting(
        kinds.duration("1s", "10m"), "A link is asked for a sign of life after this silence.", Duration(15)
    )
    silence: Duration = setting(
        kinds.duration("2s", "30m"), "A link that says nothing for this long is lost.", Duration(45)
    )
    max_reconnect_delay: Duration = setting(
        kinds.duration("100ms", "10m"), "Longest wait between two attempts to reach a lost backend.", Duration(10)
    )
    buffer: Size = setting(
        kinds.size("64KiB", "64MiB"), "Most bytes waiting for a slow link before its devices pause.", Size(1 << 20)
    )

    def misfits(self) -> Iterator[Misfit]:
        """Yield missing and doubled backends, and a silence that ends before it is questioned."""
        if not self.backends:
            yield Misfit("an empty list", "at least one backend", ("backends",))
        names = [backend.name for backend in self.backends]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield Misfit(f"{name!r} again", "a name of its own for each backend", ("backends", index, "name"))
        if self.silence <= self.keep_alive:
            yield Misfit(str(self.silence), f"more than keep_alive ({self.keep_alive})", ("silence",))


@attrs.frozen(kw_only=True)
class ScreeningSettings(Section):
    """Who may come near the device port, and how much of it one source may use (TR-12)."""

    allow: tuple[IpNetwork, ...] = setting(kinds.NETWORKS, "Sources that may connect.", EVERYWHERE)
    deny: tuple[IpNetwork, ...] = setting(kinds.NETWORKS, "Sources refused even when allowed above.", ())
    max_connections: int = setting(kinds.whole(1, 1_000_000), "Most device connections at once.", 10_000)
    max_per_address: int = setting(
        kinds.whole(1, 1_000_000), "Most connections of one address (IPv6: one /64) at once.", 1_000
    )
    handshakes_per_second: int = setting(
        kinds.whole(1, 100_000), "New connections of one address in a second, on average.", 50
    )
    handshake_burst: int = setting(kinds.whole(1, 100_000), "New connections of one address at once.", 200)
    busy_handshakes_per_second: int = setting(
        kinds.whole(1, 100_000),
        "New connections let in a second while the gateway is behind with its work; more wait outside.",
        40,
    )
    handshake_deadline: Duration = setting(
        kinds.duration("100ms", "5m"), "A TLS handshake that takes longer is cut off.", Duration(10)
    )
    opening_deadline: Duration = setting(
        kinds.duration("1s", "10m"), "A connection without an authenticated session by then is closed.", Duration(30)
    )
    idle_timeout: Duration = setting(
        kinds.duration("1s", "24h"), "A connection that says nothing for this long is closed.", Duration(600)
    )
    lines_per_second: int = setting(kinds.whole(1, 1_000_000), "Lines of one connection in a second, on average.", 500)
    line_burst: int = setting(kinds.whole(1, 1_000_000), "Lines of one connection at once.", 2_000)
    send_buffer: Size = setting(
        kinds.size("16KiB", "16MiB"),
        "Most bytes that may wait for a slow device; past it the device is cut off.",
        Size(256 << 10),
    )
    send_deadline: Duration = setting(
        kinds.duration("1s", "10m"), "A device that reads nothing for this long is cut off.", Duration(20)
    )
    tracked_addresses: int = setting(
        kinds.whole(100, 1_000_000), "Most source addresses remembered: the counters' memory is bounded.", 20_000
    )

    def misfits(self) -> Iterator[Misfit]:
        """Yield limits that contradict each other."""
        if self.max_per_address > self.max_connections:
            yield Misfit(
                str(self.max_per_address), f"at most max_connections ({self.max_connections})", ("max_per_address",)
            )
        if not self.allow:
            yield Misfit("an empty list", "at least one address block, or the default", ("allow",))


_METRICS: Final = "File of metrics for a collector of text files (Prometheus), written anew every 15 s."


@attrs.frozen(kw_only=True)
class GatewaySettings(Section):
    """The edge: everything enters here. It holds no money, no card data, no individual key."""

    name: str = setting(kinds.NAME, "The gateway's name, told to backends.", "gateway-1", spell=True)
    devices: DevicesSettings = section("The device port.")
    admin: AdminPortSettings | None = section("The admin port; left out, there is none.", None)
    directory: DirectoryPortSettings | None = section("The directory port; left out, there is none.", None)
    link: LinkSettings = section("The way to the backends.")
    screening: ScreeningSettings = section("Limits of the device port.", attrs.Factory(ScreeningSettings))
    metrics: Path | None = setting(kinds.MADE_FILE, _METRICS, None)

    def misfits(self) -> Iterator[Misfit]:
        """Yield one port given to two listeners."""
        taken = {(self.devices.host, self.devices.port): "devices"}
        for name, listener in (("admin", self.admin), ("directory", self.directory)):
            if listener is None or listener.port == ANY_PORT:
                continue
            place = (listener.host, listener.port)
            if place in taken:
                yield Misfit(str(listener.port), f"another port than {taken[place]}.port", (name, "port"))
            taken.setdefault(place, name)


@attrs.frozen(kw_only=True)
class LinkPortSettings(Section):
    """The backend's one port: gateways connect here, nobody else."""

    host: str = setting(kinds.ADDRESS, "Address to listen on.", "127.0.0.1", spell=True)
    port: int = setting(kinds.PORT, "Port to listen on.", 7003, spell=True)
    tls: TlsSettings = section("The backend's channel certificate, and the gateways' authority.")
    max_links: int = setting(kinds.whole(1, 1_000), "Most links at once.", 64)


@attrs.frozen(kw_only=True)
class AdminTlsSettings(Section):
    """The backend's end of the admins' TLS, carried through the gateway."""

    tls: TlsSettings = section("The backend's admin certificate, and the admins' own authority.")
    idle_timeout: Duration = setting(
        kinds.duration("10s", "24h"), "An admin who says nothing for this long is logged out.", Duration(900)
    )


@attrs.frozen(kw_only=True)
class PinSealSettings(Section):
    """A smart card, or another second token, without which the first one's PIN is not to be had (TR-18)."""

    module: Path | None = setting(
        kinds.MODULE, "The PKCS#11 library of the second token; auto as for the first.", None, spell=True
    )
    label: str = setting(kinds.LABEL, "The second token's label.")
    pin_file: Path | None = setting(
        kinds.FILE, "File with the second token's user PIN; left out, it is asked for on the terminal.", None
    )
    softhsm_conf: Path | None = setting(kinds.FILE, "SoftHSM's own configuration file, when the second is one.", None)
    parameters: str = setting(kinds.PARAMETERS, "Text handed to its library at C_Initialize.", "")


@attrs.frozen(kw_only=True)
class TokenSettings(Section):
    """The PKCS#11 token that holds every key of the backend (TR-13, TR-18)."""

    module: Path | None = setting(
        kinds.MODULE, "The PKCS#11 library; auto finds SoftHSM on the machine or in the project.", None, spell=True
    )
    label: str = setting(
        kinds.LABEL,
        "The token's label.",
        "trus",
        spell=True,
    )
    pin_file: Path = setting(kinds.FILE, "File with the token's user PIN, one line, readable by its owner alone.")
    softhsm_conf: Path | None = setting(
        kinds.FILE, "SoftHSM's own configuration file; left out for another token.", None
    )
    parameters: str = setting(
        kinds.PARAMETERS, "Text handed to the library at C_Initialize; NSS's softokn takes its folder from it.", ""
    )
    objects: Path | None = setting(
        kinds.FILE_OR_AUTO,
        "File of devices' certificates and pairs, wrapped under keys of the token; auto is "
        "keystore/objects.db beside the database's folder.",
        None,
    )
    deadline: Duration = setting(
        kinds.duration("100ms", "1m"),
        "A call of the token that takes longer counts as failed; while one lasts longer, what waits gets code 91.",
        Duration(5),
    )
    abandon: Duration = setting(
        kinds.duration("2s", "1h"), "The core is replaced when a call of the token has lasted this long.", Duration(60)
    )
    pin_sealed_by: PinSealSettings | None = section(
        "The second token whose key opens the PIN file; left out, the PIN file holds the PIN itself.", None
    )

    def misfits(self) -> Iterator[Misfit]:
        """Yield a call that is given up before it is late."""
        if self.abandon <= self.deadline:
            yield Misfit(str(self.abandon), f"more than deadline ({self.deadline})", ("abandon",))


@attrs.frozen(kw_only=True)
class DatabaseSettings(Section):
    """The ledger, ciphered under a key of the token (TR-13)."""

    url: DatabaseUrl = setting(kinds.DATABASE, "Where the ledger is.")
    heads: Path = setting(kinds.FOLDER, "Folder outside the database to which signed audit heads are exported.")


@attrs.frozen(kw_only=True)
class CoreSettings(Section):
    """The process that verifies, decides and commits; the backend starts it and watches it."""

    max_batch: int = setting(kinds.whole(1, 4_096), "Most requests decided and committed together.", 256)
    answer_deadline: Duration = setting(
        kinds.duration("1s", "1h"),
        "A batch that the core has not answered by then is answered 96, and what waits 91, until it answers again.",
        Duration(20),
    )


@attrs.frozen(kw_only=True)
class IdentitySettings(Section):
    """The individual authority, which certifies each terminal and card (TR-15)."""

    name: str = setting(kinds.NAME, "This backend's name in its individual certificate.", "backend")
    anchor: Path = setting(kinds.FILE, "PEM file with the individual authority's root certificate.")
    policy: Path | None = setting(
        kinds.FILE, "The certificate policy's file, docs/reference/policy.md; left out, the network's own holds.", None
    )


@attrs.frozen(kw_only=True)
class CardSettings(Section):
    """The cards that this network issues."""

    iin: str = setting(
        kinds.text(r"[0-9]{6}|[0-9]{8}", "6 or 8 digits in quotes"),
        "Issuer identification number (ISO/IEC 7812) that card numbers begin with.",
    )


@attrs.frozen(kw_only=True)
class BackendSettings(Section):
    """The issuer's side: sealed sessions, decisions, ledger, keys."""

    name: str = setting(kinds.NAME, "The backend's name, told to gateways.", "backend-1", spell=True)
    link: LinkPortSettings = section("The link port.")
    admin: AdminTlsSettings | None = section("The console; left out, there is none.", None)
    token: TokenSettings = section("The key store.")
    database: DatabaseSettings = section("The ledger.")
    core: CoreSettings = section("The deciding process.", attrs.Factory(CoreSettings))
    identity: IdentitySettings = section("The individual authority.")
    directory: DirectorySettings = section("The certificate directory.", attrs.Factory(DirectorySettings))
    cards: CardSettings = section("Card numbers.")
    payments: PaymentSettings = section("Payments of every company.", attrs.Factory(PaymentSettings))
    sweeps: SweepSettings = section("Terminals that try cards out.", attrs.Factory(SweepSettings))
    metrics: Path | None = setting(kinds.MADE_FILE, _METRICS, None)


@attrs.frozen(kw_only=True)
class Settings(Section):
    """One file: the network, and the roles that this process plays in it."""

    network: NetworkSettings = section("The network as a whole.")
    gateway: GatewaySettings | None = section("Present: this process is a gateway.", None)
    backend: BackendSettings | None = section("Present: this process is a backend.", None)

    def misfits(self) -> Iterator[Misfit]:
        """Yield a file without a role, and roles that want the same port."""
        if self.gateway is None and self.backend is None:
            yield Misfit("neither gateway nor backend", "at least one of these roles")
        if self.gateway is None or self.backend is None:
            return
        link = self.backend.link
        gateway = self.gateway
        for name, port in (("devices", gateway.devices), ("admin", gateway.admin), ("directory", gateway.directory)):
            if port is not None and port.port != ANY_PORT and (port.host, port.port) == (link.host, link.port):
                yield Misfit(str(port.port), "another port than backend.link.port", ("gateway", name, "port"))
