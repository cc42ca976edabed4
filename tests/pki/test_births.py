"""Pairs that the backend makes: in the token, kept wrapped, handed over once (TR-17)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12
from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.tokens import fresh_store
from tests.pki.escrow import MemoryEscrow
from tests.pki.registers import SmallPki, new_key, request_for
from tests.pki.test_examination import with_profile
from trus.clock import SystemEntropy
from trus.device.enrolment import open_pair
from trus.errors import IdentityRefused, KeyStoreError, StorageFailed
from trus.hsm.datakeys import DataKeys
from trus.hsm.objects import WrappedObjectStore
from trus.hsm.ports import EscrowStore
from trus.pki.activation import make_code
from trus.pki.csr import key_digest
from trus.pki.identity import IdentityService
from trus.pki.policy import DEFAULT_POLICY, Policy
from trus.pki.profiles import Birth
from trus.values import DeviceRole

POS = DeviceRole.POS
NAME = "T0000001"


class BirthCase(SynchronousTestCase):
    """A small PKI with somewhere to keep pairs."""

    def start(self, escrow: EscrowStore | None, pki: SmallPki | None = None, policy: Policy = DEFAULT_POLICY) -> None:
        """Open the service, and an activation for a terminal."""
        self.pki = pki or SmallPki()
        self.service = IdentityService(
            name="backend",
            keys=self.pki.store,
            objects=self.pki.store,
            data_keys=DataKeys(self.pki.store),
            activations=self.pki.register,
            register=self.pki.register,
            clock=self.pki.clock,
            entropy=self.pki.entropy,
            policy=policy,
            escrow=escrow,
        )
        self.code = self.service.open_activation(POS, NAME, shop="CANTEEN1", model="VX")

    def refused(self, code: str = "") -> str:
        """Return why a pair is refused."""
        return self.assertRaises(IdentityRefused, self.service.deliver, POS, NAME, code or self.code).reason


class DeliveryTests(BirthCase):
    """What is handed over, and how often."""

    def setUp(self) -> None:
        self.escrow = MemoryEscrow()
        self.start(self.escrow)

    def test_a_pair_is_handed_over_with_its_certificate(self) -> None:
        """TR-17: a terminal without a key gets pair and chain in PKCS#12; the pair stays here as well."""
        made = self.service.deliver(POS, NAME, self.code)
        pair = open_pair(made.p12, made.passphrase)
        self.assertEqual(self.service.verify(pair.chain, POS), made.peer)
        self.assertEqual((made.peer.name, made.peer.shop, made.peer.model), (NAME, "CANTEEN1", "VX"))
        [(label, kept)] = self.escrow.pairs.items()
        self.assertEqual(kept.public_key(), pair.key.public_key())
        self.assertTrue(label.startswith(f"pair/pos/{NAME}/"))
        record = self.pki.register.records[made.peer.serial]
        self.assertEqual(record.key_digest, key_digest(pair.key.public_key()))
        self.assertEqual(len(made.passphrase), 32)
        self.assertNotIn(made.passphrase, repr(made))
        self.assertRaises(ValueError, pkcs12.load_key_and_certificates, made.p12, b"guess")

    def test_once_and_never_again(self) -> None:
        """The same code brings no second pair, and no certificate for a key of the device's own."""
        self.service.deliver(POS, NAME, self.code)
        self.assertEqual(self.refused(), "activation-used")
        request = request_for(new_key())
        error = self.assertRaises(IdentityRefused, self.service.enrol, POS, NAME, self.code, request)
        self.assertEqual(error.reason, "activation-used")
        self.assertEqual(len(self.escrow.pairs), 1)

    def test_a_code_that_a_device_used_brings_no_pair(self) -> None:
        """Where a device's own key was certified, the code is used up."""
        self.service.enrol(POS, NAME, self.code, request_for(new_key()))
        self.assertEqual(self.refused(), "activation-used")
        self.assertEqual(self.escrow.pairs, {})

    def test_refusals_make_no_pair(self) -> None:
        """Without the right code, or where the policy wants devices' own pairs, none is made; each is on record."""
        self.assertEqual(self.refused(make_code(self.pki.entropy)), "wrong-code")
        self.start(self.escrow, policy=with_profile(births=(Birth.DEVICE,)))
        self.assertEqual(self.refused(), "birth-not-allowed")
        self.start(None)
        self.assertEqual(self.refused(), "birth-not-allowed")
        self.assertEqual(self.escrow.pairs, {})
        self.assertEqual(self.pki.register.refusals, [("pos", NAME, "possession", "birth-not-allowed", "")])

    def test_what_was_not_stored_is_not_said(self) -> None:
        """When the database does not take the row, nothing is handed over; the next try uses the same pair."""

        def lost(*_: object) -> None:
            raise StorageFailed("full")

        real = self.pki.register.complete
        self.patch(self.pki.register, "complete", lost)
        self.assertRaises(StorageFailed, self.service.deliver, POS, NAME, self.code)
        self.patch(self.pki.register, "complete", real)
        made = self.service.deliver(POS, NAME, self.code)
        self.assertEqual(len(self.escrow.pairs), 1)
        self.service.standing(made.peer)

    def test_a_store_that_cannot(self) -> None:
        """A key store that makes no pair, or one of another kind, costs no code."""
        self.escrow.available = False
        self.assertRaises(KeyStoreError, self.service.deliver, POS, NAME, self.code)
        self.escrow.available = True

        other = ec.generate_private_key(ec.SECP384R1()).public_key()
        spki = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        real = self.escrow.pair
        self.patch(self.escrow, "pair", lambda label: msgspec.structs.replace(real(label), public_key=spki))
        self.assertRaises(ValueError, self.service.deliver, POS, NAME, self.code)
        self.patch(self.escrow, "pair", real)
        self.service.deliver(POS, NAME, self.code)


class TokenBirthTests(BirthCase):
    """The same with a real token and the store of wrapped objects."""

    def test_the_pair_is_made_in_the_token_and_kept_wrapped(self) -> None:
        """TR-17: made by SoftHSM, kept under its wrapping key, verified by OpenSSL through the issuing authority."""
        store = fresh_store(self)
        folder = Path(self.mktemp()).absolute()
        objects = WrappedObjectStore.open(store, folder / "objects.db", SystemEntropy())
        self.addCleanup(objects.close)
        self.start(objects, SmallPki(store))
        made = self.service.deliver(POS, NAME, self.code)
        pair = open_pair(made.p12, made.passphrase)
        [label] = [f"pair/pos/{NAME}/{self.pki.register.activations[POS, NAME].code_hash[:8].hex()}"]
        self.assertEqual(objects.take_pair(label).private_numbers(), pair.key.private_numbers())
        scalar = pair.key.private_numbers().private_value.to_bytes(32, "big")
        for path in folder.iterdir():
            self.assertNotIn(scalar, path.read_bytes(), path)
        for handle in store.handles():
            self.assertFalse(store.attributes(handle).extractable, handle)
        (folder / "bundle.p12").write_bytes(made.p12)
        command = ["openssl", "pkcs12", "-in", "bundle.p12", "-passin", "stdin", "-nokeys"]
        certificates = ("leaf.pem", "-clcerts"), ("issuing.pem", "-cacerts")
        for name, which in certificates:
            secret = made.passphrase.encode()
            subprocess.run([*command, which, "-out", name], cwd=folder, input=secret, check=True, capture_output=True)
        (folder / "root.pem").write_bytes(self.pki.root.certificate.public_bytes(Encoding.PEM))
        verify = ["openssl", "verify", "-x509_strict", "-attime", f"{self.pki.clock.now().timestamp():.0f}"]
        verify += ["-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem"]
        subprocess.run(verify, cwd=folder, check=True, capture_output=True)
