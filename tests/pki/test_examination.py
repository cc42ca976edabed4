"""The checks before a certificate is issued: each step refuses for its own reason, and is on record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.registers import SmallPki, common_name, new_key, request_for
from trus.errors import IdentityRefused
from trus.hsm.datakeys import DataKeys
from trus.pki import weakkeys
from trus.pki.activation import ActivationCodes, make_code
from trus.pki.csr import key_digest
from trus.pki.examination import Approval, ApprovalWanted, Asked, Passed, Refusal, Validation
from trus.pki.policy import DEFAULT_POLICY, Policy
from trus.pki.profiles import DEVICE_PROFILES, Birth, KeyKind, Profile
from trus.pki.steps import NoApprovals, usual_steps
from trus.values import DeviceRole

POS = DeviceRole.POS
NAME = "T0000001"


class AnsweringDesk:
    """An approval desk that says what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.says = Approval.WAITING
        self.wanted: list[ApprovalWanted] = []

    def approval(self, wanted: ApprovalWanted) -> Approval:
        self.wanted.append(wanted)
        return self.says


def with_profile(**changes: object) -> Policy:
    """Return the usual policy with something of the terminals' profile changed."""
    changed = msgspec.structs.replace(DEVICE_PROFILES[POS], **changes)  # type: ignore[arg-type]
    profiles: list[Profile] = [changed if each.name == changed.name else each for each in DEFAULT_POLICY.profiles]
    return msgspec.structs.replace(DEFAULT_POLICY, profiles=tuple(profiles))


def naming(key: ec.EllipticCurvePrivateKey, uris: Sequence[str]) -> bytes:
    """Return a request that asks for names."""
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name("x"))
    return builder.add_extension(names, critical=False).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


class ExaminationCase(SynchronousTestCase):
    """A terminal with an activation."""

    def setUp(self) -> None:
        self.pki = SmallPki()
        self.desk = AnsweringDesk()
        self.key = new_key()
        self.code = self.open()

    def open(self, name: str = NAME, **bound: str) -> str:
        """Open an activation for a terminal in CANTEEN1."""
        bound = {"shop": "CANTEEN1", "model": "VX", **bound}
        return self.pki.service.open_activation(POS, name, opened_by="ada", **bound)  # type: ignore[arg-type]

    def validation(self, policy: Policy = DEFAULT_POLICY) -> Validation:
        """Return the usual steps under a policy."""
        register = self.pki.register
        steps = usual_steps(
            activations=register,
            codes=ActivationCodes(DataKeys(self.pki.store)),
            register=register,
            blocked=register.blocked,
            approvals=self.desk,
            policy=policy,
        )
        return Validation(steps, policy, self.pki.clock)

    def asked(
        self, request: bytes | None = None, *, name: str = NAME, code: str = "", birth: Birth = Birth.DEVICE
    ) -> Asked:
        """Return what the terminal asks."""
        given = request_for(self.key) if request is None and birth is Birth.DEVICE else request or b""
        return Asked(POS, name, code or self.code, given, birth)

    def refused(self, asked: Asked | None = None, policy: Policy = DEFAULT_POLICY) -> tuple[str, str]:
        """Return step and reason of a refusal."""
        verdict = self.validation(policy).examine(asked or self.asked())
        assert isinstance(verdict, Refusal), verdict
        return verdict.step, verdict.reason

    def passes(self, asked: Asked | None = None, policy: Policy = DEFAULT_POLICY) -> Passed:
        """Return the case that passes."""
        verdict = self.validation(policy).examine(asked or self.asked())
        assert isinstance(verdict, Passed), verdict
        return verdict


class StepTests(ExaminationCase):
    """One step after another."""

    def test_the_order_of_the_steps(self) -> None:
        """The code comes first, so that who has none learns nothing; a person is asked last."""
        wanted = ("profile", "code", "possession", "key", "name", "holder", "duplicate", "quota", "approval")
        self.assertEqual(self.validation().names, wanted)

    def test_a_good_request_passes(self) -> None:
        """TR-15: a terminal with its code and its own key passes every step."""
        case = self.passes().case
        self.assertEqual((case.opened.shop, case.opened.opened_by, case.repeats), ("CANTEEN1", "ada", False))
        assert case.proven is not None
        self.assertEqual(case.proven.key, self.key.public_key())
        self.assertNotIn(self.code, repr(case))

    def test_a_role_without_profile(self) -> None:
        """Nobody enrols as the backend."""
        asked = Asked(DeviceRole.BACKEND, "backend", self.code, request_for(self.key))
        self.assertEqual(self.refused(asked), ("profile", "wrong-role"))

    def test_a_code_is_bound_to_shop_and_model(self) -> None:
        """An activation whose row was changed to another shop or model opens nothing: its code fits no more."""
        opened = self.pki.register.activations[POS, NAME]
        for change in ({"shop": "OTHER"}, {"model": "VY"}, {"shop": "", "model": ""}):
            self.pki.register.activations[POS, NAME] = msgspec.structs.replace(opened, **change)
            self.assertEqual(self.refused(), ("code", "wrong-code"), change)
        self.pki.register.activations[POS, NAME] = opened
        self.passes()

    def test_wrong_codes_are_counted_by_the_policy(self) -> None:
        """After as many wrong codes as the policy allows, the right one is refused."""
        policy = msgspec.structs.replace(DEFAULT_POLICY, activation_failures=2)
        for _ in range(2):
            self.assertEqual(self.refused(self.asked(code=make_code(self.pki.entropy)), policy), ("code", "wrong-code"))
        self.assertEqual(self.refused(policy=policy), ("code", "activation-locked"))

    def test_a_wrong_code_hides_everything_else(self) -> None:
        """Whatever else is wrong, without the code only the code is looked at."""
        self.pki.register.blocked_holders.add((POS, NAME))
        asked = self.asked(b"garbage", code=make_code(self.pki.entropy))
        self.assertEqual(self.refused(asked), ("code", "wrong-code"))

    def test_possession(self) -> None:
        """Without proof of possession, or with a pair made where the policy does not want it: refused."""
        self.assertEqual(self.refused(self.asked(b"garbage")), ("possession", "bad-request"))
        policy = with_profile(births=(Birth.BACKEND,))
        self.assertEqual(self.refused(policy=policy), ("possession", "birth-not-allowed"))
        policy = with_profile(births=(Birth.DEVICE,))
        self.assertEqual(self.refused(self.asked(birth=Birth.BACKEND), policy), ("possession", "birth-not-allowed"))

    def test_kinds_of_keys(self) -> None:
        """A kind of key that the profile does not name is refused; Ed25519 passes where it does."""
        key = ed25519.Ed25519PrivateKey.generate()
        builder = x509.CertificateSigningRequestBuilder().subject_name(common_name("x"))
        request = builder.sign(key, None).public_bytes(Encoding.DER)
        self.assertEqual(self.refused(self.asked(request)), ("key", "key-not-allowed"))
        self.passes(self.asked(request), with_profile(keys=(KeyKind.P256, KeyKind.ED25519)))

    def test_keys_that_everybody_knows(self) -> None:
        """Keys of published examples, and keys that a generator without entropy makes, are refused."""
        known = 0xE6CB5BDD80AA45AE9C95E8C15476679FFEC953C16851E711E743939589C64FC1
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        for number in (1, 2, 256, known, order - 1):
            key = ec.derive_private_key(number, ec.SECP256R1())
            self.assertEqual(self.refused(self.asked(request_for(key))), ("key", "weak-key"), number)
        published = "b2b04340cfaee616ec9c2c62d261b208e54bb197498df52e8cadede23ac0ba5e"
        self.assertIn(bytes.fromhex(published), weakkeys.weak_keys())
        self.assertNotIn(key_digest(self.key.public_key()), weakkeys.weak_keys())

    def test_a_key_serves_one_holder(self) -> None:
        """Another terminal's key, the backend's own, and a revoked one are refused, whatever the code."""
        issued = self.pki.service.enrol(POS, NAME, self.code, request_for(self.key))
        other = self.open("T0000002")
        asked = self.asked(request_for(self.key), name="T0000002", code=other)
        self.assertEqual(self.refused(asked), ("key", "key-already-used"))
        self.code = self.open()
        self.passes()  # its own key with a new code: the first answer may have been lost for good
        self.pki.service.revoke(issued.peer.serial, "keyCompromise")
        self.assertEqual(self.refused(), ("key", "key-already-used"))

    def test_names_follow_the_profile(self) -> None:
        """A terminal whose name is none of ISO 8583 field 41 gets no certificate."""
        code = self.open("t-1")
        self.assertEqual(self.refused(self.asked(name="t-1", code=code)), ("name", "name-not-allowed"))

    def test_a_request_may_not_speak_of_another(self) -> None:
        """Names in a request must be those of the activation; it need not have any."""
        good = ["urn:trus:pos:T0000001", "urn:trus:shop:CANTEEN1", "urn:trus:model:VX"]
        self.passes(self.asked(naming(self.key, good)))
        for uri in (
            "urn:trus:pos:T0000002",
            "urn:trus:shop:OTHER",
            "urn:trus:model:VY",
            "urn:trus:backend:backend",
            "https://example.com/",
        ):
            asked = self.asked(naming(self.key, [*good[:1], uri]))
            self.assertEqual(self.refused(asked), ("name", "request-names-another"), uri)

    def test_holders_that_are_gone(self) -> None:
        """A blocked terminal, and one that has moved to another shop since, get nothing."""
        self.pki.register.shops[NAME] = "CANTEEN2"
        self.assertEqual(self.refused(), ("holder", "holder-moved"))
        self.pki.register.shops[NAME] = "CANTEEN1"
        self.passes()
        self.pki.register.blocked_holders.add((POS, NAME))
        self.assertEqual(self.refused(), ("holder", "blocked-holder"))

    def test_a_holder_has_only_so_many(self) -> None:
        """A holder with as many good certificates as the policy allows gets no other until one is revoked."""
        policy = msgspec.structs.replace(DEFAULT_POLICY, quotas=msgspec.structs.replace(DEFAULT_POLICY.quotas, live=1))
        issued = self.pki.service.enrol(POS, NAME, self.code, request_for(self.key))
        self.passes(policy=policy)  # the same code and key again: the same certificate
        self.code, self.key = self.open(), new_key()
        self.assertEqual(self.refused(policy=policy), ("duplicate", "too-many-certificates"))
        self.pki.service.revoke(issued.peer.serial, "superseded")
        self.passes(policy=policy)

    def test_quotas(self) -> None:
        """A shop, and the network, are issued so many certificates in 24 hours and no more."""
        for shop_a_day, network_a_day, reason in ((1, 9, "shop-quota"), (9, 1, "network-quota")):
            quotas = msgspec.structs.replace(DEFAULT_POLICY.quotas, shop_a_day=shop_a_day, network_a_day=network_a_day)
            policy = msgspec.structs.replace(DEFAULT_POLICY, quotas=quotas)
            self.setUp()
            self.pki.service.enrol(POS, NAME, self.code, request_for(self.key))
            self.passes(policy=policy)
            other = self.asked(request_for(new_key()), name="T0000002", code=self.open("T0000002"))
            self.assertEqual(self.refused(other, policy), ("quota", reason))
            elsewhere = self.open("T0000003", shop="CANTEEN9")
            third = self.asked(request_for(new_key()), name="T0000003", code=elsewhere)
            if reason == "shop-quota":
                self.passes(third, policy)
            self.pki.clock.advance(timedelta(days=1))
            self.passes(other, policy)

    def test_approval_where_the_policy_wants_it(self) -> None:
        """Nothing is issued until other admins have agreed to this holder with this key."""
        policy = with_profile(approvals=1)
        self.assertEqual(self.refused(policy=policy), ("approval", "approval-wanted"))
        digest = key_digest(self.key.public_key()).hex()
        [wanted] = self.desk.wanted
        self.assertEqual((wanted.subject, wanted.key), (f"pos/{NAME}/{digest}", digest))
        self.assertEqual((wanted.ordered_by, wanted.needed, wanted.shop), ("ada", 1, "CANTEEN1"))
        self.desk.says = Approval.REFUSED
        self.assertEqual(self.refused(policy=policy), ("approval", "approval-refused"))
        self.desk.says = Approval.GIVEN
        self.passes(policy=policy)
        self.passes(policy=DEFAULT_POLICY)
        self.assertEqual(len(self.desk.wanted), 3)

    def test_without_a_console_nobody_agrees(self) -> None:
        """Where no admin can be asked, what needs approval is refused."""
        wanted = ApprovalWanted("s", POS, NAME, "", "", "", "", 1)
        self.assertEqual(NoApprovals().approval(wanted), Approval.REFUSED)


class AuditTests(ExaminationCase):
    """What is refused is told to the operator, and not to the device."""

    def test_refusals_are_on_record(self) -> None:
        """Every refused request leaves step, reason and address, and never the code."""
        wrong = make_code(self.pki.entropy)
        for code, request in ((wrong, request_for(self.key)), (self.code, b"garbage")):
            self.assertRaises(IdentityRefused, self.pki.service.enrol, POS, NAME, code, request, "192.0.2.7")
        self.assertEqual(
            self.pki.register.refusals,
            [
                ("pos", NAME, "code", "wrong-code", "192.0.2.7"),
                ("pos", NAME, "possession", "bad-request", "192.0.2.7"),
            ],
        )
        self.assertNotIn(wrong, repr(self.pki.register.refusals))
        self.assertNotIn(self.code, repr(self.asked()))
