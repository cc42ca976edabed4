"""What belongs to devices is kept wrapped, apart from the database: on two token implementations and in memory."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, pkcs12
from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.certificates import certificate_of, some_certificate
from tests.hsm.softokn import fresh_softokn_store
from tests.hsm.tokens import fresh_store
from trus.clock import SystemEntropy
from trus.errors import KeyNotFound, KeyStoreError
from trus.hsm.division import DividedObjectStore
from trus.hsm.memory import MemoryStore
from trus.hsm.objectfile import ObjectFile, index_path
from trus.hsm.objects import OBJECTS_LABEL, WRAP_LABEL, WrappedObjectStore
from trus.hsm.pkcs11 import Pkcs11Store
from trus.hsm.ports import KeyPurpose

LABEL = "pos/T0000001/4d2"


class ObjectStoreContract:
    """The promises; subclasses say on which key store."""

    keys: Pkcs11Store | MemoryStore

    def begin(self, keys: Pkcs11Store | MemoryStore) -> None:
        """Make an empty store in a folder of this test."""
        self.keys = keys
        self.path = Path(self.mktemp()).absolute() / "keystore" / "objects.db"
        self.store = WrappedObjectStore.open(keys, self.path, SystemEntropy())
        self.addCleanup(lambda: self.store.close())

    def reopen(self) -> None:
        """Close the file and open it as a restart does."""
        self.store.close()
        self.store = WrappedObjectStore.open(self.keys, self.path, SystemEntropy())

    def test_certificates_are_kept_and_replaced(self) -> None:
        """TR-17: a certificate comes back as it was put, now and after a restart; a second one replaces it."""
        one, two = some_certificate("one"), some_certificate("two")
        self.store.put_certificate(LABEL, one)
        self.store.put_certificate("card/0000000000A1/1", one)
        self.store.put_certificate(LABEL, two)
        for _ in range(2):
            self.assertEqual(self.store.certificate(LABEL), two)
            self.assertEqual(list(self.store.certificate_labels()), ["card/0000000000A1/1", LABEL])
            self.assertRaises(KeyNotFound, self.store.certificate, "pos/T0000002/1")
            self.reopen()

    def test_the_file_tells_nothing(self) -> None:
        """TR-17: who reads the file without the token learns neither names nor certificates nor keys."""
        certificate = some_certificate("Ada Lovelace")
        self.store.put_certificate(LABEL, certificate)
        self.store.make_pair("card/ADA")
        scalar = self.store.take_pair("card/ADA").private_numbers().private_value.to_bytes(32, "big")
        self.store.flush()
        for path in (self.path, index_path(self.path)):
            content = path.read_bytes()
            for secret in (b"Lovelace", b"T0000001", b"ADA", certificate[20:60], scalar):
                self.assertNotIn(secret, content)

    def test_the_files_are_private(self) -> None:
        """The file, its index and their folder can be read by their owner alone."""
        self.store.put_certificate(LABEL, some_certificate("x"))
        modes = [path.stat().st_mode & 0o777 for path in (self.path.parent, self.path, index_path(self.path))]
        self.assertEqual(modes, [0o700, 0o600, 0o600])

    def test_no_record_can_pose_as_another(self) -> None:
        """TR-17: a record moved under another name, or changed in a bit, is refused and never believed."""
        self.store.put_certificates({LABEL: some_certificate("one"), "pos/T0000002/1": some_certificate("two")})
        self.store.close()
        file = ObjectFile(self.path)
        (first, body), (second, _) = file.records()
        file.append([(second, body)])
        changed = bytearray(body)
        changed[40] ^= 1
        file.append([(first, bytes(changed))])
        file.close()
        self.reopen()
        for label in (LABEL, "pos/T0000002/1"):
            error = self.assertRaises(KeyStoreError, self.store.certificate, label)
            self.assertIn("was changed", str(error))
        self.assertEqual(len(list(self.store.check())), 2)

    def test_a_pair_is_made_kept_and_taken(self) -> None:
        """TR-17: a pair made in the token is kept wrapped; taken out, it is the pair that was named."""
        made = self.store.make_pair("pos/T0000001")
        self.reopen()
        self.assertEqual(self.store.pair("pos/T0000001"), made)
        taken = self.store.take_pair("pos/T0000001").public_key()
        self.assertEqual(taken.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), made.public_key)
        self.assertEqual(list(self.store.pair_labels()), ["pos/T0000001"])
        self.assertEqual(list(self.store.certificate_labels()), [])
        self.assertRaises(KeyNotFound, self.store.take_pair, "pos/T0000002")

    def test_a_pair_is_never_overwritten(self) -> None:
        """A second pair under a label is refused, however it comes; a certificate may share the label."""
        self.store.make_pair(LABEL)
        foreign = ec.generate_private_key(ec.SECP256R1())
        self.assertRaises(KeyStoreError, self.store.make_pair, LABEL)
        self.assertRaises(KeyStoreError, self.store.put_pair, LABEL, foreign)
        self.store.put_certificate(LABEL, some_certificate("x"))
        self.assertEqual(self.store.pair(LABEL).label, LABEL)

    def test_a_foreign_pair_is_kept(self) -> None:
        """A pair that was made elsewhere comes back as it was; one on another curve is refused."""
        foreign = ec.generate_private_key(ec.SECP256R1())
        self.store.put_pair("card/1", foreign)
        self.assertEqual(self.store.take_pair("card/1").private_numbers(), foreign.private_numbers())
        self.assertRaises(KeyStoreError, self.store.put_pair, "card/2", ec.generate_private_key(ec.SECP384R1()))

    def test_a_destroyed_pair_is_gone(self) -> None:
        """A destroyed pair is found no more; after renewal nothing of it is in the file either."""
        self.store.make_pair("card/1")
        self.store.make_pair("card/2")
        self.store.destroy_pair("card/1")
        for _ in range(2):
            self.assertRaises(KeyNotFound, self.store.take_pair, "card/1")
            self.assertRaises(KeyNotFound, self.store.destroy_pair, "card/1")
            self.assertEqual(list(self.store.pair_labels()), ["card/2"])
            self.reopen()
        before = self.path.stat().st_size
        self.store.renew()
        self.assertLess(self.path.stat().st_size, before)
        self.store.take_pair("card/2")

    def test_a_pair_is_handed_over_as_pkcs12(self) -> None:
        """TR-17: a pair leaves for its holder with its certificate as PKCS#12 under a passphrase."""
        self.store.make_pair("card/1")
        key = self.store.take_pair("card/1")
        certificate = certificate_of(key, "card 1")
        bundle = self.store.export_pkcs12("card/1", [certificate, some_certificate("root")], "a passphrase")
        opened = pkcs12.load_pkcs12(bundle, b"a passphrase")
        assert isinstance(opened.key, ec.EllipticCurvePrivateKey)
        assert opened.cert is not None
        self.assertEqual(opened.key.private_numbers(), key.private_numbers())
        self.assertEqual(opened.cert.certificate.public_bytes(Encoding.DER), certificate)
        self.assertEqual(len(opened.additional_certs), 1)
        self.assertNotIn(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())[36:68], bundle)
        for chain, passphrase in (([some_certificate("other")], "x"), ([], "x"), ([certificate], "")):
            self.assertRaises(KeyStoreError, self.store.export_pkcs12, "card/1", chain, passphrase)

    def test_new_keys_wrap_everything_anew(self) -> None:
        """After renewal under new versions of its keys the old ones may be destroyed, and everything opens."""
        self.store.put_certificate(LABEL, some_certificate("x"))
        made = self.store.make_pair("card/1")
        kept = self.store.certificate(LABEL)
        old = [self.keys.find(label) for label in (OBJECTS_LABEL, WRAP_LABEL)]
        self.keys.generate(OBJECTS_LABEL, KeyPurpose.DATA)
        self.keys.generate(WRAP_LABEL, KeyPurpose.WRAP)
        self.reopen()
        self.assertEqual(self.store.certificate(LABEL), kept)
        self.store.renew()
        for handle in old:
            self.keys.destroy(handle)
        self.reopen()
        self.assertEqual(self.store.certificate(LABEL), kept)
        self.assertEqual(self.store.pair("card/1"), made)
        self.store.take_pair("card/1")

    def test_a_lost_file_is_not_made_anew_in_silence(self) -> None:
        """When the token has the file's key and the file is gone, the store says so instead of beginning again."""
        self.store.put_certificate(LABEL, some_certificate("x"))
        self.store.close()
        content = self.path.read_bytes()
        self.path.unlink()
        error = self.assertRaises(KeyStoreError, WrappedObjectStore.open, self.keys, self.path, SystemEntropy())
        self.assertIn("is gone: restore it", str(error))
        self.path.write_bytes(content)
        self.reopen()

    def test_another_tokens_file_is_refused(self) -> None:
        """A file that this token's keys did not seal opens nothing, and without its keys it is not opened."""
        self.store.put_certificate(LABEL, some_certificate("x"))
        self.store.close()
        other = MemoryStore(SystemEntropy())
        self.assertRaises(KeyNotFound, WrappedObjectStore, other, self.path, SystemEntropy())
        other.generate(OBJECTS_LABEL, KeyPurpose.DATA)
        other.generate(WRAP_LABEL, KeyPurpose.WRAP)
        foreign = WrappedObjectStore(other, self.path, SystemEntropy())
        self.assertRaises(KeyNotFound, foreign.certificate, LABEL)
        self.assertEqual(len(list(foreign.check())), 1)
        foreign.close()
        self.reopen()

    def test_an_unfinished_beginning_is_begun_again(self) -> None:
        """Stopped while it was being made, the store is made at the next start."""
        self.store.close()
        self.path.write_bytes(b"half")
        self.path.with_name("objects.db.unfinished").touch()
        self.reopen()
        self.store.put_certificate(LABEL, some_certificate("x"))
        self.reopen()
        self.store.certificate(LABEL)

    def test_what_has_no_form_is_refused(self) -> None:
        """An impossible label, or bytes that are no certificate, are refused before anything is written."""
        for label in ("", "a b", "x" * 97):
            self.assertRaises(KeyStoreError, self.store.put_certificate, label, some_certificate("x"))
            self.assertRaises(KeyStoreError, self.store.make_pair, label)
        self.assertRaises(ValueError, self.store.put_certificate, LABEL, b"no certificate")
        self.assertEqual(repr(self.store), "<WrappedObjectStore of 0 names>")


class TokenObjectTests(ObjectStoreContract, SynchronousTestCase):
    """The promises on SoftHSM."""

    def setUp(self) -> None:
        self.begin(fresh_store(self))


class SecondTokenObjectTests(ObjectStoreContract, SynchronousTestCase):
    """TR-18: the promises on NSS's softokn."""

    def setUp(self) -> None:
        self.begin(fresh_softokn_store(self))


class MemoryObjectTests(ObjectStoreContract, SynchronousTestCase):
    """The promises on the store in memory."""

    def setUp(self) -> None:
        self.begin(MemoryStore(SystemEntropy()))


class DivisionTests(SynchronousTestCase):
    """What goes where."""

    def setUp(self) -> None:
        self.token, self.wrapped = MemoryStore(SystemEntropy()), MemoryStore(SystemEntropy())
        self.store = DividedObjectStore(self.token, self.wrapped)

    def test_each_goes_where_it_belongs(self) -> None:
        """TR-17: the network's own certificates are raw token objects, those of devices are wrapped."""
        labels = ["authority/individual/1", "backend/backend", "card/A/1", "pos/T1/1"]
        for label in labels:
            self.store.put_certificate(label, some_certificate(label))
        self.assertEqual(list(self.token.certificate_labels()), labels[:2])
        self.assertEqual(list(self.wrapped.certificate_labels()), labels[2:])
        self.assertEqual(list(self.store.certificate_labels()), labels)
        for label in labels:
            subject = x509.load_der_x509_certificate(self.store.certificate(label)).subject
            self.assertIn(label, subject.rfc4514_string())

    def test_what_an_earlier_version_kept_is_found(self) -> None:
        """A device's certificate that an earlier version put into the token is found there; a new one goes before."""
        self.token.put_certificate("pos/T1/1", some_certificate("old"))
        self.assertEqual(self.store.certificate("pos/T1/1"), self.token.certificate("pos/T1/1"))
        self.store.put_certificate("pos/T1/1", some_certificate("new"))
        self.assertEqual(self.store.certificate("pos/T1/1"), self.wrapped.certificate("pos/T1/1"))
        self.assertRaises(KeyNotFound, self.store.certificate, "pos/T2/1")
