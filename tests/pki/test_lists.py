"""Revocation lists that follow one another."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.registers import NOON, SetClock
from trus.clock import SystemEntropy
from trus.errors import ConfigurationError
from trus.hsm.memory import MemoryStore
from trus.pki.authority import Authority, RevokedSerial
from trus.pki.channel import CHANNEL, first_revocation_list
from trus.pki.lists import is_due, next_list, read_list
from trus.pki.profiles import CHANNEL_AUTHORITY, CRL_VALIDITY


def number_of(revocation_list: x509.CertificateRevocationList) -> int:
    """Return a list's number."""
    return revocation_list.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


class ListTests(SynchronousTestCase):
    """One authority's lists."""

    def setUp(self) -> None:
        self.clock = SetClock()
        self.authority = self.make()
        self.first = first_revocation_list(self.authority)

    def make(self) -> Authority:
        """Make an authority."""
        store = MemoryStore(SystemEntropy())
        return Authority.create(store, store, CHANNEL, CHANNEL_AUTHORITY, "CA", self.clock, SystemEntropy())

    def test_what_was_revoked_stays_revoked(self) -> None:
        """A new list holds everything that the last one held, with its first moment, and a larger number."""
        second = next_list(self.authority, self.first, [RevokedSerial(7, NOON)])
        self.clock.advance(timedelta(days=60))
        later = [RevokedSerial(7, self.clock.now()), RevokedSerial(9, self.clock.now())]
        third = next_list(self.authority, second, later)
        self.assertEqual([number_of(each) for each in (self.first, second, third)], [1, 2, 3])
        self.assertEqual(
            {entry.serial_number: entry.revocation_date_utc for entry in third},
            {7: NOON, 9: self.clock.now()},
        )
        self.assertEqual(third.next_update_utc, self.clock.now() + CRL_VALIDITY)

    def test_a_list_is_due_when_half_of_it_is_gone(self) -> None:
        """A list is renewed 45 days before its end, long before any client would be refused."""
        self.assertFalse(is_due(self.first, NOON + timedelta(days=44, hours=23)))
        self.assertTrue(is_due(self.first, NOON + timedelta(days=45, hours=1)))

    def test_a_list_without_number_or_end_is_followed_by_a_good_one(self) -> None:
        """A list that another tool of the operator's made is taken on."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.authority.certificate.subject)
        builder = builder.last_update(NOON).next_update(NOON + timedelta(days=1))
        foreign = builder.sign(self.authority.signer, hashes.SHA256())
        self.assertTrue(is_due(foreign, NOON))
        self.assertEqual(number_of(next_list(self.authority, foreign)), 1)

    def test_a_list_of_another_authority_is_refused(self) -> None:
        """Only a list that this authority signed is continued: a swapped file must not empty it."""
        mine = self.first.public_bytes(Encoding.PEM)
        self.assertEqual(read_list(self.authority, mine), self.first)
        self.assertRaises(ConfigurationError, read_list, self.make(), mine)
        for garbage in (b"", b"no list", mine[:100]):
            self.assertRaises(ConfigurationError, read_list, self.authority, garbage)
