"""A token that is slow, gone or locked: it fails closed, the operator hears of it, and it comes back by itself."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.certificates import some_certificate
from tests.hsm.slow import SetClock, SlowStore
from tests.hsm.tokens import LABEL, OFFICER_PIN, PIN, fresh_token
from trus.clock import SystemEntropy
from trus.errors import ConfigurationError, KeyNotFound, KeyStoreError, KeyStoreUnavailable, WrongTokenPin
from trus.hsm.guard import COUNTERS, PAUSES_SECONDS, REMINDER_SECONDS, GuardedStore, RecoverableStore
from trus.hsm.memory import MemoryStore
from trus.hsm.module import ModuleSettings, acquire
from trus.hsm.pkcs11 import Pkcs11Store
from trus.hsm.ports import KeyPurpose
from trus.hsm.softhsm import create_token, write_configuration

DEADLINE = 5.0


class Watched:
    """Remembers what the guard said of its calls."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def begin(self, doing: str) -> None:
        self.said.append(doing)

    def end(self) -> None:
        self.said.append("end")


class GuardCase(SynchronousTestCase):
    """A guard on some store, a clock that moves by hand, and what the operator reads."""

    def setUp(self) -> None:
        self.clock = SetClock()
        self.notes: list[tuple[str, str]] = []
        self.counters: dict[str, int] = {}
        self.watch = Watched()
        self.pin = PIN

    def guard(self, store: RecoverableStore) -> GuardedStore:
        """Put a guard before a store."""

        def read_pin() -> str:
            if not self.pin:
                raise ConfigurationError("the token's PIN file cannot be read")
            return self.pin

        return GuardedStore(
            store,
            self.clock,
            lambda level, text: self.notes.append((level, text)),
            deadline_seconds=DEADLINE,
            pin=read_pin,
            watch=self.watch,
            counters=self.counters,
        )


class SlowTokenTests(GuardCase):
    """TR-18: a slow module."""

    def setUp(self) -> None:
        super().setUp()
        self.slow = SlowStore(MemoryStore(SystemEntropy()), self.clock)
        self.store = self.guard(self.slow)
        self.key = self.store.generate("K_DB", KeyPurpose.DATA)

    def test_a_call_in_time_is_answered(self) -> None:
        """A call within the deadline is answered, and nothing is said of it."""
        self.slow.delay = DEADLINE
        self.assertEqual(len(self.store.mac(self.key, [b"m"])), 1)
        self.assertEqual(self.notes, [])
        self.assertEqual(self.counters, dict(zip(COUNTERS, (2, 0, 0, 0, 5000), strict=True)))

    def test_a_call_beyond_the_deadline_counts_as_failed(self) -> None:
        """Past the deadline an answer is not used, and further calls are refused at once, without asking."""
        self.slow.delay = DEADLINE + 1
        error = self.assertRaises(KeyStoreUnavailable, self.store.mac, self.key, [b"m"])
        self.assertEqual(str(error), "the token took 6.0 s for computing a MAC")
        calls, before = self.slow.calls, self.clock.monotonic()
        self.assertRaises(KeyStoreUnavailable, self.store.mac, self.key, [b"m"])
        self.assertEqual((self.slow.calls, self.clock.monotonic()), (calls, before))
        self.assertEqual(
            self.notes,
            [
                (
                    "critical",
                    "the token took 6.0 s for computing a MAC; what needs the token gets code 91 until it works again",
                )
            ],
        )
        self.assertEqual(self.store.trouble, "the token took 6.0 s for computing a MAC")

    def test_a_key_that_was_made_late_was_made(self) -> None:
        """What changed the token is done however long it took: the key is named, the trouble is told."""
        self.slow.delay = DEADLINE + 1
        made = self.store.generate("K_LATE", KeyPurpose.PIN)
        self.assertEqual(made.label, "K_LATE")
        self.assertIn("for making a key", self.store.trouble)

    def test_it_is_asked_again_and_comes_back(self) -> None:
        """A slow token is asked something small after a pause, and works again as soon as it is quick."""
        self.slow.delay = DEADLINE + 1
        self.assertRaises(KeyStoreUnavailable, self.store.mac, self.key, [b"m"])
        for _ in range(3):
            self.clock.advance(PAUSES_SECONDS[-1])
            self.assertRaises(KeyStoreUnavailable, self.store.mac, self.key, [b"m"])
        self.slow.delay = 0.0
        self.clock.advance(PAUSES_SECONDS[-1])
        self.assertEqual(len(self.store.mac(self.key, [b"m"])), 1)
        self.assertEqual(self.store.trouble, "")
        level, text = self.notes[-1]
        self.assertEqual(level, "warn")
        self.assertRegex(text, r"the token works again after [0-9.]+ s, [0-9]+ calls were refused")
        self.assertEqual(self.slow.recovered, 0)

    def test_the_operator_is_not_flooded(self) -> None:
        """While it lasts the operator reads one line a minute, however many calls are refused."""
        self.slow.delay = DEADLINE + 1
        for _ in range(2000):
            self.assertRaises(KeyStoreUnavailable, self.store.mac, self.key, [b"m"])
            self.clock.advance(0.1)
        minutes = (self.clock.monotonic() - 0) / REMINDER_SECONDS
        self.assertLessEqual(len(self.notes), minutes + 2)
        self.assertGreaterEqual(len(self.notes), 3)

    def test_trouble_that_comes_and_goes_is_one_line_a_minute(self) -> None:
        """A token that is slow now and then fills no log either."""
        for _ in range(40):
            self.slow.delay = DEADLINE + 1
            self.assertRaises(KeyStoreUnavailable, self.store.mac, self.key, [b"m"])
            self.slow.delay = 0.0
            self.clock.advance(1)
            self.store.mac(self.key, [b"m"])
        self.assertLessEqual(len(self.notes), 12)

    def test_refusals_of_the_key_store_are_no_trouble(self) -> None:
        """A key that is not there, or is for something else, says nothing about the token."""
        self.assertRaises(KeyNotFound, self.store.find, "K_NONE")
        self.assertRaises(KeyStoreError, self.store.encrypt_blocks, self.key, [bytes(16)])
        self.assertEqual((self.store.trouble, self.notes), ("", []))

    def test_every_call_is_watched(self) -> None:
        """Whoever watches hears of each call's beginning and end, also of one that fails."""
        self.watch.said.clear()
        pin = self.store.generate("K_PIN", KeyPurpose.PIN)
        wrap = self.store.generate("K_WRAP", KeyPurpose.WRAP)
        sign = self.store.generate("CA", KeyPurpose.SIGN)
        pair = self.store.wrap_new_pair(wrap)
        self.store.wrap_pair(wrap, self.store.unwrap_pair(wrap, pair))
        self.store.encrypt_blocks(pin, [bytes(16)])
        self.store.sign(sign, [b"m"])
        self.store.public_key(sign)
        self.store.attributes(sign)
        self.store.handles()
        self.store.put_certificate("x", some_certificate("x"))
        self.assertEqual(len(self.store.certificate("x")), len(self.store.certificate("x")))
        self.assertEqual(list(self.store.certificate_labels()), ["x"])
        self.store.destroy(sign)
        self.assertRaises(KeyNotFound, self.store.find, "CA")
        self.assertEqual(self.watch.said[1::2], ["end"] * (len(self.watch.said) // 2))
        self.assertEqual(len(set(self.watch.said)), 15)
        self.store.close()


class RemovedTokenTests(GuardCase):
    """TR-18: a token that is removed under a running core, wrong PINs, and the way back; on SoftHSM."""

    def setUp(self) -> None:
        super().setUp()
        self.token = fresh_token(self)
        self.folder = Path(self.token.softhsm_conf).parent
        self.inner = Pkcs11Store(self.token)
        self.addCleanup(self.inner.close)
        self.store = self.guard(self.inner)
        self.data = self.store.generate("K_DB", KeyPurpose.DATA)
        self.sign = self.store.generate("CA", KeyPurpose.SIGN)
        self.pin_key = self.store.generate("K_PIN", KeyPurpose.PIN)
        self.store.put_certificate("kept", some_certificate("kept"))
        self.mac = self.store.mac(self.data, [b"m"])

    def remove(self) -> None:
        """Take the token away."""
        (self.folder / "tokens").rename(self.folder / "taken")

    def bring_back(self) -> None:
        """Put the token back."""
        (self.folder / "taken").rename(self.folder / "tokens")

    def assert_away(self) -> None:
        """Assert that no call is served."""
        self.assertRaises(KeyStoreUnavailable, self.store.mac, self.data, [b"m"])
        self.assertRaises(KeyStoreUnavailable, self.store.sign, self.sign, [b"m"])
        self.assertRaises(KeyStoreUnavailable, self.store.encrypt_blocks, self.pin_key, [bytes(16)])
        self.assertRaises(KeyStoreUnavailable, self.store.handles)
        self.assertRaises(KeyStoreUnavailable, self.store.certificate, "kept")

    def later(self) -> None:
        """Let the longest pause go by."""
        self.clock.advance(PAUSES_SECONDS[-1])

    def test_a_removed_token_fails_closed_and_recovers_without_a_restart(self) -> None:
        """TR-18: while the token is away nothing is served; when it is back, the same handles work again."""
        self.remove()
        self.assert_away()
        for _ in range(3):
            self.later()
            self.assert_away()
        self.bring_back()
        self.later()
        self.assertEqual(self.store.mac(self.data, [b"m"]), self.mac)
        self.assertEqual(len(self.store.sign(self.sign, [b"m"])), 1)
        self.assertEqual(len(self.store.encrypt_blocks(self.pin_key, [bytes(16)])), 1)
        self.assertEqual(self.store.certificate("kept"), self.inner.certificate("kept"))
        levels = [level for level, _ in self.notes]
        self.assertEqual((levels[0], levels[-1], levels.count("warn")), ("critical", "warn", 1))
        self.assertEqual(self.counters["token-recoveries"], 1)

    def test_a_quiet_core_opens_the_token_by_itself(self) -> None:
        """Without a single request the token is opened again in the core's quiet moments."""
        self.remove()
        self.assert_away()
        self.later()
        self.store.tend()
        self.assertNotEqual(self.store.trouble, "")
        self.bring_back()
        self.later()
        self.store.tend()
        self.assertEqual(self.store.trouble, "")

    def test_a_wrong_pin_is_tried_once(self) -> None:
        """When the PIN was changed, the old one is tried once and not again: wrong ones lock a token."""
        self.remove()
        self.assert_away()
        self.bring_back()
        self.pin = "not-the-pin-1"
        tried: list[str] = []
        real = self.inner.recover

        def counted(pin: str = "") -> None:
            tried.append(pin)
            real(pin)

        self.patch(self.inner, "recover", counted)
        for _ in range(5):
            self.later()
            self.assert_away()
        self.assertEqual(tried, ["not-the-pin-1"])
        self.assertEqual(
            self.store.trouble,
            f"the token '{LABEL}' refused the PIN: it is not tried again before the PIN file changes",
        )
        self.assertNotIn("not-the-pin", str(self.notes))
        self.pin = PIN
        self.later()
        self.assertEqual(self.store.mac(self.data, [b"m"]), self.mac)

    def test_a_lost_pin_file_is_said(self) -> None:
        """When the PIN file is gone the trouble says so, and the token is opened when the file is back."""
        self.remove()
        self.assert_away()
        self.bring_back()
        self.pin = ""
        self.later()
        self.assert_away()
        self.assertEqual(self.store.trouble, "the token's PIN file cannot be read")
        self.pin = PIN
        self.later()
        self.assertEqual(self.store.mac(self.data, [b"m"]), self.mac)

    def test_another_token_in_its_place_is_refused(self) -> None:
        """A token of the same name with other keys of the same names is not used: the books are not its."""
        self.remove()
        self.assert_away()
        write_configuration(self.folder)
        create_token(self.token.module, Path(self.token.softhsm_conf), LABEL, PIN, OFFICER_PIN)
        self.later()
        self.assert_away()
        self.assertIn("has lost keys that it held", self.store.trouble)
        self.fill_another()
        self.later()
        self.assert_away()
        self.assertIn("is another one: its key", self.store.trouble)
        shutil.rmtree(self.folder / "tokens")
        self.bring_back()
        self.later()
        self.assertEqual(self.store.mac(self.data, [b"m"]), self.mac)

    def fill_another(self) -> None:
        """Make the keys of the first token, by name, in the one that took its place."""
        with Pkcs11Store(self.token) as other:
            other.generate("K_DB", KeyPurpose.DATA)
            other.generate("CA", KeyPurpose.SIGN)
            other.generate("K_PIN", KeyPurpose.PIN)

    def test_a_key_made_since_is_not_missed(self) -> None:
        """Keys and certificates that were made while the store was open are there after recovery."""
        wrap = self.store.generate("K_WRAP", KeyPurpose.WRAP)
        pair = self.store.wrap_new_pair(wrap)
        self.store.destroy(self.pin_key)
        self.remove()
        self.assertRaises(KeyStoreUnavailable, self.store.handles)
        self.bring_back()
        self.later()
        self.assertEqual([each.label for each in self.store.handles()], ["CA", "K_DB", "K_WRAP"])
        self.store.unwrap_pair(wrap, pair)

    def test_a_closed_store_stays_closed(self) -> None:
        """What was closed on purpose is not opened again."""
        self.store.close()
        for _ in range(3):
            self.later()
            self.assertRaises(KeyStoreUnavailable, self.store.mac, self.data, [b"m"])
        self.assertRaises(KeyStoreUnavailable, self.inner.recover)


class StartedAgainTests(SynchronousTestCase):
    """Two stores on one module: C_Finalize ends the sessions of both."""

    def test_the_other_store_notices_and_recovers(self) -> None:
        """When one store starts the module again, the other's session is refused, never confused, and recovers."""
        token = fresh_token(self)
        create_token(token.module, Path(token.softhsm_conf), "second", "second-pin", OFFICER_PIN)
        first = Pkcs11Store(token)
        self.addCleanup(first.close)
        second = Pkcs11Store(
            type(token)(module=token.module, pin="second-pin", token_label="second", softhsm_conf=token.softhsm_conf)
        )
        self.addCleanup(second.close)
        key = second.generate("K_DB", KeyPurpose.DATA)
        mac = second.mac(key, [b"m"])
        first.recover()
        error = self.assertRaises(KeyStoreUnavailable, second.mac, key, [b"m"])
        self.assertIn("its module was started again", str(error))
        second.recover()
        self.assertEqual(second.mac(key, [b"m"]), mac)
        self.assertEqual(list(first.handles()), [])
        self.assertRaises(WrongTokenPin, first.recover, "wrong-pin-9")
        self.assertRaises(KeyStoreUnavailable, first.handles)
        first.recover()
        self.assertEqual(list(first.handles()), [])

    def test_a_module_in_use_is_not_finalised_by_another_hold(self) -> None:
        """Letting go of one share leaves the module to the others."""
        token = fresh_token(self)
        with Pkcs11Store(token) as store:
            hold = acquire(ModuleSettings(token.module, token.softhsm_conf))
            hold.release()
            hold.release()
            store.generate("K_DB", KeyPurpose.DATA)
