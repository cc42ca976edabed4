"""A whole configuration for tests to change in one place."""

from __future__ import annotations

from pathlib import Path

from trus.settings import (
    AdminPortSettings,
    AdminTlsSettings,
    BackendAddress,
    BackendSettings,
    CardSettings,
    DatabaseSettings,
    DatabaseUrl,
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

FOLDER = Path("/srv/trus")
FILE = FOLDER / "trus.yaml"

TEXT = """\
network:
  name: lunch
gateway:
  devices:
    port: 7001
    tls: {certificate: pki/gateway.p12, passphrase_file: pki/gateway.pass, anchors: pki/ca.pem, crl: pki/ca.crl}
  admin: {port: 7002}
  link:
    backends:
      - name: backend-1
    tls: {certificate: pki/link.p12, passphrase_file: pki/link.pass, anchors: pki/ca.pem, crl: pki/ca.crl}
backend:
  link:
    port: 7003
    tls: {certificate: pki/backend.p12, passphrase_file: pki/backend.pass, anchors: pki/ca.pem, crl: pki/ca.crl}
  admin:
    tls: {certificate: pki/admin.p12, passphrase_file: pki/admin.pass, anchors: pki/admin.pem, crl: pki/admin.crl}
  token:
    pin_file: token/pin
  database:
    url: sqlcipher:db/trus.db
    heads: heads
  identity:
    anchor: pki/individual.pem
  cards:
    iin: "990001"
"""


def tls(stem: str, authority: str = "ca") -> TlsSettings:
    """Return TLS settings of files below the folder."""
    pki = FOLDER / "pki"
    return TlsSettings(
        certificate=pki / f"{stem}.p12",
        passphrase_file=pki / f"{stem}.pass",
        anchors=pki / f"{authority}.pem",
        crl=pki / f"{authority}.crl",
    )


SETTINGS = Settings(
    network=NetworkSettings(name="lunch"),
    gateway=GatewaySettings(
        devices=DevicesSettings(port=7001, tls=tls("gateway")),
        admin=AdminPortSettings(port=7002),
        link=LinkSettings(backends=(BackendAddress(name="backend-1"),), tls=tls("link")),
    ),
    backend=BackendSettings(
        link=LinkPortSettings(port=7003, tls=tls("backend")),
        admin=AdminTlsSettings(tls=tls("admin", "admin")),
        token=TokenSettings(pin_file=FOLDER / "token" / "pin"),
        database=DatabaseSettings(url=DatabaseUrl(path=FOLDER / "db" / "trus.db"), heads=FOLDER / "heads"),
        identity=IdentitySettings(anchor=FOLDER / "pki" / "individual.pem"),
        cards=CardSettings(iin="990001"),
    ),
)
