"""A provisioned deployment with a few people in it, two officers, and backups of it."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from trus.auth.ports import Posting
from trus.backup.archive import SealedReader, SealedWriter
from trus.backup.manifest import CONTEXT, FileEntry, Manifest, encode, read_manifest, write_manifest
from trus.backup.officers import new_officer, open_key
from trus.cli.backup import Made, Maker, read_officers
from trus.cli.compose import open_books
from trus.cli.database_keys import TokenKeySource
from trus.cli.heads import TokenHeadSigner
from trus.cli.keystore import open_objects, open_token
from trus.cli.layout import InitOptions, Layout
from trus.cli.provisioning import provision
from trus.cli.restoring import Restored, Restorer, Wishes
from trus.clock import SystemClock, SystemEntropy
from trus.hsm.pkcs11 import Pkcs11Store
from trus.hsm.softhsm import write_configuration
from trus.ledger.demanded import read_known
from trus.ledger.heads import HeadLog
from trus.ledger.registry import Registry
from trus.ledger.registry_values import NewCard, NewEmployee
from trus.ledger.store import SqlLedger
from trus.settings.loading import load
from trus.settings.model import BackendSettings

PASSPHRASE = b"officers of the watch"
NUMBER = "9999990000000017"
SURNAME = "Canarybird"


def two_officers() -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """Return key and certificate of two officers, PEM."""
    made = [new_officer(name, PASSPHRASE, SystemClock()) for name in ("Ada", "Bob")]
    first, second = ((each.key_pem, each.certificate_pem) for each in made)
    return first, second


class Deployment:
    """One deployment, with its ledger and token at hand."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)

    @classmethod
    def make(cls, case: SynchronousTestCase) -> Deployment:
        """Provision one, with a company, a person, a card; it is gone with the test."""
        folder = Path(tempfile.mkdtemp(prefix="trus-backup-"))
        case.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        provision(folder / "net", InitOptions(), SystemClock(), SystemEntropy())
        made = cls(folder / "net")
        with made.open_token() as store:
            ledger = made.open_ledger(store)
            with Registry(ledger).changing(SystemClock().now()) as change:
                acme = change.people.add_company(
                    company_id="ACME", name="Acme", currency="USD", time_zone="UTC", at=change.at
                )
                change.people.add_employees(acme, [NewEmployee("E1", "Zoë", SURNAME)], change.at)
                holder = change.people.employee(acme, "E1")
                assert holder is not None
                key = ledger.card_key(NUMBER)
                change.cards.add_cards(
                    [NewCard("CARD00000001", NUMBER, key, "3012", bytes(16), 3, holder.row)], change.at
                )
            made.sign_head(ledger, store)
            ledger.close()
            objects = open_objects(made.backend, store, SystemEntropy())
            objects.put_certificate("pos/T0000001/0a", store.certificate(store.certificate_labels()[0]))
            objects.close()
        return made

    def copy(self, case: SynchronousTestCase) -> Deployment:
        """Return another one in the same state."""
        folder = Path(tempfile.mkdtemp(prefix="trus-backup-"))
        case.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        shutil.copytree(self.layout.root, folder / "net")
        os.chmod(folder / "net", 0o700)
        write_configuration(folder / "net" / "token")
        return Deployment(folder / "net")

    @property
    def backend(self) -> BackendSettings:
        """Its settings."""
        backend = load(self.layout.config).backend
        assert backend is not None
        return backend

    def open_token(self) -> Pkcs11Store:
        """Open its token."""
        return open_token(self.backend)

    def open_ledger(self, store: Pkcs11Store) -> SqlLedger:
        """Open its ledger for writing."""
        return open_books(self.backend, TokenKeySource(store), SystemClock(), SystemEntropy()).ledger

    def sign_head(self, ledger: SqlLedger, store: Pkcs11Store) -> None:
        """Sign and export a head."""
        HeadLog(ledger, TokenHeadSigner(store), self.layout.heads).sign(SystemClock().now())

    def refill(self, times: int = 1, *, sign: bool = True) -> list[str]:
        """Book so many refills, sign a head, and return their reference numbers."""
        with self.open_token() as store:
            ledger = self.open_ledger(store)
            references = []
            for _ in range(times):
                with Registry(ledger).changing(SystemClock().now()) as change:
                    company = change.people.company("ACME")
                    assert company is not None
                    moved = (
                        Posting(change.external("USD"), -100, "USD"),
                        Posting(company.prepaid_account, 100, "USD"),
                    )
                    _, rrn = change.post(kind="funding", actor="test", rule="test", figures={}, postings=moved)
                    references.append(rrn)
            if sign:
                self.sign_head(ledger, store)
            ledger.close()
        return references

    def head_lines(self) -> list[str]:
        """Return the exported lines of heads."""
        files = sorted(self.layout.heads.glob("heads-*.jsonl"))
        return [line for file in files for line in file.read_text("utf-8").splitlines()]


class Safe:
    """Two officers, and what is done with their keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ada, self.bob = two_officers()
        self.keys: list[ec.EllipticCurvePrivateKey] = [open_key(each[0], PASSPHRASE) for each in (self.ada, self.bob)]
        for name, (key, certificate) in (("ada", self.ada), ("bob", self.bob)):
            (folder / f"{name}.key").write_bytes(key)
            (folder / f"{name}.pem").write_bytes(certificate)
        (folder / "passphrase").write_bytes(PASSPHRASE + b"\n")

    def back_up(self, deployment: Deployment, name: str = "backup.trus", **options: object) -> Made:
        """Back a deployment up."""
        clock = SystemClock()
        officers = read_officers([self.folder / "ada.pem", self.folder / "bob.pem"], clock.now())
        maker = Maker(
            deployment.layout.config,
            officers,
            timedelta(days=90),
            clock,
            SystemEntropy(),
            **options,  # type: ignore[arg-type]
        )
        return maker.make(self.folder / name)

    def restore(
        self,
        made: Made | Path,
        into: Path,
        pin: Path,
        known: str | None = None,
        *,
        accept_loss: bool = False,
        business_date: str = "",
    ) -> Restored:
        """Restore a backup; `known` is a digest or lines of exported heads."""
        path = made if isinstance(made, Path) else made.file
        heads = () if known is None else tuple(read_known(known))
        with path.open("rb") as file:
            return Restorer(SystemClock(), SystemEntropy()).restore(
                file, into, self.keys, Wishes(heads, accept_loss, business_date), pin.read_text().strip()
            )

    # ------------------------------------------------------------------------------- forgeries

    def opened(self, made: Made) -> tuple[Manifest, dict[str, bytes]]:
        """Return manifest and files of an archive, as both officers together could."""
        with made.file.open("rb") as file:
            reader = SealedReader(file, self.keys)
            manifest = read_manifest(reader).manifest
            files = {entry.name: reader.read(entry.size) for entry in manifest.files}
            reader.finish()
        return manifest, files

    def sealed(
        self,
        manifest: Manifest,
        files: dict[str, bytes],
        signing: Pkcs11Store,
        name: str,
        entries: list[FileEntry] | None = None,
    ) -> Path:
        """Seal other files under a manifest that a token signs, as a dishonest holder of it could."""
        true = [FileEntry(each, len(body), sha256(body).hexdigest()) for each, body in files.items()]
        manifest = msgspec.structs.replace(manifest, files=true if entries is None else entries)
        signer, encoded = TokenHeadSigner(signing), encode(manifest)
        officers = read_officers([self.folder / "ada.pem", self.folder / "bob.pem"], SystemClock().now())
        file = io.BytesIO()
        writer = SealedWriter(file, bytes.fromhex(manifest.backup), manifest.made, officers, SystemEntropy())
        write_manifest(writer, encoded, signer.name, signer.sign(CONTEXT + encoded))
        for body in files.values():
            writer.write(body)
        writer.finish()
        path = self.folder / name
        path.write_bytes(file.getvalue())
        return path
