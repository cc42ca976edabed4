"""Provisioning on real parts: SoftHSM, SQLCipher, certificates."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from twisted.trial.unittest import SynchronousTestCase

from trus.certificates.chains import load_anchors
from trus.cli.compose import compose_core, open_books
from trus.cli.database_keys import TokenKeySource
from trus.cli.init import init_command
from trus.cli.keystore import open_token
from trus.cli.layout import InitOptions, Layout, passphrase_of
from trus.cli.provisioning import AUDIT_KEY_LABEL, provision
from trus.cli.roottoken import RootToken
from trus.cli.softhsm import find_module
from trus.clock import SystemClock, SystemEntropy
from trus.core.messages import BackendIdentity, Health, HealthReport, IdentityMaterial
from trus.device.trust import DeviceTrust
from trus.errors import ConfigurationError, WrongTokenPin
from trus.hsm.ports import KeyPurpose
from trus.ledger.registry import Registry
from trus.pki.identity import BACKEND_KEY
from trus.pki.transcript import told, verify
from trus.settings.files import check_files
from trus.settings.loading import load
from trus.values import DeviceRole

OPTIONS = InitOptions(currency="EUR", admins=("admin", "ada"), business_date="2026-11-20")


class FailingEntropy(SystemEntropy):
    """Draws until it was asked too often."""

    def __init__(self, draws: int) -> None:
        self.left = draws

    def draw(self, count: int) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OSError(28, "No space left on device")
        return super().draw(count)


class ProvisionTests(SynchronousTestCase):
    """A deployment, looked at from all sides."""

    def setUp(self) -> None:
        self.parent = Path(self.mktemp()).absolute()
        self.parent.mkdir()
        self.layout = Layout(self.parent / "site")

    def make(self, options: InitOptions = OPTIONS) -> list[str]:
        """Provision, and return the steps that were shown."""
        steps: list[str] = []
        provision(self.layout.root, options, SystemClock(), SystemEntropy(), steps.append)
        return steps

    def test_the_deployment_works(self) -> None:
        """TR-13, TR-15: a core opens on what init made; token and ledger are well; devices believe its backend."""
        self.make()
        settings = load(self.layout.config)
        self.assertEqual(check_files(settings), [])
        core = compose_core(settings, SystemClock(), SystemEntropy(), lambda level, text: None)
        self.addCleanup(core.close)
        core.idle()  # the first quiet moment makes the revocation lists
        health, material = core.handle([Health(), IdentityMaterial()])
        assert isinstance(health, HealthReport)
        assert isinstance(material, BackendIdentity)
        self.assertEqual(set(health.parts.values()), {"ok"})
        trust = DeviceTrust.from_pem(self.layout.anchor.read_bytes())
        peer = trust.verify(material.chain, DeviceRole.BACKEND, material.staple, SystemClock().now())
        self.assertEqual(peer.name, material.name)

    def test_every_key_is_in_the_token_and_stays_there(self) -> None:
        """TR-17: asked by attributes, the token holds each key of the network, locked up, for its one use."""
        self.make()
        settings = load(self.layout.config)
        assert settings.backend is not None
        with open_token(settings.backend) as store:
            purposes = {handle.label: handle.purpose for handle in store.handles()}
            self.assertEqual(
                purposes,
                {
                    "K_DB": KeyPurpose.DATA,
                    "K_PIN": KeyPurpose.PIN,
                    "K_CARD": KeyPurpose.CARD,
                    "K_OBJECTS": KeyPurpose.DATA,
                    "K_WRAP": KeyPurpose.WRAP,
                    AUDIT_KEY_LABEL: KeyPurpose.SIGN,
                    BACKEND_KEY: KeyPurpose.SIGN,
                    "individual-ca": KeyPurpose.SIGN,
                    "channel-ca": KeyPurpose.SIGN,
                    "admin-ca": KeyPurpose.SIGN,
                },
            )
            for handle in store.handles():
                said = store.attributes(handle)
                locked = (said.extractable, said.never_extractable, said.sensitive, said.always_sensitive, said.local)
                self.assertEqual(locked, (False, True, True, True, True), handle)
                uses = (said.encrypt, said.decrypt, said.sign, said.wrap, said.unwrap, said.derive)
                encrypts = handle.purpose in (KeyPurpose.PIN, KeyPurpose.CARD)
                wraps = handle.purpose is KeyPurpose.WRAP
                signs = not encrypts and not wraps
                self.assertEqual(uses, (encrypts, False, signs, wraps, wraps, False), handle)

    def test_the_root_is_in_a_token_of_its_own(self) -> None:
        """TR-15: the operating token holds no key of the root; the root's opens to both officers together alone."""
        self.make()
        token = RootToken(self.layout.root_token, str(find_module()))
        parts = token.read_parts()
        assert parts is not None
        for wrong in (parts[:1], parts[1:], parts[::-1]):
            self.assertRaises(WrongTokenPin, token.open, wrong)
        with token.open(parts) as store:
            self.assertEqual([handle.label for handle in store.handles()], ["individual-root-ca"])
            said = store.attributes(store.find("individual-root-ca"))
        self.assertEqual((said.extractable, said.never_extractable, said.local), (False, True, True))
        root = load_anchors(self.layout.anchor.read_bytes())
        [transcript] = self.layout.ceremonies.glob("*.txt")
        self.assertEqual(verify(transcript.read_bytes(), root), root[0])
        self.assertEqual(told(transcript.read_bytes()).officers, ("officer 1", "officer 2"))

    def test_the_backend_runs_without_its_root(self) -> None:
        """The root's token can be taken away, opened wherever it is mounted, and nobody in the network notices."""
        self.make()
        away = self.parent / "stick"
        self.layout.root_token.rename(away)
        core = compose_core(load(self.layout.config), SystemClock(), SystemEntropy(), lambda level, text: None)
        self.addCleanup(core.close)
        [material] = core.handle([IdentityMaterial()])
        assert isinstance(material, BackendIdentity)
        leaf, issuing = (x509.load_der_x509_certificate(each) for each in material.chain)
        (self.parent / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
        self.assertEqual(self.layout.issuing.read_bytes(), issuing.public_bytes(Encoding.PEM))
        verified = ["openssl", "verify", "-x509_strict", "-CAfile", str(self.layout.anchor)]
        verified += ["-untrusted", str(self.layout.issuing), str(self.parent / "leaf.pem")]
        subprocess.run(verified, check=True, capture_output=True)
        core.close()
        token = RootToken(away, str(find_module()))
        parts = token.read_parts()
        assert parts is not None
        with token.open(parts) as store:
            self.assertEqual(len(store.handles()), 1)

    def test_everything_is_its_owners_alone(self) -> None:
        """No file and no folder of a deployment can be read by anybody but its owner, whatever the umask."""
        before = os.umask(0)
        try:
            self.make()
            self.assertEqual(os.umask(0), 0)
        finally:
            os.umask(before)
        for path in [self.layout.root, *self.layout.root.rglob("*")]:
            wanted = 0o700 if path.is_dir() else 0o600
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), wanted, path)

    def test_the_ledger_is_ciphered(self) -> None:
        """TR-13: the database's file begins with nothing that says SQLite, and an admin's name is nowhere in it."""
        self.make(InitOptions(admins=("wilhelmina",)))
        content = self.layout.database.read_bytes()
        self.assertGreater(len(content), 4_096)
        self.assertNotIn(b"SQLite format 3", content)
        self.assertNotIn(b"wilhelmina", content)

    def test_no_secret_is_in_the_settings(self) -> None:
        """Neither the token's PIN nor a passphrase stands in trus.yaml."""
        self.make()
        text = self.layout.config.read_text()
        secrets = [self.layout.pin_file, self.layout.officer_pin_file, *self.layout.root.rglob("*.pass")]
        secrets += RootToken(self.layout.root_token, "").parts
        self.assertEqual(len(secrets), 13)
        for path in secrets:
            self.assertNotIn(path.read_text().strip(), text)

    def test_admins_can_log_in(self) -> None:
        """TR-23: each admin's certificate verifies under the admins' authority and is registered by its serial."""
        self.make()
        settings = load(self.layout.config)
        assert settings.backend is not None
        with open_token(settings.backend) as store:
            ledger = open_books(settings.backend, TokenKeySource(store), SystemClock(), SystemEntropy()).ledger
            try:
                with Registry(ledger).reading() as view:
                    rows = {row.name: row for row in view.identities.admins()}
                self.assertEqual(ledger.business_date(), "2026-11-20")
            finally:
                ledger.close()
        self.assertEqual(sorted(rows), ["ada", "admin"])
        for name, row in rows.items():
            bundle = self.layout.admin_bundle(name)
            passphrase = passphrase_of(bundle).read_bytes().strip()
            _, leaf, others = pkcs12.load_key_and_certificates(bundle.read_bytes(), passphrase)
            assert leaf is not None
            self.assertEqual((row.serial, row.roles), (f"{leaf.serial_number:x}", ("administrator",)))
            self.assertEqual(others, list(load_anchors(self.layout.authority("admin").read_bytes())))
            verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-crl_check"]
            verify += ["-CAfile", str(self.layout.authority("admin"))]
            verify += ["-CRLfile", str(self.layout.revocation_list("admin")), str(bundle.with_suffix(".pem"))]
            subprocess.run(verify, check=True, capture_output=True)

    def test_steps_are_shown(self) -> None:
        """What is being done is told while it is done, and nothing secret with it."""
        steps = self.make()
        self.assertEqual((steps[0], steps[-1]), ("making the token", "writing trus.yaml"))
        self.assertNotIn(self.layout.pin_file.read_text().strip(), " ".join(steps))

    def test_an_empty_folder_is_taken(self) -> None:
        """A folder that exists and is empty is filled."""
        self.layout.root.mkdir()
        self.make()
        self.assertTrue(self.layout.config.is_file())
        self.assertEqual([each.name for each in self.parent.iterdir()], ["site"])

    def test_anything_else_is_refused_and_left_alone(self) -> None:
        """A folder that holds anything, a file, and a link are refused in one sentence, and stay as they were."""
        self.layout.root.mkdir()
        kept = self.layout.root / ".hidden"
        kept.write_text("mine")
        said = str(self.assertRaises(ConfigurationError, self.make))
        self.assertEqual(said, f"{self.layout.root} is not empty: trus init makes new deployments only")
        self.assertEqual([each.name for each in self.layout.root.iterdir()], [".hidden"])
        kept.unlink()
        self.layout.root.rmdir()
        for make in (self.layout.root.touch, lambda: self.layout.root.symlink_to(self.parent)):
            make()
            self.assertIn("is not a folder", str(self.assertRaises(ConfigurationError, self.make)))
            self.layout.root.unlink()

    def test_a_second_run_changes_nothing(self) -> None:
        """Init on a deployment is refused, and the deployment is byte for byte what it was."""
        self.make()
        before = {path: path.read_bytes() for path in self.layout.root.rglob("*") if path.is_file()}
        self.assertRaises(ConfigurationError, self.make)
        after = {path: path.read_bytes() for path in self.layout.root.rglob("*") if path.is_file()}
        self.assertEqual(after, before)

    def test_a_failure_leaves_nothing(self) -> None:
        """Wherever provisioning fails, it is one sentence, and no file and no half deployment stays."""
        for draws in (1, 2, 4, 9, 20, 28):
            entropy = FailingEntropy(draws)
            error = self.assertRaises(ConfigurationError, provision, self.layout.root, OPTIONS, SystemClock(), entropy)
            self.assertIn("No space left on device", str(error))
            self.assertEqual(list(self.parent.iterdir()), [], draws)
        self.make()

    def test_impossible_options_are_refused_before_anything_is_made(self) -> None:
        """Wrong currencies, names, ports and numbers are each one sentence; no folder is made."""
        for options in (
            InitOptions(currency="XXX"),
            InitOptions(admins=()),
            InitOptions(admins=("a", "a")),
            InitOptions(admins=("../etc",)),
            InitOptions(admins=("Ada",)),
            InitOptions(officers=("Ada",)),
            InitOptions(officers=("Ada", "ada")),
            InitOptions(name="two words"),
            InitOptions(iin="1234567"),
            InitOptions(iin="١٢٣٤٥٦"),
            InitOptions(link_port=7001),
            InitOptions(admin_port=0),
            InitOptions(devices_port=70_000),
            InitOptions(module="/nowhere/lib.so"),
            InitOptions(host="two words"),
            InitOptions(host="256.1.1.1"),
            InitOptions(host=""),
        ):
            self.assertRaises(ConfigurationError, self.make, options)
            self.assertEqual(list(self.parent.iterdir()), [])


class CommandTests(SynchronousTestCase):
    """The command line."""

    def test_it_makes_a_deployment_and_says_how_to_go_on(self) -> None:
        """`trus init DIR` shows its steps, makes the deployment and prints how to start and reach it."""
        directory = Path(self.mktemp()).absolute()
        done = CliRunner().invoke(init_command, [str(directory), "--admin", "ada", "--admin-port", "7802"])
        self.assertEqual(done.exit_code, 0, done.output)
        for part in ("making the token", f"twistd -n trus --config {directory}/trus.yaml", "127.0.0.1:7802", "ada.pem"):
            self.assertIn(part, done.output)
        self.assertNotIn((directory / "token" / "pin").read_text().strip(), done.output)
        settings = load(directory / "trus.yaml")
        assert settings.gateway is not None and settings.gateway.admin is not None
        self.assertEqual((settings.network.currency, settings.gateway.admin.port), ("USD", 7802))

    def test_a_refusal_is_one_sentence_and_exit_code_1(self) -> None:
        """What cannot be made is one line without a traceback, and a non-zero exit."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        (directory / "something").touch()
        done = CliRunner().invoke(init_command, [str(directory)])
        self.assertEqual(done.exit_code, 1)
        self.assertEqual(done.output, f"Error: {directory} is not empty: trus init makes new deployments only\n")

    def test_a_mount_point_is_refused(self) -> None:
        """A volume's own root cannot be taken, and that is said before any key is made."""
        done = CliRunner().invoke(init_command, ["/proc"])
        self.assertEqual((done.exit_code, done.output), (1, "Error: /proc is a mount point: name a folder inside it\n"))

    def test_a_parent_that_cannot_be_made_is_one_sentence(self) -> None:
        """A path below a file is refused in one sentence."""
        blocker = Path(self.mktemp()).absolute()
        blocker.touch()
        done = CliRunner().invoke(init_command, [str(blocker / "site")])
        self.assertEqual((done.exit_code, done.output.count("\n")), (1, 1))
        self.assertIn("Error: ", done.output)
