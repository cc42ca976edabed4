"""The directory of individual certificates at the console: found, shown, suspended, revoked."""

from __future__ import annotations

import base64
from datetime import timedelta

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.issuing.house import House, serial_of
from tests.pki.registers import new_key, request_for
from trus.admin.model import RefusalCode
from trus.core.messages import AdminCommand
from trus.errors import IdentityRefused
from trus.pki.ports import CertificateState
from trus.values import DeviceRole, PeerIdentity


class DirectoryTests(SynchronousTestCase):
    """Two terminals of one shop, one of another, each with a certificate."""

    def setUp(self) -> None:
        self.house = House(self)
        self.house.done("SHOP-ADD", id="S1", name="Bistro", mcc="5812")
        self.house.done("SHOP-ADD", id="S2", name="Bar", mcc="5813")
        self.peers = [self.enrol("T0000001", "S1"), self.enrol("T0000002", "S1"), self.enrol("T0000003", "S2")]

    def enrol(self, terminal: str, shop: str) -> PeerIdentity:
        [row] = self.house.done("TERMINAL-ADD", id=terminal, shop=shop).rows
        code = row["activation-code"]
        return self.house.identities.enrol(DeviceRole.POS, terminal, code, request_for(new_key())).peer

    def found(self, **wanted: str) -> list[str]:
        asked = AdminCommand("auditor", serial_of("auditor"), "CERTIFICATES", wanted)
        return sorted(row["device"] for row in self.house.handlers.handle(asked).rows)

    def state(self, peer: PeerIdentity) -> tuple[CertificateState, str]:
        record = self.house.store.certificates([peer.serial])[peer.serial]
        return record.state, record.reason

    def test_searching(self) -> None:
        """TR-15: certificates are found by serial, device, role, shop, state and date."""
        everybody = ["T0000001", "T0000002", "T0000003", "backend"]
        self.assertEqual(self.found(), everybody)
        self.assertEqual(self.found(serial=self.peers[1].serial), ["T0000002"])
        self.assertEqual(self.found(device="T0000003"), ["T0000003"])
        self.assertEqual(self.found(role="backend"), ["backend"])
        self.assertEqual(self.found(shop="S1"), ["T0000001", "T0000002"])
        self.assertEqual(self.found(issued="2026-11-20"), everybody)
        self.assertEqual(self.found(issued="2026-11-19"), [])
        self.assertEqual((self.found(valid="2026-11-20"), self.found(valid="2026-11-21")), ([], everybody))
        self.assertEqual(self.found(valid="2028-01-01"), everybody[:3])
        self.house.done("CERTIFICATE-HOLD", device="T0000002")
        self.assertEqual((self.found(state="held"), self.found(state="good", shop="S1")), (["T0000002"], ["T0000001"]))
        self.assertEqual(self.found(state="held", shop="S2"), [])

    def test_expiry_is_seen_ahead(self) -> None:
        """What ends soon is listed while it is good, and what has ended as expired; revoked ones are neither."""
        self.assertEqual(self.found(state="expiring"), [])
        self.assertEqual(self.found(state="expiring", days="366"), ["backend"])
        self.house.clock.advance(timedelta(days=3 * 365 - 20))
        self.assertEqual(self.found(state="expiring"), ["T0000001", "T0000002", "T0000003"])
        self.house.done("CERTIFICATE-REVOKE", device="T0000002")
        self.assertEqual(self.found(state="expiring"), ["T0000001", "T0000003"])
        self.house.clock.advance(timedelta(days=40))
        self.assertEqual((self.found(state="expiring"), self.found(state="expired", shop="S2")), ([], ["T0000003"]))
        [row] = self.house.done("CERTIFICATES", device="T0000003").rows
        self.assertEqual(row["state"], "expired")

    def test_days_go_with_expiring(self) -> None:
        """A number of days without state=expiring is refused rather than ignored."""
        self.assertEqual(self.house.order("CERTIFICATES", days="7").code, RefusalCode.ARGUMENTS)

    def test_pages(self) -> None:
        """A long list comes in pages that miss nothing and repeat nothing."""
        first = self.house.done("CERTIFICATES", limit="3")
        self.assertIn("more follow", first.text)
        second = self.house.done("CERTIFICATES", limit="3", after=first.rows[-1]["serial"])
        self.assertEqual(len({row["serial"] for row in (*first.rows, *second.rows)}), 4)
        self.assertNotIn("more", second.text)

    def test_showing(self) -> None:
        """A certificate is shown whole, as the key store keeps it; an unknown one is told as such."""
        [row] = self.house.done("CERTIFICATE", "support", serial=self.peers[0].serial).rows
        shown = x509.load_der_x509_certificate(base64.b64decode(row["der"]))
        self.assertEqual(f"{shown.serial_number:x}", self.peers[0].serial)
        self.assertEqual((row["device"], row["shop"], row["state"]), ("T0000001", "S1", "good"))
        self.assertEqual(self.house.order("CERTIFICATE", serial="5e1a").code, RefusalCode.NOT_FOUND)

    def test_suspension(self) -> None:
        """TR-15: a suspended certificate is refused until it is released; its neighbours never notice."""
        first, second, _ = self.peers
        self.house.done("CERTIFICATE-HOLD", "support", serial=first.serial)
        self.assertEqual(self.state(first), (CertificateState.HELD, "certificateHold"))
        refused = self.assertRaises(IdentityRefused, self.house.identities.standing, first)
        self.assertEqual(refused.reason, "held")
        self.house.identities.standing(second)
        self.assertEqual(self.house.order("CERTIFICATE-HOLD", serial=first.serial).code, RefusalCode.STATE)
        self.house.done("CERTIFICATE-RELEASE", "issuer", serial=first.serial)
        self.house.identities.standing(first)
        self.assertEqual(self.house.order("CERTIFICATE-RELEASE", serial=first.serial).code, RefusalCode.STATE)

    def test_revocation_is_for_ever(self) -> None:
        """TR-15: a revoked certificate keeps the reason of RFC 5280 and is never good again."""
        first = self.peers[0]
        self.house.done("CERTIFICATE-REVOKE", serial=first.serial, reason="withdrawn")
        self.assertEqual(self.state(first), (CertificateState.REVOKED, "privilegeWithdrawn"))
        for verb in ("CERTIFICATE-RELEASE", "CERTIFICATE-HOLD", "CERTIFICATE-REVOKE"):
            self.assertEqual(self.house.order(verb, serial=first.serial).code, RefusalCode.STATE, verb)
        self.assertEqual(self.house.order("CERTIFICATE-REVOKE", serial="5e1a").code, RefusalCode.NOT_FOUND)

    def test_one_of_two_names(self) -> None:
        """An order names a certificate or a device; neither and both are refused, and change nothing."""
        both = {"serial": self.peers[0].serial, "device": "T0000002"}
        for named in ({}, both):
            self.assertEqual(self.house.order("CERTIFICATE-REVOKE", **named).code, RefusalCode.ARGUMENTS)
        self.assertEqual(self.found(state="revoked"), [])

    def test_every_change_is_told_and_on_record(self) -> None:
        """Each change leaves one event with the admin's name, and a number by which live sessions hear of it."""
        with self.house.registry.reading() as view:
            before = view.directory.epoch()
        self.house.done("CERTIFICATE-HOLD", device="T0000001")
        self.house.done("CERTIFICATE-REVOKE", device="T0000001", reason="lost")
        self.house.done("TERMINAL-BLOCK", terminal="T0000002")
        with self.house.registry.reading() as view:
            changed = view.directory.changes_since(before)
            self.assertEqual(view.directory.epoch(), before + 3)
        assert changed is not None
        self.assertEqual([(row.role, row.name) for row in changed], [("pos", "T0000001"), ("pos", "T0000002")])
        rules = [(row.rule, row.actor) for row in self.house.orders()[-3:]]
        self.assertEqual(
            rules,
            [(rule, "administrator") for rule in ("CERTIFICATE-HOLD", "CERTIFICATE-REVOKE", "TERMINAL-BLOCK")],
        )
