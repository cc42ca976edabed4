"""A stripe that a terminal keeps opens at the issuer alone, and for the one request that it was read for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from twisted.trial.unittest import SynchronousTestCase

from trus.cards.sealed import SEALED_BYTES, StripeKeys, binding, key_id, seal_stripe
from trus.errors import KeyStoreUnavailable
from trus.values import BusinessDate, Identity, TerminalId

VECTORS = Path(__file__).parents[2] / "docs" / "vectors" / "advice.json"
TRACK2 = "9999990000000017=30127250001234567"
IDENTITY = Identity(TerminalId("T0000001"), BusinessDate("2026-11-20"), 42)
RID = bytes(range(16))
OLD, NEW = hashlib.sha256(b"old").digest(), hashlib.sha256(b"new").digest()
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class Drawn:
    """Octets that are the same in every run, others each time."""

    def __init__(self) -> None:
        self.count = 0

    def draw(self, count: int) -> bytes:
        self.count += 1
        return hashlib.shake_256(bytes([self.count])).digest(count)


def bound(**changes: Any) -> bytes:
    parts: dict[str, Any] = {"identity": IDENTITY, "rid": RID, "amount": 1250, "currency": "USD", "read": 1795219200}
    return binding(**{**parts, **changes})


class Sealing(SynchronousTestCase):
    def setUp(self) -> None:
        self.held = [OLD]
        self.keys = StripeKeys(lambda: self.held)
        self.sealed = seal_stripe(self.keys.public, bound(), TRACK2, Drawn())

    def opened(self, sealed: bytes, of: bytes = b"") -> str | None:
        found = self.keys.open(sealed, of or bound())
        return None if found is None else found.text

    def test_opens(self) -> None:
        """What a terminal seals opens at the issuer, and shows nothing of the stripe, not even its length."""
        self.assertEqual(self.opened(self.sealed), TRACK2)
        self.assertEqual(len(self.sealed), SEALED_BYTES)
        self.assertEqual(len(seal_stripe(self.keys.public, bound(), "12345678=1", Drawn())), SEALED_BYTES)
        self.assertNotIn(TRACK2[:6].encode(), self.sealed)
        self.assertEqual(repr(self.keys), "<StripeKeys, 1, redacted>")

    def test_another_maker(self) -> None:
        """Both halves are HPKE of RFC 9180 as another implementation makes and opens it."""
        public = X25519PublicKey.from_public_bytes(self.keys.public)
        made = SUITE.encrypt(TRACK2.encode().ljust(40), public, info=bound())
        self.assertEqual(self.opened(key_id(self.keys.public) + made), TRACK2)
        opened = SUITE.decrypt(self.sealed[8:], X25519PrivateKey.from_private_bytes(OLD), info=bound())
        self.assertEqual(opened, TRACK2.encode().ljust(40))

    def test_bound(self) -> None:
        """It opens for no other terminal, date, number, rid, amount, currency or reading."""
        others: list[dict[str, Any]] = [
            {"identity": msgspec.structs.replace(IDENTITY, terminal="T0000002")},
            {"identity": msgspec.structs.replace(IDENTITY, business_date="2026-11-21")},
            {"identity": msgspec.structs.replace(IDENTITY, stan=43)},
            {"rid": bytes(16)},
            {"amount": 1251},
            {"currency": "EUR"},
            {"read": 0},
        ]
        self.assertEqual([self.opened(self.sealed, bound(**other)) for other in others], [None] * len(others))

    def test_changed(self) -> None:
        """Changed anywhere, cut short or made longer, it opens no more."""
        for place in range(SEALED_BYTES):
            changed = bytearray(self.sealed)
            changed[place] ^= 1
            self.assertIsNone(self.opened(bytes(changed)), place)
        wrong = (b"", self.sealed[:8], self.sealed[:-1], self.sealed + b"x", self.sealed[:8] + bytes(88))
        for sealed in wrong:
            self.assertIsNone(self.opened(sealed))

    def test_no_text(self) -> None:
        """What opens and is no text is no stripe."""
        public = X25519PublicKey.from_public_bytes(self.keys.public)
        self.assertIsNone(self.opened(key_id(self.keys.public) + SUITE.encrypt(b"\xff" * 40, public, info=bound())))

    def test_too_long(self) -> None:
        """No stripe is longer than 40 characters."""
        with self.assertRaises(ValueError):
            seal_stripe(self.keys.public, bound(), "1" * 41, Drawn())

    def test_rotation(self) -> None:
        """After the master key's rotation a new key is told; what was sealed before opens while the old one is held."""
        self.held.insert(0, NEW)
        self.keys.refresh()
        self.assertEqual(self.opened(self.sealed), TRACK2)
        fresh = seal_stripe(self.keys.public, bound(), TRACK2, Drawn())
        self.assertNotEqual(fresh[:8], self.sealed[:8])
        del self.held[1]
        self.keys.refresh()
        self.assertEqual([self.opened(each) for each in (self.sealed, fresh)], [None, TRACK2])

    def test_made_by_another_core(self) -> None:
        """A key that another process made since is found when it is asked for; without the token nothing new opens."""
        other = StripeKeys(lambda: [NEW])
        sealed = seal_stripe(other.public, bound(), TRACK2, Drawn())
        self.assertIsNone(self.opened(sealed))
        self.held.insert(0, NEW)
        self.assertEqual(self.opened(sealed), TRACK2)

        def gone() -> list[bytes]:
            raise KeyStoreUnavailable("the token is gone")

        self.patch(self.keys, "_derive_all", gone)
        self.assertIsNone(self.opened(b"12345678" + sealed[8:]))
        self.assertEqual(self.opened(sealed), TRACK2, "keys that are known stay known")


class Vectors(SynchronousTestCase):
    def test_renewed(self) -> None:
        """docs/vectors/advice.json is what this program makes of its own inputs."""
        vectors = json.loads(VECTORS.read_text("utf-8"))
        keys = StripeKeys(lambda: [bytes.fromhex(vectors["private-key"])])
        self.assertEqual(keys.public.hex(), vectors["advice-key"])
        self.assertEqual(bound().decode(), vectors["info"])

        class Fixed:
            def draw(self, count: int) -> bytes:
                return bytes.fromhex(vectors["ephemeral"])

        sealed = seal_stripe(keys.public, vectors["info"].encode(), vectors["track2"], Fixed())
        self.assertEqual(sealed.hex(), vectors["stripe"])

    def test_alone(self) -> None:
        """The vectors open with HPKE alone, as the page says."""
        vectors = json.loads(VECTORS.read_text("utf-8"))
        sealed = bytes.fromhex(vectors["stripe"])
        self.assertEqual(sealed[:8], hashlib.sha256(bytes.fromhex(vectors["advice-key"])).digest()[:8])
        key = X25519PrivateKey.from_private_bytes(bytes.fromhex(vectors["private-key"]))
        opened = SUITE.decrypt(sealed[8:], key, info=vectors["info"].encode())
        self.assertEqual(opened, vectors["track2"].encode().ljust(40))
