"""Shops, terminals and their activation codes, up to the end of a terminal."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House
from tests.pki.registers import request_for
from trus.admin.model import RefusalCode
from trus.errors import IdentityRefused
from trus.pki.ports import CertificateState
from trus.values import DeviceRole, PeerIdentity

POS = DeviceRole.POS


class ShopTests(SynchronousTestCase):
    """Shops."""

    def setUp(self) -> None:
        self.house = House(self)

    def test_a_shop_registers(self) -> None:
        """TR-1: a shop has a name in any script, a merchant category and a currency."""
        answer = self.house.done("SHOP-ADD", id="S1", name="麺屋", mcc="5812", currency="jpy")
        self.assertEqual(
            answer.rows, [{"shop": "S1", "name": "麺屋", "mcc": "5812", "currency": "JPY", "state": "active"}]
        )
        self.assertEqual(self.house.done("SHOPS").rows, answer.rows)
        self.assertEqual(self.house.order("SHOP-ADD", id="S1", name="B", mcc="5812").code, RefusalCode.EXISTS)

    def test_a_blocked_shop_sells_nothing(self) -> None:
        """A blocked shop's terminals are answered 03 until it is unblocked."""
        self.house.lunch()
        self.house.done("CARD-ISSUE", company="ACME", employee="E1")
        self.house.done("REFILL", company="ACME", amount="10.00")
        [card] = self.house.cards()
        self.house.done("SHOP-BLOCK", shop="S1")
        self.assertEqual(self.house.pay(card, 100).code, "03")
        self.house.done("SHOP-UNBLOCK", shop="S1")
        self.assertEqual(self.house.pay(card, 100).code, "00")


class TerminalTests(SynchronousTestCase):
    """Terminals."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.done("SHOP-ADD", id="S1", name="Shop", mcc="5812")
        self.key = ec.generate_private_key(ec.SECP256R1())

    def code(self, verb: str = "TERMINAL-ADD", **arguments: str) -> str:
        named = arguments or {"id": "T0000001", "shop": "S1"}
        [row] = self.house.done(verb, **named).rows
        return row["activation-code"]

    def enrol(self, code: str) -> PeerIdentity:
        return self.house.identities.enrol(POS, "T0000001", code, request_for(self.key)).peer

    def refused(self, code: str) -> str:
        error: IdentityRefused = self.assertRaises(IdentityRefused, self.enrol, code)
        return error.reason

    def test_the_code_enrols_the_terminal_once(self) -> None:
        """TR-15: the code shown once brings the terminal's certificate, which names its shop; no other key gets one."""
        code = self.code()
        peer = self.enrol(code)
        self.assertEqual((peer.name, peer.shop), ("T0000001", "S1"))
        self.assertEqual(self.enrol(code).serial, peer.serial, "a retry with the same key brings the same certificate")
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.refused(code)

    def test_the_code_is_kept_nowhere(self) -> None:
        """A code is in no table: what is stored is its keyed hash."""
        code = self.code()
        plain = code.replace("-", "").encode()
        with self.house.ledger.engine.connect() as connection:
            for table in ("activation", "event", "terminal", "meta"):
                rows = connection.exec_driver_sql(f"SELECT * FROM {table}").fetchall()
                shown = repr([tuple(row) for row in rows]).encode()
                self.assertNotIn(code.encode(), shown)
                self.assertNotIn(plain, shown)

    def test_a_new_code_voids_the_old_one(self) -> None:
        """TERMINAL-CODE makes a code, and the one before it no longer enrols."""
        first = self.code()
        second = self.code("TERMINAL-CODE", terminal="T0000001")
        self.assertNotEqual(first, second)
        self.refused(first)
        self.assertEqual(self.enrol(second).name, "T0000001")

    def test_wrong_codes_are_counted(self) -> None:
        """After five wrong codes even the right one is refused, also after the core has started again."""
        code = self.code()
        wrong = self.code("TERMINAL-CODE", terminal="T0000001")
        code, wrong = wrong, code
        for _ in range(5):
            self.refused(wrong)
        self.refused(code)

    def test_ids_of_terminals(self) -> None:
        """A terminal's id is unique, and its shop exists."""
        self.code()
        self.assertEqual(self.house.order("TERMINAL-ADD", id="T0000001", shop="S1").code, RefusalCode.EXISTS)
        self.assertEqual(self.house.order("TERMINAL-ADD", id="T0000002", shop="S9").code, RefusalCode.NOT_FOUND)
        self.assertEqual(self.house.order("TERMINAL-CODE", terminal="T0000009").code, RefusalCode.NOT_FOUND)
        self.assertEqual(self.house.order("TERMINALS", shop="S9").code, RefusalCode.NOT_FOUND)
        self.assertEqual([row["terminal"] for row in self.house.done("TERMINALS", shop="S1").rows], ["T0000001"])

    def test_revoking(self) -> None:
        """TR-15: a revoked terminal's certificate is refused from now on, its live session cannot pay, for ever."""
        self.code()
        self.house.lunch_card()
        [card] = self.house.cards()
        peer = self.enrol(self.code("TERMINAL-CODE", terminal="T0000001"))
        self.house.identities.standing(peer)
        self.assertEqual(self.house.pay(card, 100).code, "00")
        pending = self.code("TERMINAL-CODE", terminal="T0000001")
        answer = self.house.done("REVOKE", terminal="T0000001", reason="lost")
        self.assertEqual(answer.rows, [{"serial": peer.serial, "reason": "keyCompromise"}])
        self.assertEqual(self.house.pay(card, 100).code, "58", "the session lives on, and pays nothing")
        self.assertRaises(IdentityRefused, self.house.identities.standing, peer)
        self.assertIs(self.house.store.certificates([peer.serial])[peer.serial].state, CertificateState.REVOKED)
        self.refused(pending)
        for verb in ("TERMINAL-UNBLOCK", "TERMINAL-BLOCK", "TERMINAL-CODE"):
            self.assertEqual(self.house.order(verb, terminal="T0000001").code, RefusalCode.STATE, verb)
        self.assertEqual(self.house.done("REVOKE", terminal="T0000001").rows, [], "revoking twice does no harm")

    def test_blocking_for_a_while(self) -> None:
        """A blocked terminal is answered 58 and its ticket refused; unblocked, both work again."""
        self.code()
        self.house.lunch_card()
        [card] = self.house.cards()
        peer = self.enrol(self.code("TERMINAL-CODE", terminal="T0000001"))
        self.house.done("TERMINAL-BLOCK", terminal="T0000001")
        self.assertEqual(self.house.pay(card, 100).code, "58")
        self.assertRaises(IdentityRefused, self.house.identities.standing, peer)
        self.house.done("TERMINAL-UNBLOCK", terminal="T0000001")
        self.assertEqual(self.house.pay(card, 100).code, "00")
        self.house.identities.standing(peer)


class RegisterTests(SynchronousTestCase):
    """The ports of the PKI on the database."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.done("SHOP-ADD", id="S1", name="Shop", mcc="5812")
        [row] = self.house.done("TERMINAL-ADD", id="T0000001", shop="S1").rows
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self.house.identities.enrol(POS, "T0000001", row["activation-code"], request_for(key))
        self.peer = issued.peer

    def test_records_come_back_as_they_went_in(self) -> None:
        """What the PKI stores of activations and certificates it reads back, moments to the microsecond."""
        store = self.house.store
        record = store.certificates([self.peer.serial, "ffff"])
        self.assertEqual(list(record), [self.peer.serial])
        kept = record[self.peer.serial]
        self.assertEqual((kept.role, kept.name, kept.shop, kept.reason), (POS, "T0000001", "S1", ""))
        self.assertEqual(len(kept.key_digest), hashes.SHA256.digest_size)
        activation = store.activation(POS, "T0000001")
        assert activation is not None
        self.assertEqual((activation.serial, activation.key_digest), (kept.serial, kept.key_digest))
        self.assertIsNone(store.activation(POS, "T0000009"))
        self.assertNotIn(activation.code_hash.hex(), repr(activation))

    def test_states_change_and_are_on_record(self) -> None:
        """Holding, releasing and revoking a certificate change its state and leave an event each."""
        identities = self.house.identities
        identities.hold(self.peer.serial, "certificateHold")
        self.assertRaises(IdentityRefused, identities.standing, self.peer)
        identities.release(self.peer.serial, "")
        identities.standing(self.peer)
        identities.revoke(self.peer.serial, "keyCompromise")
        kept = self.house.store.certificates([self.peer.serial])[self.peer.serial]
        self.assertEqual(
            (kept.state, kept.reason, kept.changed), (CertificateState.REVOKED, "keyCompromise", self.house.clock.now())
        )
        rules = [row.rule for row in self.house.journal("admin", "enrolment") if row.actor == "pki"]
        self.assertEqual(rules, ["REGISTER", "ENROL", *["CERTIFICATE-STATE"] * 3])
        self.assertRaises(
            KeyError, self.house.store.set_state, "ffff", CertificateState.HELD, self.house.clock.now(), ""
        )
        with self.house.registry.reading() as view:
            self.assertEqual(view.directory.epoch(), 3)

    def test_blocked_holders(self) -> None:
        """Terminals and cards that are not active, or not registered, count as blocked; a backend never does."""
        self.house.lunch_card("T0000002")
        [card] = self.house.cards()
        self.house.done("CARD-BLOCK", card=card["card"])
        holders = [
            (POS, "T0000001"), (POS, "T0000099"), (DeviceRole.CARD, card["card"]), (DeviceRole.BACKEND, "backend"),
        ]  # fmt: skip
        self.assertEqual(self.house.store.blocked(holders), {holders[1], holders[2]})
