"""Restores a deployment from a backup into an empty folder: proves everything first, then takes the name.

Refuses a pair of database and token that do not belong together, a ledger that is not sound, and one
that is older than the last head that is known elsewhere, unless the loss is accepted in so many words. What
is restored is of a new epoch, and its ledger says so. A failure leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import attrs
from cryptography.hazmat.primitives.asymmetric import ec

from trus.backup.archive import SealedReader
from trus.backup.errors import BackupRefused
from trus.backup.manifest import CONTEXT, Manifest, SignedManifest, read_manifest
from trus.cli.backup_gather import ELSEWHERE
from trus.cli.database_keys import TokenKeySource, backup_key
from trus.cli.heads import TokenHeadSigner, TokenHeadVerifier
from trus.cli.keystore import objects_path, token_settings
from trus.cli.pins import PinSource
from trus.clock import Clock, Entropy
from trus.errors import ConfigurationError, KeyStoreError, WrongDatabaseKey
from trus.hsm.objects import WrappedObjectStore
from trus.hsm.pkcs11 import Pkcs11Store
from trus.hsm.sealing import is_sealed
from trus.hsm.softhsm import write_configuration
from trus.ledger.audit import verify
from trus.ledger.compose import open_for_reading, open_under
from trus.ledger.demanded import ForeignHead, KnownHead, Shortfall, epoch_of, shortfall
from trus.ledger.heads import HeadLog
from trus.ledger.restoring import raise_epoch, record_restoration
from trus.ledger.snapshot import LedgerFacts, copy_database, facts_of
from trus.settings.loading import load
from trus.settings.model import BackendSettings, Settings
from trus.settings.sections import Section
from trus.settings.values import DatabaseUrl
from trus.settings.writing import dump
from trus.values import BusinessDate, Frozen

#: The copy of the ledger as it lies in the archive, until it is under its own key again.
_COPY_SUFFIX: Final = ".from-backup"
_PIECE: Final = 1 << 20

Show = Callable[[str], None]


class Wishes(Frozen, frozen=True):
    """What whoever restores demands and accepts.

    `known` are the heads known elsewhere, the last one last; none at all is a loss that must be accepted.
    `business_date` is opened afterwards, "" for the latest that may have been open before.
    """

    known: tuple[KnownHead, ...]
    accept_loss: bool = False
    business_date: str = ""


class Restored(NamedTuple):
    """What was restored, and what was lost."""

    config: Path
    manifest: Manifest
    epoch: int
    business_date: str
    lost: Shortfall | None


class Restorer:
    """Restores one archive."""

    def __init__(self, clock: Clock, entropy: Entropy, show: Show = lambda step: None) -> None:
        self._clock = clock
        self._entropy = entropy
        self._show = show

    def restore(
        self,
        archive: BinaryIO,
        into: Path,
        keys: Sequence[ec.EllipticCurvePrivateKey],
        wishes: Wishes,
        pin: str | None,
    ) -> Restored:
        """Restore into the folder `into`, which must be missing or empty. `pin` is the token's, if no file has it.

        Raises TrusError with one sentence; nothing is left behind then.
        """
        final = into.absolute()
        with _building(final, self._entropy) as root:
            self._show("opening the archive with both officers' keys")
            signed = extract(archive, keys, root)
            manifest = signed.manifest
            settings, backend = self._settle(root, final, manifest)
            self._show("opening the token")
            conf = self._token_conf(root, manifest, backend, root / manifest.tokens)
            known_pin = self._pin(backend, pin)
            with Pkcs11Store(token_settings(_with_conf(backend, conf), known_pin)) as store:
                facts = self._prove(root, signed, store, backend)
                lost = self._judge(root, manifest, facts, store, wishes)
                self._show("putting the ledger under its own key, in a new epoch")
                epoch, day = self._revive(root, manifest, store, backend, wishes, lost)
            if not _holds_pin(backend):
                _write_inside(backend.token.pin_file, root, (known_pin + "\n").encode("utf-8"))
            self._token_conf(root, manifest, backend, final / manifest.tokens)
            _write_config(root, final, manifest, settings)
        return Restored(final / Path(manifest.config).name, manifest, epoch, day, lost)

    # ------------------------------------------------------------------------------- settings

    def _settle(self, root: Path, final: Path, manifest: Manifest) -> tuple[Settings, BackendSettings]:
        """Return the settings with every path where the file lies now."""
        moved = {Path(path): root / name for path, name in manifest.moved.items()}
        settings = _relocated(load(root / manifest.config), lambda path: moved.get(path, path))
        if settings.backend is None:
            raise BackupRefused("the backup's settings have no backend section")
        return settings, settings.backend

    def _token_conf(self, root: Path, manifest: Manifest, backend: BackendSettings, tokens: Path) -> Path:
        """Write SoftHSM's configuration for a token at `tokens`; return its path."""
        conf = backend.token.softhsm_conf
        if conf is None or not conf.is_relative_to(root):
            conf = root / Path(manifest.tokens).parent / "softhsm2.conf"
        written = write_configuration(conf.parent, tokens)
        if written != conf:
            written.replace(conf)
        return conf

    def _pin(self, backend: BackendSettings, pin: str | None) -> str:
        if pin is not None:
            return pin
        if _holds_pin(backend):
            return PinSource(backend.token).pin()
        raise BackupRefused("the token's PIN is not in a backup: name the file that it is kept in, --pin-file FILE")

    # --------------------------------------------------------------------------------- proofs

    def _prove(self, root: Path, signed: SignedManifest, store: Pkcs11Store, backend: BackendSettings) -> LedgerFacts:
        """Demand that manifest, token, ledger and key store are of one network; return what the ledger holds."""
        manifest = signed.manifest
        verifier = TokenHeadVerifier(store)
        if not verifier.verify(signed.signer, CONTEXT + signed.encoded, signed.signature):
            raise BackupRefused("this backup was not made by the holder of its token: the signature does not verify")
        database = root / manifest.database
        copy = database.with_name(database.name + _COPY_SUFFIX)
        database.replace(copy)
        source = TokenKeySource(store)
        missing = set(manifest.key_versions) - set(source.versions())
        if missing:
            raise BackupRefused(f"database and token do not belong together: K_DB has no version {min(missing)}")
        key = backup_key(store, manifest.key_version, bytes.fromhex(manifest.backup))
        try:
            copy_database(copy, key, database, source.keys(manifest.file_version).file)
        except WrongDatabaseKey:
            raise BackupRefused("database and token do not belong together: the ledger does not open") from None
        facts = facts_of(
            database,
            source.keys(manifest.file_version).file,
            source.versions(),
            manifest.file_version,
            self._clock.now(),
        )
        for suffix in ("", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        told = (manifest.ledger, manifest.head.number, manifest.head.digest, tuple(manifest.slots))
        if (facts.ledger, facts.head, facts.digest.hex(), facts.slots) != told:
            raise BackupRefused("the backup's ledger is not the one that its manifest tells of")
        self._prove_objects(root, manifest, store, backend)
        self._show("proving the ledger")
        engine = open_for_reading(database, db_key=source.keys(manifest.file_version).file)
        try:
            report = verify(engine, verifier=verifier, heads=root / manifest.heads)
        finally:
            engine.dispose()
        if not report.sound:
            first = report.findings[0]
            raise BackupRefused(f"the backup's ledger is not sound: {first.row}: {first.problem}")
        return facts

    def _prove_objects(self, root: Path, manifest: Manifest, store: Pkcs11Store, backend: BackendSettings) -> None:
        if not manifest.objects:
            return
        path = root / manifest.objects
        try:
            objects = WrappedObjectStore(store, path, self._entropy)
            try:
                wrong = next(iter(objects.check()), "")
            finally:
                objects.close()
        except KeyStoreError as failure:
            raise BackupRefused(f"key store and token do not belong together: {failure}") from None
        if wrong:
            raise BackupRefused(f"key store and token do not belong together: {wrong}")
        if objects_path(backend) != path:
            raise BackupRefused(f"the settings name another key store than {manifest.objects}")

    def _judge(
        self, root: Path, manifest: Manifest, facts: LedgerFacts, store: Pkcs11Store, wishes: Wishes
    ) -> Shortfall | None:
        """Return what is lost. Raises BackupRefused unless that is nothing, or accepted."""
        if not wishes.known:
            lost: Shortfall | None = Shortfall(0, None, None)
        else:
            source = TokenKeySource(store)
            path = root / manifest.database
            engine = open_for_reading(path, db_key=source.keys(manifest.file_version).file)
            try:
                with engine.connect() as connection:
                    lost = shortfall(connection, facts.slots, wishes.known, TokenHeadVerifier(store))
            except ForeignHead as failure:
                raise BackupRefused(str(failure)) from None
            finally:
                engine.dispose()
        if lost is not None and not wishes.accept_loss:
            raise BackupRefused(f"{told_loss(lost, facts.head)}; --accept-loss restores it nevertheless")
        return lost

    # ---------------------------------------------------------------------------------- a new epoch

    def _revive(
        self,
        root: Path,
        manifest: Manifest,
        store: Pkcs11Store,
        backend: BackendSettings,
        wishes: Wishes,
        lost: Shortfall | None,
    ) -> tuple[int, str]:
        clock, path, source = self._clock, root / manifest.database, TokenKeySource(store)
        day = self._business_date(manifest, wishes, lost)
        ledger = open_under(path, source, clock=clock, entropy=self._entropy).ledger
        try:
            try:
                epoch = raise_epoch(ledger, clock.now(), day, epoch_of(wishes.known))
            except ValueError as failure:
                raise BackupRefused(str(failure)) from None
        finally:
            ledger.close()
        ledger = open_under(path, source, clock=clock, entropy=self._entropy).ledger
        try:
            record_restoration(ledger, clock.now(), _figures(manifest, wishes, lost))
            HeadLog(ledger, TokenHeadSigner(store), root / manifest.heads).sign(clock.now())
            ledger.checkpoint(truncate=True)
        finally:
            ledger.close()
        return epoch, day

    def _business_date(self, manifest: Manifest, wishes: Wishes, lost: Shortfall | None) -> BusinessDate:
        """Return the date to open: the wished one, or the latest that terminals may have heard of."""
        if wishes.business_date:
            return BusinessDate(wishes.business_date)
        days = [manifest.business_date, self._clock.now().date().isoformat()]
        if lost is not None and lost.day is not None:
            days.append(lost.day.isoformat())
        return BusinessDate(max(days))


def told_loss(lost: Shortfall, head: int) -> str:
    """Return half a sentence on what a restoration loses; `head` is the last one in the backup."""
    if lost.head == 0:
        return (
            f"the backup (last head {head}) does not hold the demanded head, or none is known: what is lost is unknown"
        )
    return f"the backup is older than head {lost.head} (its last one is {head}): at least {lost.events} events are lost"


def extract(archive: BinaryIO, keys: Sequence[ec.EllipticCurvePrivateKey], root: Path) -> SignedManifest:
    """Write the files of an archive below `root`, and return its manifest. Raises BackupRefused.

    The files are not to be believed before this returns.
    """
    reader = SealedReader(archive, keys)
    signed = read_manifest(reader)
    for entry in signed.manifest.files:
        place = root / entry.name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest, left = hashlib.sha256(), entry.size
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            while left:
                piece = reader.read(min(left, _PIECE))
                digest.update(piece)
                file.write(piece)
                left -= len(piece)
        if digest.hexdigest() != entry.sha256:
            raise BackupRefused(f"the file {entry.name} is not the one that the manifest tells of")
    reader.finish()
    (root / signed.manifest.heads).mkdir(mode=0o700, parents=True, exist_ok=True)
    return signed


def _figures(manifest: Manifest, wishes: Wishes, lost: Shortfall | None) -> dict[str, int | str]:
    figures: dict[str, int | str] = {"backup": manifest.backup, "head": manifest.head.number}
    if wishes.known and wishes.known[-1].document is not None:
        figures["demanded"] = wishes.known[-1].document.number
    if lost is not None:
        figures["lost"] = "unknown" if lost.events is None else lost.events
        figures["accepted"] = "yes"
    return figures


def _relocated(settings: Settings, change: Callable[[Path], Path]) -> Settings:
    changed = _changed(settings, change)
    if not isinstance(changed, Settings):
        raise ConfigurationError("the backup's settings cannot be written anew")
    return changed


def _changed(value: object, change: Callable[[Path], Path]) -> object:
    """Return a setting with every path in it changed."""
    if isinstance(value, Section):
        fields = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
        return attrs.evolve(value, **{name: _changed(each, change) for name, each in fields.items()})
    if isinstance(value, tuple):
        return tuple(_changed(each, change) for each in value)
    if isinstance(value, DatabaseUrl) and value.path is not None:
        return attrs.evolve(value, path=change(value.path))
    return change(value) if isinstance(value, Path) else value


def _with_conf(backend: BackendSettings, conf: Path) -> BackendSettings:
    return attrs.evolve(backend, token=attrs.evolve(backend.token, softhsm_conf=conf))


def _holds_pin(backend: BackendSettings) -> bool:
    """Return whether the PIN's file came with the backup: it does when it is sealed to a card."""
    path = backend.token.pin_file
    return path.is_file() and is_sealed(path.read_bytes())


def _write_inside(path: Path, root: Path, content: bytes) -> None:
    """Write a private file, if its place is in the restored folder; elsewhere it is somebody else's."""
    if path.is_relative_to(root):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def _write_config(root: Path, final: Path, manifest: Manifest, settings: Settings) -> None:
    """Write the settings anew where paths were moved; where none was, they stay word for word."""
    if not manifest.moved:
        return
    here = _relocated(settings, lambda path: final / path.relative_to(root) if path.is_relative_to(root) else path)
    path = root / manifest.config
    path.rename(path.with_name(path.name + ".before-restore"))
    heading = f"Restored from the backup {manifest.backup}; paths outside this folder are below {ELSEWHERE}/ now."
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(dump(here, final, heading))


@contextmanager
def _building(final: Path, entropy: Entropy) -> Iterator[Path]:
    """Give a private folder beside the wanted one; make it durable and give it the name when all went well."""
    _demand_empty(final)
    root = final.with_name(f".{final.name}.{entropy.draw(6).hex()}")
    mask = os.umask(0o077)
    try:
        try:
            root.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise BackupRefused(f"{final.parent} cannot be written to ({error.strerror})") from None
        try:
            yield root
            _demand_empty(final)
            os.sync()
            root.rename(final)
            os.sync()
        finally:
            shutil.rmtree(root, ignore_errors=True)
    finally:
        os.umask(mask)


def _demand_empty(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        if any(path.iterdir()):
            raise BackupRefused(f"{path} is not empty: a backup is restored into a new folder")
    elif path.exists() or path.is_symlink():
        raise BackupRefused(f"{path} exists and is not a folder")
