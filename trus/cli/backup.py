"""`trus backup --config FILE --to FILE --officer CERT1 --officer CERT2`: everything of a backend, for two officers.

May run beside the backend and holds up no payment. Database and token are copied of one network, the
copy is opened before it is believed, and nothing of it is ever on the disk in the clear: what lies beside
the archive while it is made is ciphered under keys of the token, and is gone when the command ends.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import click

from trus.backup.archive import SealedWriter
from trus.backup.errors import BackupRefused
from trus.backup.manifest import CONTEXT, VERSION, HeadEntry, Manifest, encode, write_manifest
from trus.backup.officers import Officer, demand_two, read_certificate
from trus.cli.backup_gather import (
    Content,
    Names,
    exported_heads,
    left_out,
    plain_files,
    read_token,
    token_folder,
    wrapped_objects,
)
from trus.cli.compose import database_path
from trus.cli.database_keys import TokenKeySource, backup_key
from trus.cli.heads import TokenHeadSigner
from trus.cli.keystore import token_settings
from trus.cli.pins import PinSource
from trus.clock import Clock, Entropy, SystemClock, SystemEntropy
from trus.errors import ConfigurationError, KeyStoreError, WrongDatabaseKey
from trus.hsm.pkcs11 import Pkcs11Store
from trus.hsm.session import TokenSettings, read_pin
from trus.hsm.softhsm import write_configuration
from trus.ledger.backups import BackupRow, write_note
from trus.ledger.days import microseconds
from trus.ledger.keyring import find_file_version, sync_folder
from trus.ledger.snapshot import LedgerFacts, copy_database, facts_of
from trus.settings.loading import load
from trus.settings.model import BackendSettings

BACKUP_BYTES: Final = 16
#: Days until a backup is expected to be thrown away, unless told.
EXPIRY_DAYS: Final = 90
#: Attempts to copy a database whose key is being changed at this very moment.
_ATTEMPTS: Final = 3

Show = Callable[[str], None]


class Made(NamedTuple):
    """A backup that was made."""

    file: Path
    backup: str
    facts: LedgerFacts
    size: int
    left_out: tuple[str, ...]


class _Part(NamedTuple):
    """What was read of database and token, with the token open."""

    manifest: Manifest
    encoded: bytes
    signer: str
    signature: bytes
    contents: list[Content]


class Maker:
    """Makes one backup of one deployment."""

    def __init__(
        self,
        config: Path,
        officers: tuple[Officer, Officer],
        expires: timedelta,
        clock: Clock,
        entropy: Entropy,
        show: Show = lambda step: None,
        pin: str | None = None,
    ) -> None:
        """`pin` is the token's, where the settings' own file is out of reach. Raises ConfigurationError."""
        settings = load(config)
        if settings.backend is None:
            raise ConfigurationError(f"{config} has no backend section: there is nothing to back up")
        self._config = config
        self._settings = settings
        self._backend: BackendSettings = settings.backend
        self._officers = officers
        self._clock = clock
        self._entropy = entropy
        self._show = show
        self._made_at: datetime = clock.now()
        self._expires = microseconds(self._made_at + expires)
        self._names = Names(config.absolute().parent)
        self._id = entropy.draw(BACKUP_BYTES)
        token_folder(self._backend)
        self._token = token_settings(self._backend, PinSource(self._backend.token).pin() if pin is None else pin)

    def make(self, target: Path) -> Made:
        """Write the archive to `target`, which must not exist. Raises TrusError; nothing is left behind then."""
        if target.exists() or target.is_symlink():
            raise BackupRefused(f"{target} exists already")
        with _beside(target, self._entropy) as staging:
            part = self._read(staging)
            self._prove(staging / "token", part)
            self._show("sealing the archive for both officers")
            archive = staging / "archive"
            digest = self._write(archive, part)
            self._note(part.manifest, digest)
            archive.rename(target)
            sync_folder(target.parent)
        manifest = part.manifest
        facts = LedgerFacts(
            ledger=manifest.ledger,
            schema=manifest.schema,
            epoch=manifest.epoch,
            business_date=manifest.business_date,
            head=manifest.head.number,
            digest=bytes.fromhex(manifest.head.digest),
            slots=tuple(manifest.slots),
            versions=tuple(manifest.key_versions),
        )
        return Made(target, manifest.backup, facts, target.stat().st_size, tuple(manifest.left_out))

    def _read(self, staging: Path) -> _Part:
        # Heads first, then the ledger, then keys and objects: nothing tells of what is not in the next.
        contents = exported_heads(self._backend.database.heads, self._names)
        with Pkcs11Store(self._token) as store:
            self._show("copying the ledger")
            source = TokenKeySource(store)
            key_version = source.versions()[-1]
            key = backup_key(store, key_version, self._id)
            copy = staging / "ledger"
            file_version = self._copy_ledger(source, copy, key)
            facts = facts_of(copy, key, source.versions(), file_version, self._made_at)
            self._show("copying the token and the key store")
            contents.append(Content(self._names.of(database_path(self._backend)), copy))
            objects = wrapped_objects(self._backend, self._names)
            contents += [] if objects is None else [objects]
            folder = token_folder(self._backend)
            tokens = self._names.of(folder)
            contents += [Content(f"{tokens}/{name}", body) for name, body in read_token(folder).items()]
            contents = plain_files(self._config, self._settings, self._backend, self._names) + contents
            manifest = Manifest(
                backup=self._id.hex(),
                business_date=facts.business_date,
                config=self._names.of(self._config),
                database=self._names.of(database_path(self._backend)),
                epoch=facts.epoch,
                expires=self._expires,
                file_version=file_version,
                files=[content.entry() for content in contents],
                head=HeadEntry(facts.head, facts.digest.hex()),
                heads=self._names.of(self._backend.database.heads),
                key_version=key_version,
                key_versions=sorted({*facts.versions, key_version}),
                ledger=facts.ledger,
                left_out=left_out(self._config, self._backend),
                made=microseconds(self._made_at),
                moved=self._names.moved,
                objects="" if objects is None else objects.name,
                schema=facts.schema,
                slots=list(facts.slots),
                token_label=self._backend.token.label,
                tokens=tokens,
                version=VERSION,
            )
            signer = TokenHeadSigner(store)
            encoded = encode(manifest)
            return _Part(manifest, encoded, signer.name, signer.sign(CONTEXT + encoded), contents)

    def _copy_ledger(self, source: TokenKeySource, copy: Path, key: bytes) -> int:
        path = database_path(self._backend)
        for _ in range(_ATTEMPTS):
            version = find_file_version(path, source)
            try:
                copy_database(path, source.keys(version).file, copy, key)
            except WrongDatabaseKey:
                continue  # a rotation has exchanged the file in between
            return version
        raise BackupRefused(f"the database {path} changes its key again and again: try it later")

    def _prove(self, folder: Path, part: _Part) -> None:
        """Open the copy of the token, and demand that it opens the copy of the ledger: they are a pair."""
        self._show("opening the copy")
        prefix = f"{part.manifest.tokens}/"
        conf = write_configuration(folder)
        for content in part.contents:
            if content.name.startswith(prefix):
                place = folder / "tokens" / content.name[len(prefix) :]
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with place.open("xb") as file:
                    content.write(file.write)
        copied = TokenSettings(self._token.module, self._token.pin, self._token.token_label, None, str(conf))
        try:
            with Pkcs11Store(copied) as store:
                held = TokenKeySource(store).versions()
                key = backup_key(store, part.manifest.key_version, self._id)
        except KeyStoreError as failure:
            raise BackupRefused(f"the copy of the token cannot be used: {failure}") from None
        missing = set(part.manifest.key_versions) - set(held)
        if missing:
            raise BackupRefused(f"the copy of the token lacks version {min(missing)} of K_DB")
        again = facts_of(folder.parent / "ledger", key, held, part.manifest.file_version, self._made_at)
        if again.ledger != part.manifest.ledger:
            raise BackupRefused("the copies of database and token do not belong together")
        shutil.rmtree(folder)

    def _write(self, archive: Path, part: _Part) -> bytes:
        descriptor = os.open(archive, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            writer = SealedWriter(file, self._id, part.manifest.made, self._officers, self._entropy)
            write_manifest(writer, part.encoded, part.signer, part.signature)
            for content in part.contents:
                content.write(writer.write)
            writer.finish()
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            return hashlib.file_digest(file, "sha256").digest()

    def _note(self, manifest: Manifest, digest: bytes) -> None:
        write_note(
            database_path(self._backend),
            BackupRow(
                backup=manifest.backup,
                at=manifest.made,
                expires_at=manifest.expires,
                versions=tuple(manifest.key_versions),
                head=manifest.head.number,
                digest=digest.hex(),
                officers=tuple(officer.fingerprint.hex() for officer in self._officers),
            ),
        )


@contextmanager
def _beside(target: Path, entropy: Entropy) -> Iterator[Path]:
    """Give a private folder beside the archive; it is removed at the end, whatever happened."""
    folder = target.absolute().with_name(f".{target.name}.{entropy.draw(6).hex()}")
    mask = os.umask(0o077)
    try:
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise BackupRefused(f"{target.parent} cannot be written to ({error.strerror})") from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.umask(mask)


def read_officers(paths: Sequence[Path], now: datetime) -> tuple[Officer, Officer]:
    """Return the two officers whose certificates lie at these paths. Raises BackupRefused, OSError."""
    return demand_two([read_certificate(path.read_bytes(), now) for path in paths])


@click.command("backup", short_help="Back database and keys up, for two officers.")
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The deployment's trus.yaml.")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="The archive; must not exist.")
@click.option(
    "--officer", "officers", required=True, multiple=True, type=click.Path(path_type=Path), help="A certificate; two."
)
@click.option("--days", default=EXPIRY_DAYS, show_default=True, type=click.IntRange(1, 3650), help="Kept for so long.")
@click.option("--pin-file", type=click.Path(path_type=Path), help="The token's PIN.  [default: by CONFIG]")
def backup_command(config: Path, target: Path, officers: tuple[Path, ...], days: int, pin_file: Path | None) -> None:
    """Write one archive of database, token, key store, certificates, settings and heads.

    It opens with both officers' keys together, and never with one. The token's PIN is not in it: keep that
    apart. May run beside the backend. The ledger keeps account of the backup, and K_DB keeps the versions
    that it needs, for --days.
    """
    clock = SystemClock()
    pair = read_officers(officers, clock.now())
    pin = None if pin_file is None else read_pin(pin_file)
    show: Show = lambda step: click.echo(f"  {step}", err=True)  # noqa: E731 - a callback
    made = Maker(config, pair, timedelta(days=days), clock, SystemEntropy(), show, pin).make(target)
    click.echo(f"{made.file}: {made.size} bytes, backup {made.backup}")
    click.echo(f"  ledger {made.facts.ledger}, {made.facts.events} events, last signed head {made.facts.head}")
    for officer in pair:
        click.echo(f"  for {officer.name}, key {officer.fingerprint.hex()}")
    if made.left_out:
        click.echo(f"  not in it: {', '.join(made.left_out)}")
