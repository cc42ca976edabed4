"""Dual control at the console: one admin orders, another approves, both are in the chain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House, serial_of
from tests.pki.registers import new_key, request_for
from tests.pki.test_examination import with_profile
from trus.admin.commands import COMMANDS
from trus.admin.model import AdminRole, RefusalCode
from trus.core.messages import AdminAnswer, AdminCommand
from trus.errors import IdentityRefused, KeyStoreUnavailable, StorageFailed
from trus.issuing.approvals import Approvals, OrderPolicy, approvable
from trus.issuing.handlers import AdminHandlers
from trus.pki.identity import IdentityService
from trus.pki.policy import Policy
from trus.values import DeviceRole

POS = DeviceRole.POS


class DualControlCase(SynchronousTestCase):
    """A house with several administrators, where some commands need another's approval."""

    orders: Mapping[str, int] = {"SHOP-BLOCK": 1, "TERMINAL-CODE": 1, "ADMIN-ADD": 2, "CARD-BLOCK": 1}

    def setUp(self) -> None:
        self.house = House(self)
        self.approvals = Approvals(
            self.house.registry, self.house.clock, self.house.entropy, OrderPolicy(self.orders, timedelta(hours=2))
        )
        self.house.lunch()
        with self.house.registry.changing(self.house.clock.now()) as change:
            for name in ("ada", "bob", "eve"):
                change.identities.add_admin(name=name, serial=serial_of(name), roles=["administrator"], at=change.at)
        self.house.handlers = AdminHandlers(self.house.desk, self.approvals)

    def give(self, admin: str, verb: str, /, **arguments: str) -> AdminAnswer:
        """Give a command as an admin."""
        return self.house.handlers.handle(AdminCommand(admin, serial_of(admin), verb, arguments))

    def wait(self, admin: str = "ada", verb: str = "SHOP-BLOCK", /, **arguments: str) -> str:
        """Give an order that must wait; return its id."""
        answer = self.give(admin, verb, **(arguments or {"shop": "S1"}))
        self.assertEqual(answer.code, RefusalCode.PENDING, answer.text)
        [row] = answer.rows
        self.assertIn(row["order"], answer.text)
        return row["order"]

    def shop(self) -> str:
        """Return the state of the shop."""
        return self.house.done("SHOPS").rows[0]["state"]

    def state(self, order: str) -> str:
        """Return the state in which APPROVALS lists an order."""
        for state in ("waiting", "approved", "done", "failed", "rejected", "expired"):
            if order in [row["order"] for row in self.house.done("APPROVALS", state=state).rows]:
                return state
        return "gone"


class OrderTests(DualControlCase):
    """Orders of admins."""

    def test_an_order_waits_for_another_admin(self) -> None:
        """Nothing happens until another admin approves; then it is carried out, once."""
        order = self.wait()
        self.assertRegex(order, r"^[2-9A-HJ-NP-Z]{8}$")
        self.assertEqual((self.shop(), self.state(order)), ("active", "waiting"))
        answer = self.give("bob", "APPROVE", order=order)
        self.assertEqual(answer.code, "00", answer.text)
        self.assertEqual((self.shop(), self.state(order)), ("blocked", "done"))
        again = self.give("eve", "APPROVE", order=order)
        self.assertEqual((again.code, again.text), (RefusalCode.STATE, "That order is done."))

    def test_both_are_in_the_chain(self) -> None:
        """The event of the order names who ordered and who approved; the order and the approval have their own."""
        order = self.wait()
        self.give("bob", "APPROVE", order=order)
        events = {row.rule: row for row in self.house.orders()[-4:]}
        self.assertEqual(list(events), ["ORDER-WAITS", "APPROVE", "SHOP-BLOCK", "ORDER-DONE"])
        actors = {rule: row.actor for rule, row in events.items()}
        wanted = {"ORDER-WAITS": "ada", "APPROVE": "bob", "SHOP-BLOCK": "ada", "ORDER-DONE": "ada"}
        self.assertEqual(actors, wanted)
        figures = msgspec.json.decode(events["SHOP-BLOCK"].figures)
        self.assertEqual(figures, {"shop": "S1", "order": order, "approved-by": "bob"})
        self.assertEqual(msgspec.json.decode(events["APPROVE"].figures)["ordered-by"], "ada")

    def test_nobody_approves_alone(self) -> None:
        """Whoever ordered never counts, and each other admin counts once."""
        order = self.wait("ada", "ADMIN-ADD", admin="kim", serial="abc", roles="support")
        self.assertEqual(self.give("ada", "APPROVE", order=order).code, RefusalCode.ROLE)
        first = self.give("bob", "APPROVE", order=order)
        self.assertEqual((first.code, first.text), ("00", f"Approved; 1 more must agree to order {order}."))
        self.assertEqual(self.give("bob", "APPROVE", order=order).code, RefusalCode.EXISTS)
        self.assertNotIn("kim", [row["admin"] for row in self.house.done("ADMINS").rows])
        self.assertEqual(self.give("eve", "APPROVE", order=order).code, "00")
        self.assertIn("kim", [row["admin"] for row in self.house.done("ADMINS").rows])

    def test_who_approves_could_order_it(self) -> None:
        """An admin approves only what its own roles would let it order."""
        order = self.wait()
        for role in ("support", "auditor"):
            self.assertEqual(self.give(role, "APPROVE", order=order).code, RefusalCode.ROLE, role)
            self.assertEqual(self.give(role, "REJECT", order=order).code, RefusalCode.ROLE, role)
        self.assertEqual(self.give("issuer", "APPROVE", order=order).code, "00")

    def test_an_order_can_be_rejected(self) -> None:
        """A rejected order is never carried out; its orderer may withdraw it as well."""
        for admin in ("bob", "ada"):
            order = self.wait()
            self.assertEqual(self.give(admin, "REJECT", order=order).code, "00")
            self.assertEqual(self.give("eve", "APPROVE", order=order).code, RefusalCode.STATE)
            self.assertEqual((self.shop(), self.state(order)), ("active", "rejected"))
            last = self.house.orders()[-1]
            self.assertEqual((last.rule, last.actor), ("REJECT", admin))

    def test_an_order_does_not_wait_for_ever(self) -> None:
        """After the policy's time an order is expired, and can be approved by nobody."""
        order = self.wait()
        self.house.clock.advance(timedelta(hours=2))
        answer = self.give("bob", "APPROVE", order=order)
        self.assertEqual((answer.code, answer.text), (RefusalCode.STATE, "That order is expired."))
        self.assertEqual((self.shop(), self.state(order)), ("active", "expired"))

    def test_an_orderer_who_lost_its_rights(self) -> None:
        """An order of an admin who was blocked meanwhile is not carried out, whoever approves it."""
        order = self.wait()
        self.give("bob", "ADMIN-BLOCK", admin="ada")
        answer = self.give("bob", "APPROVE", order=order)
        self.assertEqual(answer.code, RefusalCode.ROLE)
        self.assertEqual((self.shop(), self.state(order)), ("active", "failed"))

    def test_what_cannot_be_done_is_told(self) -> None:
        """An approved order that cannot be carried out says why, and is not tried again."""
        order = self.wait("ada", "ADMIN-ADD", admin="bob", serial="abc", roles="support")
        self.give("bob", "APPROVE", order=order)
        answer = self.give("eve", "APPROVE", order=order)
        self.assertEqual(answer.code, RefusalCode.EXISTS)
        self.assertEqual(self.state(order), "failed")
        self.assertEqual(self.house.orders()[-1].rule, "ORDER-FAILED")

    def test_a_silent_token(self) -> None:
        """When the token does not answer, the approved order has failed and is ordered again by a person."""

        def gone(*_: object, **__: object) -> str:
            raise KeyStoreUnavailable("gone")

        order = self.wait("ada", "TERMINAL-CODE", terminal="T0000001")
        self.patch(self.house.identities, "open_activation", gone)
        answer = self.give("bob", "APPROVE", order=order)
        self.assertEqual((answer.code, self.state(order)), (RefusalCode.UNAVAILABLE, "failed"))

    def test_a_crash_in_between(self) -> None:
        """An order that was approved and perhaps not carried out is shown as such, and never runs twice."""
        order = self.wait()

        def dies(*_: object) -> AdminAnswer:
            raise StorageFailed("the power went")

        self.patch(self.house.handlers, "_approved", dies)
        self.assertEqual(self.give("bob", "APPROVE", order=order).code, RefusalCode.UNAVAILABLE)
        self.assertEqual((self.shop(), self.state(order)), ("active", "approved"))
        self.assertEqual(self.give("eve", "APPROVE", order=order).code, RefusalCode.STATE)

    def test_a_code_is_shown_to_who_approves(self) -> None:
        """The activation code of an approved order is in the answer to the approval, and nowhere else."""
        order = self.wait("ada", "TERMINAL-CODE", terminal="T0000001")
        answer = self.give("bob", "APPROVE", order=order)
        code = answer.rows[0]["activation-code"]
        self.assertIsNotNone(re.fullmatch(r"(?:[0-9A-Z]{7}-){2}[0-9A-Z]{7}", code))
        self.assertNotIn(code, repr(self.house.orders()))

    def test_orders_that_do_not_exist(self) -> None:
        """An id that nobody gave out is told as such; wrong arguments never wait."""
        self.assertEqual(self.give("bob", "APPROVE", order="22222222").code, RefusalCode.NOT_FOUND)
        self.assertEqual(self.give("ada", "SHOP-BLOCK").code, RefusalCode.ARGUMENTS)
        self.assertEqual(self.give("auditor", "SHOP-BLOCK", shop="S1").code, RefusalCode.ROLE)
        self.assertEqual(self.house.done("APPROVALS").rows, [])

    def test_the_list_goes_on(self) -> None:
        """APPROVALS shows the oldest first, with who ordered, who approved and how many are needed, page by page."""
        ids = [self.wait("ada", "ADMIN-ADD", admin=f"n{n}", serial=f"a{n}", roles="support") for n in range(3)]
        self.give("eve", "APPROVE", order=ids[0])
        page = self.house.done("APPROVALS", limit="2")
        self.assertIn(f"after={page.rows[-1]['order']}", page.text)
        rest = self.house.done("APPROVALS", limit="2", after=page.rows[-1]["order"])
        self.assertEqual(sorted(row["order"] for row in page.rows + rest.rows), sorted(ids))
        [row] = [row for row in page.rows + rest.rows if row["order"] == ids[0]]
        self.assertEqual((row["ordered-by"], row["approved-by"], row["needed"]), ("ada", "eve", "2"))
        self.assertEqual(row["arguments"], "admin=n0, serial=a0, roles=support")

    def test_what_may_be_put_under_approval(self) -> None:
        """Whatever changes something may, except approving itself, and orders that would store people's names."""
        refused = {verb for verb, command in COMMANDS.items() if command.mutating and not approvable(command)}
        self.assertEqual(refused, {"APPROVE", "REJECT", "EMPLOYEE-ADD", "EMPLOYEES-ADD"})
        self.assertFalse(approvable(COMMANDS["SHOPS"]))
        self.assertTrue(approvable(COMMANDS["KEY-ROTATE"]))


class EnrolmentApprovalTests(DualControlCase):
    """Devices' requests, where the profile wants another admin's approval."""

    def setUp(self) -> None:
        super().setUp()
        self.key = new_key()
        self.service = self.open(with_profile(approvals=1))

    def open(self, policy: Policy) -> IdentityService:
        """Return the identity service under a policy, with this console to ask."""
        house = self.house
        return IdentityService(
            name="backend",
            keys=house.keys,
            objects=house.keys,
            data_keys=house.data_keys,
            activations=house.store,
            register=house.store,
            clock=house.clock,
            entropy=house.entropy,
            policy=policy,
            approvals=self.approvals,
        )

    def refused(self, code: str) -> str:
        """Return why a request for the terminal's certificate is refused."""
        request = request_for(self.key)
        return self.assertRaises(
            IdentityRefused, self.service.enrol, POS, "T0000001", code, request, "192.0.2.1"
        ).reason

    def code(self, by: str = "ada") -> str:
        return self.service.open_activation(POS, "T0000001", shop="S1", opened_by=by)

    def test_a_certificate_needs_a_second_admin(self) -> None:
        """UP-3, TR-15: the one who opened the activation and another one agree; then the terminal gets it."""
        code = self.code()
        self.assertEqual(self.refused(code), "approval-wanted")
        self.assertEqual(self.refused(code), "approval-wanted")
        [row] = self.house.done("APPROVALS").rows
        self.assertEqual((row["command"], row["ordered-by"]), ("ENROLMENT", "ada"))
        self.assertIn("name=T0000001, shop=S1", row["arguments"])
        self.assertEqual(self.give("ada", "APPROVE", order=row["order"]).code, RefusalCode.ROLE)
        self.assertEqual(self.give("support", "APPROVE", order=row["order"]).code, RefusalCode.ROLE)
        self.assertEqual(self.give("issuer", "APPROVE", order=row["order"]).code, "00")
        issued = self.service.enrol(POS, "T0000001", code, request_for(self.key))
        self.assertEqual(issued.peer.name, "T0000001")
        self.assertEqual(self.service.enrol(POS, "T0000001", code, request_for(self.key)), issued)
        figures = msgspec.json.decode(self.house.journal("enrolment")[-1].figures)
        self.assertEqual((figures["opened-by"], figures["birth"]), ("ada", "device"))

    def test_the_approval_is_for_one_key(self) -> None:
        """Another key, even with the right code, needs an approval of its own."""
        code = self.code()
        self.refused(code)
        [row] = self.house.done("APPROVALS").rows
        self.give("bob", "APPROVE", order=row["order"])
        self.key = new_key()
        self.assertEqual(self.refused(code), "approval-wanted")
        self.assertEqual(len(self.house.done("APPROVALS").rows), 1)

    def test_a_rejected_request_stays_refused(self) -> None:
        """A rejected key gets no certificate with this order, however often it asks."""
        code = self.code()
        self.refused(code)
        [row] = self.house.done("APPROVALS").rows
        self.give("bob", "REJECT", order=row["order"])
        self.assertEqual(self.refused(code), "approval-refused")

    def test_an_expired_request_is_asked_again(self) -> None:
        """A request that nobody looked at in time is put before the admins again when the device asks again."""
        code = self.code()
        self.refused(code)
        self.house.clock.advance(timedelta(hours=3))
        self.assertEqual(self.refused(code), "approval-wanted")
        self.assertEqual(len(self.house.done("APPROVALS").rows), 1)
        self.assertEqual(len(self.house.done("APPROVALS", state="expired").rows), 1)

    def test_where_no_admin_opened_it_two_agree(self) -> None:
        """An activation that no admin ordered needs two who agree: one person alone never certifies a device."""
        code = self.code(by="")
        self.refused(code)
        [row] = self.house.done("APPROVALS").rows
        self.assertEqual(row["needed"], "2")
        self.give("bob", "APPROVE", order=row["order"])
        self.assertEqual(self.refused(code), "approval-wanted")
        self.give("eve", "APPROVE", order=row["order"])
        self.service.enrol(POS, "T0000001", code, request_for(self.key))

    def test_the_console_shows_what_was_refused(self) -> None:
        """ENROLMENTS lists requests that were issued or refused, with step, reason and address, and no code."""
        code = self.code()
        self.refused(code)
        self.service = self.open(with_profile())
        self.service.enrol(POS, "T0000001", code, request_for(self.key))
        [refused] = self.house.done("ENROLMENTS", state="refused").rows
        self.assertEqual(
            {name: refused[name] for name in ("state", "role", "name", "step", "reason", "address")},
            {
                "state": "refused",
                "role": "pos",
                "name": "T0000001",
                "step": "approval",
                "reason": "approval-wanted",
                "address": "192.0.2.1",
            },
        )
        both = self.house.done("ENROLMENTS", device="T0000001")
        self.assertEqual([row["state"] for row in both.rows], ["issued", "refused"])
        self.assertEqual([row["state"] for row in self.house.done("ENROLMENTS", state="issued").rows], ["issued"])
        self.assertEqual(self.house.done("ENROLMENTS", device="T0000002").rows, [])
        self.assertEqual(len(self.house.done("ENROLMENTS", limit="1").rows), 1)
        self.assertEqual(self.house.done("ENROLMENTS", date="2026-11-19").rows, [])
        self.assertNotIn(code, repr(both))
        self.assertEqual(set(AdminRole) - COMMANDS["ENROLMENTS"].roles, set())
