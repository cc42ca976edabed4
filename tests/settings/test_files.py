"""The files that a configuration names are looked at before a start fails over them."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.settings.samples import TEXT
from trus.errors import ConfigurationError
from trus.settings import load
from trus.settings.channels import read_crls, read_file, read_passphrase
from trus.settings.files import check_files


class FilesTests(SynchronousTestCase):
    """What is missing or not private is named."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        for part in ("pki", "token", "db", "heads"):
            (self.folder / part).mkdir(parents=True)
        (self.folder / "trus.yaml").write_text(TEXT)
        self.settings = load(self.folder / "trus.yaml")

    def make_all(self) -> None:
        names = ["token/pin", "db/trus.db", "pki/ca.pem", "pki/ca.crl", "pki/admin.pem", "pki/admin.crl"]
        names += [f"pki/{stem}.{end}" for stem in ("gateway", "link", "backend", "admin") for end in ("p12", "pass")]
        for name in [*names, "pki/individual.pem"]:
            path = self.folder / name
            path.write_text("x")
            path.chmod(0o600)

    def test_nothing_there(self) -> None:
        """Every missing file is named with its setting, all at once."""
        places = [problem.path for problem in check_files(self.settings)]
        self.assertEqual(len(places), 19)
        self.assertIn("gateway.devices.tls.certificate", places)
        self.assertIn("backend.token.pin_file", places)
        self.assertIn("backend.database.url", places)

    def test_all_there(self) -> None:
        """A complete deployment has no problem."""
        self.make_all()
        self.assertEqual(check_files(self.settings), [])

    def test_secrets_that_others_may_read(self) -> None:
        """A PIN or passphrase file that others may read is a problem."""
        self.make_all()
        (self.folder / "token" / "pin").chmod(0o644)
        [problem] = check_files(self.settings)
        self.assertEqual(problem.path, "backend.token.pin_file")
        self.assertIn("mode 0644", problem.found)

    def test_folders(self) -> None:
        """A folder in a file's place, and a file in a folder's, are problems."""
        self.make_all()
        (self.folder / "pki" / "ca.crl").unlink()
        (self.folder / "pki" / "ca.crl").mkdir()
        (self.folder / "heads").rmdir()
        places = {problem.path for problem in check_files(self.settings)}
        self.assertEqual(
            places,
            {"gateway.devices.tls.crl", "gateway.link.tls.crl", "backend.link.tls.crl", "backend.database.heads"},
        )


class ReadingTests(SynchronousTestCase):
    """A file that cannot be used is refused in one sentence that names it."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.file.parent.mkdir(parents=True, exist_ok=True)

    def test_passphrase_is_the_first_line(self) -> None:
        """A passphrase file's first line counts, whatever its end."""
        self.file.write_bytes(b"a secret \r\nsecond")
        self.assertEqual(read_passphrase(self.file), b"a secret ")

    def test_empty_passphrase(self) -> None:
        """An empty passphrase file is refused."""
        self.file.write_bytes(b"\nsecond")
        with self.assertRaisesRegex(ConfigurationError, "begins with an empty line"):
            read_passphrase(self.file)

    def test_missing_file(self) -> None:
        """A file that is not there is named, with what it is for."""
        with self.assertRaisesRegex(ConfigurationError, "the passphrase file .* cannot be read: no such file"):
            read_passphrase(self.file)

    def test_large_file(self) -> None:
        """A file of many megabytes is not read."""
        with self.file.open("wb") as file:
            file.truncate(17 << 20)
        with self.assertRaisesRegex(ConfigurationError, "is larger than"):
            read_file(self.file, "the certificate file")

    def test_list_that_is_none(self) -> None:
        """A file without a revocation list, or with a damaged one, is refused."""
        self.file.write_bytes(b"hello")
        with self.assertRaisesRegex(ConfigurationError, "holds no revocation list in PEM"):
            read_crls(self.file)
        self.file.write_bytes(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
        with self.assertRaisesRegex(ConfigurationError, "cannot be read"):
            read_crls(self.file)
