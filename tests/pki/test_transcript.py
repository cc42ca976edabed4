"""Transcripts of ceremonies: what they say, and that nobody changes them afterwards."""

from __future__ import annotations

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.offline import TwoTiers
from trus.errors import ConfigurationError
from trus.pki.transcript import Transcript, check_officers, told, verify


class TranscriptTests(SynchronousTestCase):
    """A ceremony with two officers."""

    def setUp(self) -> None:
        self.tiers = TwoTiers()
        self.issuing = self.tiers.new_generation()
        self.root = self.tiers.root.certificate

    def transcript(self) -> bytes:
        """Return the transcript of a short ceremony, signed by the root."""
        made = Transcript("sign-issuing", "lunch", ("Anna Kowalska", "Boris"), self.tiers.clock)
        made.step("took in a request", file="next.csr")
        made.certificate("signed the certificate", self.issuing)
        return made.seal(self.tiers.root.authority.signer)

    def refused(self, text: bytes, roots: list[x509.Certificate] | None = None) -> str:
        return str(self.assertRaises(ConfigurationError, verify, text, [self.root] if roots is None else roots))

    def test_it_says_who_did_what(self) -> None:
        """Officers, moments, subjects, serial numbers and fingerprints are there in plain text."""
        text = self.transcript().decode("ascii")
        for line in ("ceremony: sign-issuing", "officer: Anna Kowalska", "officer: Boris", "   file: next.csr"):
            self.assertIn(f"\n{line}\n", text)
        self.assertIn(f"   serial: {self.issuing.serial_number:x}\n", text)
        self.assertIn("1. 2026-11-20T12:00:00Z took in a request\n", text)
        said = told(self.transcript())
        self.assertEqual((said.ceremony, said.officers), ("sign-issuing", ("Anna Kowalska", "Boris")))
        self.assertEqual((said.begun, len(said.digest)), ("2026-11-20T12:00:00Z", 64))

    def test_the_root_vouches_for_it(self) -> None:
        """Whoever has the root's certificate can check who signed a transcript."""
        self.assertEqual(verify(self.transcript(), [self.root]), self.root)

    def test_an_issuing_authority_may_sign_its_own(self) -> None:
        """Where the root is not at hand the issuing authority signs, and the root vouches for it."""
        made = Transcript("rollover", "lunch", ("Anna", "Boris"), self.tiers.clock)
        text = made.seal(self.tiers.generations().current.signer)
        self.assertEqual(verify(text, [self.root], [self.issuing]), self.issuing)
        self.assertIn("does not vouch", self.refused(text))
        other = TwoTiers().root.certificate
        error = self.assertRaises(ConfigurationError, verify, text, [other], [self.issuing])
        self.assertIn("does not vouch", str(error))

    def test_every_changed_byte_is_noticed(self) -> None:
        """No byte of a transcript can be changed, none dropped and none added without notice."""
        text = self.transcript()
        for place in range(len(text)):
            self.refused(text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :])
        self.refused(text[:-1])
        self.refused(text + b"\n")
        self.refused(b"x" + text)
        self.refused(b"")
        self.assertRaises(ConfigurationError, told, b"nothing\n\nof the kind")

    def test_officers_are_two_different_people(self) -> None:
        """One name is not enough, the same name twice neither, in whatever spelling; nor a name of two lines."""
        self.assertEqual(check_officers(["Anna  K", "Boris"], 2), ("Anna K", "Boris"))
        for names in (["Anna"], ["Anna", "anna"], ["Anna ", "Anna"], ["Anna", "Bo\x07ris"], ["Anna", ""], []):
            self.assertRaises(ConfigurationError, check_officers, names, 2)
        self.assertEqual(check_officers(["Anna\nKowalska", "B"], 2), ("Anna Kowalska", "B"))
