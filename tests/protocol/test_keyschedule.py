"""Keys: the published answers, and what must be refused."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from twisted.trial.unittest import SynchronousTestCase

from tests.protocol.network import FakeClock, SeededEntropy
from tests.protocol.stranger import split_seal
from trus.protocol import keyschedule as ks
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError, SessionEnded
from trus.protocol.keyschedule import DirectionKeys, HandshakeKeys, SessionSecrets
from trus.protocol.records import LAST_RECORD, Direction
from trus.protocol.tickets import (
    CHAIN_LIFETIME_SECONDS,
    ROTATION_SECONDS,
    TICKET_LIFETIME_SECONDS,
    StoredTicket,
    TicketContent,
    TicketKeys,
)
from trus.values import DeviceRole, PeerIdentity

PEER = PeerIdentity(DeviceRole.POS, "POS00001", "0a", "SHOP1", "VX1")


class DerivationTests(SynchronousTestCase):
    def test_extract_and_expand(self) -> None:
        """Extract and Expand are HKDF of RFC 5869 (test case 1, and the library's)."""
        prk = ks.extract(bytes(range(13)), b"\x0b" * 22)
        self.assertEqual(prk.hex(), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
        info = b"\x00\x20\x09trus1 key\x02th"
        library = HKDFExpand(hashes.SHA256(), 32, info).derive(prk)
        self.assertEqual(ks.expand(prk, "key", b"th"), library)
        whole = HKDF(hashes.SHA256(), 12, b"salt", b"\x00\x0c\x08trus1 iv\x00").derive(b"ikm")
        self.assertEqual(ks.expand(ks.extract(b"salt", b"ikm"), "iv", b"", 12), whole)
        for length in (0, 33):
            self.assertRaises(LocalProtocolError, ks.expand, prk, "key", b"", length)

    def test_transcript_is_unambiguous(self) -> None:
        """Moving an octet from one item to the next, or into the tag, changes the hash."""
        hashes_ = {
            ks.transcript("a", b"bc", b"d"),
            ks.transcript("a", b"b", b"cd"),
            ks.transcript("ab", b"c", b"d"),
            ks.transcript("a", b"bcd"),
            ks.transcript("a", b"bc", b"d", b""),
        }
        self.assertEqual(len(hashes_), 5)

    def test_agreement(self) -> None:
        """X25519 gives the answer of RFC 7748 section 6.1."""
        bob = ks.Agreement(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
        self.assertEqual(bob.share.hex(), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        alice = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
        self.assertEqual(bob.agree(alice).hex(), shared)

    def test_zero_shares_are_refused(self) -> None:
        """TR-16: A share of small order, which makes the secret zero, is refused."""
        agreement = ks.Agreement(SeededEntropy("zero").draw(32))
        small = ("00" * 32, "01" + "00" * 31, "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
        for share in small:
            error = self.assertRaises(RemoteProtocolError, agreement.agree, bytes.fromhex(share))
            self.assertEqual(error.code, ErrorCode.REFUSED)

    def test_no_two_keys_are_equal(self) -> None:
        """Every key of a handshake and its session differs from every other; each transcript changes all."""
        seen: list[bytes] = []
        for resumption in (None, b"r" * 32):
            for th in (b"1" * 32, b"2" * 32):
                keys = HandshakeKeys(resumption)
                seen.append(keys.binder(b"line", b"binding" + th))
                keys.agreed(b"s" * 32)
                seen += [keys.proof(side, th, b"c", b"") for side in ("initiator", "responder")]
                secrets = keys.finish(th)
                seen += [secrets.initiator.key, secrets.responder.key, secrets.initiator.iv, secrets.responder.iv]
                seen += [secrets.pin, secrets.resumption]
        self.assertEqual(len(set(seen)), len(seen))

    def test_secrets_are_not_shown(self) -> None:
        """No key appears in a repr."""
        secrets = SessionSecrets.derive(b"s" * 32, b"t" * 32)
        keys = HandshakeKeys(b"r" * 32)
        ticket = StoredTicket(b"t" * 9, b"s3cret", 1.0, 2.0, PEER)
        content = TicketContent(b"s3cret", PEER, 1.0, 2.0)
        for value in (secrets, secrets.initiator, keys, ticket, content, Direction(secrets.initiator)):
            shown = repr(value) + str(value)
            self.assertNotIn("s3cret", shown)
            self.assertNotIn("\\x", shown)


class DirectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        keys = DirectionKeys(b"k" * 32, b"\xff" * 11 + b"\x00")
        self.left, self.right = Direction(keys), Direction(keys)

    def sealed(self, line: bytes) -> tuple[bytes, bytes]:
        return split_seal(line[:-2])

    def test_order_is_kept(self) -> None:
        """TR-16: A record opens in its place only: not twice, not early, not late."""
        first = self.sealed(self.left.seal(b"INFO A", b"one"))
        second = self.sealed(self.left.seal(b"INFO A", b"two"))
        self.assertRaises(SessionEnded, Direction(DirectionKeys(b"k" * 32, b"\xff" * 11 + b"\x00")).open, *second)
        self.assertEqual(self.right.open(*first), b"one")
        self.assertRaises(SessionEnded, self.right.open, *first)

    def test_clear_part_is_protected(self) -> None:
        """Any change of the clear part or of the seal is noticed."""
        clear, sealed = self.sealed(self.left.seal(b"INFO A x=1", b"one"))
        for wrong in (
            (b"INFO A x=2", sealed),
            (clear, sealed[:-1] + bytes([sealed[-1] ^ 1])),
            (clear, b""),
            (clear, b"short"),
            (clear + b" ", sealed),
        ):
            self.assertRaises(SessionEnded, Direction(DirectionKeys(b"k" * 32, b"\xff" * 11 + b"\x00")).open, *wrong)

    def test_records_end(self) -> None:
        """A key is never used past its last record."""
        self.left.sequence = LAST_RECORD
        self.assertRaises(SessionEnded, self.left.seal, b"INFO A", b"")


class TicketTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = FakeClock()
        self.keys = TicketKeys(self.clock, SeededEntropy("tickets"))

    def content(self, age: float = 0.0) -> TicketContent:
        now = self.clock.now().timestamp()
        return TicketContent(b"r" * 32, PEER, now - age, now)

    def test_opens_what_it_sealed(self) -> None:
        """A ticket opens for as long as it lives and not a moment longer."""
        content = self.content()
        ticket = self.keys.seal(content)
        self.assertNotIn(b"POS00001", ticket)
        self.assertEqual(self.keys.open(ticket), content)
        self.clock.advance(TICKET_LIFETIME_SECONDS - 1)
        self.assertEqual(self.keys.open(ticket), content)
        self.clock.advance(1)
        self.assertIsNone(self.keys.open(ticket))

    def test_foreign_and_altered(self) -> None:
        """A ticket of another backend, an altered one, and noise are not opened."""
        ticket = self.keys.seal(self.content())
        other = TicketKeys(self.clock, SeededEntropy("other"))
        self.assertIsNone(other.open(ticket))
        for index in (0, 4, 16, len(ticket) - 1):
            altered = ticket[:index] + bytes([ticket[index] ^ 1]) + ticket[index + 1 :]
            self.assertIsNone(self.keys.open(altered))
        for noise in (b"", b"x", ticket[:32], ticket[:-1], ticket + b"x"):
            self.assertIsNone(self.keys.open(noise))

    def test_sealed_garbage(self) -> None:
        """A ticket under the right key that holds something else is not opened."""
        name = self.keys.seal(self.content())[:4]
        sealed = self.keys._keys[name].aead.encrypt(bytes(12), b"\x93\x01\x02\x03", name)
        self.assertIsNone(self.keys.open(name + bytes(12) + sealed))

    def test_chain_ends(self) -> None:
        """No ticket outlives 24 hours from the full handshake."""
        ticket = self.keys.seal(self.content(age=CHAIN_LIFETIME_SECONDS - 60))
        self.clock.advance(59)
        self.assertIsNotNone(self.keys.open(ticket))
        self.clock.advance(1)
        self.assertIsNone(self.keys.open(ticket))
        self.assertRaises(LocalProtocolError, self.keys.seal, self.content(age=CHAIN_LIFETIME_SECONDS))

    def test_keys_rotate_and_are_forgotten(self) -> None:
        """Keys change every few hours; the old ones go as soon as no ticket needs them."""
        names = set()
        for _ in range(12):
            ticket = self.keys.seal(self.content())
            names.add(ticket[:4])
            self.clock.advance(ROTATION_SECONDS)
            self.assertIsNotNone(self.keys.open(ticket))
            self.assertLessEqual(len(self.keys), 5)
        self.assertEqual(len(names), 12)

    def test_issued_in_the_future(self) -> None:
        """A ticket from before the clock was set back is not opened."""
        ticket = self.keys.seal(self.content())
        self.clock.advance(-10)
        self.assertIsNone(self.keys.open(ticket))
