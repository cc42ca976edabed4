"""Certificates, OCSP answers and pairs fit the lines of a handshake, whatever their holders are called."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.pki.escrow import MemoryEscrow
from tests.pki.offline import TwoTiers
from tests.pki.registers import MemoryRegister, new_key, request_for
from tests.protocol.network import BINDING
from trus.cli.ceremonies import Officiant
from trus.clock import SystemEntropy
from trus.device.conversation import KeyIdentity
from trus.device.trust import DeviceTrust
from trus.hsm.datakeys import DATABASE_KEY_LABEL, DataKeys
from trus.hsm.memory import MemoryStore
from trus.hsm.ports import KeyPurpose
from trus.pki.authority import Authority
from trus.pki.generations import request_generation, take_in
from trus.pki.identity import INDIVIDUAL, IdentityService, create_backend_identity
from trus.pki.policy import DEFAULT_POLICY
from trus.protocol.buffer import MAX_OPENING_LINE_BYTES
from trus.protocol.effects import Mode, NeedEnrolment, NeedSignature, NeedVerification, Send, Terms
from trus.protocol.handshake import EnrolmentRequest, Expected, Initiator, Responder
from trus.values import DeviceRole

POS = DeviceRole.POS
NAME = "T0000001"
#: The longest that settings and the console let through.
NETWORK, BACKEND, SHOP, MODEL = "n" * 64, "b" * 64, "S" * 15, "M" * 32


class LongestNamesTests(SynchronousTestCase):
    """A network whose every name is as long as it may be."""

    def setUp(self) -> None:
        tiers = TwoTiers()
        self.clock, self.entropy, self.store = tiers.clock, SystemEntropy(), MemoryStore(SystemEntropy())
        self.register = MemoryRegister()
        self.store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
        officiant = Officiant(NETWORK, DEFAULT_POLICY, ("A", "B"), self.clock, self.entropy)
        root = MemoryStore(self.entropy)
        _, request = request_generation(self.store, INDIVIDUAL, officiant.issuing_name())
        deed = officiant.init_root(root, root, request)
        assert deed.issuing is not None
        take_in(self.store, self.store, INDIVIDUAL, deed.issuing, deed.root)
        self.root = deed.root
        authority = Authority(self.store, self.store, INDIVIDUAL, self.clock, self.entropy)
        create_backend_identity(self.store, self.store, authority, self.register, BACKEND)
        self.service = IdentityService(
            name=BACKEND,
            keys=self.store,
            objects=self.store,
            data_keys=DataKeys(self.store),
            activations=self.register,
            register=self.register,
            clock=self.clock,
            entropy=self.entropy,
            escrow=MemoryEscrow(),
        )
        self.lines: dict[str, int] = {}

    def shake(self, initiator: Initiator, identity: KeyIdentity) -> None:
        """Carry a handshake; note the length of every line."""
        material = self.service.material()
        responder = Responder(
            name="backend",
            chain=material.chain,
            staple=material.staple,
            peer_role=POS,
            clock=self.clock,
            entropy=self.entropy,
            modes=frozenset(Mode),
            channel_binding=BINDING,
        )
        trust = DeviceTrust([self.root])
        effects, sides = initiator.start(), (initiator, responder)
        speaking = 0
        while effects:
            following = []
            for effect in effects:
                match effect:
                    case Send():
                        self.lines[f"message {len(self.lines) + 1}"] = len(effect.line)
                        speaking = 1 - speaking
                        following += sides[speaking].receive(effect.line[:-2])
                    case NeedSignature() if speaking:
                        following += responder.provide_signature(self.service.sign([effect.payload])[0])
                    case NeedSignature():
                        following += initiator.provide_signature(identity.sign(effect.payload))
                    case NeedVerification() if speaking:
                        peer = self.service.verify(effect.chain, effect.role)
                        following += responder.provide_verification(peer, Terms("2026-11-20"))
                    case NeedVerification():
                        peer = trust.verify(effect.chain, effect.role, effect.staple, self.clock.now())
                        following += initiator.provide_verification(peer)
                    case NeedEnrolment() if effect.csr:
                        issued = self.service.enrol(effect.role, effect.name, effect.code, effect.csr)
                        following += responder.provide_enrolment(issued.chain, Terms("2026-11-20"))
                    case NeedEnrolment():
                        made = self.service.deliver(effect.role, effect.name, effect.code)
                        following += responder.provide_pair(made.p12, made.passphrase, Terms("2026-11-20"))
            effects = following
        self.assertEqual(len(self.lines), 4, self.lines)
        for name, length in self.lines.items():
            self.assertLessEqual(length, MAX_OPENING_LINE_BYTES, name)

    def initiator(self, mode: Mode, **more: object) -> Initiator:
        return Initiator(
            to="backend",
            mode=mode,
            expected=Expected(DeviceRole.BACKEND),
            clock=self.clock,
            entropy=self.entropy,
            channel_binding=BINDING,
            **more,  # type: ignore[arg-type]
        )

    def test_a_full_handshake(self) -> None:
        """Two chains of two and an OCSP answer fit, with room for what certificates may yet have to say."""
        key = new_key()
        code = self.service.open_activation(POS, NAME, shop=SHOP, model=MODEL)
        issued = self.service.enrol(POS, NAME, code, request_for(key))
        self.shake(self.initiator(Mode.FULL, chain=issued.chain), KeyIdentity(key, issued.chain))
        self.assertLess(self.lines["message 2"], 3_500, self.lines)

    def test_an_enrolment(self) -> None:
        """A chain of two fits message 4, for the device's own pair."""
        key = new_key()
        code = self.service.open_activation(POS, NAME, shop=SHOP, model=MODEL)
        request = EnrolmentRequest(POS, NAME, request_for(key), code)
        self.shake(self.initiator(Mode.ENROL, enrolment=request), KeyIdentity(key))

    def test_a_pair_of_the_backends(self) -> None:
        """PKCS#12 with pair and chain fits message 4."""
        code = self.service.open_activation(POS, NAME, shop=SHOP, model=MODEL)
        request = EnrolmentRequest(POS, NAME, b"", code)
        self.shake(self.initiator(Mode.ENROL, enrolment=request), KeyIdentity(new_key()))
