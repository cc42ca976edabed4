"""Quantities with their units, and the kinds of settings."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from trus.settings import DatabaseUrl, Duration, Size, kinds
from trus.settings.kinds import Kind
from trus.settings.problems import Misfit, Misfits, Problem, join_path, show

BASE = Path("/srv")


class QuantitiesTests(SynchronousTestCase):
    """Durations and sizes cannot be misread."""

    def test_durations(self) -> None:
        """A duration is a whole number with its unit."""
        seconds = [Duration.parse(text).seconds for text in ("250ms", "30s", "5m", "8h", "1d")]
        self.assertEqual(seconds, [0.25, 30.0, 300.0, 28_800.0, 86_400.0])

    def test_sizes(self) -> None:
        """A size is a whole number with its unit."""
        self.assertEqual([Size.parse(text).octets for text in ("1B", "2KiB", "3MiB")], [1, 2048, 3 << 20])

    def test_refused(self) -> None:
        """No unit, a fraction, a sign, a space or another script's digits: refused."""
        for text in ("30", "1.5s", "-1s", " 1s", "1s\n", "1 s", "s", "", "١s", "1_0s", "1e3s", "1S"):
            self.assertRaises(ValueError, Duration.parse, text)
        for text in ("64", "64KB", "64k", "1.5MiB", "-1B", "١B"):
            self.assertRaises(ValueError, Size.parse, text)

    @given(st.integers(0, 10**9))
    def test_durations_are_written_as_read(self, milliseconds: int) -> None:
        """A duration that is written and read again is the same."""
        duration = Duration(milliseconds / 1000)
        self.assertAlmostEqual(Duration.parse(str(duration)).seconds, duration.seconds)

    @given(st.integers(0, 10**9 - 1))
    def test_sizes_are_written_as_read(self, octets: int) -> None:
        """A size that is written and read again is the same."""
        self.assertEqual(Size.parse(str(Size(octets))), Size(octets))


class DatabaseUrlTests(SynchronousTestCase):
    """The ledger's place, without its password."""

    def test_sqlcipher(self) -> None:
        """A SQLCipher file is relative to the configuration, or absolute."""
        self.assertEqual(DatabaseUrl.parse("sqlcipher:db/trus.db", BASE).path, BASE / "db" / "trus.db")
        self.assertEqual(DatabaseUrl.parse("sqlcipher:/db", BASE).path, Path("/db"))

    def test_postgresql(self) -> None:
        """A PostgreSQL URL is kept, its password shown to nobody."""
        url = DatabaseUrl.parse("postgresql+psycopg://trus:hunter2@db.example/trus", BASE)
        self.assertEqual(url.server, "postgresql+psycopg://trus:hunter2@db.example/trus")
        self.assertNotIn("hunter2", repr(url))
        self.assertEqual(str(url), "postgresql+psycopg://trus:***@db.example/trus")

    def test_refused(self) -> None:
        """A clear SQLite file, another engine or no scheme is refused."""
        for text in ("sqlite:db/trus.db", "db/trus.db", "sqlcipher:", "postgresql://db/trus", "mysql://x"):
            self.assertRaises(ValueError, DatabaseUrl.parse, text, BASE)


class KindsTests(SynchronousTestCase):
    """Every kind of setting takes what it says, and nothing else."""

    def refused(self, kind: Kind, *values: object) -> None:
        for value in values:
            self.assertRaises((Misfit, Misfits), kind.parse, value, BASE)

    def test_ports(self) -> None:
        """A port is a whole number; true is no number."""
        self.assertEqual(kinds.PORT.parse(0, BASE), 0)
        self.assertEqual(kinds.PEER_PORT.parse(65535, BASE), 65535)
        self.refused(kinds.PORT, -1, 65536, "7001", True, 1.0, None)
        self.refused(kinds.PEER_PORT, 0)

    def test_truth(self) -> None:
        """True and false are said as such."""
        self.assertIs(kinds.TRUTH.parse(False, BASE), False)
        self.refused(kinds.TRUTH, "false", 0, None)

    def test_addresses_and_hosts(self) -> None:
        """A listener has an IP address, a peer may have a name."""
        self.assertEqual(kinds.ADDRESS.parse("::1", BASE), "::1")
        self.assertEqual(kinds.HOST.parse("backend.example", BASE), "backend.example")
        self.refused(kinds.ADDRESS, "localhost", "127.0.0.1:80", 7, None)
        self.refused(kinds.HOST, "", "a b", "x" * 254, None)

    def test_networks(self) -> None:
        """Address blocks are a list, and each wrong one is named by its place."""
        self.assertEqual(
            kinds.NETWORKS.parse(["192.0.2.0/24", "2001:db8::/32"], BASE),
            (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
        )
        with self.assertRaises(Misfits) as caught:
            kinds.NETWORKS.parse(["192.0.2.1/24", "192.0.2.0/24", 7], BASE)
        self.assertEqual([misfit.below for misfit in caught.exception.misfits], [(0,), (2,)])
        self.refused(kinds.NETWORKS, "192.0.2.0/24", None)

    def test_durations_and_sizes_in_range(self) -> None:
        """A duration or size outside its range is refused, and the range said."""
        duration, size = kinds.duration("1s", "10m"), kinds.size("1KiB", "1MiB")
        self.assertEqual(duration.parse("10m", BASE), Duration(600))
        self.assertEqual(size.parse("4KiB", BASE), Size(4096))
        self.refused(duration, "999ms", "11m", 30, "30", None)
        self.refused(size, "1023B", "2MiB", 4096, None)
        self.assertIn("from 1s to 10m", duration.expected)

    def test_paths(self) -> None:
        """A path is a text; below the file's folder it is written relative again."""
        self.assertEqual(kinds.FILE.parse("pki/ca.pem", BASE), BASE / "pki" / "ca.pem")
        self.assertEqual(kinds.FILE.write(BASE / "pki" / "ca.pem", BASE), "pki/ca.pem")
        self.assertEqual(kinds.FILE.write(Path("/etc/ca.pem"), BASE), "/etc/ca.pem")
        self.refused(kinds.FILE, "", "a\0b", 7, None)

    def test_module(self) -> None:
        """The PKCS#11 library is found, or named."""
        self.assertIsNone(kinds.MODULE.parse("auto", BASE))
        self.assertEqual(kinds.MODULE.parse("/usr/lib/hsm.so", BASE), Path("/usr/lib/hsm.so"))
        self.refused(kinds.MODULE, "", 7)


class ProblemsTests(SynchronousTestCase):
    """Problems read like sentences."""

    def test_show(self) -> None:
        """What was found is shown short and without control characters."""
        self.assertEqual(show("a\x1b[31m\n"), "'a\\x1b[31m\\n'")
        self.assertEqual(len(show("x" * 500)), 62)
        self.assertEqual(
            [show(each) for each in (None, True, {}, [], 7)], ["nothing", "true", "a mapping", "a list", "7"]
        )

    def test_paths(self) -> None:
        """A place in a list is shown by its index."""
        self.assertEqual(join_path(("gateway", "link", "backends", 1, "host")), "gateway.link.backends[1].host")

    def test_sentence(self) -> None:
        """A problem names line, place, what was found and what is expected."""
        self.assertEqual(str(Problem("a.b", "1", "2", 3)), "line 3: a.b: found 1, expected 2")
        self.assertEqual(str(Problem("", "1", "2")), "found 1, expected 2")
