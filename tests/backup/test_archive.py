"""The sealed file: both officers open it, nobody else, and nothing of it can be changed."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from trus.backup.archive import CHUNK_BYTES, MAGIC, SealedReader, SealedWriter, read_header
from trus.backup.errors import BackupRefused
from trus.backup.manifest import (
    FileEntry,
    HeadEntry,
    Manifest,
    check_name,
    encode,
    read_manifest,
    write_manifest,
)
from trus.backup.officers import NewOfficer, demand_two, new_officer, open_key, read_certificate
from trus.backup.shares import SealedShare, join, split
from trus.clock import SystemEntropy

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PASSPHRASE = b"correct horse battery"
BACKUP = bytes(range(16))


class StoppedClock:
    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()


def private(officer: NewOfficer) -> ec.EllipticCurvePrivateKey:
    return open_key(officer.key_pem, PASSPHRASE)


class Officers:
    """Two officers, and a third who is nobody's."""

    def __init__(self) -> None:
        self.ada, self.bob, self.eve = (new_officer(name, PASSPHRASE, StoppedClock()) for name in ("Ada", "Bob", "Eve"))
        self.both = (self.ada.officer, self.bob.officer)
        self.keys = [private(self.ada), private(self.bob)]

    def seal(self, content: bytes) -> bytes:
        file = io.BytesIO()
        writer = SealedWriter(file, BACKUP, 1, self.both, SystemEntropy())
        for start in range(0, len(content), 10_000):
            writer.write(content[start : start + 10_000])
        writer.finish()
        return file.getvalue()

    def open(self, sealed: bytes, length: int) -> bytes:
        reader = SealedReader(io.BytesIO(sealed), self.keys)
        content = reader.read(length)
        reader.finish()
        return content


class OfficerTests(SynchronousTestCase):
    """Who may be an officer."""

    def test_key_and_certificate(self) -> None:
        """An officer's key is on P-256 under the passphrase; the certificate names the officer and the same key."""
        made = new_officer("Ada Lovelace", PASSPHRASE, StoppedClock())
        self.assertEqual(read_certificate(made.certificate_pem, NOON), made.officer)
        self.assertEqual(made.officer.name, "Ada Lovelace")
        self.assertIn(b"ENCRYPTED", made.key_pem)
        self.assertNotIn("Ada", repr(made))
        self.assertRaises(BackupRefused, open_key, made.key_pem, b"another passphrase")

    def test_unfit(self) -> None:
        """A short passphrase, an empty or strange name, a key without a passphrase are refused."""
        self.assertRaises(BackupRefused, new_officer, "Ada", b"short", StoppedClock())
        for name in ("", "../Ada", "Ada\n", "x" * 64, "Łukasz"):
            self.assertRaises(BackupRefused, new_officer, name, PASSPHRASE, StoppedClock())
        clear = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        failure = self.assertRaises(BackupRefused, open_key, clear, PASSPHRASE)
        self.assertIn("is not", str(failure))
        self.assertRaises(BackupRefused, open_key, b"no key", PASSPHRASE)

    def test_other_kinds(self) -> None:
        """Keys of another kind, and certificates that are not valid now, are refused."""
        made = new_officer("Ada", PASSPHRASE, StoppedClock())
        for moment in (NOON - timedelta(days=1), NOON + timedelta(days=4000)):
            failure = self.assertRaises(BackupRefused, read_certificate, made.certificate_pem, moment)
            self.assertIn("not valid now", str(failure))
        self.assertRaises(BackupRefused, read_certificate, b"no certificate", NOON)
        other = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ada")])
        builder = x509.CertificateBuilder(name, name, other.public_key(), 1, NOON, NOON + timedelta(days=1))
        pem = builder.sign(other, hashes.SHA256()).public_bytes(Encoding.PEM)
        self.assertIn("P-256", str(self.assertRaises(BackupRefused, read_certificate, pem, NOON)))

    def test_two(self) -> None:
        """A backup is for two officers with two keys: one alone, three, or the same one twice are refused."""
        ada, bob, eve = (new_officer(name, PASSPHRASE, StoppedClock()).officer for name in ("Ada", "Bob", "Eve"))
        self.assertEqual(demand_two([ada, bob]), (ada, bob))
        for officers in ([ada], [ada, bob, eve], [ada, ada], []):
            self.assertRaises(BackupRefused, demand_two, officers)


class ShareTests(SynchronousTestCase):
    """The archive's key in two halves."""

    def setUp(self) -> None:
        self.officers = Officers()
        self.key = bytes(range(32))
        self.shares = split(self.key, BACKUP, self.officers.both, SystemEntropy())

    def test_both_are_needed(self) -> None:
        """Both keys, in either order, give the archive's key; one of them, or a stranger's beside it, gives nothing."""
        ada, bob = self.officers.keys
        self.assertEqual(join(self.shares, BACKUP, [ada, bob]), self.key)
        self.assertEqual(join(self.shares, BACKUP, [bob, ada]), self.key)
        eve = private(self.officers.eve)
        for keys in ([ada], [bob], [ada, ada], [ada, eve], []):
            failure = self.assertRaises(BackupRefused, join, self.shares, BACKUP, keys)
            self.assertIn("needs both officers", str(failure))

    def test_shares_belong_to_their_backup(self) -> None:
        """A share opens in its own place of its own backup only: not exchanged, not put under another id."""
        ada, bob = self.shares
        self.assertRaises(BackupRefused, join, (bob, ada), BACKUP, self.officers.keys)
        self.assertRaises(BackupRefused, join, self.shares, bytes(16), self.officers.keys)
        bent = SealedShare(ada.name, ada.fingerprint, ada.sealed[:-1] + bytes((ada.sealed[-1] ^ 1,)))
        self.assertRaises(BackupRefused, join, (bent, bob), BACKUP, self.officers.keys)

    def test_one_share_tells_nothing(self) -> None:
        """The same key split twice has different shares, so that one of them alone fits every key."""
        again = split(self.key, BACKUP, self.officers.both, SystemEntropy())
        self.assertNotEqual([each.sealed for each in self.shares], [each.sealed for each in again])


class ArchiveTests(SynchronousTestCase):
    """The chunks."""

    def setUp(self) -> None:
        self.officers = Officers()

    def test_lengths(self) -> None:
        """Content of every length around a chunk's comes back as it was."""
        for length in (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES):
            content = hashlib.shake_256(b"%d" % length).digest(length)
            sealed = self.officers.seal(content)
            self.assertEqual(self.officers.open(sealed, length), content)
            if length > 100:
                self.assertNotIn(content[:50], sealed)

    def test_alterations(self) -> None:
        """Any changed byte, a cut at any chunk or anywhere, chunks exchanged, repeated or added: all are noticed."""
        content = bytes(2 * CHUNK_BYTES + 100)
        sealed = self.officers.seal(content)
        header, start = read_header(io.BytesIO(sealed))
        self.assertEqual(header.backup, BACKUP.hex())
        begin, chunk = len(start), CHUNK_BYTES + 16
        one, two, three = (
            sealed[begin : begin + chunk],
            sealed[begin + chunk : begin + 2 * chunk],
            sealed[begin + 2 * chunk :],
        )
        wrong = [
            *(sealed[:place] + bytes((sealed[place] ^ 1,)) + sealed[place + 1 :] for place in self._places(sealed)),
            start + one,
            start + one + two,
            start + one + three,
            start + two + one + three,
            start + one + one + two + three,
            start + two + three,
            start + three,
            start,
            sealed[:-1],
            sealed + b"x",
            sealed + three,
            sealed[: begin - 1],
            b"",
        ]
        for number, altered in enumerate(wrong):
            self.assertRaises(BackupRefused, self.officers.open, altered, len(content))
            self.assertNotEqual(altered, sealed, number)

    def _places(self, sealed: bytes) -> list[int]:
        return [*range(0, 700, 7), len(sealed) // 2, len(sealed) - 1]

    def test_too_much_and_too_little(self) -> None:
        """Reading past the end, and leaving something unread, are both refused."""
        sealed = self.officers.seal(b"x" * 100)
        self.assertIn("ends too early", str(self.assertRaises(BackupRefused, self.officers.open, sealed, 101)))
        self.assertIn("more than it says", str(self.assertRaises(BackupRefused, self.officers.open, sealed, 99)))

    def test_another_header(self) -> None:
        """Chunks under the header of another archive for the same officers do not open."""
        first, second = self.officers.seal(b"one"), self.officers.seal(b"two")
        _, start = read_header(io.BytesIO(first))
        _, other = read_header(io.BytesIO(second))
        self.assertRaises(BackupRefused, self.officers.open, start + second[len(other) :], 3)

    def test_no_archive(self) -> None:
        """Something else, an endless header and broken headers are refused before any key is used."""
        good = self.officers.seal(b"x")
        header, start = read_header(io.BytesIO(good))
        broken = [b"", b"PK\x03\x04", MAGIC, MAGIC + b"\xff\xff\xff\xff", MAGIC + b"\0\0\0\x02{}"]
        fields = msgspec.to_builtins(header)
        for name, value in (("version", 2), ("backup", "00"), ("backup", "x" * 32), ("more", 1)):
            bad = msgspec.json.encode({**fields, name: value}, order="sorted")
            broken.append(MAGIC + len(bad).to_bytes(4, "big") + bad + good[len(start) :])
        for each in broken:
            self.assertRaises(BackupRefused, read_header, io.BytesIO(each))

    def test_documented_bytes(self) -> None:
        """What docs/reference/backup-format.md says opens an archive without any code of this package."""
        content = b"by the book"
        sealed = self.officers.seal(content)
        self.assertEqual(sealed[:8], b"TRUSBAK1")
        length = int.from_bytes(sealed[8:12], "big")
        header = msgspec.json.decode(sealed[12 : 12 + length])
        self.assertEqual(sorted(header), ["backup", "made", "officers", "version"])
        suite = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
        halves = []
        for number, (entry, key) in enumerate(zip(header["officers"], self.officers.keys, strict=True), start=1):
            info = b"trus backup share v1\0" + bytes.fromhex(header["backup"]) + bytes([number])
            info += bytes.fromhex(entry["key"])
            self.assertEqual(len(bytes.fromhex(entry["share"])), 65 + 32 + 16)
            halves.append(suite.decrypt(bytes.fromhex(entry["share"]), key, info=info))
        archive_key = bytes(a ^ b for a, b in zip(*halves, strict=True))
        salt = hashlib.sha256(sealed[: 12 + length]).digest()
        derived = HKDF(hashes.SHA256(), 39, salt, b"trus backup stream v1").derive(archive_key)
        nonce = derived[32:] + b"\0\0\0\0" + b"\x01"
        self.assertEqual(AESGCM(derived[:32]).decrypt(nonce, sealed[12 + length :], None), content)


class ManifestTests(SynchronousTestCase):
    """What an archive says of itself."""

    def setUp(self) -> None:
        self.officers = Officers()
        self.manifest = Manifest(
            backup=BACKUP.hex(),
            business_date="2026-11-20",
            config="trus.yaml",
            database="db/trus.db",
            epoch=0,
            expires=2,
            file_version=1,
            files=[FileEntry("trus.yaml", 3, "00" * 32), FileEntry("db/trus.db", 0, "00" * 32)],
            head=HeadEntry(0, ""),
            heads="heads",
            key_version=1,
            key_versions=[1],
            ledger="ab",
            left_out=[],
            made=1,
            moved={},
            objects="",
            schema="0005",
            slots=[(1, 5)],
            token_label="trus",
            tokens="token/tokens",
            version=1,
        )

    def sealed(self, encoded: bytes) -> SealedReader:
        file = io.BytesIO()
        writer = SealedWriter(file, BACKUP, 1, self.officers.both, SystemEntropy())
        write_manifest(writer, encoded, "audit-head/1", b"signature")
        writer.finish()
        return SealedReader(io.BytesIO(file.getvalue()), self.officers.keys)

    def test_round_trip(self) -> None:
        """A manifest comes back with its bytes, its signer and its signature."""
        read = read_manifest(self.sealed(encode(self.manifest)))
        self.assertEqual((read.manifest, read.encoded), (self.manifest, encode(self.manifest)))
        self.assertEqual((read.signer, read.signature), ("audit-head/1", b"signature"))

    def test_refused(self) -> None:
        """A manifest of another version or backup, in another form, or with doubled or bad names is refused."""
        replace = msgspec.structs.replace
        doubled = [self.manifest.files[0], self.manifest.files[0]]
        for wrong in (
            replace(self.manifest, version=2),
            replace(self.manifest, backup="ff" * 16),
            replace(self.manifest, files=doubled),
            replace(self.manifest, files=[FileEntry("a", -1, "")]),
            replace(self.manifest, files=[FileEntry("../trus.yaml", 1, "")]),
        ):
            self.assertRaises(BackupRefused, read_manifest, self.sealed(encode(wrong)))
        self.assertRaises(BackupRefused, read_manifest, self.sealed(encode(self.manifest).replace(b",", b", ", 1)))
        self.assertRaises(BackupRefused, read_manifest, self.sealed(b"\xff"))

    def test_names(self) -> None:
        """No name leads out of the folder that is restored into, whatever it is made of."""
        for name in ("trus.yaml", "token/tokens/0a1b-2c/token.object", "heads/heads-2026-11.jsonl", "a" * 128):
            self.assertEqual(check_name(name), name)
        for name in (
            "",
            "/etc/passwd",
            "a/../b",
            "..",
            ".",
            "a//b",
            "a/",
            "a\\b",
            "a\0",
            "a\n",
            "ä",
            "a" * 129,
            "a/" * 9 + "a",
        ):
            self.assertRaises(BackupRefused, check_name, name)
