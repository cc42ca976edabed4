"""The pages about keys and certificates say what the code does."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from trus.certificates import chains, oids, staples
from trus.cli.provisioning import AUDIT_KEY_LABEL
from trus.core.keyring import CARD_LABEL, PIN_LABEL
from trus.hsm.datakeys import DATABASE_KEY_LABEL
from trus.ledger.compose import FIELD_KEY_LABEL, FILE_KEY_LABEL, LOOKUP_KEY_LABEL
from trus.pki import activation, csr, examination, profiles, steps, validation
from trus.pki.channel import ADMIN, ADMIN_HOST, BACKEND_HOST, CHANNEL, GATEWAY_HOST
from trus.pki.describe import fill
from trus.pki.identity import BACKEND_KEY, INDIVIDUAL, RENEW_AHEAD

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "keys.md").read_text(encoding="utf-8")


class KeysPageTests(SynchronousTestCase):
    """docs/reference/keys.md."""

    def test_its_tables_are_the_policy(self) -> None:
        """The tables of profiles, figures and object identifiers are what the code issues by."""
        self.assertEqual(fill(PAGE), PAGE)
        for part in ("profiles", "issuance", "figures", "identifiers"):
            self.assertIn(f"<!-- generated: {part} -->", PAGE)
        self.assertIn(f"`{oids.ARC}`", PAGE)

    def test_it_names_every_key_and_label(self) -> None:
        """Every key of a fresh token and every data key is on the page."""
        authorities = [f"{label}-ca" for label in (INDIVIDUAL, CHANNEL, ADMIN)]
        keys = [DATABASE_KEY_LABEL, PIN_LABEL, CARD_LABEL, BACKEND_KEY, AUDIT_KEY_LABEL, *authorities]
        data_keys = [FILE_KEY_LABEL, FIELD_KEY_LABEL, LOOKUP_KEY_LABEL, activation.HASH_LABEL]
        for label in keys + data_keys:
            self.assertIn(f"| `{label}` |", PAGE)
        for host in (GATEWAY_HOST, BACKEND_HOST, ADMIN_HOST):
            self.assertIn(f"`{host}`", PAGE)

    def test_it_explains_every_refusal(self) -> None:
        """Every word that a log can bear about a certificate or a code is explained."""
        words = [
            value
            for module in (chains, staples, validation, examination, steps, activation, csr)
            for name, value in vars(module).items()
            if name.isupper()
            and not name.startswith("_")
            and isinstance(value, str)
            and name not in ("HASH_LABEL", "PROFILE")
        ]
        self.assertGreater(len(set(words)), 15)
        for word in set(words):
            self.assertIn(f"`{word}`", PAGE)

    def test_its_figures_are_the_codes(self) -> None:
        """Times and counts on the page are the constants of the policy."""
        text = " ".join(PAGE.split())
        for figure in (
            f"An OCSP answer holds for {profiles.OCSP_VALIDITY.days * 24} hours",
            f"a revocation list holds for {profiles.CRL_VALIDITY.days} days",
            f"renews its own certificate {RENEW_AHEAD.days} days before its end",
            f"| a code is good for | {profiles.ACTIVATION_VALIDITY.days} days |",
            f"| wrong codes before the activation is locked | {profiles.MAX_ACTIVATION_FAILURES} |",
        ):
            self.assertIn(figure, text)
