"""Provisions a deployment in one folder: token, authorities, certificates, ledger, settings.

Starts nothing and opens no port. Builds in a folder beside the wanted one and renames at the
end, so that a failure leaves nothing behind; refuses a folder that holds anything.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trus.admin.model import AdminRole
from trus.cli.ceremonies import Deed, Officiant, keep_transcript
from trus.cli.heads import AUDIT_KEY_LABEL, HEAD_KEY_FILE, public_pem
from trus.cli.layout import (
    TOKEN_LABEL,
    InitOptions,
    Layout,
    business_date_of,
    passphrase_of,
    settings_of,
    write_private,
)
from trus.cli.policy import EXAMPLE
from trus.cli.roottoken import RootToken
from trus.cli.softhsm import find_module
from trus.clock import Clock, Entropy
from trus.core.keyring import CARD_LABEL, PIN_LABEL
from trus.errors import ConfigurationError
from trus.hsm.datakeys import DATABASE_KEY_LABEL, DataKeys
from trus.hsm.objects import WrappedObjectStore
from trus.hsm.pkcs11 import Pkcs11Store, TokenSettings
from trus.hsm.ports import KeyPurpose
from trus.hsm.softhsm import create_token, write_configuration
from trus.issuing.desk import ORDER_KIND
from trus.issuing.identities import RegistryIdentities, microseconds
from trus.ledger.compose import FIELD_KEY_LABEL, FILE_KEY_LABEL, LOOKUP_KEY_LABEL, create_database, open_ledger
from trus.ledger.registry import Registry
from trus.ledger.store import SqlLedger
from trus.pki.authority import Authority
from trus.pki.ceremony import ROOT
from trus.pki.channel import (
    ADMIN,
    ADMIN_SERVER_BUNDLE,
    CHANNEL,
    CHANNEL_BUNDLES,
    Bundle,
    admin_plan,
    first_revocation_list,
    make_bundle,
)
from trus.pki.generations import request_generation, take_in
from trus.pki.identity import INDIVIDUAL, create_backend_identity
from trus.pki.policy import DEFAULT_POLICY
from trus.pki.profiles import ADMIN_AUTHORITY, CHANNEL_AUTHORITY, Profile
from trus.settings.writing import dump
from trus.values import Frozen

#: 160 bits: a PIN that nobody types need not be short.
_PIN_BYTES: Final = 20
#: Every key of a fresh token beside those of the authorities and the backend's identity.
_KEYS: Final = (
    (DATABASE_KEY_LABEL, KeyPurpose.DATA),
    (PIN_LABEL, KeyPurpose.PIN),
    (CARD_LABEL, KeyPurpose.CARD),
    (AUDIT_KEY_LABEL, KeyPurpose.SIGN),
)
_HEADING: Final = """\
A trus deployment, written by `trus init`. Start it with

    twistd -n trus --config trus.yaml

`trus check-config` names everything that is wrong with this file at once. Lines that are
commented out show defaults. Paths start at the folder of this file.
"""

Progress = Callable[[str], None]


class Provisioned(Frozen, frozen=True):
    """Where a deployment's parts are (absolute paths), and how admins reach it."""

    directory: str
    config: str
    token_conf: str
    pin_file: str
    database: str
    anchor: str  #: PEM of the individual authority, goes to every device
    pki: str
    admins: str


def provision(
    path: Path,
    options: InitOptions,
    clock: Clock,
    entropy: Entropy,
    progress: Progress = lambda _: None,
) -> Provisioned:
    """Make a deployment in the folder `path`, which must be missing or empty.

    `progress` is told of each step as it begins. Certificates and ledger begin at the clock's
    time. Raises ConfigurationError, KeyStoreError or LedgerError with one sentence; nothing is
    left behind then.
    """
    options.check()
    final = Layout(path.absolute())
    module = find_module(options.module or None)
    with _building(final.root, entropy) as root:
        layout = Layout(root)
        for folder in (layout.database.parent, layout.heads, layout.pki, layout.admins):
            folder.mkdir(mode=0o700)
        progress("making the token")
        token = _make_token(layout, str(module), entropy)
        officiant = Officiant(options.name, DEFAULT_POLICY, options.officers, clock, entropy)
        with Pkcs11Store(token) as store:
            progress("making keys in the token")
            for label, purpose in _KEYS:
                store.generate(label, purpose)
            (layout.pki / HEAD_KEY_FILE).write_bytes(public_pem(store))
            WrappedObjectStore.create(store, layout.objects, entropy).close()
            _, request = request_generation(store, INDIVIDUAL, officiant.issuing_name())
        progress("making the root's own token, and the issuing authority below it")
        deed = _make_root(layout, RootToken(layout.root_token, str(module)), officiant, request)
        with Pkcs11Store(token) as store:
            _fill(layout, store, options, deed, clock, entropy, progress)
        progress("writing trus.yaml")
        write_configuration(layout.token, final.token / "tokens")
        write_configuration(layout.root_token, final.root_token / "tokens")
        write_private(layout.policy, EXAMPLE)
        write_private(layout.config, dump(settings_of(final, options), final.root, _HEADING))
    return Provisioned(
        directory=str(final.root),
        config=str(final.config),
        token_conf=str(final.token_conf),
        pin_file=str(final.pin_file),
        database=str(final.database),
        anchor=str(final.anchor),
        pki=str(final.pki),
        admins=str(final.admins),
    )


@contextmanager
def _building(final: Path, entropy: Entropy) -> Iterator[Path]:
    """Give a private folder beside the wanted one; take its name when all went well, else remove it."""
    _demand_empty(final)
    root = final.with_name(f".{final.name}.{entropy.draw(6).hex()}")
    mask = os.umask(0o077)
    try:
        try:
            root.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise ConfigurationError(f"{final.parent} cannot be written to ({error.strerror})") from None
        try:
            yield root
            _demand_empty(final)
            root.rename(final)
        except OSError as error:
            raise ConfigurationError(f"{final} cannot be made ({error.strerror})") from error
        finally:
            shutil.rmtree(root, ignore_errors=True)
    finally:
        os.umask(mask)


def _demand_empty(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        if path.is_mount():
            # The whole folder takes its name at the end, and a mount point cannot give its up.
            raise ConfigurationError(f"{path} is a mount point: name a folder inside it")
        if any(path.iterdir()):
            raise ConfigurationError(f"{path} is not empty: trus init makes new deployments only")
    elif path.exists() or path.is_symlink():
        raise ConfigurationError(f"{path} exists and is not a folder")


def _secret(entropy: Entropy) -> str:
    return base64.b32encode(entropy.draw(_PIN_BYTES)).decode("ascii").lower()


def _make_token(layout: Layout, module: str, entropy: Entropy) -> TokenSettings:
    conf = write_configuration(layout.token)
    pin, officer_pin = _secret(entropy), _secret(entropy)
    write_private(layout.pin_file, pin + "\n")
    write_private(layout.officer_pin_file, officer_pin + "\n")
    create_token(module, conf, TOKEN_LABEL, pin, officer_pin)
    return TokenSettings(module=module, pin=pin, token_label=TOKEN_LABEL, softhsm_conf=str(conf))


def _make_root(layout: Layout, token: RootToken, officiant: Officiant, request: bytes) -> Deed:
    """Hold the first ceremony: the root, its list, the first issuing authority. Both parts are at hand."""
    parts = token.create(officiant.entropy)
    with token.open(parts) as store:
        deed = officiant.init_root(store, store, request)
    if deed.issuing is None or deed.revocation_list is None:
        raise ConfigurationError("the first ceremony made no issuing authority")
    write_private(layout.anchor, deed.root.public_bytes(Encoding.PEM))
    write_private(layout.issuing, deed.issuing.public_bytes(Encoding.PEM))
    write_private(layout.revocation_list(ROOT), deed.revocation_list.public_bytes(Encoding.PEM))
    keep_transcript(layout.ceremonies, "init-root", deed.transcript)
    return deed


def _fill(
    layout: Layout,
    store: Pkcs11Store,
    options: InitOptions,
    deed: Deed,
    clock: Clock,
    entropy: Entropy,
    progress: Progress,
) -> None:
    if deed.issuing is not None:
        take_in(store, store, INDIVIDUAL, deed.issuing, deed.root)

    def authority(label: str, profile: Profile) -> Authority:
        common_name = f"{options.name} {label} authority"
        made = Authority.create(store, store, label, profile, common_name, clock, entropy)
        write_private(layout.authority(label), made.pem())
        return made

    progress("making the channel authority and its certificates")
    channel = authority(CHANNEL, CHANNEL_AUTHORITY)
    _write_list(layout, channel)
    for plan in CHANNEL_BUNDLES:
        _write_bundle(layout.bundle(plan.stem), make_bundle(channel, plan, entropy))
    progress("making the admins' authority and their certificates")
    admins = authority(ADMIN, ADMIN_AUTHORITY)
    _write_list(layout, admins)
    _write_bundle(layout.bundle(ADMIN_SERVER_BUNDLE.stem), make_bundle(admins, ADMIN_SERVER_BUNDLE, entropy))
    made: dict[str, Bundle] = {}
    for name in options.admins:
        bundle = make_bundle(admins, admin_plan(name), entropy)
        made[name] = bundle
        write_admin(layout, name, bundle)
    progress("making the ciphered ledger")
    ledger = _make_ledger(layout, store, options, clock, entropy)
    try:
        registry = Registry(ledger)
        identities = RegistryIdentities(registry, clock)
        progress("certifying the backend")
        backend = settings_of(layout, options).backend
        if backend is None:
            raise ConfigurationError("a deployment needs a backend")
        individual = Authority(store, store, INDIVIDUAL, clock, entropy)
        create_backend_identity(store, store, individual, identities, backend.identity.name)
        register_admins(registry, clock, made)
        ledger.checkpoint(truncate=True)
    finally:
        ledger.close()


def _make_ledger(layout: Layout, store: Pkcs11Store, options: InitOptions, clock: Clock, entropy: Entropy) -> SqlLedger:
    keys = DataKeys(store)
    file_key = keys.derive(FILE_KEY_LABEL)
    create_database(
        layout.database, db_key=file_key, clock=clock, entropy=entropy, business_date=business_date_of(options)
    )
    return open_ledger(
        layout.database,
        db_key=file_key,
        lookup_key=keys.derive(LOOKUP_KEY_LABEL),
        field_keys={keys.version: keys.derive(FIELD_KEY_LABEL)},
        clock=clock,
        entropy=entropy,
    )


def register_admins(registry: Registry, clock: Clock, made: dict[str, Bundle]) -> None:
    """Register admins by name and certificate serial number, each as administrator, with an audit event."""
    roles = (AdminRole.ADMINISTRATOR.value,)
    with registry.changing(clock.now()) as change:
        for name, bundle in made.items():
            serial = f"{bundle.serial:x}"
            end = microseconds(x509.load_pem_x509_certificate(bundle.certificate_pem).not_valid_after_utc)
            change.identities.add_admin(name=name, serial=serial, roles=roles, at=change.at, not_after=end)
            figures = {"admin": name, "serial": serial, "roles": " ".join(roles)}
            change.post(kind=ORDER_KIND, actor="init", rule="ADMIN-ADD", figures=figures)


def _write_list(layout: Layout, authority: Authority) -> None:
    content = first_revocation_list(authority).public_bytes(Encoding.PEM)
    write_private(layout.revocation_list(authority.label), content)


def _write_bundle(path: Path, bundle: Bundle) -> None:
    write_private(path, bundle.pkcs12)
    write_private(passphrase_of(path), bundle.passphrase + "\n")


def write_admin(layout: Layout, name: str, bundle: Bundle) -> None:
    """Write an admin's bundle, its passphrase, and both halves in PEM for `openssl s_client`."""
    path = layout.admin_bundle(name)
    _write_bundle(path, bundle)
    write_private(path.with_suffix(".pem"), bundle.certificate_pem)
    write_private(path.with_suffix(".key"), bundle.key_pem)
