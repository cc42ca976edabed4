"""The issuing authorities of one label, old and new, under a root whose key is somewhere else.

Makes no certificate of an authority: the root's ceremony does (trus.pki.ceremony). Here the key of a
new generation is made, its certificate is taken in, and it is known which generation issued what:
the newest issues, the older ones answer for what they issued until the last of it has ended.
Source: RFC 5280 sections 4.2.1.1 and 4.2.1.2 for how a certificate names its issuer's key.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from trus.clock import Clock, Entropy
from trus.errors import ConfigurationError, KeyNotFound
from trus.hsm.ports import KeyHandle, KeyPurpose, KeyStore, ObjectStore
from trus.hsm.signing import TokenPrivateKey
from trus.pki.authority import Authority, anchor_label, anchors, authority_label, ca_label


class Generations:
    """Every generation of an authority that this store can sign for."""

    def __init__(self, keys: KeyStore, objects: ObjectStore, label: str, clock: Clock, entropy: Entropy) -> None:
        """Find what was made before. Raises KeyNotFound without any, KeyStoreError for a foreign certificate."""
        self._keys = keys
        self._objects = objects
        self._label = label
        self._clock = clock
        self._entropy = entropy
        self._adopt(self._find())

    def look_again(self) -> bool:
        """Take up a generation that was taken in since, by whichever process; return whether there is one.

        Whatever fails, the generations stay as they were. Raises KeyNotFound, KeyStoreError.
        """
        # Both are looked for in the token anew: another process may have put them there.
        self._keys.handles()
        self._objects.certificate_labels()
        found = self._find()
        before = [each.certificate for each in self.all]
        if [each.certificate for each in found] == before:
            return False
        self._adopt(found)
        return True

    def _find(self) -> tuple[Authority, ...]:
        place = (self._keys, self._objects, self._label, self._clock, self._entropy)
        current = Authority(*place)
        older = []
        for version in range(current.version - 1, 0, -1):
            try:
                older.append(Authority(*place, version))
            except KeyNotFound:
                continue  # its key was destroyed: nothing that it issued is valid any more
        return (current, *older)

    def _adopt(self, found: tuple[Authority, ...]) -> None:
        self.current: Authority = found[0]
        self.all: Sequence[Authority] = found
        self._by_key = {_own_key(each.certificate): each for each in found}

    @property
    def roots(self) -> list[x509.Certificate]:
        """The roots that the generations hang from, the newest first, each once."""
        return list(dict.fromkeys(each.root for each in self.all))

    def of(self, certificate: x509.Certificate) -> Authority:
        """Return the generation that issued a certificate. Raises KeyNotFound."""
        found = self._by_key.get(_issuing_key(certificate))
        if found is None:
            raise KeyNotFound(f"no generation of the {self.current.label} authority here issued that certificate")
        return found

    def is_current(self, certificate: x509.Certificate) -> bool:
        """Say whether the newest generation issued a certificate."""
        return self._by_key.get(_issuing_key(certificate)) is self.current

    def chain(self, certificate: x509.Certificate) -> list[bytes]:
        """Return the chain (DER, leaf first, no root) that a holder shows. Raises KeyNotFound."""
        issuers = self.of(certificate).issuers
        return [each.public_bytes(Encoding.DER) for each in (certificate, *issuers)]


def request_generation(keys: KeyStore, label: str, common_name: str) -> tuple[KeyHandle, bytes]:
    """Make the key of the next generation inside the store; return it and its PKCS#10 request (DER).

    `common_name` gets the generation's number: no two authorities share a name. Nothing is issued with
    the key until its certificate has been taken in. Raises KeyStoreUnavailable.
    """
    handle = keys.generate(ca_label(label), KeyPurpose.SIGN)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{common_name} {handle.version}")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    return handle, request.sign(TokenPrivateKey(keys, handle), hashes.SHA256()).public_bytes(Encoding.DER)


def take_in(
    keys: KeyStore, objects: ObjectStore, label: str, certificate: x509.Certificate, root: x509.Certificate
) -> KeyHandle:
    """Keep the certificate of a generation and its root: from now on this generation issues.

    Returns the key that it belongs to. Raises ConfigurationError unless `root` issued it, for a key
    of this store, and KeyStoreUnavailable.
    """
    try:
        certificate.verify_directly_issued_by(root)
        root.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        raise ConfigurationError("the authority's certificate was not issued by that root") from None
    for handle in keys.handles():
        if handle.label == ca_label(label) and _is_of(keys, handle, certificate):
            known = anchors(objects, label)
            if root not in known:
                objects.put_certificate(anchor_label(label, len(known) + 1), root.public_bytes(Encoding.DER))
            objects.put_certificate(authority_label(label, handle.version), certificate.public_bytes(Encoding.DER))
            return handle
    raise ConfigurationError("the token holds no key that this authority's certificate is for")


def _is_of(keys: KeyStore, handle: KeyHandle, certificate: x509.Certificate) -> bool:
    return handle.purpose is KeyPurpose.SIGN and TokenPrivateKey(keys, handle).public_key() == certificate.public_key()


def _own_key(certificate: x509.Certificate) -> bytes:
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def _issuing_key(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier or b""
    except x509.ExtensionNotFound:
        return b""
