"""Business dates, health, and who the admins are."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House, serial_of
from trus.admin.model import RefusalCode
from trus.core.messages import AdminCommand


class OperationTests(SynchronousTestCase):
    """The network's own affairs."""

    def setUp(self) -> None:
        self.house = House(self)

    def test_the_day(self) -> None:
        """The business date changes when an administrator orders it, and the order is on record before."""
        self.assertEqual(self.house.done("DAY", "support").rows, [{"business-date": "2026-11-20"}])
        answer = self.house.done("DAY-ADVANCE")
        self.assertEqual(
            (answer.text, answer.rows), ("The business date is 2026-11-21.", [{"business-date": "2026-11-21"}])
        )
        last = self.house.orders()[-1]
        self.assertEqual((last.rule, last.ledger_date), ("DAY-ADVANCE", "2026-11-20"))

    def test_health(self) -> None:
        """HEALTH shows each part's state and names those that are not well."""
        self.assertEqual(self.house.done("HEALTH", "auditor").text, "All is well.")
        self.house.health = {"token": "ok", "database": "the disk is full"}
        answer = self.house.done("HEALTH", "auditor")
        self.assertEqual(answer.text, "Not well: database.")
        self.assertEqual(answer.rows[1], {"part": "database", "state": "the disk is full"})

    def test_who_am_i(self) -> None:
        """Every admin learns the own name, roles and commands."""
        [row] = self.house.done("WHOAMI", "auditor").rows
        self.assertEqual((row["admin"], row["roles"], row["state"]), ("auditor", "auditor", "active"))
        self.assertIn("EXPLAIN", row["commands"])
        self.assertNotIn("REFILL", row["commands"])

    def test_a_new_admin(self) -> None:
        """TR-23: an admin has the roles that an administrator gave to the certificate, and loses them at once."""
        self.house.done("ADMIN-ADD", admin="bob", serial="00:B0:0B", roles="auditor,support")

        def shops() -> str:
            return self.house.handlers.handle(AdminCommand("bob", "b00b", "CARD-BLOCK", {"card": "222222222222"})).code

        self.assertEqual(shops(), RefusalCode.NOT_FOUND)
        self.house.done("ADMIN-ROLES", admin="bob", roles="auditor")
        self.assertEqual(shops(), RefusalCode.ROLE)
        self.house.done("ADMIN-ROLES", admin="bob", roles="issuer")
        self.house.done("ADMIN-BLOCK", admin="bob")
        self.assertEqual(shops(), RefusalCode.ROLE)
        self.house.done("ADMIN-UNBLOCK", admin="bob")
        self.assertEqual(shops(), RefusalCode.NOT_FOUND)
        rows = self.house.done("ADMINS").rows
        bob = {"admin": "bob", "roles": "issuer", "state": "active", "serial": "b00b", "until": ""}
        self.assertIn(bob, rows)

    def test_names_and_certificates_are_unique(self) -> None:
        """Neither a name nor a certificate stands for two admins."""
        for name, serial in (("auditor", "abc"), ("other", serial_of("auditor"))):
            answer = self.house.order("ADMIN-ADD", admin=name, serial=serial, roles="support")
            self.assertEqual(answer.code, RefusalCode.EXISTS)
        self.assertEqual(self.house.order("ADMIN-BLOCK", admin="nobody").code, RefusalCode.NOT_FOUND)

    def test_the_last_administrator_stays(self) -> None:
        """The last active administrator can neither be blocked nor lose the role."""
        for verb, more in (("ADMIN-BLOCK", {}), ("ADMIN-ROLES", {"roles": "issuer"})):
            answer = self.house.order(verb, admin="administrator", **more)
            self.assertEqual((answer.code, answer.text[:11]), (RefusalCode.STATE, "The network"))
        self.house.done("ADMIN-ADD", admin="second", serial="2", roles="administrator")
        self.house.done("ADMIN-BLOCK", admin="administrator")
        answer = self.house.handlers.handle(AdminCommand("second", "2", "ADMIN-BLOCK", {"admin": "second"}))
        self.assertEqual(answer.code, RefusalCode.STATE)
