"""Says where everything of a deployment lies in its folder, and writes its files for their owner alone.

Makes no key and no certificate (trus.cli.provisioning does). Every path that other programs
rely on is named here once.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Final

import attrs

from trus.cards.numbers import DEFAULT_IIN
from trus.errors import ConfigurationError
from trus.money import EXPONENTS
from trus.pki.channel import BACKEND_HOST
from trus.pki.policy import CEREMONY_OFFICERS
from trus.pki.transcript import check_officers
from trus.settings.model import (
    AdminPortSettings,
    AdminTlsSettings,
    BackendAddress,
    BackendSettings,
    CardSettings,
    DatabaseSettings,
    DevicesSettings,
    GatewaySettings,
    IdentitySettings,
    LinkPortSettings,
    LinkSettings,
    NetworkSettings,
    Settings,
    TlsSettings,
    TokenSettings,
)
from trus.settings.model_directory import DirectoryPortSettings, DirectorySettings
from trus.settings.values import DatabaseUrl
from trus.values import BusinessDate, Frozen

TOKEN_LABEL: Final = "trus"  # noqa: S105 - a name, not a secret
BACKEND_NAME: Final = "backend-1"

_ADMIN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}\Z")
_IIN: Final = re.compile(r"(?:[0-9]{6}|[0-9]{8})\Z")
_NETWORK: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_HOST: Final = re.compile(r"[0-9A-Za-z:._%-]{1,253}\Z")
_MAX_PORT: Final = 65_535


def check_admin_name(name: str) -> None:
    """Raise ConfigurationError unless the name can be an admin's: as the console takes it."""
    if _ADMIN_NAME.match(name) is None:
        raise ConfigurationError("an admin's name is 1 to 32 of a-z, 0-9, dot, dash and underscore")


def _is_address_if_numeric(host: str) -> bool:
    """Return False for what is written like an address and is none, such as 256.1.1.1."""
    if not re.fullmatch(r"[0-9.]+|.*:.*", host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class InitOptions(Frozen, frozen=True):
    """What a deployment is made with.

    `currency` is an ISO 4217 code; `module` the PKCS#11 library, found when empty; the ports are
    those of devices, admins, gateway links and, unless 0, the directory on `host`; `business_date` is
    today's unless told;
    `officers` are who attends the ceremony that makes the root.
    """

    currency: str = "USD"
    admins: tuple[str, ...] = ("admin",)
    officers: tuple[str, ...] = ("officer 1", "officer 2")
    name: str = "trus"
    host: str = "127.0.0.1"
    devices_port: int = 7001
    admin_port: int = 7002
    link_port: int = 7003
    directory_port: int = 0
    module: str = ""
    iin: str = DEFAULT_IIN
    business_date: str = ""

    def check(self) -> None:
        """Raise ConfigurationError, in one sentence, for options that make no deployment."""
        if self.currency not in EXPONENTS:
            raise ConfigurationError(f"the currency must be one of {', '.join(sorted(EXPONENTS))}")
        if not self.admins or len(set(self.admins)) != len(self.admins):
            raise ConfigurationError("at least one admin is needed, and each name once")
        for admin in self.admins:
            check_admin_name(admin)
        check_officers(self.officers, CEREMONY_OFFICERS)
        if _NETWORK.match(self.name) is None:
            raise ConfigurationError("the network's name is up to 64 letters, digits, '.', '_' and '-'")
        if _HOST.match(self.host) is None or not _is_address_if_numeric(self.host):
            raise ConfigurationError("the host is an IP address of this machine, or a name of it")
        if _IIN.match(self.iin) is None:
            raise ConfigurationError("the issuer identification number has 6 or 8 digits")
        ports = [self.devices_port, self.admin_port, self.link_port]
        if self.directory_port:
            ports.append(self.directory_port)
        if len(set(ports)) != len(ports) or not all(1 <= port <= _MAX_PORT for port in ports):
            raise ConfigurationError("devices, admins, links and directory need different ports from 1 to 65535")


@attrs.frozen
class Layout:
    """The paths of a deployment below its folder."""

    root: Path

    @property
    def config(self) -> Path:
        """The settings."""
        return self.root / "trus.yaml"

    @property
    def token(self) -> Path:
        """SoftHSM's folder: softhsm2.conf, tokens, and the PIN files."""
        return self.root / "token"

    @property
    def token_conf(self) -> Path:
        """SoftHSM's configuration."""
        return self.token / "softhsm2.conf"

    @property
    def pin_file(self) -> Path:
        """The token's user PIN."""
        return self.token / "pin"

    @property
    def officer_pin_file(self) -> Path:
        """The token's security officer PIN: needed to set a new user PIN, so best kept elsewhere."""
        return self.token / "officer-pin"

    @property
    def root_token(self) -> Path:
        """The off-line root's token: to be taken away from the machine once the deployment stands."""
        return self.root / "root-token"

    @property
    def database(self) -> Path:
        """The ciphered ledger."""
        return self.root / "db" / "trus.db"

    @property
    def objects(self) -> Path:
        """Devices' certificates and pairs, wrapped under keys of the token."""
        return self.root / "keystore" / "objects.db"

    @property
    def heads(self) -> Path:
        """Signed heads of the audit chain, outside the database."""
        return self.root / "heads"

    @property
    def pki(self) -> Path:
        """Authorities, revocation lists and channel bundles."""
        return self.root / "pki"

    @property
    def admins(self) -> Path:
        """Admins' bundles."""
        return self.root / "admins"

    @property
    def anchor(self) -> Path:
        """The individual authority's root, provisioned to devices."""
        return self.pki / "individual-ca.pem"

    @property
    def policy(self) -> Path:
        """What this deployment changes of the certificate policy."""
        return self.pki / "policy.yaml"

    @property
    def issuing(self) -> Path:
        """The issuing authorities below the individual root, PEM, the newest last."""
        return self.pki / "individual-issuing.pem"

    @property
    def ceremonies(self) -> Path:
        """Transcripts of key ceremonies."""
        return self.pki / "ceremonies"

    def authority(self, label: str) -> Path:
        """Return the root certificate of an authority, PEM."""
        return self.pki / f"{label}-ca.pem"

    def revocation_list(self, label: str) -> Path:
        """Return the revocation list of an authority, PEM."""
        return self.pki / f"{label}.crl"

    def bundle(self, stem: str) -> Path:
        """Return a channel's PKCS#12 file; its passphrase is beside it."""
        return self.pki / f"{stem}.p12"

    def admin_bundle(self, name: str) -> Path:
        """Return an admin's PKCS#12 file."""
        return self.admins / f"{name}.p12"


def passphrase_of(bundle: Path) -> Path:
    """Return the file that holds the passphrase of a PKCS#12 file: NAME.pass beside NAME.p12."""
    return bundle.with_suffix(".pass")


def write_private(path: Path, content: bytes | str) -> None:
    """Write a new file that its owner alone may read. Raises ConfigurationError when it exists."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists already") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def settings_of(layout: Layout, options: InitOptions) -> Settings:
    """Return the settings of a fresh deployment: both roles in one file, linked on `host`."""

    def tls(stem: str, authority: str) -> TlsSettings:
        bundle = layout.bundle(stem)
        return TlsSettings(
            certificate=bundle,
            passphrase_file=passphrase_of(bundle),
            anchors=layout.authority(authority),
            crl=layout.revocation_list(authority),
        )

    host, directory_port = options.host, options.directory_port
    backend = BackendAddress(name=BACKEND_NAME, host=host, port=options.link_port, server_name=BACKEND_HOST)
    return Settings(
        network=NetworkSettings(name=options.name, currency=options.currency),
        gateway=GatewaySettings(
            devices=DevicesSettings(host=host, port=options.devices_port, tls=tls("gateway", "channel")),
            admin=AdminPortSettings(host=host, port=options.admin_port),
            directory=DirectoryPortSettings(host=host, port=directory_port) if directory_port else None,
            link=LinkSettings(backends=(backend,), tls=tls("gateway-link", "channel")),
        ),
        backend=BackendSettings(
            name=BACKEND_NAME,
            link=LinkPortSettings(host=host, port=options.link_port, tls=tls("backend", "channel")),
            admin=AdminTlsSettings(tls=tls("backend-admin", "admin")),
            token=TokenSettings(
                module=Path(options.module).absolute() if options.module else None,
                label=TOKEN_LABEL,
                pin_file=layout.pin_file,
                softhsm_conf=layout.token_conf,
            ),
            database=DatabaseSettings(url=DatabaseUrl(path=layout.database), heads=layout.heads),
            identity=IdentitySettings(anchor=layout.anchor, policy=layout.policy),
            directory=DirectorySettings(url=f"http://{host}:{directory_port}" if directory_port else ""),
            cards=CardSettings(iin=options.iin),
        ),
    )


def business_date_of(options: InitOptions) -> BusinessDate | None:
    """Return the business date that the options name, None for today's."""
    return BusinessDate(options.business_date) if options.business_date else None
