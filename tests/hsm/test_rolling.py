"""Data keys over several versions of K_DB."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.tokens import fresh_store
from trus.clock import SystemEntropy
from trus.errors import KeyNotFound
from trus.hsm.datakeys import DATABASE_KEY_LABEL, DataKeys, RollingDataKeys, versions_of
from trus.hsm.memory import MemoryStore
from trus.hsm.pkcs11 import Pkcs11Store
from trus.hsm.ports import KeyPurpose
from trus.pki.activation import ActivationCodes, make_code
from trus.values import DeviceRole


class RollingTests(SynchronousTestCase):
    """In memory."""

    store: Pkcs11Store | MemoryStore

    def setUp(self) -> None:
        self.store = MemoryStore(SystemEntropy())

    def generate(self) -> int:
        return self.store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA).version

    def test_newest_is_used_and_all_are_known(self) -> None:
        """TR-13: what is made anew is under the newest version at once; what was made before is still known."""
        self.generate()
        rolling = RollingDataKeys(self.store)
        first = rolling.derive("codes")
        self.assertEqual((rolling.version, rolling.derive_all("codes")), (1, [first]))
        self.generate()
        second = DataKeys(self.store, 2).derive("codes")
        self.assertEqual((rolling.version, rolling.derive("codes")), (2, second))
        self.assertEqual(rolling.derive_all("codes"), [second, first])
        self.store.destroy(self.store.find(DATABASE_KEY_LABEL, 1))
        self.assertEqual((versions_of(self.store), rolling.derive_all("codes")), ([2], [second]))

    def test_codes_outlive_a_rotation(self) -> None:
        """TR-15: an activation code that was handed out before K_DB was rotated still opens its activation."""
        self.generate()
        codes = ActivationCodes(RollingDataKeys(self.store))
        code, late = make_code(SystemEntropy()), make_code(SystemEntropy())
        stored = codes.hash(DeviceRole.POS, "T0000001", code)
        self.generate()
        self.assertTrue(codes.matches(stored, DeviceRole.POS, "T0000001", code))
        self.assertFalse(codes.matches(stored, DeviceRole.POS, "T0000001", late))
        self.assertFalse(codes.matches(stored, DeviceRole.POS, "T0000002", code))
        fresh = codes.hash(DeviceRole.POS, "T0000001", late)
        self.store.destroy(self.store.find(DATABASE_KEY_LABEL, 1))
        self.assertTrue(codes.matches(fresh, DeviceRole.POS, "T0000001", late))
        self.assertFalse(codes.matches(stored, DeviceRole.POS, "T0000001", code))

    def test_no_version(self) -> None:
        """Without K_DB there is nothing to derive from."""
        self.assertRaises(KeyNotFound, RollingDataKeys, self.store)
        self.assertEqual(versions_of(self.store), [])


class RollingTokenTests(RollingTests):
    """On SoftHSM."""

    def setUp(self) -> None:
        self.store = fresh_store(self)
