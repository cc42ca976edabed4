"""What only real tokens can show: their answers and their owner, on two PKCS#11 implementations."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from cryptography.x509.oid import NameOID
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11 import exceptions as faults
from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.certificates import some_certificate
from tests.hsm.softokn import fresh_softokn_store, fresh_softokn_token
from tests.hsm.tokens import LABEL, fresh_store, fresh_token
from trus.errors import KeyNotFound, KeyStoreError, KeyStoreUnavailable, WrongTokenPin
from trus.hsm.datakeys import DATABASE_KEY_LABEL, DataKeys
from trus.hsm.pkcs11 import Pkcs11Store, TokenSettings
from trus.hsm.ports import KeyPurpose
from trus.hsm.signing import TokenPrivateKey


class TokenPromises:
    """What the token itself says and does; subclasses say which implementation."""

    def fresh_token(self) -> TokenSettings:
        """Initialise a token of this test's own."""
        raise AssertionError("a subclass says how")

    def fresh_store(self) -> Pkcs11Store:
        """Open a token of this test's own."""
        store = Pkcs11Store(self.fresh_token())
        self.addCleanup(store.close)
        return store

    def test_the_token_will_not_show_a_key(self) -> None:
        """DC-5, TR-17: asked for the bytes of any key by PKCS#11 itself, the token refuses."""
        store = self.fresh_store()
        for purpose in KeyPurpose:
            handle = store.generate(f"K_{purpose.value}", purpose)
            with self.assertRaises(faults.AttributeSensitive):
                store._private[handle][Attribute.VALUE]

    def test_the_token_will_not_unlock_a_key(self) -> None:
        """No attribute of a key can be changed afterwards to let it out or let it decrypt."""
        store = self.fresh_store()
        key = store._private[store.generate("K_PIN", KeyPurpose.PIN)]
        for attribute, value in (
            (Attribute.EXTRACTABLE, True),
            (Attribute.SENSITIVE, False),
            (Attribute.DECRYPT, True),
        ):
            with self.assertRaises(faults.PKCS11Error):
                key[attribute] = value

    def test_a_batch_of_blocks_is_one_call_of_the_token(self) -> None:
        """However many PIN blocks a batch holds, the token is asked once."""
        store = self.fresh_store()
        handle = store.generate("K_PIN", KeyPurpose.PIN)
        real = store._private[handle]
        calls = []

        class Counted:
            def encrypt(self, data: bytes, **options: object) -> bytes:
                calls.append(len(data))
                sealed: bytes = real.encrypt(data, **options)
                return sealed

        store._private[handle] = Counted()
        store.encrypt_blocks(handle, [bytes(16)] * 4096)
        self.assertEqual(calls, [65_536])

    def test_keys_and_certificates_survive_a_restart(self) -> None:
        """A token opened again has the keys and certificates that were put into it, and no others."""
        token = self.fresh_token()
        certificate = some_certificate("kept")
        with Pkcs11Store(token) as store:
            handles = [store.generate(f"K_{purpose.value}", purpose) for purpose in KeyPurpose]
            mac = store.mac(store.find("K_data"), [b"m"])
            store.put_certificate("kept", certificate)
            store.put_certificate("kept", certificate)
        with Pkcs11Store(token) as store:
            self.assertEqual(sorted(handles, key=lambda each: each.label), list(store.handles()))
            self.assertEqual(store.mac(store.find("K_data"), [b"m"]), mac)
            self.assertEqual(store.certificate("kept"), certificate)
            found = list(store._token.pkcs11.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE}))
            self.assertEqual(len(found), 1)

    def test_a_token_opened_again_works_as_before(self) -> None:
        """TR-18: after C_Finalize and C_Initialize under a running store every handle works as before."""
        store = self.fresh_store()
        handles = {purpose: store.generate(f"K_{purpose.value}", purpose) for purpose in KeyPurpose}
        store.put_certificate("kept", some_certificate("kept"))
        pair = store.wrap_new_pair(handles[KeyPurpose.WRAP])
        mac = store.mac(handles[KeyPurpose.DATA], [b"m"])
        block = store.encrypt_blocks(handles[KeyPurpose.PIN], [bytes(16)])
        store.recover()
        self.assertEqual(store.mac(handles[KeyPurpose.DATA], [b"m"]), mac)
        self.assertEqual(store.encrypt_blocks(handles[KeyPurpose.PIN], [bytes(16)]), block)
        self.assertEqual(len(store.sign(handles[KeyPurpose.SIGN], [b"m"])), 1)
        self.assertIn(b"kept", store.certificate("kept"))
        store.unwrap_pair(handles[KeyPurpose.WRAP], pair)
        self.assertEqual(store.generate("K_data", KeyPurpose.DATA).version, 2)

    def test_foreign_objects_are_left_alone(self) -> None:
        """A key that somebody else put into the token is neither listed nor touched."""
        token = self.fresh_token()
        with Pkcs11Store(token) as store:
            store.generate("K_PIN", KeyPurpose.PIN)
            store._token.pkcs11.generate_key(KeyType.AES, 128, label="theirs", id=b"\x01\x02", store=True)
        with Pkcs11Store(token) as store:
            self.assertEqual([each.label for each in store.handles()], ["K_PIN"])

    def test_another_thread_is_refused(self) -> None:
        """A token opened by one thread cannot be used by another: it would crash there."""
        store = self.fresh_store()
        handle = store.generate("K_DB", KeyPurpose.DATA)
        seen: list[BaseException] = []

        def use() -> None:
            try:
                store.mac(handle, [b"m"])
            except KeyStoreError as error:
                seen.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        self.assertEqual([str(error) for error in seen], ["a token is used by the one thread that opened it"])

    def test_a_child_process_opens_its_own(self) -> None:
        """After a fork the child is refused the parent's store, and may open the token for itself."""
        token = self.fresh_token()
        store = Pkcs11Store(token)
        self.addCleanup(store.close)
        handle = store.generate("K_DB", KeyPurpose.DATA)
        mac = store.mac(handle, [b"m"])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store.mac(handle, [b"m"])
            except KeyStoreError:
                with Pkcs11Store(token) as own:
                    status = 0 if own.mac(own.find("K_DB"), [b"m"]) == mac else 2
            finally:
                os._exit(status)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertEqual(store.mac(handle, [b"m"]), mac)

    def test_the_wrapping_is_rfc_5649(self) -> None:
        """Under a wrapping key whose bytes are known, a wrapped pair opens by RFC 5649 outside the token too."""
        store = self.fresh_store()
        known = bytes(range(32))
        wrapping = store._token.pkcs11.create_object(
            {
                Attribute.CLASS: ObjectClass.SECRET_KEY,
                Attribute.KEY_TYPE: KeyType.AES,
                Attribute.VALUE: known,
                Attribute.WRAP: True,
                Attribute.UNWRAP: True,
                Attribute.TOKEN: False,
            }
        )
        pair = store._pairs.make(wrapping)
        encoded = aes_key_unwrap_with_padding(known, pair.wrapped)
        key = load_der_private_key(encoded[: 2 + encoded[1] if encoded[1] < 128 else 3 + encoded[2]], None)
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.assertEqual(public, pair.public_key)
        opened = store._pairs.unwrap(wrapping, pair)
        self.assertEqual(opened.public_key(), key.public_key())

    def test_a_pair_leaves_nothing_in_the_token(self) -> None:
        """Making, wrapping and opening pairs leaves no object behind, in the token or in the session."""
        store = self.fresh_store()
        key = store.generate("K_WRAP", KeyPurpose.WRAP)
        for _ in range(3):
            store.unwrap_pair(key, store.wrap_new_pair(key))
            store.wrap_pair(key, ec.generate_private_key(ec.SECP256R1()))
        kinds = (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY, ObjectClass.SECRET_KEY)
        found = [len(list(store._token.pkcs11.get_objects({Attribute.CLASS: kind}))) for kind in kinds]
        self.assertEqual(found, [0, 0, 1])


class TokenTests(TokenPromises, SynchronousTestCase):
    """The promises on SoftHSM."""

    def fresh_token(self) -> TokenSettings:
        return fresh_token(self)


class SecondTokenTests(TokenPromises, SynchronousTestCase):
    """TR-18: the promises on NSS's softokn."""

    def fresh_token(self) -> TokenSettings:
        return fresh_softokn_token(self)

    def test_a_lost_folder_is_noticed_when_it_is_written_to(self) -> None:
        """softokn keeps its files open: a folder that is gone fails the first change, and comes back with recovery."""
        token = self.fresh_token()
        store = Pkcs11Store(token)
        self.addCleanup(store.close)
        key = store.generate("K_DB", KeyPurpose.DATA)
        mac = store.mac(key, [b"m"])
        folder = Path(token.parameters.partition("sql:")[2].partition("'")[0])
        folder.rename(folder.with_suffix(".away"))
        self.assertRaises(KeyStoreUnavailable, store.generate, "K_PIN", KeyPurpose.PIN)
        self.assertRaises(KeyStoreUnavailable, store.recover)
        self.assertRaises(KeyStoreUnavailable, store.mac, key, [b"m"])
        folder.with_suffix(".away").rename(folder)
        store.recover()
        self.assertEqual(store.mac(key, [b"m"]), mac)

    def test_a_wrong_pin_is_one_sentence(self) -> None:
        """A wrong PIN is refused in the same sentence as SoftHSM's, and the right one opens afterwards."""
        token = self.fresh_token()
        wrong = msgspec.structs.replace(token, pin="wrong-pin-1")
        self.assertEqual(
            str(self.assertRaises(WrongTokenPin, Pkcs11Store, wrong)), f"the token '{LABEL}' refused the PIN"
        )
        Pkcs11Store(token).close()


class SigningPromises:
    """A private key object whose key stays in the token."""

    def begin(self, store: Pkcs11Store) -> None:
        """Make a key in the token."""
        self.store = store
        self.key = TokenPrivateKey(self.store, self.store.generate("CA", KeyPurpose.SIGN))

    def test_the_builders_sign_with_it(self) -> None:
        """A PKCS#10 request built by `cryptography` and signed in the token verifies."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.key, hashes.SHA256())
        self.assertTrue(request.is_signature_valid)
        self.assertEqual(self.key.key_size, 256)
        self.assertEqual(self.key.curve.name, "secp256r1")

    def test_it_gives_no_key_away(self) -> None:
        """Everything that would need the key's bytes is refused, and so is another algorithm."""
        other = ec.generate_private_key(ec.SECP256R1())
        self.assertRaises(UnsupportedAlgorithm, self.key.private_numbers)
        self.assertRaises(
            UnsupportedAlgorithm, self.key.private_bytes, Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
        )
        self.assertRaises(UnsupportedAlgorithm, self.key.exchange, ec.ECDH(), other.public_key())
        self.assertRaises(UnsupportedAlgorithm, self.key.sign, b"m", ec.ECDSA(hashes.SHA384()))
        self.assertEqual(repr(self.key), "<TokenPrivateKey CA:1>")

    def test_only_a_signing_key_is_lent(self) -> None:
        """A key of another purpose cannot pose as a private key."""
        pin = self.store.generate("K_PIN", KeyPurpose.PIN)
        self.assertRaises(KeyStoreError, TokenPrivateKey, self.store, pin)


class SigningTests(SigningPromises, SynchronousTestCase):
    """The promises on SoftHSM."""

    def setUp(self) -> None:
        self.begin(fresh_store(self))


class SecondSigningTests(SigningPromises, SynchronousTestCase):
    """TR-18: the promises on NSS's softokn."""

    def setUp(self) -> None:
        self.begin(fresh_softokn_store(self))


class DataKeyTests(SynchronousTestCase):
    """Data keys derived from K_DB in the token."""

    def setUp(self) -> None:
        self.store = fresh_store(self)

    def test_data_keys_are_stable_and_separate(self) -> None:
        """TR-13: a data key depends on the version of K_DB and on its label, and on nothing else."""
        self.store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
        first = DataKeys(self.store)
        self.assertEqual(first.version, 1)
        self.assertEqual(len(first.derive("database")), 32)
        self.assertEqual(first.derive("database"), DataKeys(self.store).derive("database"))
        self.assertNotEqual(first.derive("database"), first.derive("lookup"))
        self.store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
        self.assertEqual(DataKeys(self.store).version, 2)
        self.assertNotEqual(DataKeys(self.store).derive("database"), first.derive("database"))
        self.assertEqual(DataKeys(self.store, 1).derive("database"), first.derive("database"))

    def test_the_repr_tells_no_key(self) -> None:
        """What a log could print of data keys holds none of them."""
        self.store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
        keys = DataKeys(self.store)
        keys.derive("database")
        self.assertEqual(repr(keys), "<DataKeys of K_DB version 1, redacted>")

    def test_without_k_db_there_are_no_data_keys(self) -> None:
        """A token without K_DB, or with a K_DB for another purpose, is refused."""
        self.assertRaises(KeyNotFound, DataKeys, self.store)
        self.store.generate(DATABASE_KEY_LABEL, KeyPurpose.PIN)
        self.assertRaises(KeyStoreError, DataKeys, self.store)
