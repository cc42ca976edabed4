"""One contract for every key store: the same promises on SoftHSM, on NSS's softokn and in memory."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.certificates import some_certificate
from tests.hsm.softokn import fresh_softokn_store
from tests.hsm.tokens import fresh_store
from trus.clock import SystemEntropy
from trus.errors import KeyNotFound, KeyStoreError, KeyStoreUnavailable
from trus.hsm.memory import MemoryStore
from trus.hsm.pkcs11 import Pkcs11Store
from trus.hsm.ports import KeyHandle, KeyPurpose, WrappedPair

#: What each purpose may do, and nothing else.
MAY = {
    KeyPurpose.SIGN: {"sign"},
    KeyPurpose.PIN: {"encrypt"},
    KeyPurpose.CARD: {"encrypt"},
    KeyPurpose.DATA: {"sign"},
    KeyPurpose.WRAP: {"wrap", "unwrap"},
}


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the DER SubjectPublicKeyInfo of a pair."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class KeyStoreContract:
    """The promises; subclasses say which store keeps them."""

    store: Pkcs11Store | MemoryStore
    #: Whether the store remembers of a key that it was born there (CKA_LOCAL).
    tells_local = True

    def test_every_key_is_locked_up(self) -> None:
        """TR-17: the store says of every key that it was born there, is sensitive, and never leaves."""
        for purpose in KeyPurpose:
            said = self.store.attributes(self.store.generate(f"K_{purpose.value}", purpose))
            self.assertFalse(said.extractable, purpose)
            self.assertTrue(said.never_extractable, purpose)
            self.assertTrue(said.sensitive, purpose)
            self.assertTrue(said.always_sensitive, purpose)
            self.assertEqual(said.local, self.tells_local, purpose)

    def test_a_key_does_what_it_is_for_and_nothing_else(self) -> None:
        """K_PIN and K_CARD may encrypt and not decrypt; every other key has its one use as well."""
        for purpose in KeyPurpose:
            said = self.store.attributes(self.store.generate(f"K_{purpose.value}", purpose))
            verbs = ("encrypt", "decrypt", "sign", "wrap", "unwrap", "derive")
            self.assertEqual({verb for verb in verbs if getattr(said, verb)}, MAY[purpose], purpose)

    def test_the_store_refuses_a_key_another_ones_work(self) -> None:
        """A key used against its purpose is refused before it reaches the token."""
        pin = self.store.generate("K_PIN", KeyPurpose.PIN)
        data = self.store.generate("K_DB", KeyPurpose.DATA)
        self.assertRaises(KeyStoreError, self.store.sign, pin, [b"x"])
        self.assertRaises(KeyStoreError, self.store.mac, pin, [b"x"])
        self.assertRaises(KeyStoreError, self.store.encrypt_blocks, data, [bytes(16)])
        self.assertRaises(KeyStoreError, self.store.public_key, data)

    def test_versions_count_up(self) -> None:
        """The same label made twice is the same key's next version, and the newest is found."""
        first = self.store.generate("K_DB", KeyPurpose.DATA)
        second = self.store.generate("K_DB", KeyPurpose.DATA)
        self.assertEqual((first.version, second.version), (1, 2))
        self.assertEqual(self.store.find("K_DB"), second)
        self.assertEqual(self.store.find("K_DB", 1), first)
        self.assertNotEqual(self.store.mac(first, [b"m"]), self.store.mac(second, [b"m"]))

    def test_handles_come_sorted(self) -> None:
        """The list of keys is in the order of label and version, whatever the order of making."""
        self.store.generate("b", KeyPurpose.PIN)
        self.store.generate("a", KeyPurpose.SIGN)
        self.store.generate("b", KeyPurpose.PIN)
        self.assertEqual(
            list(self.store.handles()),
            [
                KeyHandle("a", 1, KeyPurpose.SIGN),
                KeyHandle("b", 1, KeyPurpose.PIN),
                KeyHandle("b", 2, KeyPurpose.PIN),
            ],
        )

    def test_a_missing_key_is_named(self) -> None:
        """A key that is not there raises KeyNotFound, whichever way it is asked for."""
        absent = KeyHandle("K_DB", 7, KeyPurpose.DATA)
        self.assertRaises(KeyNotFound, self.store.find, "K_DB")
        self.assertRaises(KeyNotFound, self.store.mac, absent, [b"m"])
        self.assertRaises(KeyNotFound, self.store.attributes, absent)
        self.assertRaises(KeyNotFound, self.store.destroy, absent)
        self.assertRaises(KeyNotFound, self.store.sign, KeyHandle("x", 1, KeyPurpose.SIGN), [b"m"])
        self.assertRaises(KeyNotFound, self.store.public_key, KeyHandle("x", 1, KeyPurpose.SIGN))
        self.assertRaises(KeyNotFound, self.store.encrypt_blocks, KeyHandle("x", 1, KeyPurpose.PIN), [bytes(16)])

    def test_a_destroyed_key_is_gone(self) -> None:
        """A destroyed key works no more and is listed no more; a pair loses both halves."""
        pair = self.store.generate("CA", KeyPurpose.SIGN)
        self.store.destroy(pair)
        self.assertRaises(KeyNotFound, self.store.sign, pair, [b"m"])
        self.assertRaises(KeyNotFound, self.store.public_key, pair)
        self.assertEqual(list(self.store.handles()), [])

    def test_signatures_verify_in_order(self) -> None:
        """A batch of payloads comes back as ECDSA-SHA256 signatures in DER, each for its own payload."""
        pair = self.store.generate("CA", KeyPurpose.SIGN)
        payloads = [b"", b"one", bytes(5000)]
        public = load_der_public_key(self.store.public_key(pair))
        assert isinstance(public, ec.EllipticCurvePublicKey)
        self.assertIsInstance(public.curve, ec.SECP256R1)
        signatures = self.store.sign(pair, payloads)
        for payload, signature in zip(payloads, signatures, strict=True):
            public.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
        with self.assertRaises(InvalidSignature):
            public.verify(signatures[0], payloads[1], ec.ECDSA(hashes.SHA256()))

    def test_blocks_are_ciphered_one_by_one(self) -> None:
        """A batch of blocks gives each block what it would get alone, in order."""
        key = self.store.generate("K_PIN", KeyPurpose.PIN)
        blocks = [hashlib.sha256(bytes([number % 7])).digest()[:16] for number in range(700)]
        together = self.store.encrypt_blocks(key, blocks)
        self.assertEqual(len(together), 700)
        self.assertEqual(together[:7], [self.store.encrypt_blocks(key, [block])[0] for block in blocks[:7]])
        self.assertEqual(together[:7], together[7:14])
        self.assertEqual(len(set(together)), 7)
        self.assertNotIn(blocks[0], together)
        self.assertEqual(self.store.encrypt_blocks(key, []), [])

    def test_a_block_of_another_size_is_refused(self) -> None:
        """A batch holding a block that is not 16 bytes long is refused as a whole."""
        key = self.store.generate("K_CARD", KeyPurpose.CARD)
        self.assertRaises(KeyStoreError, self.store.encrypt_blocks, key, [bytes(15), bytes(17)])

    def test_macs_are_stable_and_32_bytes(self) -> None:
        """The MAC of a message is 32 bytes, the same each time, different for another message or key."""
        key = self.store.generate("K_DB", KeyPurpose.DATA)
        other = self.store.generate("K_OTHER", KeyPurpose.DATA)
        first, second = self.store.mac(key, [b"a", b"b"])
        self.assertEqual(len(first), 32)
        self.assertEqual(self.store.mac(key, [b"a"]), [first])
        self.assertNotEqual(first, second)
        self.assertNotEqual(self.store.mac(other, [b"a"]), [first])

    def test_a_pair_leaves_wrapped_and_comes_back(self) -> None:
        """TR-17: a pair made in the store leaves it only wrapped; opened again, its halves belong together."""
        key = self.store.generate("K_WRAP", KeyPurpose.WRAP)
        pair = self.store.wrap_new_pair(key)
        opened = self.store.unwrap_pair(key, pair)
        self.assertEqual(public_bytes(opened), pair.public_key)
        scalar = opened.private_numbers().private_value.to_bytes(32, "big")
        self.assertNotIn(scalar, pair.wrapped)
        self.assertNotEqual(self.store.wrap_new_pair(key).public_key, pair.public_key)
        self.assertEqual(list(self.store.handles()), [key])

    def test_a_foreign_pair_is_wrapped_too(self) -> None:
        """A pair that was made elsewhere can be kept wrapped, and comes back as it was."""
        key = self.store.generate("K_WRAP", KeyPurpose.WRAP)
        foreign = ec.generate_private_key(ec.SECP256R1())
        pair = self.store.wrap_pair(key, foreign)
        self.assertEqual(pair.public_key, public_bytes(foreign))
        self.assertEqual(self.store.unwrap_pair(key, pair).private_numbers(), foreign.private_numbers())

    def test_a_changed_pair_does_not_open(self) -> None:
        """A wrapped pair of which a bit was changed, or which another key wrapped, is refused."""
        key, other = (self.store.generate(label, KeyPurpose.WRAP) for label in ("K_WRAP", "K_ELSE"))
        pair, second = self.store.wrap_new_pair(key), self.store.wrap_new_pair(key)
        for place in (0, len(pair.wrapped) // 2, len(pair.wrapped) - 1):
            changed = bytearray(pair.wrapped)
            changed[place] ^= 1
            self.assertRaises(KeyStoreError, self.store.unwrap_pair, key, WrappedPair(pair.public_key, bytes(changed)))
        self.assertRaises(KeyStoreError, self.store.unwrap_pair, other, pair)
        self.assertRaises(KeyStoreError, self.store.unwrap_pair, key, WrappedPair(pair.public_key, second.wrapped))
        self.assertRaises(KeyStoreError, self.store.unwrap_pair, key, WrappedPair(pair.public_key, pair.wrapped[:-8]))
        self.assertRaises(KeyStoreError, self.store.wrap_new_pair, self.store.generate("K_PIN", KeyPurpose.PIN))

    def test_certificates_are_kept_and_replaced(self) -> None:
        """TR-17: a certificate comes back as it was put; a second one of the same label replaces it."""
        one, two = some_certificate("one"), some_certificate("two")
        self.store.put_certificate("pos/T0000001", one)
        self.store.put_certificate("authority", some_certificate("root"))
        self.store.put_certificate("pos/T0000001", two)
        self.assertEqual(self.store.certificate("pos/T0000001"), two)
        self.assertEqual(list(self.store.certificate_labels()), ["authority", "pos/T0000001"])
        self.assertRaises(KeyNotFound, self.store.certificate, "pos/T0000002")

    def test_a_label_cannot_carry_anything_else(self) -> None:
        """A label with other characters, or too long, is refused for keys and for certificates."""
        for label in ("", "a:b", "a b", "é", "x" * 97, "a\n"):
            self.assertRaises(KeyStoreError, self.store.generate, label, KeyPurpose.PIN)
            self.assertRaises(KeyStoreError, self.store.put_certificate, label, some_certificate("x"))

    def test_a_closed_store_is_unavailable(self) -> None:
        """After closing, every call says that the store is unavailable, and closing again is harmless."""
        key = self.store.generate("K_DB", KeyPurpose.DATA)
        self.store.close()
        self.assertRaises(KeyStoreUnavailable, self.store.mac, key, [b"m"])
        self.assertRaises(KeyStoreUnavailable, self.store.find, "K_DB")
        self.assertRaises(KeyStoreUnavailable, self.store.certificate, "x")
        self.store.close()

    def test_the_repr_tells_no_key(self) -> None:
        """What a log could print of a store holds no key and no PIN."""
        self.store.generate("K_DB", KeyPurpose.DATA)
        self.assertRegex(repr(self.store), r"^<(Pkcs11Store of token 'trus'|MemoryStore of 1 keys, redacted)>$")


class TokenContractTests(KeyStoreContract, SynchronousTestCase):
    """The contract on a real PKCS#11 token (SoftHSM)."""

    def setUp(self) -> None:
        self.store = fresh_store(self)

    def test_it_is_fit_for_production(self) -> None:
        """The token's store may be used in production."""
        self.assertTrue(self.store.production)


class SecondTokenContractTests(KeyStoreContract, SynchronousTestCase):
    """TR-18: the contract on a second PKCS#11 implementation, NSS's softokn."""

    tells_local = False  # softokn 3.87 answers CKA_LOCAL false for every key that it stores

    def setUp(self) -> None:
        self.store = fresh_softokn_store(self)


class MemoryContractTests(KeyStoreContract, SynchronousTestCase):
    """The contract on the store in memory."""

    def setUp(self) -> None:
        self.store = MemoryStore(SystemEntropy())

    def test_it_is_not_fit_for_production(self) -> None:
        """The store in memory says that it must not be used in production."""
        self.assertFalse(self.store.production)

    def test_the_mac_is_hmac_sha256(self) -> None:
        """The MAC of both stores is HMAC-SHA256 (RFC 2104): here the key is known, and it agrees."""
        key = self.store.generate("K_DB", KeyPurpose.DATA)
        secret = self.store._secrets[key]
        self.assertEqual(self.store.mac(key, [b"m"]), [hmac.new(secret, b"m", hashlib.sha256).digest()])

    def test_seeds_replay(self) -> None:
        """With the same entropy the deterministic store makes the same keys and signatures."""

        class Counting:
            def draw(self, count: int) -> bytes:
                return bytes(range(count))

        results = []
        for _ in range(2):
            store = MemoryStore(Counting(), deterministic=True)
            pair = store.generate("CA", KeyPurpose.SIGN)
            results.append((store.public_key(pair), store.sign(pair, [b"m"])))
        self.assertEqual(results[0], results[1])
