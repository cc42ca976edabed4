"""A root in a store of its own, and an issuing authority below it, as a deployment has them."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.pki.registers import SetClock
from trus.clock import SystemEntropy
from trus.hsm.memory import MemoryStore
from trus.hsm.pkcs11 import Pkcs11Store
from trus.pki.ceremony import Root
from trus.pki.generations import Generations, request_generation, take_in
from trus.pki.identity import INDIVIDUAL
from trus.pki.policy import DEFAULT_POLICY, Policy


class TwoTiers:
    """The root's store and the operating store; nothing is issued yet."""

    def __init__(
        self,
        operating: MemoryStore | Pkcs11Store | None = None,
        root: MemoryStore | Pkcs11Store | None = None,
        clock: SetClock | None = None,
        policy: Policy = DEFAULT_POLICY,
    ) -> None:
        self.clock = clock or SetClock()
        self.entropy = SystemEntropy()
        self.store = MemoryStore(self.entropy) if operating is None else operating
        self.root_store = MemoryStore(self.entropy) if root is None else root
        self.root = Root.create(self.root_store, self.root_store, "lunch", policy, self.clock, self.entropy)

    def new_generation(self) -> x509.Certificate:
        """Make the next issuing authority: request, signature, taking in; return its certificate."""
        _, request = request_generation(self.store, INDIVIDUAL, "lunch individual issuing authority")
        certificate = self.root.sign_issuing(request)
        take_in(self.store, self.store, INDIVIDUAL, certificate, self.root.certificate)
        return certificate

    def generations(self) -> Generations:
        """Return what a restarted backend finds."""
        return Generations(self.store, self.store, INDIVIDUAL, self.clock, self.entropy)


def pem(*parts: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """Return certificates and lists in PEM."""
    return b"".join(part.public_bytes(Encoding.PEM) for part in parts)
