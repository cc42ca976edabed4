"""Activation codes and proofs of possession."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.registers import common_name, new_key, request_for
from trus.clock import SystemEntropy
from trus.errors import IdentityRefused
from trus.hsm.datakeys import DATABASE_KEY_LABEL, DataKeys
from trus.hsm.memory import MemoryStore
from trus.hsm.ports import KeyPurpose
from trus.pki.activation import ActivationCodes, make_code, normalise
from trus.pki.csr import key_digest, prove
from trus.pki.ports import Activation
from trus.values import DeviceRole

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class FixedEntropy:
    """Draws what it was given."""

    def __init__(self, value: bytes) -> None:
        self.value = value

    def draw(self, count: int) -> bytes:
        assert count == len(self.value)
        return self.value


class CodeTests(SynchronousTestCase):
    """The codes themselves."""

    def test_a_code_carries_100_bits(self) -> None:
        """Codes are 20 symbols of 5 random bits and one check symbol, in groups that can be read aloud."""
        self.assertRegex(make_code(SystemEntropy()), r"^[0-9A-HJKMNP-TV-Z]{7}(-[0-9A-HJKMNP-TV-Z]{7}){2}$")
        self.assertEqual(make_code(FixedEntropy(bytes(13))), "0000000-0000000-0000000")
        self.assertEqual(make_code(FixedEntropy(b"\xff" * 13))[:-1], "ZZZZZZZ-ZZZZZZZ-ZZZZZZ")
        lowest = make_code(FixedEntropy(bytes(12) + b"\x10"))
        highest = make_code(FixedEntropy(b"\x80" + bytes(12)))
        self.assertEqual((lowest[-2], highest[0]), ("1", "G"))

    @settings(max_examples=50, deadline=None)
    @given(st.binary(min_size=13, max_size=13))
    def test_every_code_is_read_back(self, drawn: bytes) -> None:
        """Every code that is made is taken, also in lower case, without hyphens, with look-alikes."""
        code = make_code(FixedEntropy(drawn))
        symbols = code.replace("-", "")
        for typed in (code, code.lower(), symbols, f" {symbols} ", code.replace("0", "O").replace("1", "l")):
            self.assertEqual(normalise(typed), symbols)

    @settings(max_examples=50, deadline=None)
    @given(st.binary(min_size=13, max_size=13), st.integers(0, 20), st.sampled_from(ALPHABET))
    def test_a_mistyped_symbol_is_noticed(self, drawn: bytes, place: int, symbol: str) -> None:
        """One wrong symbol anywhere is told from a wrong code, so that it costs no attempt."""
        symbols = make_code(FixedEntropy(drawn)).replace("-", "")
        typed = symbols[:place] + symbol + symbols[place + 1 :]
        if typed == symbols:
            self.assertEqual(normalise(typed), symbols)
        else:
            self.assertRaises(IdentityRefused, normalise, typed)

    def test_what_is_no_code_is_refused(self) -> None:
        """Empty, short, long, foreign and oversized input is malformed, whatever its check symbol."""
        for typed in ("", "0", "00", "0" * 20, "0" * 22, "U" * 21, "٠" * 21, "0" * 100_000, "\x00", "-" * 21):
            error = self.assertRaises(IdentityRefused, normalise, typed)
            self.assertEqual(error.reason, "malformed-code")


class HashTests(SynchronousTestCase):
    """What the database keeps of a code."""

    def setUp(self) -> None:
        self.store = MemoryStore(SystemEntropy())
        self.store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
        self.codes = ActivationCodes(DataKeys(self.store))
        self.code = make_code(SystemEntropy())

    def test_the_hash_binds_code_holder_and_token(self) -> None:
        """A stored hash fits one code of one holder under one token, and nothing else."""
        stored = self.codes.hash(DeviceRole.POS, "T1", self.code)
        self.assertEqual(len(stored), 32)
        self.assertTrue(self.codes.matches(stored, DeviceRole.POS, "T1", self.code.lower()))
        self.assertFalse(self.codes.matches(stored, DeviceRole.POS, "T2", self.code))
        self.assertFalse(self.codes.matches(stored, DeviceRole.CARD, "T1", self.code))
        self.assertFalse(self.codes.matches(stored, DeviceRole.POS, "T1", make_code(SystemEntropy())))
        other = MemoryStore(SystemEntropy())
        other.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
        self.assertNotEqual(ActivationCodes(DataKeys(other)).hash(DeviceRole.POS, "T1", self.code), stored)

    def test_an_activation_shows_nothing(self) -> None:
        """An activation printed shows neither code nor hash."""
        from tests.pki.registers import NOON

        stored = self.codes.hash(DeviceRole.POS, "T1", self.code)
        self.assertEqual(repr(Activation(DeviceRole.POS, "T1", "S", "M", stored, NOON)), "<Activation redacted>")


class RequestTests(SynchronousTestCase):
    """PKCS#10 requests of devices."""

    def refused(self, request: bytes) -> str:
        """Return the reason for which a request is refused."""
        return self.assertRaises(IdentityRefused, prove, request).reason

    def test_a_request_proves_its_key(self) -> None:
        """A good request gives its public key and nothing else of what it says."""
        key = new_key()
        proven = prove(request_for(key, "I am the backend"))
        self.assertEqual(proven.key, key.public_key())
        self.assertEqual(proven.digest, key_digest(key.public_key()))

    def test_a_changed_request_proves_nothing(self) -> None:
        """A request whose signature does not fit is refused for want of proof."""
        request = bytearray(request_for(new_key(), "aaaa"))
        place = request.index(b"aaaa")
        request[place] ^= 1
        self.assertEqual(self.refused(bytes(request)), "no-proof-of-possession")

    def test_other_keys_and_hashes_are_refused(self) -> None:
        """RSA, other curves and other hashes are refused."""
        builder = x509.CertificateSigningRequestBuilder().subject_name(common_name("x"))
        requests = [
            builder.sign(rsa.generate_private_key(public_exponent=65537, key_size=2048), hashes.SHA256()),
            builder.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256()),
            builder.sign(new_key(), hashes.SHA512()),
        ]
        for request in requests:
            self.assertEqual(self.refused(request.public_bytes(Encoding.DER)), "bad-request")

    def test_garbage_is_refused(self) -> None:
        """Empty, cut, PEM and oversized requests are refused."""
        request = request_for(new_key())
        pem = x509.load_der_x509_csr(request).public_bytes(Encoding.PEM)
        for bad in (b"", request[:-1], pem, request + bytes(3_000), b"\x30\x00"):
            self.assertEqual(self.refused(bad), "bad-request")

    def test_every_changed_byte_is_refused(self) -> None:
        """No byte of a request can be changed unnoticed, and none raises anything but the refusal."""
        request = request_for(new_key())
        for place in range(len(request)):
            self.refused(request[:place] + bytes([request[place] ^ 0x55]) + request[place + 1 :])
