"""Says where a console is and with which certificate an admin goes there, and connects.

Reads the settings and the admin's bundle; trusts the admins' own authority and no other, and
the server's name in its certificate, whatever address was dialled (RFC 9525).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS

from trus.admin.client import AdminClient, ConsoleGone
from trus.cli.layout import Layout, passphrase_of
from trus.errors import ConfigurationError
from trus.net.contexts import ClientChannel
from trus.net.credentials import from_pkcs12, load_authorities
from trus.net.peers import Refusal, channel_refusal
from trus.pki.channel import ADMIN, ADMIN_HOST
from trus.settings.channels import read_crls, read_file, read_passphrase
from trus.settings.loading import load
from trus.values import ChannelRole

#: What an admin can do about a console that this side refused.
REFUSALS = {
    Refusal.FOREIGN: "its certificate is not of the admins' authority",
    Refusal.EXPIRED: "its certificate has expired",
    Refusal.NOT_YET_VALID: "its certificate is not valid yet: is this machine's clock right?",
    Refusal.REVOKED: "its certificate was revoked",
    Refusal.NO_REVOCATION_LIST: "the admins' revocation list has expired: the backend renews it",
    Refusal.WRONG_NAME: "its certificate is of another server",
    Refusal.WRONG_ROLE: "its certificate is not a console's",
    Refusal.WRONG_PURPOSE: "its certificate is not a server's",
}


@attrs.frozen
class ConsolePlace:
    """A console's address, and the files that prove who is who."""

    host: str
    port: int
    bundle: Path
    passphrase_file: Path
    anchor: Path
    crl: Path | None
    server_name: str = ADMIN_HOST

    def channel(self) -> ClientChannel:
        """Return the two-way TLS of this admin. Raises ConfigurationError with one sentence."""
        credentials = from_pkcs12(
            read_file(self.bundle, "the admin's certificate file"),
            read_passphrase(self.passphrase_file),
            f"the admin's certificate file {self.bundle}",
        )
        anchors = load_authorities(read_file(self.anchor, "the admins' authority"), f"{self.anchor}")
        crls: tuple[x509.CertificateRevocationList, ...] = () if self.crl is None else read_crls(self.crl)
        return ClientChannel(credentials, ChannelRole.BACKEND, self.server_name, anchors=anchors, crls=crls)

    async def connect(self, reactor: Any) -> AdminClient:
        """Connect and be greeted. Raises ConfigurationError, ConsoleGone with one sentence."""
        channel = self.channel()
        endpoint = wrapClientTLS(channel, HostnameEndpoint(reactor, self.host.encode("ascii"), self.port))
        where = f"the console at {self.host}:{self.port}"
        try:
            return await AdminClient.connect(endpoint, reactor, why)
        except ConsoleGone:
            raise
        except Exception as failure:
            # Endpoints fail with many classes, all of them about reaching the address.
            reason = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
            raise ConsoleGone(f"{where} cannot be reached: {reason}") from failure


def why(transport: object, reason: BaseException | None) -> str:
    """Return why this side refused the server, "" when it did not."""
    refusal = channel_refusal(transport, reason)
    if refusal is None:
        return ""
    return "the console was refused: " + REFUSALS.get(refusal, f"its certificate is no good ({refusal.value})")


def place_of(
    config: Path,
    *,
    name: str | None = None,
    bundle: Path | None = None,
    passphrase_file: Path | None = None,
    anchor: Path | None = None,
    address: tuple[str, int] | None = None,
) -> ConsolePlace:
    """Return the place of the console that the settings file `config` configures.

    The bundle is DIR/admins/NAME.p12 in the file's folder unless told; without a name, the only
    one there is. What is given wins over the file. Raises ConfigurationError.
    """
    settings = load(config)
    layout = Layout(config.absolute().parent)
    port = settings.gateway.admin if settings.gateway is not None else None
    if address is None and port is None:
        raise ConfigurationError(f"{config} configures no admin port: name it with --address HOST:PORT")
    if address is None and port is not None:
        address = (_dialled(port.host), port.port)
    if address is None:
        raise ConfigurationError("no address of a console is known")
    chosen = bundle or _bundle(layout, name)
    admin = settings.backend.admin if settings.backend is not None else None
    anchors = anchor or (layout.authority(ADMIN) if admin is None else admin.tls.anchors)
    crl = None if admin is None or anchor is not None else admin.tls.crl
    return ConsolePlace(address[0], address[1], chosen, passphrase_file or passphrase_of(chosen), anchors, crl)


def _dialled(host: str) -> str:
    """Return the address to dial for one that listens everywhere."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - not bound here


def _bundle(layout: Layout, name: str | None) -> Path:
    if name is not None:
        return layout.admin_bundle(name)
    found = sorted(layout.admins.glob("*.p12")) if layout.admins.is_dir() else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigurationError(f"{layout.admins} holds no admin's certificate: name one with --p12")
    names = ", ".join(path.stem for path in found)
    raise ConfigurationError(f"say who you are with --as NAME: {layout.admins} holds {names}")
