"""An admin's certificate is renewed under the same name, and its end is told ahead."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House, serial_of
from trus.admin.model import RefusalCode
from trus.core.messages import AdminAnswer, AdminCommand
from trus.issuing.admins import ends_of_admins, say_admins
from trus.issuing.approvals import Approvals, OrderPolicy
from trus.issuing.handlers import AdminHandlers

NAME = "auditor"


class RenewalTests(SynchronousTestCase):
    """ADMIN-RENEW on a real ledger, with a real authority."""

    def setUp(self) -> None:
        self.house = House(self)
        self.ends = int((self.house.clock.now() + timedelta(days=20)).timestamp())

    def come(self, serial: str, verb: str = "WHOAMI", ends: int = 0, **arguments: str) -> AdminAnswer:
        """Give a command as the auditor who came with a certificate."""
        return self.house.handlers.handle(AdminCommand(NAME, serial, verb, arguments, ends))

    def renew(self, **arguments: str) -> dict[str, str]:
        """Renew; return the row of the answer."""
        answer = self.come(serial_of(NAME), "ADMIN-RENEW", self.ends, **arguments)
        self.assertEqual(answer.code, RefusalCode.DONE, answer.text)
        [row] = answer.rows
        return row

    def test_old_and_new_are_accepted_together(self) -> None:
        """TR-15: name and roles stay; the former certificate is accepted for the set time, then the new one alone."""
        row = self.renew(overlap="3")
        path = Path(row["file"])
        _, leaf, _ = pkcs12.load_key_and_certificates(path.read_bytes(), path.with_suffix(".pass").read_bytes().strip())
        assert leaf is not None
        self.assertEqual(f"{leaf.serial_number:x}", row["serial"])
        [subject] = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        self.assertEqual(subject.value, NAME)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        for serial in (serial_of(NAME), row["serial"]):
            [who] = self.come(serial).rows
            self.assertEqual((who["admin"], who["roles"], who["serial"]), (NAME, "auditor", serial))
        self.house.clock.advance(timedelta(days=3))
        self.assertEqual(self.come(serial_of(NAME)).code, RefusalCode.ROLE)
        self.assertEqual(self.come(row["serial"]).code, RefusalCode.DONE)

    def test_the_former_one_never_outlives_its_end(self) -> None:
        """A longer overlap ends with the former certificate; with none it is accepted no more at once."""
        self.assertEqual(self.renew(overlap="300")["former-until"], "2026-12-10T12:00:00Z")
        second = self.come(self.house.done("ADMINS").rows[1]["serial"], "ADMIN-RENEW", overlap="0")
        self.assertEqual(second.code, RefusalCode.DONE)
        for serial in (serial_of(NAME), second.rows[0]["former"]):
            self.assertEqual(self.come(serial).code, RefusalCode.ROLE)

    def test_a_former_one_cannot_renew(self) -> None:
        """Whoever comes with a former certificate cannot make another one of it, and nothing is written."""
        self.renew()
        before = sorted((self.house.folder / "admins").iterdir())
        answer = self.come(serial_of(NAME), "ADMIN-RENEW")
        self.assertEqual((answer.code, answer.text[:35]), (RefusalCode.STATE, "Your certificate has been renewed a"))
        self.assertEqual(sorted((self.house.folder / "admins").iterdir()), before)

    def test_it_is_on_record(self) -> None:
        """The event names the admin, both certificates and until when the former is accepted."""
        row = self.renew(overlap="1")
        last = self.house.orders()[-1]
        self.assertEqual((last.actor, last.rule), (NAME, "ADMIN-RENEW"))
        for text in (row["serial"], serial_of(NAME), "2026-11-21T12:00:00Z"):
            self.assertIn(text, last.figures)

    def test_dual_control(self) -> None:
        """TR-23: where the policy says so, another admin must agree before the certificate is made."""
        house = self.house
        policy = OrderPolicy({"ADMIN-RENEW": 1}, timedelta(hours=2))
        house.handlers = AdminHandlers(house.desk, Approvals(house.registry, house.clock, house.entropy, policy))
        waits = self.come(serial_of(NAME), "ADMIN-RENEW")
        self.assertEqual(waits.code, RefusalCode.PENDING)
        self.assertFalse((house.folder / "admins").exists())
        given = house.done("APPROVE", order=waits.rows[0]["order"])
        self.assertEqual(self.come(given.rows[0]["serial"]).code, RefusalCode.DONE)
        self.assertIn("administrator", house.orders()[-2].figures)

    def test_what_cannot_be_made_changes_nothing(self) -> None:
        """Without the authority's key, or where no file can be written, the present certificate stays what it is."""
        (self.house.folder / "admins").write_text("in the way")
        self.assertEqual(self.come(serial_of(NAME), "ADMIN-RENEW").code, RefusalCode.UNAVAILABLE)
        self.house.desk.admin_certificates = None
        self.assertEqual(self.come(serial_of(NAME), "ADMIN-RENEW").code, RefusalCode.NOT_SUPPORTED)
        self.assertEqual(self.come(serial_of(NAME)).rows[0]["serial"], serial_of(NAME))

    def test_ends_are_told_ahead(self) -> None:
        """TR-15: the register learns an end from the certificate itself; blocked admins are left out."""
        self.come(serial_of(NAME), ends=self.ends)
        until = {row["admin"]: row["until"] for row in self.house.done("ADMINS").rows}
        self.assertEqual((until[NAME], until["administrator"]), ("2026-12-10T12:00:00Z", ""))
        now, ahead = self.house.clock.now(), timedelta(days=30)
        for days, told in ((30, "ends: auditor on 2026-12-10; ADMIN-RENEW makes the next"), (10, "ok")):
            with self.house.registry.reading() as view:
                ends = list(ends_of_admins(view.identities.admins()))
            self.assertEqual(say_admins(ends, now, timedelta(days=days)), told)
        self.house.done("ADMIN-BLOCK", admin=NAME)
        with self.house.registry.reading() as view:
            self.assertEqual(say_admins(list(ends_of_admins(view.identities.admins())), now, ahead), "ok")
