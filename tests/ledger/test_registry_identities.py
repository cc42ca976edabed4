"""Admins, activations and certificates, as the registry keeps them."""

from __future__ import annotations

from msgspec.structs import replace

from tests.ledger.registering import RegistryCase
from tests.ledger.test_directory import certificate
from trus.ledger.registry_values import ActivationRow

HOUR = 3_600_000_000


def activation(code: bytes = b"c" * 32, expires_at: int = 100 * HOUR) -> ActivationRow:
    return ActivationRow("pos", "T0000001", "BISTRO", "VX1", code, expires_at, 0, b"", "", "admin/ada")


class AdminCase(RegistryCase):
    """Who may give orders."""

    def setUp(self) -> None:
        super().setUp()
        self.admins = self.change().identities
        for name, serial in (("bob", "0b"), ("ada", "0a")):
            self.admins.add_admin(name=name, serial=serial, roles=["operator", "auditor"], at=1)

    def test_known_by_name_and_certificate(self) -> None:
        """An admin is found by name and by the serial number of the present certificate, in the order of names."""
        ada = self.admins.admin("ada")
        assert ada is not None
        self.assertEqual((ada.name, ada.serial, ada.roles, ada.state), ("ada", "0a", ("operator", "auditor"), "active"))
        self.assertEqual((ada.not_after, ada.former, ada.former_until), (0, "", 0))
        self.assertEqual(self.admins.admin_of_serial("0a"), ada)
        self.assertEqual([each.name for each in self.admins.admins()], ["ada", "bob"])
        self.assertIsNone(self.admins.admin("eve"))
        self.assertIsNone(self.admins.admin_of_serial("0e"))

    def test_changed(self) -> None:
        """State, roles and certificate of one admin change, and those of no other."""
        ada, bob = self.admins.admins()
        self.admins.set_admin_state(ada.row, "blocked")
        self.admins.set_admin_roles(ada.row, ["security"])
        self.admins.set_admin_end(ada.row, 5 * HOUR)
        self.admins.renew_admin(ada, "1a", 9 * HOUR, 6 * HOUR)
        self.assertEqual(
            self.admins.admins(),
            [
                replace(
                    ada,
                    serial="1a",
                    roles=("security",),
                    state="blocked",
                    not_after=9 * HOUR,
                    former="0a",
                    former_until=6 * HOUR,
                ),
                bob,
            ],
        )
        self.assertIsNone(self.admins.admin_of_serial("0a"))


class ActivationCase(RegistryCase):
    """Codes by which a device gets its first certificate."""

    def setUp(self) -> None:
        super().setUp()
        self.identities = self.change().identities

    def test_one_a_holder(self) -> None:
        """TR-15: a holder has one activation: opening another voids the code before it; closed, there is none."""
        self.assertIsNone(self.identities.activation("pos", "T0000001"))
        self.identities.open_activation(activation(), 1)
        self.identities.open_activation(activation(b"d" * 32), 2)
        self.assertEqual(self.identities.activation("pos", "T0000001"), activation(b"d" * 32))
        self.assertIsNone(self.identities.activation("card", "T0000001"))
        self.identities.close_activation("pos", "T0000001")
        self.assertIsNone(self.identities.activation("pos", "T0000001"))

    def test_failures(self) -> None:
        """Wrong codes are counted for the holder that they were given for."""
        self.identities.open_activation(activation(), 1)
        self.identities.open_activation(replace(activation(), name="T0000002"), 1)
        self.identities.count_failure("pos", "T0000001", 3)
        found = [self.identities.activation("pos", name) for name in ("T0000001", "T0000002")]
        self.assertEqual([each.failures for each in found if each], [3, 0])

    def test_redeemed(self) -> None:
        """What an activation brought is kept with it, so that a retry gets the same certificate."""
        self.identities.open_activation(activation(), 1)
        self.identities.redeem(replace(activation(), failures=2, key_digest=b"k" * 32, serial="0c"))
        found = self.identities.activation("pos", "T0000001")
        self.assertEqual(found, replace(activation(), failures=2, key_digest=b"k" * 32, serial="0c"))


class CertificateCase(RegistryCase):
    """Certificates and the standing of their holders."""

    def setUp(self) -> None:
        super().setUp()
        self.made = self.change()
        self.identities = self.made.identities
        for number in (1, 2):
            self.identities.register(certificate(number))
        self.identities.register(certificate(3, name="T0000002", shop="S2"))

    def test_found(self) -> None:
        """Entries are found by serial number or holder; what is not there is absent."""
        self.assertEqual(
            self.identities.certificates(["1", "3", "9"]),
            {"1": certificate(1), "3": certificate(3, name="T0000002", shop="S2")},
        )
        self.assertEqual([each.serial for each in self.identities.certificates_of("pos", "T0000001")], ["1", "2"])
        self.assertEqual(self.identities.certificates_of("card", "T0000001"), [])

    def test_state(self) -> None:
        """TR-15: a change of a certificate's state is a numbered change of its holder's standing; of nothing, none."""
        before = self.made.directory.epoch()
        self.assertTrue(self.identities.set_certificate_state("1", "revoked", 7, "lost"))
        [changed] = self.identities.certificates(["1"]).values()
        self.assertEqual((changed.state, changed.changed_at, changed.reason), ("revoked", 7, "lost"))
        self.assertEqual(self.made.directory.epoch(), before + 1)
        self.assertFalse(self.identities.set_certificate_state("9", "revoked", 7, "lost"))
        self.assertEqual(self.made.directory.epoch(), before + 1)

    def test_holders_that_are_not_active(self) -> None:
        """A terminal or card that is blocked or gone is told; roles that have no row are never."""
        shop = self.made.shops.shop("BISTRO")
        assert shop is not None
        blocked = self.made.shops.add_terminal(terminal_id="T0000009", owner=shop, model="", at=1)
        self.made.shops.set_terminal_state(blocked.row, "blocked")
        self.assertEqual(self.identities.not_active("pos", ["T0000001", "T0000009", "T9"]), {"T0000009", "T9"})
        self.assertEqual(self.identities.not_active("card", ["CARD00000000", "CARD99"]), {"CARD99"})
        self.assertEqual(self.identities.not_active("backend", ["backend"]), set())

    def test_issued(self) -> None:
        """Quotas count certificates of devices: those of one holder that live, and those that began of late."""
        issuance = self.made.issuance
        self.identities.register(replace(certificate(4), role="backend", name="backend", not_before=5_000))
        self.identities.register(replace(certificate(5, shop="S2"), not_before=5_000))
        self.assertEqual([issuance.live("pos", "T0000001", now) for now in (0, 2_002, 2_003, 2_006)], [3, 2, 1, 0])
        self.identities.set_certificate_state("5", "revoked", 7, "lost")
        self.assertEqual(issuance.live("pos", "T0000001", 0), 2)
        self.assertEqual([issuance.issued_since(since, "") for since in (0, 1_000, 5_000)], [4, 1, 0])
        self.assertEqual([issuance.issued_since(0, shop) for shop in ("S1", "S2", "S3")], [2, 2, 0])
        self.assertEqual([row.serial for row in issuance.of_key((2).to_bytes(32, "big"))], ["2"])
        self.assertEqual(issuance.of_key(bytes(32)), [])
