"""The certificate policy as data, and as a deployment changes it."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import msgspec
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.registers import SmallPki
from trus.cli.check_config import check_config_command
from trus.cli.policy import EXAMPLE, load_policy
from trus.pki.channel import admin_plan
from trus.pki.policy import DEFAULT_POLICY, Policy, days
from trus.pki.profiles import (
    ALL_PROFILES,
    DEVICE_PROFILES,
    INDIVIDUAL_ISSUING,
    INDIVIDUAL_ROOT,
    OCSP_SIGNER,
    Birth,
    KeyKind,
    KeyUse,
    kind_of,
)
from trus.settings.problems import SettingsInvalid
from trus.values import DeviceRole

POS = DEVICE_PROFILES[DeviceRole.POS]
CHANGES = """\
activation: {validity: 1d, failures: 3}
quotas: {shop_a_day: 2, network_a_day: 10, live: 1}
validity: {ocsp: 1h, crl: 7d, root_crl: 30d}
approvals:
  validity: 2h
  commands:
    - name: ADMIN-ADD
      approvals: 2
    - name: TERMINAL-CODE
profiles:
  - name: pos-identity
    lifetime: 365d
    renewal: 30d
    approvals: 1
    keys: [p256]
    births: [device]
"""


class ProfilesTests(SynchronousTestCase):
    """What the network's own policy says."""

    def test_every_kind_of_certificate_has_a_profile(self) -> None:
        """TR-15: POS, virtual card, gateway, backend, website, admin, signers, issuing authority and root."""
        names = [each.name for each in ALL_PROFILES]
        self.assertEqual(len(set(names)), len(names))
        wanted = {"pos-identity", "card-identity", "gateway", "backend", "backend-identity", "website", "admin"}
        wanted |= {"crl-signer", "ocsp-signer", "individual-root", "individual-issuing"}
        self.assertEqual(wanted - set(names), set())

    def test_it_does_not_contradict_itself(self) -> None:
        """The policy that a deployment gets without a word of its own makes sense."""
        self.assertEqual(list(DEFAULT_POLICY.contradictions()), [])

    def test_the_root_signs_authorities_and_lists_alone(self) -> None:
        """The root's key signs neither handshakes nor OCSP answers, and opening it takes two people."""
        self.assertEqual(INDIVIDUAL_ROOT.key_uses, (KeyUse.CERTIFICATES, KeyUse.LISTS))
        self.assertEqual((INDIVIDUAL_ROOT.path_length, INDIVIDUAL_ISSUING.path_length), (1, 0))
        self.assertEqual((INDIVIDUAL_ROOT.approvals, INDIVIDUAL_ISSUING.approvals), (1, 1))

    def test_an_issuing_authority_outlives_what_it_issues(self) -> None:
        """Its successor comes while it still outlives the longest certificate that it issues."""
        for device in DEVICE_PROFILES.values():
            self.assertGreaterEqual(INDIVIDUAL_ISSUING.renewal, device.lifetime)

    def test_signers_sign_one_thing(self) -> None:
        """The OCSP signer's certificate allows nothing else, and clients need not ask after it."""
        usage = OCSP_SIGNER.key_usage()
        self.assertEqual((usage.digital_signature, usage.key_cert_sign, usage.crl_sign), (True, False, False))
        self.assertTrue(OCSP_SIGNER.no_check)

    def test_names_are_ruled(self) -> None:
        """A terminal's certificate bears a terminal's name, a card's a reference."""
        for name, good in (("T0000001", True), ("t0000001", False), ("T000001", False), ("T0000001\n", False)):
            self.assertEqual(POS.names_holder(name), good, name)
        self.assertTrue(DEVICE_PROFILES[DeviceRole.CARD].names_holder("ABCDEFGH2345"))
        for each in ALL_PROFILES:
            re.compile(each.names)

    def test_it_is_obeyed(self) -> None:
        """The backend's own certificate, its OCSP answer and TLS bundles last as long as the deployment says."""
        changed = {"backend-identity": timedelta(days=200), "admin": timedelta(days=30)}
        profiles = tuple(
            msgspec.structs.replace(each, lifetime=changed.get(each.name, each.lifetime)) for each in ALL_PROFILES
        )
        policy = Policy(profiles=profiles, ocsp_validity=timedelta(hours=1))
        pki = SmallPki(policy=policy)
        self.assertEqual(pki.service.material().valid_seconds, 3_600)
        pki.clock.advance(timedelta(days=320))
        material = pki.service.material()
        leaf = x509.load_der_x509_certificate(material.chain[0])
        self.assertEqual(leaf.not_valid_after_utc - pki.clock.now(), timedelta(days=200))
        plan = admin_plan("ada").under(policy)
        self.assertEqual((plan.profile.lifetime, plan.common_name), (timedelta(days=30), "ada"))

    def test_key_kinds(self) -> None:
        """Keys of P-256 and Ed25519 are told from all others."""
        self.assertEqual(kind_of(ec.generate_private_key(ec.SECP256R1()).public_key()), KeyKind.P256)
        self.assertEqual(kind_of(ed25519.Ed25519PrivateKey.generate().public_key()), KeyKind.ED25519)
        self.assertIsNone(kind_of(ec.generate_private_key(ec.SECP384R1()).public_key()))
        self.assertIsNone(kind_of(ed448.Ed448PrivateKey.generate().public_key()))

    def test_spans_are_readable(self) -> None:
        """Times are written as people read them."""
        spans = (365, 730, 90, 1, 1 / 24, 1 / 1440, 0)
        said = [days(timedelta(days=span)) for span in spans]
        self.assertEqual(said, ["1 year", "2 years", "90 days", "24 hours", "1 hour", "1 minute", "0 seconds"])


class DeploymentTests(SynchronousTestCase):
    """pki/policy.yaml."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = self.folder / "policy.yaml"

    def load(self, text: str) -> Policy:
        self.file.write_text(text)
        return load_policy(self.file)

    def refused(self, text: str) -> list[str]:
        error = self.assertRaises(SettingsInvalid, self.load, text)
        assert isinstance(error, SettingsInvalid)
        return [f"{each.path}: {each.found} / {each.expected}" for each in error.problems]

    def test_everything_can_be_changed(self) -> None:
        """Lifetimes, renewal, approvals, births, quotas and validities are a deployment's own decision."""
        policy = self.load(CHANGES)
        pos = policy.device(DeviceRole.POS)
        assert pos is not None
        self.assertEqual((pos.lifetime, pos.renewal, pos.approvals), (timedelta(days=365), timedelta(days=30), 1))
        self.assertEqual((pos.births, pos.keys), ((Birth.DEVICE,), (KeyKind.P256,)))
        self.assertEqual((pos.usages, pos.names, pos.policy), (POS.usages, POS.names, POS.policy))
        self.assertEqual((policy.activation_validity, policy.activation_failures), (timedelta(days=1), 3))
        self.assertEqual((policy.quotas.shop_a_day, policy.quotas.network_a_day, policy.quotas.live), (2, 10, 1))
        validity = (policy.ocsp_validity, policy.crl_validity, policy.root_crl_validity)
        self.assertEqual(validity, (timedelta(hours=1), timedelta(days=7), timedelta(days=30)))
        self.assertEqual(policy.orders, {"ADMIN-ADD": 2, "TERMINAL-CODE": 1})
        self.assertEqual(policy.order_validity, timedelta(hours=2))
        self.assertEqual(policy.device(DeviceRole.CARD), DEVICE_PROFILES[DeviceRole.CARD])
        self.assertIsNone(policy.device(DeviceRole.BACKEND))
        self.assertRaises(KeyError, policy.profile, "nothing")

    def test_the_written_file_changes_nothing(self) -> None:
        """The file that `trus init` writes says what holds anyway, and its commented examples are good."""
        self.assertEqual(self.load(EXAMPLE), DEFAULT_POLICY)
        head, mark, examples = EXAMPLE.partition("# approvals:")
        lines = (mark + examples).splitlines()
        live = head + "".join(line.removeprefix("#").removeprefix(" ") + "\n" for line in lines)
        policy = self.load(live)
        self.assertEqual(policy.orders, {"ADMIN-ADD": 1, "ADMIN-ROLES": 1, "KEY-ROTATE": 1})
        self.assertEqual(policy.profile("pos-identity").approvals, 1)
        same = msgspec.structs.replace(policy.profile("pos-identity"), approvals=0)
        self.assertEqual((same, policy.quotas), (POS, DEFAULT_POLICY.quotas))

    def test_every_problem_is_told_at_once(self) -> None:
        """Unknown settings, wrong units and impossible words are named together, each with its line."""
        problems = self.refused(
            "activation: {validity: 7, hours: 3}\nquotas: {live: 0}\nprofiles:\n"
            "  - {name: pos-identity, keys: [rsa], births: []}\n  - {name: pos-identity, keys: p256}\n"
        )
        self.assertEqual(
            [each.split(":")[0] for each in problems],
            [
                "activation.validity",
                "activation.hours",
                "quotas.live",
                "profiles[0].keys",
                "profiles[0].births",
                "profiles[1].keys",
            ],
        )

    def test_names_must_exist_and_stand_once(self) -> None:
        """A profile that there is not, a command that changes nothing, and a name that stands twice are refused."""
        problems = self.refused(
            "profiles: [{name: pos}, {name: toaster}]\n"
            "approvals: {commands: [{name: SHOPS}, {name: APPROVE}, {name: NOTHING}]}\n"
        )
        places = [each.split(":")[0] for each in problems]
        self.assertEqual(places, ["profiles[1].name", *(f"approvals.commands[{n}].name" for n in range(3))])
        twice = self.refused("profiles: [{name: pos}, {name: pos}]\n")
        self.assertEqual(twice, ["profiles[1].name: pos again / each name once"])

    def test_contradictions_are_refused(self) -> None:
        """A leaf that outlives its issuer, a root that one person opens, a key that no session can use: refused."""
        problems = self.refused(
            "validity: {ocsp: 30d, crl: 1d}\nprofiles:\n"
            "  - {name: pos-identity, lifetime: 3650d}\n"
            "  - {name: card-identity, keys: [ed25519], renewal: 1095d}\n"
            "  - {name: individual-root, approvals: 0, lifetime: 365d, renewal: 1d}\n"
            "  - {name: admin, births: [device], approvals: 1}\n"
        )
        self.assertEqual(
            sorted(each.split(":")[0] for each in problems),
            [
                "profiles.admin.approvals",
                "profiles.admin.births",
                "profiles.card-identity.keys",
                "profiles.card-identity.renewal",
                "profiles.individual-issuing.lifetime",
                "profiles.individual-root.approvals",
                "profiles.pos-identity.lifetime",
                "validity.ocsp",
            ],
        )

    def test_check_config_looks_at_it(self) -> None:
        """`trus check-config` names the policy's problems together with those of the configuration."""
        example = Path(__file__).parents[2] / "config" / "backend.yaml"
        config = self.folder / "backend.yaml"
        text = example.read_text()
        config.write_text(text.replace("policy: pki/policy.yaml", f"policy: {self.file}"))
        self.file.write_text("quotas: {live: none}\n")
        done = CliRunner().invoke(check_config_command, [str(config)])
        problem = str(done.exception)
        self.assertIn("backend.identity.policy: quotas.live: found 'none', expected a whole number", problem)
        self.assertIn("backend.identity.anchor", problem)
