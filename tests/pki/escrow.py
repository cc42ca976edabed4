"""Pairs of devices kept in memory: trus.hsm.ports.EscrowStore for tests that need no token."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PublicFormat,
    pkcs12,
)

from trus.errors import KeyNotFound, KeyStoreError
from trus.hsm.ports import EscrowedPair


class MemoryEscrow:
    """Pairs by label."""

    def __init__(self) -> None:
        self.pairs: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.available = True

    def make_pair(self, label: str) -> EscrowedPair:
        if not self.available:
            raise KeyStoreError("gone")
        return self.put_pair(label, ec.generate_private_key(ec.SECP256R1()))

    def put_pair(self, label: str, key: ec.EllipticCurvePrivateKey) -> EscrowedPair:
        if label in self.pairs:
            raise KeyStoreError("taken")
        self.pairs[label] = key
        return self.pair(label)

    def pair(self, label: str) -> EscrowedPair:
        public = self.take_pair(label).public_key()
        return EscrowedPair(label, public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def take_pair(self, label: str) -> ec.EllipticCurvePrivateKey:
        if label not in self.pairs:
            raise KeyNotFound(label)
        return self.pairs[label]

    def destroy_pair(self, label: str) -> None:
        del self.pairs[label]

    def export_pkcs12(self, label: str, chain: Sequence[bytes], passphrase: str) -> bytes:
        leaf, *others = [x509.load_der_x509_certificate(each) for each in chain]
        encryption = BestAvailableEncryption(passphrase.encode())
        return pkcs12.serialize_key_and_certificates(b"pair", self.pairs[label], leaf, others, encryption)
