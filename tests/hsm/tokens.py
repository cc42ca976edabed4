"""Real tokens for tests: each test gets a SoftHSM folder of its own, gone with the test."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from trus.cli.softhsm import find_module
from trus.hsm.pkcs11 import Pkcs11Store, TokenSettings
from trus.hsm.softhsm import create_token, write_configuration

PIN = "hungry-otter-42"
OFFICER_PIN = "sleepy-heron-17"
LABEL = "trus"


def fresh_token(case: SynchronousTestCase) -> TokenSettings:
    """Initialise a token in a private folder of this test and return how to open it."""
    conf = write_configuration(Path(case.mktemp()).absolute())
    module = str(find_module())
    create_token(module, conf, LABEL, PIN, OFFICER_PIN)
    return TokenSettings(module=module, pin=PIN, token_label=LABEL, softhsm_conf=str(conf))


def fresh_store(case: SynchronousTestCase) -> Pkcs11Store:
    """Return an open store on a token of this test's own; it is closed when the test ends."""
    store = Pkcs11Store(fresh_token(case))
    case.addCleanup(store.close)
    return store
