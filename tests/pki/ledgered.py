"""A small PKI with enrolled terminals, its lists and its responder, and OpenSSL's command beside it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.registers import SmallPki, new_key, request_for
from trus.pki.authority import Authority
from trus.pki.generations import Generations
from trus.pki.identity import INDIVIDUAL
from trus.pki.ports import CertificateState
from trus.pki.responder import Responder
from trus.pki.revocation import FULL_AT_ONCE, RevocationLists
from trus.values import DeviceRole

#: Where the directory is said to be.
URL = "http://directory.example:7004"


class KeptPki(SmallPki):
    """With lists and responder, as the core composes them."""

    def generations(self) -> Sequence[Authority]:
        return Generations(self.store, self.store, INDIVIDUAL, self.clock, self.entropy).all

    def lists(self, full_at_once: int = FULL_AT_ONCE) -> RevocationLists:
        return RevocationLists(self.generations, self.register, self.clock, full_at_once, URL)

    def responder(self) -> Responder:
        return Responder(self.generations, self.store, self.store, self.register, self.clock)

    def enrol(self, name: str) -> x509.Certificate:
        """Give a terminal its certificate."""
        code = self.service.open_activation(DeviceRole.POS, name, shop="CANTEEN1", model="VX")
        issued = self.service.enrol(DeviceRole.POS, name, code, request_for(new_key()))
        return x509.load_der_x509_certificate(issued.chain[0])

    def change(self, certificate: x509.Certificate, state: CertificateState, reason: str = "") -> None:
        """Change a certificate's state a second after whatever was before."""
        self.clock.advance(timedelta(seconds=1))
        self.register.set_state(f"{certificate.serial_number:x}", state, self.clock.now(), reason)


class OpenSslCase(SynchronousTestCase):
    """A folder, and the openssl command in it at the PKI's own time."""

    def setUp(self) -> None:
        self.pki = KeptPki()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.write("root.pem", self.pki.root.certificate.public_bytes(Encoding.PEM))
        self.write("issuing.pem", self.pki.generations()[0].certificate.public_bytes(Encoding.PEM))
        self.write("root.crl", self.pki.root.revocation_list(None).public_bytes(Encoding.PEM))

    def write(self, name: str, content: bytes) -> str:
        (self.folder / name).write_bytes(content)
        return name

    def openssl(self, *arguments: str) -> tuple[int, str]:
        """Run openssl at the PKI's time; return its status and everything that it said."""
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    @property
    def at(self) -> tuple[str, str]:
        """The options that set openssl's clock."""
        return "-attime", str(int(self.pki.clock.now().timestamp()))
