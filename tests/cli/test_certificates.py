"""`trus certificates` on a real deployment."""

from __future__ import annotations

import stat
import subprocess
from datetime import timedelta
from pathlib import Path

from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.registers import SetClock
from trus.cli.admin_certificates import renew_by_hand
from trus.cli.certificates import certificates_group, open_desk
from trus.cli.compose import compose_core
from trus.cli.layout import InitOptions, Layout, passphrase_of
from trus.cli.provisioning import provision
from trus.clock import SystemClock, SystemEntropy
from trus.core.messages import AdminAnswer, AdminCommand
from trus.errors import ConfigurationError
from trus.settings.loading import load


class CertificatesTests(SynchronousTestCase):
    """A deployment of the test's own."""

    def setUp(self) -> None:
        self.layout = Layout(Path(self.mktemp()).absolute())
        provision(self.layout.root, InitOptions(), SystemClock(), SystemEntropy())

    def run_command(self, *arguments: str) -> Result:
        """Run `trus certificates ARGUMENTS --config ...`."""
        return CliRunner().invoke(certificates_group, [*arguments, "--config", str(self.layout.config)])

    def listed(self, label: str) -> list[int]:
        """Return the serial numbers on an authority's list."""
        current = x509.load_pem_x509_crl(self.layout.revocation_list(label).read_bytes())
        return [entry.serial_number for entry in current]

    def test_another_admin_gets_a_certificate(self) -> None:
        """An admin made later has a certificate of the admins' authority, and the command that lets it in."""
        done = self.run_command("admin", "grace")
        self.assertEqual(done.exit_code, 0, done.output)
        bundle = self.layout.admin_bundle("grace")
        passphrase = passphrase_of(bundle).read_bytes().strip()
        _, leaf, _ = pkcs12.load_key_and_certificates(bundle.read_bytes(), passphrase)
        assert leaf is not None
        self.assertIn(f"ADMIN-ADD admin=grace serial={leaf.serial_number:x} ", done.output)
        verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile"]
        files = [str(self.layout.authority("admin")), str(bundle.with_suffix(".pem"))]
        subprocess.run([*verify, *files], check=True, capture_output=True)

    def test_an_admin_is_not_overwritten(self) -> None:
        """An admin's certificate that exists is not made again, and an impossible name is refused."""
        before = self.layout.admin_bundle("admin").read_bytes()
        for name in ("admin", "Bad Name", "../admin"):
            done = self.run_command("admin", name)
            self.assertEqual((done.exit_code, done.output.count("\n")), (1, 1), name)
        self.assertEqual(self.layout.admin_bundle("admin").read_bytes(), before)

    def test_a_channel_certificate_is_revoked(self) -> None:
        """TR-14: a revoked channel certificate is on its authority's list and stays there; OpenSSL refuses it."""
        bundle = self.layout.bundle("pos")
        _, leaf, _ = pkcs12.load_key_and_certificates(bundle.read_bytes(), passphrase_of(bundle).read_bytes().strip())
        assert leaf is not None
        done = self.run_command("revoke", "channel", f"{leaf.serial_number:X}")
        self.assertEqual(done.exit_code, 0, done.output)
        self.run_command("renew-lists")
        self.assertEqual((self.listed("channel"), self.listed("admin")), ([leaf.serial_number], []))
        mode = stat.S_IMODE(self.layout.revocation_list("channel").stat().st_mode)
        self.assertEqual(mode, 0o600)

    def test_nonsense_is_one_sentence(self) -> None:
        """A serial number that is none, and a configuration without token, are one sentence each."""
        for serial in ("xyz", "0", "", "1" * 41, "-1", "٣"):
            done = self.run_command("revoke", "channel", "--", serial)
            self.assertNotEqual(done.exit_code, 0, serial)
            self.assertEqual(self.listed("channel"), [])
        done = CliRunner().invoke(certificates_group, ["renew-lists", "--config", "/nowhere/trus.yaml"])
        self.assertEqual(done.exit_code, 1)
        self.assertIn("Error: ", done.output)

    def test_lists_are_kept_alive(self) -> None:
        """An idle core renews a list when half of its time is gone, looks once an hour, and else leaves it alone."""
        clock = SetClock(SystemClock().now())
        path = self.layout.revocation_list("channel")
        before = path.read_bytes()
        with open_desk(self.layout.config, clock, SystemEntropy()) as desk:
            self.assertEqual(desk.lists.keep(), [])
            clock.advance(timedelta(days=50))
            self.assertEqual(desk.lists.keep(), ["channel", "admin"])
            self.assertEqual(desk.lists.keep(), [])
            clock.advance(timedelta(hours=2))
            self.assertEqual(desk.lists.keep(), [])
        self.assertNotEqual(path.read_bytes(), before)

    def test_a_running_core_keeps_them(self) -> None:
        """The core renews the lists by itself between batches, so that no deployment stops after 90 days."""
        clock = SetClock(SystemClock().now() + timedelta(days=50))
        before = self.layout.revocation_list("admin").read_bytes()
        core = compose_core(load(self.layout.config), clock, SystemEntropy(), lambda level, text: None)
        try:
            core.idle()
            self.assertEqual(self.layout.revocation_list("admin").read_bytes(), before)
            clock.advance(timedelta(minutes=2))
            core.idle()
            self.assertNotEqual(self.layout.revocation_list("admin").read_bytes(), before)
        finally:
            core.close()

    def test_a_list_that_cannot_be_used_is_one_sentence(self) -> None:
        """A missing list, a swapped one and one in a folder that is gone are reported, never replaced."""
        channel, admin = (self.layout.revocation_list(label) for label in ("channel", "admin"))
        with open_desk(self.layout.config, SystemClock(), SystemEntropy()) as desk:
            channel.write_bytes(admin.read_bytes())
            self.assertRaises(ConfigurationError, desk.lists.renew)
            self.assertEqual(channel.read_bytes(), admin.read_bytes())
            channel.unlink()
            self.assertRaises(ConfigurationError, desk.lists.renew)
            self.assertRaises(ConfigurationError, desk.lists.revoke, "individual", 5)

    def test_an_admin_who_cannot_come_in_is_renewed_by_hand(self) -> None:
        """TR-15: the only admin, whose certificate has ended, comes in again under the same name; it is on record."""
        clock = SetClock(SystemClock().now() + timedelta(days=400))
        told = renew_by_hand(self.layout.config, "admin", timedelta(0), clock, SystemEntropy())
        [path] = self.layout.admins.glob("admin-*.p12")
        self.assertIn(str(path), told)
        _, leaf, _ = pkcs12.load_key_and_certificates(path.read_bytes(), passphrase_of(path).read_bytes().strip())
        assert leaf is not None
        former = x509.load_pem_x509_certificate(self.layout.admin_bundle("admin").with_suffix(".pem").read_bytes())
        core = compose_core(load(self.layout.config), clock, SystemEntropy(), lambda level, text: None)
        try:
            serials = (f"{former.serial_number:x}", f"{leaf.serial_number:x}")
            answers = core.handle(
                [AdminCommand("admin", serial, "ORDERS", {"admin": "operator"}) for serial in serials]
            )
            self.assertEqual([each.code for each in answers if isinstance(each, AdminAnswer)], ["63", "00"])
            self.assertIn("ADMIN-RENEW", repr(answers[1]))
            busy = self.run_command("renew-admin", "admin")
            self.assertEqual((busy.exit_code, busy.output.count("\n")), (1, 1), busy.output)
        finally:
            core.close()
        self.assertEqual(len(list(self.layout.admins.glob("admin-*.p12"))), 1)

    def test_by_hand_nobody_else_is_let_in(self) -> None:
        """An admin who is unknown is not made by a renewal."""
        for name in ("nobody", "../admin"):
            done = self.run_command("renew-admin", name)
            self.assertEqual((done.exit_code, done.output.count("\n")), (1, 1), name)
        self.assertEqual([path.name for path in self.layout.admins.glob("*.p12")], ["admin.p12"])


class TwoAdminsTests(SynchronousTestCase):
    """A deployment of two admins, where another must agree to a renewal."""

    def test_dual_control_by_hand(self) -> None:
        """TR-23: while another admin can approve, nobody renews by hand alone; when both have ended, the host can."""
        layout = Layout(Path(self.mktemp()).absolute())
        provision(layout.root, InitOptions(admins=("ada", "bob")), SystemClock(), SystemEntropy())
        layout.policy.write_text("approvals:\n  commands:\n    - name: ADMIN-RENEW\n")
        clock = SetClock(SystemClock().now())
        zero = timedelta(0)
        refused = self.assertRaises(
            ConfigurationError, renew_by_hand, layout.config, "ada", zero, clock, SystemEntropy()
        )
        self.assertIn("others can approve", str(refused))
        clock.advance(timedelta(days=400))
        self.assertIn("ended", renew_by_hand(layout.config, "ada", zero, clock, SystemEntropy()))
