"""Who may order what, and how an order that fails is answered."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House, serial_of
from trus.admin.commands import COMMANDS
from trus.admin.model import AdminRole, RefusalCode
from trus.core.messages import AdminCommand
from trus.errors import KeyStoreUnavailable, OutcomeUnknown, StorageFailed
from trus.hsm.memory import MemoryStore
from trus.issuing.handlers import DENIED, DUAL_CONTROL, HANDLERS

#: Arguments with which each command of the table can be given after House.lunch(), one after the other.
EXAMPLES: dict[str, dict[str, str]] = {
    "COMPANY-ADD": {"id": "NEW", "name": "New"},
    "COMPANY-BLOCK": {"company": "ACME"},
    "COMPANY-UNBLOCK": {"company": "ACME"},
    "EMPLOYEE-ADD": {"company": "ACME", "id": "E9", "name": "Zoë", "surname": "Żak"},
    "EMPLOYEES-ADD": {"company": "ACME", "people": "E8|A|B"},
    "EMPLOYEES": {"company": "ACME"},
    "EMPLOYEE-BLOCK": {"company": "ACME", "employee": "E1"},
    "EMPLOYEE-UNBLOCK": {"company": "ACME", "employee": "E1"},
    "SHOP-ADD": {"id": "S2", "name": "Bar", "mcc": "5813"},
    "SHOP-BLOCK": {"shop": "S1"},
    "SHOP-UNBLOCK": {"shop": "S1"},
    "TERMINAL-ADD": {"id": "T0000002", "shop": "S1"},
    "TERMINAL-CODE": {"terminal": "T0000001"},
    "TERMINAL-BLOCK": {"terminal": "T0000001"},
    "TERMINAL-UNBLOCK": {"terminal": "T0000001"},
    "REVOKE": {"terminal": "T0000001"},
    "CERTIFICATE": {"serial": "SERIAL"},
    "CERTIFICATE-HOLD": {"serial": "SERIAL"},
    "CERTIFICATE-RELEASE": {"serial": "SERIAL"},
    "CERTIFICATE-REVOKE": {"serial": "SERIAL"},
    "CARD-ISSUE": {"company": "ACME"},
    "CARD-BLOCK": {"card": "CARD"},
    "CARD-UNBLOCK": {"card": "CARD"},
    "CARD-SUSPECT": {"card": "CARD"},
    "CARD-TRIES": {"card": "CARD"},
    "CARD-LOST": {"card": "CARD"},
    "CARD-STOLEN": {"card": "CARD"},
    "CARD-CLOSE": {"card": "CARD"},
    "COMPANY-FUND": {"company": "ACME", "amount": "1.00"},
    "REFILL": {"company": "ACME", "amount": "1.00"},
    "POLICY-SET": {"company": "ACME", "valid-from": "2026-12-01"},
    "SHOP-PLACE": {"shop": "S1", "place": "40.4168,-3.7038"},
    "POLICY-SHOW": {"company": "ACME"},
    "EXPLAIN": {"rrn": "632400000004"},
    "SETTLEMENT": {"date": "2026-11-20"},
    "ADMIN-ADD": {"admin": "bob", "serial": "b0b", "roles": "support"},
    "ADMIN-ROLES": {"admin": "bob", "roles": "auditor"},
    "ADMIN-BLOCK": {"admin": "bob"},
    "ADMIN-UNBLOCK": {"admin": "bob"},
}


class RoleTests(SynchronousTestCase):
    """Every command, every role."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.lunch()
        self.house.done("CARD-ISSUE", company="ACME", employee="E1")
        self.real = {
            "CARD": self.house.cards()[0]["card"],
            "SERIAL": self.house.done("CERTIFICATES", device="backend").rows[0]["serial"],
        }

    def give(self, verb: str, role: str) -> str:
        arguments = {name: self.real.get(value, value) for name, value in EXAMPLES.get(verb, {}).items()}
        return self.house.handlers.handle(AdminCommand(role, serial_of(role), verb, arguments)).code

    def test_the_table_has_no_command_without_a_hand(self) -> None:
        """Every command of the table is carried out: by the console itself, or by the core."""
        carried_out = {verb for verb, command in COMMANDS.items() if not command.local}
        self.assertEqual({*HANDLERS, *DUAL_CONTROL}, carried_out)

    def test_every_command_with_every_role(self) -> None:
        """A command is carried out for exactly the roles of its table; any other role is told 63."""
        for verb, command in COMMANDS.items():
            if command.local:
                continue
            for role in AdminRole:
                if role in command.roles:
                    self.assertNotEqual(self.give(verb, role), RefusalCode.ROLE, f"{verb} as {role}")
                else:
                    self.assertEqual(self.give(verb, role), RefusalCode.ROLE, f"{verb} as {role}")

    def test_every_change_names_its_admin_in_the_chain(self) -> None:
        """Every mutating command leaves an event with the admin's name; every other leaves none."""
        reading = [verb for verb, command in COMMANDS.items() if not command.local and verb not in EXAMPLES]
        # About an order that waits: tests.issuing.test_approvals. About a key that nothing needs: test_keys.
        # About signed heads: test_receipts.
        waiting = {"APPROVE", "REJECT", "KEY-DESTROY", "RECEIPT", "RECEIPT-KEY"}
        for verb in [*(verb for verb in reading if verb not in waiting), *EXAMPLES, "DAY-ADVANCE"]:
            known = {row.event_id for row in self.house.orders()}
            self.assertEqual(self.give(verb, "administrator"), "00", verb)
            new = [row for row in self.house.orders() if row.event_id not in known and row.actor == "administrator"]
            self.assertEqual({row.rule for row in new}, {verb} if COMMANDS[verb].mutating else set(), verb)

    def test_a_denied_order_is_on_record(self) -> None:
        """An order beyond an admin's role is refused and leaves an event that says who tried what."""
        self.assertEqual(self.give("REFILL", "auditor"), RefusalCode.ROLE)
        last = self.house.orders()[-1]
        self.assertEqual((last.actor, last.rule, last.figures), ("auditor", DENIED, '{"command":"REFILL"}'))
        self.assertEqual((last.result, last.code), ("declined", RefusalCode.ROLE))
        [row] = self.house.done("ORDERS", "auditor", admin="auditor").rows
        self.assertEqual((row["order"], row["figures"], row["code"]), ("denied", "command=REFILL", "63"))

    def test_who_is_no_admin(self) -> None:
        """TR-23: a name without its certificate's serial number, an unknown name and a blocked admin are refused."""
        handle = self.house.handlers.handle
        for name, serial in (("administrator", "1234"), ("mallory", "1234"), ("administrator", ""), ("", "")):
            answer = handle(AdminCommand(name, serial, "COMPANIES", {}))
            self.assertEqual((answer.code, answer.rows), (RefusalCode.ROLE, []))
        self.house.done("ADMIN-BLOCK", admin="auditor")
        answer = self.house.order("COMPANIES", "auditor")
        self.assertEqual((answer.code, answer.text), (RefusalCode.ROLE, "Your rights have been taken away."))

    def test_the_front_is_not_believed(self) -> None:
        """The core checks command and arguments again, whatever the front has let through."""
        handle = self.house.handlers.handle
        serial = serial_of("administrator")
        cases: list[tuple[str, dict[str, str], RefusalCode]] = [
            ("NOPE", {}, RefusalCode.UNKNOWN_COMMAND),
            ("QUIT", {}, RefusalCode.NOT_SUPPORTED),
            ("HELP", {}, RefusalCode.NOT_SUPPORTED),
            ("COMPANY-ADD", {"id": "A B", "name": "x"}, RefusalCode.ARGUMENTS),
            ("COMPANY-ADD", {"id": "NEW", "name": "a\u202eb"}, RefusalCode.ARGUMENTS),
            ("COMPANY-ADD", {"id": "NEW"}, RefusalCode.ARGUMENTS),
            ("COMPANIES", {"limit": "1000"}, RefusalCode.ARGUMENTS),
            ("COMPANIES", {"extra": "1"}, RefusalCode.ARGUMENTS),
        ]
        for verb, arguments, code in cases:
            self.assertEqual(handle(AdminCommand("administrator", serial, verb, arguments)).code, code, verb)


class FailureTests(SynchronousTestCase):
    """What an admin is told when database or token fail."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.lunch()

    def test_a_token_that_is_gone(self) -> None:
        """Without the token no card is issued, no code made, and the answer is 91: nothing was done."""
        assert isinstance(self.house.keys, MemoryStore)
        self.house.keys.available = False
        before = len(self.house.orders())
        self.assertEqual(self.house.order("CARD-ISSUE", company="ACME").code, RefusalCode.UNAVAILABLE)
        self.assertEqual(self.house.cards(), [])
        self.assertEqual(self.house.done("CARDS").rows, [])
        self.assertEqual(len(self.house.orders()), before)

    def test_a_code_that_cannot_be_made(self) -> None:
        """When no activation code can be made the answer says what was done and what was not."""

        def gone(*_: object, **__: object) -> str:
            raise KeyStoreUnavailable("removed")

        self.patch(self.house.identities, "open_activation", gone)
        answer = self.house.order("TERMINAL-ADD", id="T0000002", shop="S1")
        self.assertEqual(answer.code, RefusalCode.UNAVAILABLE)
        self.assertTrue(answer.text.startswith("The terminal is registered, but no activation code"))
        self.assertEqual(len(self.house.done("TERMINALS").rows), 2)
        answer = self.house.order("TERMINAL-CODE", terminal="T0000002")
        self.assertTrue(answer.text.startswith("The earlier code stays: no activation code"))

    def test_a_database_that_refuses(self) -> None:
        """A change that certainly was not stored is 91; one whose fate is unknown is 96, look before you repeat."""
        ledger = self.house.ledger
        for failure, code, words in (
            (StorageFailed("the disk is full"), RefusalCode.UNAVAILABLE, "Nothing was done: the disk is full."),
            (OutcomeUnknown("in doubt"), RefusalCode.SYSTEM, "Look before you repeat it."),
        ):

            def broken(now: object, failure: Exception = failure) -> object:
                raise failure

            self.patch(ledger, "order", broken)
            answer = self.house.order("COMPANY-ADD", id="NEW", name="New")
            self.assertEqual(answer.code, code)
            self.assertIn(words, answer.text)
