"""`trus check-config` and `trus doctor` on a real deployment: real token, real ciphered database."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import socket
import tempfile
from datetime import timedelta
from io import StringIO
from pathlib import Path

from click.testing import CliRunner
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from trus.cli.check_config import check_config_command
from trus.cli.doctor import check_channels, check_ports, doctor_command, examine, show
from trus.cli.doctor_certificates import check_certificates
from trus.cli.doctor_keys import check_encryption, check_token_and_database
from trus.cli.findings import Finding, State
from trus.cli.keystore import open_token
from trus.cli.layout import InitOptions
from trus.cli.provisioning import provision
from trus.clock import SystemClock, SystemEntropy
from trus.settings import SettingsInvalid, load


@functools.cache
def _deployment() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="trus-doctor-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = InitOptions(devices_port=port, admin_port=port - 1, link_port=port - 2)
    provision(folder / "net", options, SystemClock(), SystemEntropy())
    return folder / "net"


class Deployed(SynchronousTestCase):
    """A deployment of its own for each test, copied from one that is made once."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        shutil.copytree(_deployment(), self.folder)
        conf = self.folder / "token" / "softhsm2.conf"
        conf.write_text(conf.read_text().replace(str(_deployment()), str(self.folder)))
        self.file = self.folder / "trus.yaml"


class CheckConfigTests(Deployed):
    """Everything wrong with a file, at once."""

    def test_fine(self) -> None:
        """A fresh deployment's file is fine, and its roles are named."""
        outcome = CliRunner().invoke(check_config_command, [str(self.file)])
        self.assertEqual(outcome.exit_code, 0, outcome.output)
        self.assertIn("is fine: gateway and backend of the network trus", outcome.output)

    def test_all_problems(self) -> None:
        """Missing files and open secrets are all named."""
        (self.folder / "pki" / "channel.crl").unlink()
        (self.folder / "token" / "pin").chmod(0o640)
        outcome = CliRunner().invoke(check_config_command, [str(self.file)])
        assert isinstance(outcome.exception, SettingsInvalid)
        places = [problem.path for problem in outcome.exception.problems]
        self.assertEqual(
            places,
            ["gateway.devices.tls.crl", "gateway.link.tls.crl", "backend.link.tls.crl", "backend.token.pin_file"],
        )


class DoctorTests(Deployed):
    """The health of what a deployment stands on."""

    def wrong(self, findings: list[Finding]) -> list[str]:
        return [f"{finding.subject}: {finding.text}" for finding in findings if finding.state is State.WRONG]

    def test_healthy(self) -> None:
        """A fresh deployment that is not started has warnings about its ports and nothing wrong."""
        findings = examine(load(self.file), SystemClock())
        self.assertEqual(self.wrong(findings), [])
        warned = [finding.subject for finding in findings if finding.state is State.WARNING]
        self.assertEqual(warned, ["individual root", "device port", "admin port", "link port"])
        self.assertIn("database", [finding.subject for finding in findings if finding.state is State.OK])

    def test_open_port(self) -> None:
        """A port that answers is told."""
        settings = load(self.file)
        assert settings.gateway is not None
        with socket.create_server(("127.0.0.1", settings.gateway.devices.port)):
            [first, *_] = check_ports(settings)
        self.assertEqual(first.state, State.OK)

    def test_certificates_end(self) -> None:
        """Certificates and lists that have ended or soon will are told apart."""
        settings = load(self.file)
        now = SystemClock().now()
        soon = list(check_channels(settings, now + timedelta(days=80)))
        self.assertIn("the revocation list ends in", " ".join(f.text for f in soon if f.state is State.WARNING))
        self.assertEqual(self.wrong(soon), [])
        later = self.wrong(list(check_channels(settings, now + timedelta(days=100))))
        self.assertEqual(len(later), 4)
        self.assertIn("the revocation list ended", later[0])

    def test_passphrase_that_is_wrong(self) -> None:
        """A certificate file that does not open is named; the other checks go on."""
        (self.folder / "pki" / "gateway.pass").write_text("wrong horse\n")
        findings = examine(load(self.file), SystemClock())
        [problem] = self.wrong(findings)
        self.assertIn("gateway.p12 cannot be opened", problem)
        self.assertNotIn("wrong horse", problem)

    def test_pin_that_is_wrong(self) -> None:
        """A wrong token PIN is told in one sentence, and that the database waits for it."""
        (self.folder / "token" / "pin").write_text("1234\n")
        backend = load(self.file).backend
        assert backend is not None
        problems = self.wrong(list(check_token_and_database(backend, SystemClock())))
        self.assertEqual(len(problems), 2)
        self.assertIn("refused the PIN", problems[0])

    def test_database_that_is_damaged(self) -> None:
        """A database that does not open under the token's key is told."""
        database = self.folder / "db" / "trus.db"
        database.write_bytes(b"\0" * 8192)
        backend = load(self.file).backend
        assert backend is not None
        [problem] = self.wrong(list(check_token_and_database(backend, SystemClock())))
        self.assertTrue(problem.startswith("database: "), problem)

    def test_database_in_the_clear(self) -> None:
        """TR-13: a database file that is not ciphered is wrong."""
        self.assertEqual(list(check_encryption(self.folder / "db" / "trus.db")), [])
        clear = self.folder / "clear.db"
        clear.write_bytes(b"SQLite format 3\0" + b"\0" * 100)
        self.assertEqual([finding.state for finding in check_encryption(clear)], [State.WRONG])

    def test_exit_codes(self) -> None:
        """Exit code 0 when nothing is wrong, 1 when something is; JSON for programs."""
        arguments = ["--config", str(self.file), "--json"]
        outcome = CliRunner().invoke(doctor_command, arguments, standalone_mode=False)
        self.assertEqual(outcome.return_value, 0)
        self.assertEqual({finding["state"] for finding in json.loads(outcome.output)}, {"ok", "warning"})
        (self.folder / "pki" / "backend.pass").write_text("x\n")
        outcome = CliRunner().invoke(doctor_command, arguments, standalone_mode=False)
        self.assertEqual(outcome.return_value, 1)

    def test_table(self) -> None:
        """The table shows every finding."""
        console = Console(record=True, width=100, file=StringIO())
        show([Finding("token", State.OK, "open"), Finding("database", State.WRONG, "gone [sic]")], console)
        text = console.export_text()
        self.assertIn("token", text)
        self.assertIn("gone [sic]", text)


class CertificateTests(Deployed):
    """Devices' certificates and the lists about them, as the register says."""

    def findings(self, days: int) -> list[Finding]:
        """Return what doctor finds so many days from now."""
        clock = SystemClock()
        backend = load(self.file).backend
        assert backend is not None
        with open_token(backend) as keys:
            return list(check_certificates(backend, keys, clock.now() + timedelta(days=days)))

    def test_expiry_is_told_ahead(self) -> None:
        """TR-15: a month before a certificate ends, doctor warns and says which command lists it."""
        [far, _] = self.findings(0)
        self.assertEqual((far.state, far.text), (State.OK, "1 are good, none ends within 30 days"))
        [near, _] = self.findings(340)
        self.assertEqual(near.state, State.WARNING)
        self.assertIn("1 certificate ends within 30 days: CERTIFICATES state=expiring", near.text)
        [over, _] = self.findings(400)
        self.assertEqual(over.state, State.OK)

    def test_admins_are_told_ahead(self) -> None:
        """TR-15: doctor warns before an admin's certificate ends, and says how to renew one that has ended."""
        for days, state, told in (
            (0, State.OK, "is good until"),
            (350, State.WARNING, "ADMIN-RENEW at the console"),
            (400, State.WRONG, "trus certificates renew-admin admin"),
        ):
            [_, admin] = self.findings(days)
            self.assertEqual((admin.subject, admin.state), ("admins' certificates", state))
            self.assertIn(told, admin.text)
