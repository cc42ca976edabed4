"""Backups of a real token, ledger and key store, and what is restored from them: everything, or nothing."""

from __future__ import annotations

import json
import shutil
import stat
import tempfile
from pathlib import Path

import msgspec
from sqlalchemy import select
from twisted.trial.unittest import SynchronousTestCase

from tests.backup.deployment import NUMBER, SURNAME, Deployment, Safe
from trus.backup.archive import SealedReader
from trus.backup.errors import BackupRefused
from trus.cli import backup as backing_up
from trus.cli.audit import audit
from trus.cli.backup_gather import token_folder
from trus.cli.database_keys import TokenKeySource
from trus.clock import SystemClock, SystemEntropy
from trus.errors import ConfigurationError, WrongTokenPin
from trus.ledger.backups import read_notes
from trus.ledger.compose import open_under
from trus.ledger.heads import last_head
from trus.ledger.registry import Registry
from trus.ledger.restoring import NUMBERS_AN_EPOCH, restore_epoch
from trus.ledger.rotation import KeyRotation
from trus.ledger.tables import event, meta


class BackupCase(SynchronousTestCase):
    """One deployment and two officers."""

    def setUp(self) -> None:
        self.deployment = Deployment.make(self)
        self.folder = Path(tempfile.mkdtemp(prefix="trus-safe-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.safe = Safe(self.folder)
        self.pin = self.deployment.layout.pin_file

    def into(self, name: str = "net") -> Path:
        return self.folder / name

    def refused(self, made: Path | backing_up.Made, *said: str, **how: object) -> str:
        """Demand that a restoration is refused, and leaves nothing behind; return the sentence."""
        before = {each.name for each in self.folder.iterdir()}
        failure = self.assertRaises(BackupRefused, self.safe.restore, made, self.into(), self.pin, **how)  # type: ignore[arg-type]
        for words in said:
            self.assertIn(words, str(failure))
        self.assertEqual({each.name for each in self.folder.iterdir()}, before)
        return str(failure)

    def rules(self, deployment: Deployment) -> list[tuple[str, int, dict[str, object]]]:
        """Return rule, slot and figures of a ledger's events of kind admin, in order."""
        with deployment.open_token() as store:
            ledger = deployment.open_ledger(store)
            with ledger.reading() as connection:
                query = select(event.c.rule, event.c.slot, event.c.figures).where(event.c.kind == "admin")
                rows = connection.execute(query.order_by(event.c.at, event.c.slot, event.c.sequence)).all()
            ledger.close()
        return [(rule, slot, json.loads(figures)) for rule, slot, figures in rows]

    # ------------------------------------------------------------------------------- the whole way

    def test_everything_comes_back(self) -> None:
        """What is restored has every file, name, number, key and certificate, and a sound ledger of a new epoch."""
        self.deployment.refill(3)
        made = self.safe.back_up(self.deployment)
        self.assertEqual(stat.S_IMODE(made.file.stat().st_mode), 0o600)
        restored = self.safe.restore(made, self.into(), self.pin, "\n".join(self.deployment.head_lines()))
        self.assertEqual((restored.epoch, restored.lost), (1, None))
        copy = Deployment(self.into())
        for folder in (copy.layout.root, copy.layout.token, copy.layout.pki):
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        self.assertEqual(copy.layout.config.read_bytes(), self.deployment.layout.config.read_bytes())
        for name in ("pos.p12", "individual-ca.pem", "policy.yaml", "channel.crl"):
            self.assertEqual((copy.layout.pki / name).read_bytes(), (self.deployment.layout.pki / name).read_bytes())
        self.assertFalse(copy.layout.officer_pin_file.exists())
        self.assertFalse(copy.layout.root_token.exists())
        self.assertTrue(audit(copy.layout.config).sound)
        with self.deployment.open_token() as store:
            keys = store.handles()
        with copy.open_token() as store:
            self.assertEqual(store.handles(), keys)
            ledger = copy.open_ledger(store)
            with Registry(ledger).reading() as view:
                company = view.people.company("ACME")
                assert company is not None
                holder = view.people.employee(company, "E1")
                assert holder is not None
                self.assertEqual((holder.surname, company.prepaid), (SURNAME, 300))
                self.assertIsNotNone(view.cards.card("CARD00000001"))
            unit = ledger.begin(SystemClock().now())
            found = unit.read(identities=[], terminals=[], card_keys=[ledger.card_key(NUMBER)])
            unit.rollback()
            self.assertEqual(len(found.cards), 1)
            ledger.close()
        rule, slot, figures = self.rules(copy)[-1]
        self.assertEqual((rule, slot, figures["epoch"], figures["backup"]), ("RESTORE", 2, 1, made.backup))
        self.assertNotIn("accepted", figures)

    def test_a_new_epoch(self) -> None:
        """Nothing is given out twice: event numbers, links, changes of standing begin beyond what was lost."""
        made = self.safe.back_up(self.deployment)
        lost = self.deployment.refill(5)
        known = self.deployment.head_lines()[-1]
        self.safe.restore(made, self.into(), self.pin, known, accept_loss=True)
        copy = Deployment(self.into())
        after = copy.refill(2)
        self.assertEqual(set(lost) & set(after), set())
        self.assertGreater(int(after[0][4:]), NUMBERS_AN_EPOCH)
        with copy.open_token() as store:
            ledger = copy.open_ledger(store)
            with ledger.reading() as connection:
                self.assertEqual(restore_epoch(connection), 1)
                epoch = connection.execute(select(meta.c.value).where(meta.c.name == "revocation_epoch")).scalar_one()
            ledger.close()
        self.assertGreaterEqual(int(epoch), 1_000_000)
        self.assertTrue(audit(copy.layout.config).sound)
        self.assertEqual(self.safe.back_up(copy, "again.trus").facts.epoch, 1)

    def test_restored_twice(self) -> None:
        """A restored deployment is backed up and restored like any other; its epoch goes on."""
        first = self.safe.back_up(self.deployment)
        self.safe.restore(first, self.into("one"), self.pin, self.deployment.head_lines()[-1])
        one = Deployment(self.into("one"))
        one.refill(1)
        second = self.safe.back_up(one, "second.trus")
        restored = self.safe.restore(second, self.into("two"), one.layout.pin_file, one.head_lines()[-1])
        self.assertEqual((restored.epoch, restored.lost), (2, None))
        self.assertEqual(
            [slot for rule, slot, _ in self.rules(Deployment(self.into("two"))) if rule == "RESTORE"], [2, 3]
        )
        self.assertTrue(audit(restored.config).sound)

    # --------------------------------------------------------------------------------- last heads

    def test_older_than_the_last_head(self) -> None:
        """A backup that is older than the last exported head is refused, and told is how many events would be lost."""
        made = self.safe.back_up(self.deployment)
        self.deployment.refill(4)
        lines = self.deployment.head_lines()
        self.assertEqual(len(lines), 2)
        said = self.refused(made, "older than head 2", "at least 4 events are lost", known="\n".join(lines))
        self.assertIn("--accept-loss", said)
        self.refused(made, "older than head 2", known=lines[-1])
        restored = self.safe.restore(made, self.into(), self.pin, "\n".join(lines), accept_loss=True)
        assert restored.lost is not None
        self.assertEqual((restored.lost.head, restored.lost.events), (2, 4))
        rule, _, figures = self.rules(Deployment(self.into()))[-1]
        self.assertEqual(
            (rule, figures["lost"], figures["demanded"], figures["accepted"], figures["head"]),
            ("RESTORE", 4, 2, "yes", 1),
        )

    def test_a_digest(self) -> None:
        """A head that is known by its digest is in the backup, or the loss is unknown and must be accepted."""
        made = self.safe.back_up(self.deployment)
        with self.deployment.open_token() as store:
            source = TokenKeySource(store)
            opened = open_under(self.deployment.layout.database, source, clock=SystemClock(), entropy=SystemEntropy())
            with opened.ledger.reading() as connection:
                head = last_head(connection)
            opened.ledger.close()
        assert head is not None
        self.assertEqual(made.facts.digest, head.digest)
        self.refused(made, "what is lost is unknown", known="ab" * 32)
        self.refused(made, "what is lost is unknown", known=None)
        self.assertIsNone(self.safe.restore(made, self.into("a"), self.pin, head.digest.hex()).lost)
        lost = self.safe.restore(made, self.into("b"), self.pin, "ab" * 32, accept_loss=True).lost
        assert lost is not None
        self.assertEqual(lost.events, None)
        self.assertEqual(self.rules(Deployment(self.into("b")))[-1][2]["lost"], "unknown")

    def test_another_history(self) -> None:
        """Heads of another ledger, of another token, or of another history are refused, whatever is accepted."""
        made = self.safe.back_up(self.deployment)
        fork = self.deployment.copy(self)
        self.deployment.refill(1)
        other = self.safe.back_up(self.deployment, "other.trus")
        fork.refill(2)
        stranger = Deployment.make(self)
        line = json.loads(self.deployment.head_lines()[-1])
        forged = json.dumps({**line, "signature": line["signature"][:-2] + "00"})
        document = json.loads(line["document"])
        renumbered = json.dumps({**line, "document": json.dumps({**document, "number": 9}, separators=(",", ":"))})
        for archive, known, said in (
            (made, stranger.head_lines()[-1], "of the ledger"),
            (other, fork.head_lines()[-1], "their histories differ"),
            (made, forged, "was not signed"),
            (made, renumbered, "was not signed"),
        ):
            self.refused(archive, said, known=known, accept_loss=True)

    # -------------------------------------------------------------------------------------- pairs

    def test_a_mismatched_pair(self) -> None:
        """TR-13: a ledger under another token's keys is refused, though both are well and both officers opened them."""
        stranger = Deployment.make(self)
        ours, theirs = self.safe.back_up(self.deployment), self.safe.back_up(stranger, "theirs.trus")
        manifest, files = self.safe.opened(ours)
        foreign, other_files = self.safe.opened(theirs)
        mixed = {name: body for name, body in files.items() if not name.startswith(manifest.tokens)}
        mixed |= {name: body for name, body in other_files.items() if name.startswith(foreign.tokens)}
        with self.deployment.open_token() as store:
            path = self.safe.sealed(manifest, mixed, store, "mixed-1.trus")
        self.pin = stranger.layout.pin_file
        self.refused(path, "was not made by the holder of its token")
        with stranger.open_token() as store:
            path = self.safe.sealed(manifest, mixed, store, "mixed-2.trus")
        self.refused(path, "database and token do not belong together")

    def test_another_key_store(self) -> None:
        """Wrapped objects of another token are refused."""
        stranger = Deployment.make(self)
        ours, theirs = self.safe.back_up(self.deployment), self.safe.back_up(stranger, "theirs.trus")
        manifest, files = self.safe.opened(ours)
        _, other_files = self.safe.opened(theirs)
        self.assertEqual(manifest.objects, "keystore/objects.db")
        files[manifest.objects] = other_files[manifest.objects]
        with self.deployment.open_token() as store:
            path = self.safe.sealed(manifest, files, store, "mixed.trus")
        self.refused(path, "key store and token do not belong together")

    def test_a_ledger_that_was_changed(self) -> None:
        """A ledger with a changed row is not restored, though who changed it holds the token and made the backup."""
        with self.deployment.open_token() as store:
            ledger = self.deployment.open_ledger(store)
            with ledger.order(SystemClock().now()) as unit:
                unit.connection.exec_driver_sql("UPDATE event SET rule = 'nothing' WHERE sequence = 1")
            ledger.close()
        made = self.safe.back_up(self.deployment)
        self.refused(made, "is not sound", known=self.deployment.head_lines()[-1], accept_loss=True)

    def test_an_older_ledger_under_a_newer_manifest(self) -> None:
        """A ledger that is not the one that the manifest tells of is refused."""
        made = self.safe.back_up(self.deployment)
        manifest, files = self.safe.opened(made)
        boasting = msgspec.structs.replace(manifest, slots=[(1, 99)])
        with self.deployment.open_token() as store:
            path = self.safe.sealed(boasting, files, store, "boasting.trus")
        self.refused(path, "not the one that its manifest tells of")

    def test_files_are_checked(self) -> None:
        """A file whose content is not the manifest's is refused, and so is a manifest with a file too many."""
        made = self.safe.back_up(self.deployment)
        manifest, files = self.safe.opened(made)
        with made.file.open("rb") as file:
            self.assertIsInstance(SealedReader(file, self.safe.keys), SealedReader)
        with self.deployment.open_token() as store:
            short = self.safe.sealed(manifest, {**files, "trus.yaml": b""}, store, "short.trus")
        failure = self.assertRaises(ConfigurationError, self.safe.restore, short, self.into(), self.pin)
        self.assertIn("trus.yaml", str(failure))
        altered = msgspec.structs.replace(manifest.files[0], sha256="00" * 32)
        lying = msgspec.structs.replace(manifest, files=[altered, *manifest.files[1:]])
        with self.deployment.open_token() as store:
            path = self.safe.sealed(lying, files, store, "lying.trus", entries=lying.files)
        self.refused(path, "is not the one that the manifest tells of")
        for cut in (1, 100, 70_000):
            part = self.folder / f"cut-{cut}.trus"
            part.write_bytes(made.file.read_bytes()[:-cut])
            self.refused(part, "was altered, or is not whole")

    def test_the_pin(self) -> None:
        """The token's PIN is not in the backup: without it, or with another one, nothing is restored."""
        made = self.safe.back_up(self.deployment)
        self.assertIn("the token's PIN", made.left_out)
        _, files = self.safe.opened(made)
        pin = self.pin.read_bytes().strip()
        self.assertEqual([name for name, body in files.items() if pin in body], [])
        wrong = self.folder / "pin"
        wrong.write_text("not-the-pin\n")
        self.assertRaises(WrongTokenPin, self.safe.restore, made, self.into(), wrong)
        self.assertFalse(self.into().exists())

    # ------------------------------------------------------------------------------------- making

    def test_nothing_in_the_clear(self) -> None:
        """TR-13: while a backup is made, no name, number, PIN or key of the network is on the disk in the clear."""
        canaries = [NUMBER.encode(), SURNAME.encode(), "Zoë".encode(), self.pin.read_bytes().strip()]
        canaries += [path.read_bytes().strip() for path in self.deployment.layout.pki.glob("*.pass")]
        looked: list[str] = []

        def search(step: str) -> None:
            looked.append(step)
            for path in self.folder.rglob("*"):
                if path.is_file():
                    content = path.read_bytes()
                    self.assertEqual([canary for canary in canaries if canary in content], [], path)
                    self.assertFalse(content.startswith(b"SQLite format 3"), path)
                    if path.parent != self.folder:
                        self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)

        made = self.safe.back_up(self.deployment, show=search)
        search("the end")
        self.assertEqual(len(looked), 5)
        self.assertEqual(sorted(each.name for each in self.folder.iterdir() if each.name.startswith(".")), [])
        self.assertNotIn(b"SQLite", made.file.read_bytes())

    def test_the_ledger_knows_its_backups(self) -> None:
        """A backup is noted beside the ledger with the versions of K_DB that it needs, for both officers."""
        made = self.safe.back_up(self.deployment)
        [note] = read_notes(self.deployment.layout.database)
        self.assertEqual((note.backup, note.versions, note.head), (made.backup, (1,), 1))
        self.assertEqual(len(note.officers), 2)

    def test_no_second_archive(self) -> None:
        """An archive is never written over another file."""
        (self.folder / "backup.trus").write_bytes(b"something else")
        failure = self.assertRaises(BackupRefused, self.safe.back_up, self.deployment)
        self.assertIn("exists already", str(failure))
        self.assertEqual((self.folder / "backup.trus").read_bytes(), b"something else")

    def test_a_copy_that_does_not_open(self) -> None:
        """A copy of the token that does not open, or lacks a key, makes no backup: it is found out at once."""
        real = backing_up.read_token
        for spoil in (lambda files: {}, lambda files: dict.fromkeys(files, b"")):
            self.patch(backing_up, "read_token", lambda folder, spoil=spoil: spoil(real(folder)))
            failure = self.assertRaises(BackupRefused, self.safe.back_up, self.deployment)
            self.assertIn("the copy of the token", str(failure))
        self.assertEqual([each.name for each in self.folder.iterdir() if "trus" in each.name], [])

    def test_another_kind_of_token(self) -> None:
        """The keys of a token that is not SoftHSM are backed up with its vendor's means, and this says so."""
        config = self.deployment.layout.config
        text = config.read_text("utf-8").replace("    softhsm_conf: token/softhsm2.conf\n", "")
        config.write_text(text, "utf-8")
        failure = self.assertRaises(BackupRefused, self.safe.back_up, self.deployment)
        self.assertIn("vendor's means", str(failure))

    def test_files_elsewhere(self) -> None:
        """A database, a token and certificates outside the settings' folder are backed up and come back inside it."""
        layout = self.deployment.layout
        away = layout.root.parent / "away"
        away.mkdir(mode=0o700)
        layout.database.parent.rename(away / "db")
        (layout.pki / "pos.p12").rename(away / "pos.p12")
        (layout.pki / "gateway.p12").rename(away / "gateway.p12")
        config = layout.config.read_text("utf-8").replace("db/trus.db", str(away / "db" / "trus.db"))
        layout.config.write_text(config.replace("pki/gateway.p12", str(away / "gateway.p12")), "utf-8")
        objects = "    objects: keystore/objects.db\n    softhsm_conf"
        layout.config.write_text(layout.config.read_text("utf-8").replace("    softhsm_conf", objects, 1), "utf-8")
        made = self.safe.back_up(self.deployment)
        restored = self.safe.restore(made, self.into(), self.pin, self.deployment.head_lines()[-1])
        backend = Deployment(self.into()).backend
        assert backend.database.url.path is not None
        self.assertTrue(backend.database.url.path.is_relative_to(self.into()))
        self.assertTrue(audit(restored.config).sound)
        before = restored.config.with_name("trus.yaml.before-restore")
        self.assertIn(str(away), before.read_text("utf-8"))
        self.assertNotIn(str(away), restored.config.read_text("utf-8"))
        self.assertEqual(len(list((self.into() / "elsewhere").rglob("*gateway.p12"))), 1)

    def test_in_the_middle_of_a_rotation(self) -> None:
        """A backup that is made while K_DB is rotated is whole: the rotation comes to its end in what is restored."""
        with self.deployment.open_token() as store:
            source = TokenKeySource(store)
            opened = open_under(self.deployment.layout.database, source, clock=SystemClock(), entropy=SystemEntropy())
            rotation = KeyRotation(
                opened.ledger, self.deployment.layout.database, source, SystemClock(), SystemEntropy(), 1
            )
            rotation.begin("admin/ada")
            rotation.work(lambda seconds: None)
            opened.ledger.close()
        made = self.safe.back_up(self.deployment)
        self.assertEqual(made.facts.versions, (1, 2))
        self.safe.restore(made, self.into(), self.pin, self.deployment.head_lines()[-1])
        copy = Deployment(self.into())
        with copy.open_token() as store:
            source = TokenKeySource(store)
            opened = open_under(copy.layout.database, source, clock=SystemClock(), entropy=SystemEntropy())
            rotation = KeyRotation(
                opened.ledger, copy.layout.database, source, SystemClock(), SystemEntropy(), opened.file_version
            )
            self.assertTrue(rotation.waiting)
            while rotation.waiting:
                rotation.work(lambda seconds: None)
            self.assertEqual((rotation.status().file, rotation.status().rows), (2, 2))
            opened.ledger.close()
        self.assertTrue(audit(copy.layout.config).sound)

    def test_token_folder(self) -> None:
        """Where SoftHSM keeps its tokens is read from its own configuration."""
        self.assertEqual(token_folder(self.deployment.backend), self.deployment.layout.token / "tokens")
        self.deployment.layout.token_conf.write_text("log.level = ERROR\n")
        failure = self.assertRaises(BackupRefused, token_folder, self.deployment.backend)
        self.assertIn("does not say where", str(failure))

    # ---------------------------------------------------------------------------------- the folder

    def test_the_folder(self) -> None:
        """A folder with anything in it, or a file of that name, is left alone."""
        made = self.safe.back_up(self.deployment)
        self.into().mkdir()
        (self.into() / "something").write_bytes(b"precious")
        self.refused(made, "is not empty", known=self.deployment.head_lines()[-1])
        self.assertEqual((self.into() / "something").read_bytes(), b"precious")
        (self.into() / "something").unlink()
        self.safe.restore(made, self.into(), self.pin, self.deployment.head_lines()[-1])

    def test_the_business_date(self) -> None:
        """The date that is open afterwards is the wished one, and never one before that of the backup."""
        made = self.safe.back_up(self.deployment)
        known = self.deployment.head_lines()[-1]
        self.refused(made, "is before the open one", known=known, business_date="2020-01-01")
        restored = self.safe.restore(made, self.into(), self.pin, known, business_date="2031-05-06")
        self.assertEqual(restored.business_date, "2031-05-06")
        copy = Deployment(self.into())
        with copy.open_token() as store:
            ledger = copy.open_ledger(store)
            self.assertEqual(ledger.business_date(), "2031-05-06")
            ledger.close()
        self.assertTrue(audit(copy.layout.config).sound)
