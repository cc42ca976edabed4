"""By what the directory finds a certificate, as RFC 4387 section 2.2 has it."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.ledgered import KeptPki
from trus.errors import KeyNotFound
from trus.pki.directory import MAX_FOUND, Directory, KeyKind, common_name_digest, uri_digest


def sha1(data: bytes) -> bytes:
    return hashlib.sha1(data).digest()


class DirectoryTests(SynchronousTestCase):
    """A terminal, the backend, and the authorities above them."""

    def setUp(self) -> None:
        self.pki = KeptPki()
        self.leaf = self.pki.enrol("T0000001")
        self.issuing = self.pki.generations()[0].certificate
        self.root = self.pki.root.certificate
        self.directory = Directory(self.pki.register, self.pki.store, lambda: [self.issuing, self.root], seconds=60)

    def found(self, kind: KeyKind, digest: bytes) -> list[x509.Certificate]:
        return [x509.load_der_x509_certificate(each) for each in self.directory.certificates(kind, digest).bodies]

    def test_every_attribute_finds_its_certificate(self) -> None:
        """TR-15: hash of the certificate, subject, key, number, URI and name find the terminal's certificate."""
        key = self.leaf.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        # IssuerAndSerialNumber by hand: SEQUENCE of the issuer's name and an INTEGER.
        name = self.leaf.issuer.public_bytes()
        number = self.leaf.serial_number.to_bytes(20, "big").lstrip(b"\x00")
        number = b"\x00" + number if number[0] & 0x80 else number
        body = name + b"\x02" + bytes([len(number)]) + number
        wanted = {
            KeyKind.CERTIFICATE: sha1(self.leaf.public_bytes(Encoding.DER)),
            KeyKind.SUBJECT: sha1(self.leaf.subject.public_bytes()),
            KeyKind.SUBJECT_KEY: sha1(key),
            KeyKind.ISSUER_AND_SERIAL: sha1(b"\x30" + bytes([len(body)]) + body),
            KeyKind.URI: uri_digest("urn:trus:pos:T0000001"),
            KeyKind.NAME: common_name_digest("T0000001"),
        }
        for kind, digest in wanted.items():
            self.assertEqual(self.found(kind, digest), [self.leaf], kind)
            self.assertEqual(self.found(kind, sha1(digest)), [], kind)
        self.assertEqual(uri_digest("trus:pos:T0000001"), uri_digest("urn:trus:pos:T0000001"))

    def test_authorities_are_found_and_devices_never_listed(self) -> None:
        """A search by issuer gives the authorities that it certified, and not one device."""
        self.assertEqual(self.found(KeyKind.ISSUER, sha1(self.root.subject.public_bytes())), [self.issuing, self.root])
        self.assertEqual(self.found(KeyKind.ISSUER, sha1(self.issuing.subject.public_bytes())), [])
        self.assertEqual(self.found(KeyKind.SUBJECT, sha1(self.issuing.subject.public_bytes())), [self.issuing])

    def test_a_holder_with_many_certificates(self) -> None:
        """All of a holder's certificates are found, those that end last first, and bounded in number."""
        later = [self.pki.enrol("T0000001") for _ in range(MAX_FOUND)]
        found = self.found(KeyKind.NAME, common_name_digest("T0000001"))
        self.assertEqual(len(found), MAX_FOUND)
        self.assertTrue({each.serial_number for each in found} <= {each.serial_number for each in (self.leaf, *later)})

    def test_a_key_of_another_length(self) -> None:
        """What cannot be a SHA-1 is refused before anything is looked up."""
        for digest in (b"", b"x" * 19, b"x" * 32):
            self.assertRaises(KeyNotFound, self.directory.certificates, KeyKind.SUBJECT, digest)

    def test_a_certificate_that_was_replaced_under_its_handle(self) -> None:
        """The register's row of a former certificate finds nothing, rather than its successor."""
        [old] = [each for each in self.pki.register.records.values() if each.role == "backend"]
        self.assertEqual(len(self.found(KeyKind.NAME, common_name_digest("backend"))), 1)
        self.pki.store.put_certificate(old.handle, self.leaf.public_bytes(Encoding.DER))
        self.assertEqual(self.found(KeyKind.NAME, common_name_digest("backend")), [])
