"""Full and delta revocation lists of the individual authority, judged by OpenSSL and by their own arithmetic."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.pki.ledgered import OpenSslCase
from trus.errors import KeyStoreUnavailable
from trus.pki.ports import CertificateState
from trus.pki.revocation import BASE_LIFETIME, FULL_VALIDITY, KeptList, ListKind

GOOD, HELD, REVOKED = CertificateState.GOOD, CertificateState.HELD, CertificateState.REVOKED


def parse(kept: KeptList | None) -> x509.CertificateRevocationList:
    assert kept is not None
    return x509.load_der_x509_crl(kept.der)


def number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def base(crl: x509.CertificateRevocationList) -> int:
    extension = crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert extension.critical
    return extension.value.crl_number


def reasons(crl: x509.CertificateRevocationList) -> dict[int, str]:
    found = {}
    for entry in crl:
        try:
            found[entry.serial_number] = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
        except x509.ExtensionNotFound:
            found[entry.serial_number] = ""
    return found


class ListTests(OpenSslCase):
    """Three terminals and the lists about them."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two, self.three = (self.pki.enrol(f"T000000{number}") for number in (1, 2, 3))
        self.lists = self.pki.lists()
        self.lists.keep()

    def newest(self, kind: ListKind) -> x509.CertificateRevocationList:
        return parse(self.lists.newest(self.pki.generations()[0], kind))

    def test_a_first_list_is_there_before_anything_is_revoked(self) -> None:
        """TR-15: a network without a revocation says so in signed lists, full and delta."""
        full, delta = self.newest(ListKind.FULL), self.newest(ListKind.DELTA)
        self.assertEqual((list(full), list(delta)), ([], []))
        self.assertEqual((number(full), base(delta)), (number(delta), number(full)))
        self.assertEqual(self.lists.keep(), [])

    def test_a_revocation_is_on_both_lists_at_once(self) -> None:
        """A change of state makes new lists, with the reason of RFC 5280 and growing numbers."""
        first = number(self.newest(ListKind.FULL))
        self.pki.change(self.one, REVOKED, "keyCompromise")
        self.pki.change(self.two, HELD, "certificateHold")
        self.pki.change(self.three, REVOKED, "unspecified")
        self.assertEqual(self.lists.keep(), ["individual/1"])
        wanted = {
            self.one.serial_number: "keyCompromise",
            self.two.serial_number: "certificateHold",
            self.three.serial_number: "",
        }
        for kind in (ListKind.FULL, ListKind.DELTA):
            self.assertEqual(reasons(self.newest(kind)), wanted)
            self.assertGreater(number(self.newest(kind)), first)
        self.assertEqual(base(self.newest(ListKind.DELTA)), first)
        self.assertEqual(self.lists.keep(), [])

    def test_a_release_takes_the_entry_off(self) -> None:
        """A released certificate leaves the full list; the delta list says removeFromCRL until the next base."""
        self.pki.change(self.two, HELD, "certificateHold")
        self.lists.keep()
        self.pki.clock.advance(BASE_LIFETIME)
        self.lists.keep()
        self.assertEqual(list(reasons(self.newest(ListKind.FULL)).values()), ["certificateHold"])
        self.assertEqual(reasons(self.newest(ListKind.DELTA)), reasons(self.newest(ListKind.FULL)))
        self.pki.change(self.two, GOOD)
        self.lists.keep()
        self.assertEqual(reasons(self.newest(ListKind.FULL)), {})
        self.assertEqual(reasons(self.newest(ListKind.DELTA)), {self.two.serial_number: "removeFromCRL"})
        self.pki.clock.advance(BASE_LIFETIME)
        self.lists.keep()
        self.pki.change(self.one, REVOKED, "superseded")
        self.lists.keep()
        self.assertEqual(reasons(self.newest(ListKind.DELTA)), {self.one.serial_number: "superseded"})

    def test_lists_are_made_anew_ahead_of_their_end(self) -> None:
        """Without any change a list is replaced when half of its time is gone, and never lapses."""
        for _ in range(40):
            self.pki.clock.advance(timedelta(hours=11))
            self.lists.keep()
            for kind, part in ((ListKind.FULL, 2), (ListKind.DELTA, 2)):
                crl = self.newest(kind)
                assert crl.next_update_utc is not None
                left = crl.next_update_utc - self.pki.clock.now()
                self.assertGreaterEqual(left * part, (crl.next_update_utc - crl.last_update_utc) - timedelta(hours=1))

    def test_a_long_list_is_told_by_deltas(self) -> None:
        """Beyond a bound a change is signed into the delta list at once, and into the full list once a day."""
        lists = self.pki.lists(full_at_once=1)
        before = number(self.newest(ListKind.FULL))
        for each in (self.one, self.two, self.three):
            self.pki.change(each, REVOKED, "superseded")
        lists.keep()
        self.assertEqual((number(self.newest(ListKind.FULL)), len(self.newest(ListKind.DELTA))), (before, 3))
        self.pki.clock.advance(BASE_LIFETIME)
        lists.keep()
        self.assertEqual(len(self.newest(ListKind.FULL)), 3)

    def test_numbers_grow_after_an_older_state_was_restored(self) -> None:
        """Numbers follow the clock: a list signed after a restore is newer than any that was lost."""
        kept = dict(self.pki.register.lists)
        self.pki.change(self.one, REVOKED, "superseded")
        self.lists.keep()
        lost = number(self.newest(ListKind.FULL))
        self.pki.register.lists = kept
        self.pki.change(self.two, REVOKED, "superseded")
        self.lists.keep()
        self.assertGreater(number(self.newest(ListKind.FULL)), lost)

    def test_an_entry_stays_until_one_list_after_its_end(self) -> None:
        """RFC 5280 section 3.3: a revoked certificate stands on one list signed after its end, then on none."""
        self.pki.change(self.one, REVOKED, "superseded")
        self.lists.keep()
        self.pki.clock.moment = self.one.not_valid_after_utc - timedelta(hours=1)
        self.lists.keep()
        self.pki.clock.advance(timedelta(days=4))
        self.lists.keep()
        self.assertEqual(len(self.newest(ListKind.FULL)), 1)
        self.pki.clock.advance(timedelta(days=4))
        self.lists.keep()
        self.assertEqual(len(self.newest(ListKind.FULL)), 0)

    def test_each_generation_has_its_own_lists(self) -> None:
        """TR-15: after a roll-over the old issuing authority goes on answering for what it issued."""
        self.pki.clock.advance(timedelta(days=30))
        self.pki.roll_over()
        self.pki.service = self.pki.restart()
        young = self.pki.enrol("T0000009")
        for each in (self.one, young):
            self.pki.change(each, REVOKED, "superseded")
        self.assertEqual(self.lists.keep(), ["individual/2", "individual/1"])
        new, old = self.pki.generations()
        self.assertEqual(list(reasons(parse(self.lists.newest(new, ListKind.FULL)))), [young.serial_number])
        self.assertEqual(list(reasons(parse(self.lists.newest(old, ListKind.FULL)))), [self.one.serial_number])
        self.assertNotEqual(new.certificate.subject, old.certificate.subject)

    def test_a_token_that_does_not_answer_leaves_the_former_lists(self) -> None:
        """Lists are replaced whole or not at all, and made up for when the token is back."""
        before = self.newest(ListKind.FULL)
        self.pki.change(self.one, REVOKED, "superseded")
        working = self.pki.store.sign

        def gone(*_: object) -> list[bytes]:
            raise KeyStoreUnavailable("removed")

        self.patch(self.pki.store, "sign", gone)
        self.assertRaises(KeyStoreUnavailable, self.lists.keep)
        self.assertEqual(self.newest(ListKind.FULL), before)
        self.patch(self.pki.store, "sign", working)
        self.lists.keep()
        self.assertEqual(len(self.newest(ListKind.FULL)), 1)

    # --------------------------------------------------------------------- OpenSSL's word

    def verify(self, leaf: x509.Certificate, *options: str) -> tuple[int, str]:
        self.write("leaf.pem", leaf.public_bytes(Encoding.PEM))
        lists = [option for name in ("root.crl", "full.crl") for option in ("-CRLfile", name)]
        return self.openssl(
            *["verify", "-x509_strict", "-crl_check_all", "-CAfile", "root.pem", "-untrusted", "issuing.pem"],
            *[*lists, *self.at, *options, "leaf.pem"],
        )

    def write_lists(self) -> None:
        for kind in (ListKind.FULL, ListKind.DELTA):
            self.write(f"{kind}.crl", self.newest(kind).public_bytes(Encoding.PEM))

    def test_openssl_agrees_about_every_chain(self) -> None:
        """TR-15: `openssl verify -x509_strict -crl_check_all` takes the good ones and refuses revoked and held ones."""
        self.write_lists()
        for each in (self.one, self.two, self.three):
            self.assertEqual(self.verify(each)[0], 0, self.verify(each)[1])
        self.pki.change(self.one, REVOKED, "keyCompromise")
        self.pki.change(self.two, HELD, "certificateHold")
        self.lists.keep()
        self.write_lists()
        for each, wanted in ((self.one, "certificate revoked"), (self.two, "certificate revoked")):
            status, said = self.verify(each)
            self.assertEqual((status != 0, wanted in said), (True, True), said)
        self.assertEqual(self.verify(self.three)[0], 0)

    def test_openssl_uses_the_delta_list(self) -> None:
        """An old full list with today's delta refuses what was revoked since, and takes what was released."""
        self.pki.change(self.two, HELD, "certificateHold")
        self.pki.clock.advance(BASE_LIFETIME)
        self.lists.keep()
        self.write_lists()
        self.assertNotEqual(self.verify(self.two)[0], 0)
        self.pki.change(self.one, REVOKED, "keyCompromise")
        self.pki.change(self.two, GOOD)
        self.lists.keep()
        self.write("delta.crl", self.newest(ListKind.DELTA).public_bytes(Encoding.PEM))
        self.assertEqual(self.verify(self.one)[0], 0)
        # OpenSSL looks for a delta where the full list or the certificate names its freshest list.
        delta = ("-extended_crl", "-use_deltas", "-CRLfile", "delta.crl")
        status, said = self.verify(self.one, *delta)
        self.assertEqual((status != 0, "certificate revoked" in said), (True, True), said)
        self.assertEqual(self.verify(self.two, *delta)[0], 0)

    def test_an_expired_list_refuses_everybody(self) -> None:
        """Whoever kept a list past its end is told so by OpenSSL, rather than believed."""
        self.write_lists()
        self.pki.clock.advance(FULL_VALIDITY + timedelta(seconds=1))
        status, said = self.verify(self.three)
        self.assertEqual((status != 0, "CRL has expired" in said), (True, True), said)
