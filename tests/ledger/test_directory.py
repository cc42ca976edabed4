"""The numbered changes of standing, and the look-up keys of the directory."""

from __future__ import annotations

from datetime import timedelta

from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.books import NOON, Books
from trus.ledger.registry import Registry
from trus.ledger.registry_directory import MAX_CHANGES, Wanted
from trus.ledger.registry_values import CertificateRow, HolderRow, RevocationListRow


def certificate(number: int, state: str = "good", name: str = "T0000001", shop: str = "S1") -> CertificateRow:
    digest = number.to_bytes(32, "big")
    return CertificateRow(
        f"{number:x}", "pos", name, shop, "", f"pos/{number}", digest, 1_000, 2_000 + number, state, None, ""
    )


ISSUER = b"i" * 20


class DirectoryCase(SynchronousTestCase):
    """A registry on a real file."""

    def setUp(self) -> None:
        self.books = Books(self)
        self.registry = Registry(self.books.ledger)

    def test_changes_are_numbered_without_gaps(self) -> None:
        """Whoever knows a number learns every holder that changed after it, each once, also after a restart."""
        for name in ("T0000001", "T0000002", "T0000001"):
            with self.registry.changing(NOON) as change:
                change.directory.changed("pos", name, change.at)
        self.books.reopen()
        with Registry(self.books.ledger).reading() as view:
            directory = view.directory
            self.assertEqual(directory.epoch(), 3)
            self.assertEqual(directory.changes_since(3), [])
            self.assertEqual(directory.changes_since(2), [HolderRow("pos", "T0000001")])
            self.assertEqual(directory.changes_since(0), [HolderRow("pos", "T0000001"), HolderRow("pos", "T0000002")])

    def test_what_cannot_be_told_is_said_so(self) -> None:
        """Dropped changes, too many, or a number from a state that was lost: it may be anybody."""
        with self.registry.changing(NOON) as change:
            for number in range(MAX_CHANGES + 1):
                change.directory.changed("pos", f"T{number:07d}", change.at)
        with self.registry.reading() as view:
            self.assertIs(view.directory.changes_since(0) is None, True)
            told = view.directory.changes_since(1)
            assert told is not None
            self.assertEqual(len(told), MAX_CHANGES)
            self.assertIsNone(view.directory.changes_since(MAX_CHANGES + 2))
        with self.registry.changing(NOON + timedelta(days=2)) as change:
            self.assertEqual(change.directory.drop_changes(change.at), MAX_CHANGES)
        with self.registry.reading() as view:
            self.assertIs(view.directory.changes_since(1) is None, True)
            self.assertEqual(view.directory.changes_since(MAX_CHANGES), [HolderRow("pos", f"T{MAX_CHANGES:07d}")])
            self.assertEqual(view.directory.epoch(), MAX_CHANGES + 1)

    def test_an_order_that_fails_changes_nothing(self) -> None:
        """A change of standing is part of the order that makes it: both are stored or neither."""

        def fail() -> None:
            with self.registry.changing(NOON) as change:
                change.directory.changed("pos", "T0000001", change.at)
                raise KeyError("no")

        self.assertRaises(KeyError, fail)
        with self.registry.reading() as view:
            self.assertEqual(view.directory.epoch(), 0)

    def test_keys_find_certificates(self) -> None:
        """A certificate is found by its own keys alone, those that end last first."""
        with self.registry.changing(NOON) as change:
            for number in (1, 2, 3):
                change.identities.register(certificate(number))
                change.directory.add_keys(f"{number:x}", [("subject", b"s" * 20), ("cert", bytes([number]) * 20)])
            change.identities.register(certificate(4))
        with self.registry.reading() as view:
            directory = view.directory
            self.assertEqual([row.serial for row in directory.found_by("subject", b"s" * 20, 2)], ["3", "2"])
            self.assertEqual([row.serial for row in directory.found_by("cert", b"\x02" * 20, 9)], ["2"])
            self.assertEqual(directory.found_by("issuer", b"s" * 20, 9), [])
            self.assertEqual([row.serial for row in directory.without_keys(9)], ["4"])

    def test_searches_use_an_index(self) -> None:
        """One device, one shop and what expires are found without walking the certificates of all others."""
        found = []
        with self.registry.changing(NOON) as change:
            connection = change.directory._connection
            for wanted in (Wanted(name="T1", role="pos"), Wanted(shop="S1"), Wanted(states=("held",), ends_before=5)):
                query = change.directory.query(wanted, "", 10).compile(compile_kwargs={"literal_binds": True})
                steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}")
                found += [str(row[3]) for row in steps if "certificate" in str(row[3])]
        self.assertEqual([step.partition(" USING ")[0] for step in found], ["SEARCH certificate"] * 3)

    def test_lists_replace_one_another(self) -> None:
        """Of each authority the newest full and the newest delta list are kept."""
        full = RevocationListRow("individual", "full", 7, None, 3, 1_000, 2_000, b"full")
        delta = RevocationListRow("individual", "delta", 8, 7, 4, 1_100, 2_100, b"delta")
        newer = RevocationListRow("individual", "full", 9, None, 5, 1_200, 2_200, b"newer")
        with self.registry.changing(NOON) as change:
            for each in (full, delta, newer):
                change.directory.put_list(each)
        with self.registry.reading() as view:
            self.assertEqual(view.directory.revocation_list("individual", "full"), newer)
            self.assertEqual(view.directory.revocation_list("individual", "delta"), delta)
            self.assertIsNone(view.directory.revocation_list("channel", "full"))

    def test_what_a_list_bears(self) -> None:
        """Revoked and held certificates stand on a list until they end; released ones come off by a delta."""
        with self.registry.changing(NOON) as change:
            for number, state in enumerate(("good", "held", "revoked", "revoked", "revoked")):
                change.identities.register(certificate(number, state))
                change.directory.add_keys(f"{number:x}", [("issuer", ISSUER if number < 4 else b"o" * 20)])
            change.identities.set_certificate_state("1", "good", 500, "")
        with self.registry.reading() as view:
            listed = view.directory.listed("issuer", ISSUER, ("held", "revoked"), 2_002)
            self.assertEqual([(row.serial, row.state) for row in listed], [("3", "revoked")])
            self.assertEqual(view.directory.released_since("issuer", ISSUER, 500, 0), ["1"])
            self.assertEqual(view.directory.released_since("issuer", ISSUER, 501, 0), [])
            self.assertEqual(view.directory.released_since("issuer", b"o" * 20, 500, 0), [])
