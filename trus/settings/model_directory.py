"""Names the settings of the certificate directory: the gateway's port, and what the backend gives out.

Reads no file. Part of trus.settings.model, which is long enough without it.
"""
# ruff: noqa: RUF009 - setting() and section() are attrs.field()

from __future__ import annotations

from ipaddress import ip_network

import attrs

from trus.settings import kinds
from trus.settings.kinds import IpNetwork
from trus.settings.sections import Section, setting
from trus.settings.values import Duration, Size

_EVERYWHERE: tuple[IpNetwork, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@attrs.frozen(kw_only=True)
class DirectoryPortSettings(Section):
    """The directory port: certificates, revocation lists and OCSP over plain HTTP, for anybody (TR-15).

    What it gives out is public and signed; it takes nothing in, and holds no key.
    """

    host: str = setting(kinds.ADDRESS, "Address to listen on.", "127.0.0.1", spell=True)
    port: int = setting(kinds.PORT, "Port to listen on.", 7004, spell=True)
    allow: tuple[IpNetwork, ...] = setting(kinds.NETWORKS, "Sources that may connect.", _EVERYWHERE)
    deny: tuple[IpNetwork, ...] = setting(kinds.NETWORKS, "Sources refused even when allowed above.", ())
    max_connections: int = setting(kinds.whole(1, 100_000), "Most connections at once.", 500)
    max_per_address: int = setting(
        kinds.whole(1, 100_000), "Most connections of one address (IPv6: one /64) at once.", 50
    )
    requests_per_second: int = setting(kinds.whole(1, 10_000), "Requests of one address in a second, on average.", 20)
    request_burst: int = setting(kinds.whole(1, 100_000), "Requests of one address at once.", 200)
    idle_timeout: Duration = setting(
        kinds.duration("1s", "10m"), "A connection that asks nothing for this long is closed.", Duration(15)
    )
    answer_deadline: Duration = setting(
        kinds.duration("1s", "1m"), "A question that no backend has answered by then is answered 503.", Duration(10)
    )
    open_questions: int = setting(
        kinds.whole(1, 128), "Most questions that the backends have not answered yet; further ones get 503.", 64
    )
    cache: Size = setting(
        kinds.size("64KiB", "1GiB"), "Most bytes of answers kept as long as the backend allows.", Size(16 << 20)
    )
    tracked_addresses: int = setting(
        kinds.whole(100, 1_000_000), "Most source addresses remembered: the counters' memory is bounded.", 10_000
    )


@attrs.frozen(kw_only=True)
class DirectorySettings(Section):
    """What the backend says of the directory in what it signs."""

    url: str = setting(
        kinds.text(r"|http://[0-9A-Za-z.:\[\]-]{1,253}(/[0-9A-Za-z._~-]{1,64}){0,4}", "an http:// address"),
        "Where clients reach a gateway's directory port; full revocation lists say there where their delta is. "
        "Empty: they do not.",
        "",
        spell=True,
    )
