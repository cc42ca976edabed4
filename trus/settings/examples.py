"""Writes the commented examples of config/ from the settings' own classes.

Run `python -m trus.settings.examples config` after changing the model; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import attrs

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
    ScreeningSettings,
    Settings,
    TlsSettings,
    TokenSettings,
)
from trus.settings.model_directory import DirectoryPortSettings, DirectorySettings
from trus.settings.values import DatabaseUrl
from trus.settings.writing import dump

_ALL_IN_ONE: Final = """\
Gateway and backend in one process: for trying out, and for a small network.
The two still talk over two-way TLS, on the loopback address.

    twistd -n trus --config all-in-one.yaml

`trus init DIR` writes such a file together with everything that it names."""
_GATEWAY: Final = """\
A gateway alone, for a machine at the edge. It needs no token, no database and nothing of the
individual authority: copy the files below pki/ here, and nothing else of the deployment.

    twistd -n trus --config gateway.yaml

Docs: docs/how-to/run-roles-apart.md."""
_BACKEND: Final = """\
A backend alone. Its one port is for gateways: let a firewall admit them and nobody else.

    twistd -n trus --config backend.yaml

Docs: docs/how-to/run-roles-apart.md."""


@attrs.frozen
class Example:
    """One file of config/: its heading, and its settings for the folder that it stands in."""

    heading: str
    settings: Callable[[Path], Settings]

    def text(self) -> str:
        """Return the file's text."""
        folder = Path("/")  # relative paths come out relative, whatever the folder
        return dump(self.settings(folder), folder, self.heading)


def _tls(folder: Path, stem: str, authority: str = "channel") -> TlsSettings:
    pki = folder / "pki"
    return TlsSettings(
        certificate=pki / f"{stem}.p12",
        passphrase_file=pki / f"{stem}.pass",
        anchors=pki / f"{authority}-ca.pem",
        crl=pki / f"{authority}.crl",
    )


def _backend(folder: Path, host: str) -> BackendSettings:
    return BackendSettings(
        link=LinkPortSettings(host=host, tls=_tls(folder, "backend")),
        admin=AdminTlsSettings(tls=_tls(folder, "backend-admin", "admin")),
        token=TokenSettings(pin_file=folder / "token" / "pin", softhsm_conf=folder / "token" / "softhsm2.conf"),
        database=DatabaseSettings(url=DatabaseUrl(path=folder / "db" / "trus.db"), heads=folder / "heads"),
        identity=IdentitySettings(anchor=folder / "pki" / "individual-ca.pem", policy=folder / "pki" / "policy.yaml"),
        directory=DirectorySettings(url="http://192.0.2.10:7004"),
        cards=CardSettings(iin="990001"),
    )


def _all_in_one(folder: Path) -> Settings:
    gateway = GatewaySettings(
        devices=DevicesSettings(tls=_tls(folder, "gateway")),
        admin=AdminPortSettings(),
        directory=DirectoryPortSettings(),
        link=LinkSettings(backends=(BackendAddress(name="backend-1"),), tls=_tls(folder, "gateway-link")),
    )
    return Settings(network=NetworkSettings(name="lunch"), gateway=gateway, backend=_backend(folder, "127.0.0.1"))


def _gateway_alone(folder: Path) -> Settings:
    gateway = GatewaySettings(
        devices=DevicesSettings(host="0.0.0.0", tls=_tls(folder, "gateway")),  # noqa: S104 - terminals come from anywhere
        directory=DirectoryPortSettings(host="0.0.0.0"),  # noqa: S104 - what it gives out is public
        admin=AdminPortSettings(host="192.0.2.10", allow=(ip_network("192.0.2.0/24"),)),
        link=LinkSettings(
            backends=(BackendAddress(name="backend-1", host="198.51.100.20"),), tls=_tls(folder, "gateway-link")
        ),
        screening=ScreeningSettings(deny=(ip_network("203.0.113.0/24"),), max_connections=20_000),
    )
    return Settings(network=NetworkSettings(name="lunch"), gateway=gateway)


def _backend_alone(folder: Path) -> Settings:
    return Settings(network=NetworkSettings(name="lunch"), backend=_backend(folder, "198.51.100.20"))


EXAMPLES: Final[dict[str, Example]] = {
    "all-in-one.yaml": Example(_ALL_IN_ONE, _all_in_one),
    "gateway.yaml": Example(_GATEWAY, _gateway_alone),
    "backend.yaml": Example(_BACKEND, _backend_alone),
}


if __name__ == "__main__":
    for _name, _example in EXAMPLES.items():
        (Path(sys.argv[1]) / _name).write_text(_example.text(), encoding="utf-8")
