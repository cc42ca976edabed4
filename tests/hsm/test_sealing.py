"""The token's PIN is to be had with the card alone: on two token implementations as the card."""

from __future__ import annotations

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, ObjectClass
from pkcs11 import exceptions as faults
from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.softokn import fresh_softokn_token
from tests.hsm.tokens import fresh_token
from trus.clock import SystemEntropy
from trus.errors import ConfigurationError, KeyNotFound, KeyStoreError, WrongTokenPin
from trus.hsm.sealing import SEAL_KEY_LABEL, SealedPin, SealingCard, decode_seal, is_sealed
from trus.hsm.session import TokenSettings

TOKEN = "trus"
SECRET_PIN = "the token's own PIN"


class SealingContract:
    """The promises; subclasses say what the card is."""

    card: TokenSettings

    def sealed(self) -> SealedPin:
        """Make a key on the card and seal a PIN to it."""
        with SealingCard(self.card) as card:
            return card.seal(card.make_key(), TOKEN, SECRET_PIN, SystemEntropy())

    def test_the_card_opens_the_seal(self) -> None:
        """TR-18: what was sealed to the card's key comes back through the card, in another session too."""
        content = self.sealed().encode()
        self.assertTrue(is_sealed(content))
        with SealingCard(self.card) as card:
            self.assertEqual(card.unseal(decode_seal(content), TOKEN), SECRET_PIN)
            self.assertEqual(card.find_key(SEAL_KEY_LABEL), decode_seal(content).key_id)

    def test_the_file_tells_nothing_of_the_pin(self) -> None:
        """Neither the PIN nor its length shows in a sealed file, and no two seals are alike."""
        with SealingCard(self.card) as card:
            key = card.make_key()
            seals = [card.seal(key, TOKEN, pin, SystemEntropy()) for pin in ("1234", "1234", "p" * 255)]
        self.assertNotIn(b"1234", seals[0].encode())
        self.assertEqual(len({seal.sealed for seal in seals}), 3)
        self.assertEqual({len(seal.sealed) for seal in seals}, {256 + 16})

    def test_another_card_opens_nothing(self) -> None:
        """A card without the key, or with another key of the same name, is refused in one sentence."""
        seal = self.sealed()
        other = self.another_card()
        with SealingCard(other) as card:
            error = self.assertRaises(KeyNotFound, card.unseal, seal, TOKEN)
            self.assertIn("has not the key that seals the PIN", str(error))
            card.make_key()
            error = self.assertRaises(KeyStoreError, card.unseal, seal, TOKEN)
            self.assertIn("was changed, or is sealed to another key", str(error))

    def test_a_changed_seal_opens_nothing(self) -> None:
        """Whatever is changed in a sealed file, it is refused; a PIN of one token does not pose as another's."""
        seal = self.sealed()
        stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
        point = stranger.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        with SealingCard(self.card) as card:
            for changed in (
                msgspec.structs.replace(seal, sealed=seal.sealed[:-1] + bytes((seal.sealed[-1] ^ 1,))),
                msgspec.structs.replace(seal, nonce=bytes(12)),
                msgspec.structs.replace(seal, share=point),
                msgspec.structs.replace(seal, share=bytes(65)),
                msgspec.structs.replace(seal, key=b"other"),
                msgspec.structs.replace(seal, key_id=b"other"),
            ):
                self.assertRaises(KeyStoreError, card.unseal, changed, TOKEN)
            self.assertRaises(KeyStoreError, card.unseal, seal, "another")
            renamed = msgspec.structs.replace(seal, token="another")
            self.assertRaises(KeyStoreError, card.unseal, renamed, "another")

    def test_the_cards_key_stays_there(self) -> None:
        """The key that opens the seal never leaves the card, and does nothing but agree on secrets."""
        with SealingCard(self.card) as card:
            card.make_key()
            [(key,)] = card._token.objects(ObjectClass.PRIVATE_KEY)
            self.assertEqual((key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]), (True, False))
            self.assertEqual((key[Attribute.DERIVE], key[Attribute.SIGN]), (True, False))
            with self.assertRaises(faults.PKCS11Error):
                key[Attribute.VALUE]
            error = self.assertRaises(KeyStoreError, card.make_key)
            self.assertIn("already", str(error))
            self.assertRaises(KeyNotFound, card.find_key, "none")

    def test_a_wrong_card_pin_is_refused(self) -> None:
        """A wrong PIN of the card is one sentence."""
        self.assertRaises(WrongTokenPin, SealingCard, msgspec.structs.replace(self.card, pin="wrong-pin-4"))


class SoftHsmCardTests(SealingContract, SynchronousTestCase):
    """A SoftHSM token as the card."""

    def setUp(self) -> None:
        self.card = fresh_token(self)

    def another_card(self) -> TokenSettings:
        return fresh_token(self)


class SoftoknCardTests(SealingContract, SynchronousTestCase):
    """A token of NSS's softokn as the card: another library than the backend's own."""

    def setUp(self) -> None:
        self.card = fresh_softokn_token(self)

    def another_card(self) -> TokenSettings:
        return fresh_softokn_token(self)


class SealFileTests(SynchronousTestCase):
    """The file itself."""

    def test_what_is_no_seal_is_refused(self) -> None:
        """A PIN in the clear is not taken for a seal, and a broken or foreign one is one sentence."""
        self.assertFalse(is_sealed(b"hungry-otter-42\n"))
        for content in (b"", b"{", b"{}", b'{"format": "other"}'):
            self.assertRaises(ConfigurationError, decode_seal, content)
        other = SealedPin("trus-sealed-pin/2", "t", b"", b"", b"", b"", b"")
        error = self.assertRaises(ConfigurationError, decode_seal, other.encode())
        self.assertIn("sealed in another way", str(error))
