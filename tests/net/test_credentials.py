"""What a channel's file must hold, and what its key never does."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, x448
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from twisted.trial.unittest import SynchronousTestCase

from tests.net.authority import Authority
from trus.errors import ConfigurationError
from trus.net.credentials import from_pem, from_pkcs12, load_authorities, load_crl
from trus.values import ChannelRole

AUTHORITY = Authority()
POS = AUTHORITY.issue(ChannelRole.POS, name="all terminals")
KEY_PEM = POS.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
CHAIN_PEM = POS.chain[0].public_bytes(Encoding.PEM) + AUTHORITY.certificate.public_bytes(Encoding.PEM)


def packed(password: bytes = b"lunch") -> bytes:
    """Return the POS credentials as a PKCS #12 file."""
    return pkcs12.serialize_key_and_certificates(
        b"pos", POS.key, POS.chain[0], [AUTHORITY.certificate], BestAvailableEncryption(password)
    )


class Pkcs12Tests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        """TR-14: a PKCS #12 file gives key, chain without the root, and the root as authority."""
        credentials = from_pkcs12(packed(), b"lunch")
        self.assertEqual(credentials.chain, POS.chain)
        self.assertEqual(credentials.authorities, (AUTHORITY.certificate,))
        self.assertEqual(credentials.key.public_key(), POS.key.public_key())

    def test_wrong_password(self) -> None:
        """A wrong password, or a file that is none, gives one fixed sentence."""
        for data, password in (
            (packed(), b"dinner"),
            (packed(), None),
            (b"junk", b"lunch"),
            (packed()[:200], b"lunch"),
        ):
            failure = self.assertRaises(ConfigurationError, from_pkcs12, data, password, "pos.p12")
            self.assertEqual(str(failure), "pos.p12 cannot be opened: it is damaged or the password is wrong")

    def test_no_key(self) -> None:
        """A file without a private key is refused."""
        bare = pkcs12.serialize_key_and_certificates(None, None, POS.chain[0], None, NoEncryption())
        failure = self.assertRaises(ConfigurationError, from_pkcs12, bare, None, "pos.p12")
        self.assertEqual(str(failure), "pos.p12 holds no private key with its certificate")

    def test_repr_is_redacted(self) -> None:
        """Printing credentials names the certificate and nothing of the key."""
        text = f"{POS!r} {POS}"
        self.assertIn("CN=all terminals", text)
        self.assertIn("key redacted", text)
        assert isinstance(POS.key, ec.EllipticCurvePrivateKey)
        self.assertNotIn(str(POS.key.private_numbers().private_value), text)


class PemTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        """PEM files give the same as PKCS #12."""
        credentials = from_pem(KEY_PEM, CHAIN_PEM)
        self.assertEqual(credentials.chain, POS.chain)
        self.assertEqual(credentials.authorities, (AUTHORITY.certificate,))

    def test_foreign_key(self) -> None:
        """A key that does not belong to the certificate is refused."""
        other = AUTHORITY.issue(ChannelRole.POS).key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        failure = self.assertRaises(ConfigurationError, from_pem, other, CHAIN_PEM, None, "gateway.pem")
        self.assertEqual(str(failure), "gateway.pem holds a key that does not belong to its certificate")

    def test_unsupported_key(self) -> None:
        """A kind of key that TLS cannot sign with is refused."""
        odd = x448.X448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        failure = self.assertRaises(ConfigurationError, from_pem, odd, CHAIN_PEM)
        self.assertIn("unsupported kind", str(failure))

    def test_unreadable(self) -> None:
        """Files that are no PEM, or need a password that is not there, are refused."""
        locked = POS.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"lunch"))
        for key, chain in ((b"junk", CHAIN_PEM), (KEY_PEM, b"junk"), (locked, CHAIN_PEM)):
            self.assertRaises(ConfigurationError, from_pem, key, chain)


class AnchorTests(SynchronousTestCase):
    def test_authorities(self) -> None:
        """Trust anchors are read from PEM; none at all is refused."""
        pem = AUTHORITY.certificate.public_bytes(Encoding.PEM)
        self.assertEqual(load_authorities(pem + pem), (AUTHORITY.certificate,) * 2)
        self.assertRaises(ConfigurationError, load_authorities, b"")

    def test_revocation_list(self) -> None:
        """A revocation list is read from PEM or DER; anything else is refused."""
        crl = AUTHORITY.revocation_list(POS)
        for encoding in (Encoding.PEM, Encoding.DER):
            self.assertEqual(load_crl(crl.public_bytes(encoding)), crl)
        self.assertRaises(ConfigurationError, load_crl, b"junk")
