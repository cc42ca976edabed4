"""What an operator reads when a token cannot be used, and how a token is made; on SoftHSM."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path
from typing import Any

from pkcs11 import exceptions as faults
from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.tokens import LABEL, OFFICER_PIN, PIN, fresh_store, fresh_token
from trus.errors import ConfigurationError, KeyStoreUnavailable, WrongTokenPin
from trus.hsm.module import ModuleSettings, acquire, translate
from trus.hsm.pkcs11 import Pkcs11Store, TokenSettings, read_pin
from trus.hsm.ports import KeyPurpose
from trus.hsm.softhsm import create_token, write_configuration


def settings(base: TokenSettings, **changes: object) -> TokenSettings:
    """Return the settings with some of them changed."""
    known = {name: getattr(base, name) for name in ("module", "pin", "token_label", "slot", "softhsm_conf")}
    return TokenSettings(**{**known, **changes})  # type: ignore[arg-type]


class FailureTests(SynchronousTestCase):
    """What an operator reads when the token cannot be used."""

    def refused(self, token: TokenSettings, kind: type[Exception]) -> str:
        """Open the token, expect this error, return its sentence."""
        return str(self.assertRaises(kind, Pkcs11Store, token))

    def test_a_wrong_pin_is_one_sentence(self) -> None:
        """A wrong token PIN is refused in one sentence that does not repeat the PIN."""
        said = self.refused(settings(fresh_token(self), pin="wrong-pin-1"), WrongTokenPin)
        self.assertEqual(said, f"the token '{LABEL}' refused the PIN")

    def test_after_a_wrong_pin_the_right_one_opens(self) -> None:
        """A refused PIN leaves nothing behind: the next attempt with the right one succeeds."""
        token = fresh_token(self)
        self.refused(settings(token, pin="wrong-pin-1"), WrongTokenPin)
        with Pkcs11Store(token) as store:
            self.assertEqual(list(store.handles()), [])

    def test_a_missing_token_is_one_sentence(self) -> None:
        """A label or a slot without a token is named."""
        token = fresh_token(self)
        self.assertEqual(
            self.refused(settings(token, token_label="other"), KeyStoreUnavailable), "the token 'other' is not there"
        )
        self.assertEqual(
            self.refused(settings(token, token_label="", slot=987_654_321), KeyStoreUnavailable),
            "the token 'slot 987654321' is not there",
        )

    def test_a_token_is_found_by_its_slot(self) -> None:
        """A module without labels is configured by slot number."""
        token = fresh_token(self)
        with Pkcs11Store(token) as store:
            slot = store._token.pkcs11.token.slot.slot_id
        with Pkcs11Store(settings(token, token_label="", slot=slot)) as store:
            self.assertEqual(repr(store), f"<Pkcs11Store of token 'slot {slot}'>")

    def test_a_missing_module_is_one_sentence(self) -> None:
        """A PKCS#11 module that is not there, or is no module, is named by its path."""
        token = fresh_token(self)
        self.assertEqual(
            self.refused(settings(token, module="/nowhere/lib.so"), KeyStoreUnavailable),
            "the PKCS#11 module /nowhere/lib.so does not exist",
        )
        text = Path(self.mktemp()).absolute()
        text.write_text("not a library")
        self.assertIn("cannot be started", self.refused(settings(token, module=str(text)), KeyStoreUnavailable))

    def test_a_missing_configuration_is_one_sentence(self) -> None:
        """A SoftHSM configuration that is not there is named by its path."""
        said = self.refused(settings(fresh_token(self), softhsm_conf="/nowhere/softhsm2.conf"), KeyStoreUnavailable)
        self.assertEqual(said, "the SoftHSM configuration /nowhere/softhsm2.conf does not exist")

    def test_a_lost_token_folder_is_one_sentence(self) -> None:
        """A token folder that vanished before the start is one sentence, not a traceback."""
        token = fresh_token(self)
        shutil.rmtree(Path(token.softhsm_conf).parent / "tokens")
        self.refused(token, KeyStoreUnavailable)

    def test_a_token_removed_while_in_use_is_unavailable(self) -> None:
        """TR-18: when the token vanishes under a running backend every call says so, none hangs or lies."""
        store = fresh_store(self)
        pin = store.generate("K_PIN", KeyPurpose.PIN)
        pair = store.generate("CA", KeyPurpose.SIGN)
        data = store.generate("K_DB", KeyPurpose.DATA)
        shutil.rmtree(Path(store._token.settings.softhsm_conf).parent / "tokens")
        self.assertRaises(KeyStoreUnavailable, store.handles)
        self.assertRaises(KeyStoreUnavailable, store.encrypt_blocks, pin, [bytes(16)])
        self.assertRaises(KeyStoreUnavailable, store.sign, pair, [b"m"])
        self.assertRaises(KeyStoreUnavailable, store.mac, data, [b"m"])
        self.assertRaises(KeyStoreUnavailable, store.generate, "K_NEW", KeyPurpose.PIN)

    def test_a_token_is_opened_once(self) -> None:
        """A second store on the same token in one process is refused: its logout would end the first."""
        token = fresh_token(self)
        with Pkcs11Store(token) as store:
            handle = store.generate("K_DB", KeyPurpose.DATA)
            self.assertEqual(
                self.refused(token, KeyStoreUnavailable), f"the token '{LABEL}' is already open in this process"
            )
            self.assertEqual(len(store.mac(handle, [b"m"])[0]), 32)

    def test_two_configurations_do_not_mix(self) -> None:
        """While a module is in use with one configuration, another one is refused."""
        token = fresh_token(self)
        other = write_configuration(Path(self.mktemp()).absolute())
        with Pkcs11Store(token):
            said = self.refused(settings(token, softhsm_conf=str(other)), KeyStoreUnavailable)
        self.assertIn("in use with another configuration", said)

    def test_every_answer_of_a_token_is_one_sentence(self) -> None:
        """What a token can answer to a login or a call is one sentence that names the token and no PIN."""
        for error, kind, said in (
            (faults.PinIncorrect(), WrongTokenPin, "the token 'trus' refused the PIN"),
            (faults.PinLenRange(), WrongTokenPin, "the token 'trus' refused the PIN"),
            (faults.PinLocked(), KeyStoreUnavailable, "the token 'trus' has locked its PIN after too many wrong ones"),
            (faults.PinExpired(), KeyStoreUnavailable, "the token 'trus' has no user PIN that may be used"),
            (faults.UserPinNotInitialized(), KeyStoreUnavailable, "the token 'trus' has no user PIN that may be used"),
            (faults.TokenNotPresent(), KeyStoreUnavailable, "the token 'trus' is not there"),
            (faults.DeviceRemoved(), KeyStoreUnavailable, "the token 'trus' failed while signing (DeviceRemoved)"),
        ):
            translated = translate(error, "trus", "signing")
            self.assertEqual((type(translated), str(translated)), (kind, said))

    def test_a_slot_without_token_is_one_sentence(self) -> None:
        """SoftHSM's free slot holds a token that was never initialised: it is refused, not used."""
        token = fresh_token(self)
        with Pkcs11Store(token) as store:
            taken = store._token.pkcs11.token.slot.slot_id
            free = next(slot.slot_id for slot in modules_slots(token) if slot.slot_id != taken)
        self.refused(settings(token, token_label="", slot=free), KeyStoreUnavailable)


def modules_slots(token: TokenSettings) -> list[Any]:
    """Return the slots of a module that is open."""
    hold = acquire(ModuleSettings(token.module, token.softhsm_conf))
    try:
        return list(hold.library.get_slots())
    finally:
        hold.release()


class SetUpTests(SynchronousTestCase):
    """Making a token."""

    def test_the_folder_is_private(self) -> None:
        """A new token's folder, configuration and token files can be read by their owner alone."""
        token = fresh_token(self)
        folder = Path(token.softhsm_conf).parent
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE((folder / "tokens").stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE((folder / "softhsm2.conf").stat().st_mode), 0o600)

    def test_a_module_that_refuses_is_reported(self) -> None:
        """A PIN that the module does not take for a new token is one sentence; nothing stays open."""
        token = fresh_token(self)
        conf = write_configuration(Path(self.mktemp()).absolute())
        self.assertRaises(KeyStoreUnavailable, create_token, token.module, conf, "new", PIN, "abc")
        self.assertRaises(ConfigurationError, create_token, token.module, conf, "n" * 33, PIN, OFFICER_PIN)
        with Pkcs11Store(token) as store:
            self.assertEqual(list(store.handles()), [])

    def test_two_tokens_in_one_folder(self) -> None:
        """A second token gets a slot of its own and shares nothing with the first."""
        token = fresh_token(self)
        create_token(token.module, Path(token.softhsm_conf), "second", "second-pin", OFFICER_PIN)
        with Pkcs11Store(token) as first:
            first.generate("K_DB", KeyPurpose.DATA)
            with Pkcs11Store(settings(token, token_label="second", pin="second-pin")) as second:
                self.assertEqual(list(second.handles()), [])
                self.assertEqual(len(first.handles()), 1)


class PinFileTests(SynchronousTestCase):
    """The file that holds the token's PIN."""

    def pin_file(self, content: bytes, mode: int = 0o600) -> Path:
        """Write a PIN file."""
        path = Path(self.mktemp()).absolute()
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def test_the_pin_is_one_line(self) -> None:
        """The PIN is the file's only line, without its line end."""
        self.assertEqual(read_pin(self.pin_file(b"hungry-otter\n")), "hungry-otter")

    def test_a_file_that_others_may_read_is_refused(self) -> None:
        """A PIN file open to group or others is refused, with what to do about it."""
        for mode in (0o640, 0o604, 0o660):
            error = self.assertRaises(ConfigurationError, read_pin, self.pin_file(b"hungry-otter", mode))
            self.assertIn("chmod 600", str(error))
            self.assertNotIn("otter", str(error))

    def test_anything_else_is_refused(self) -> None:
        """An empty, short, long, many-lined, binary or missing PIN file is refused without showing it."""
        for content in (b"", b"abc", b"x" * 256, b"one\ntwo\n", b"\xff\xfe\xfd\xfc", b"ab\x00cd"):
            self.assertRaises(ConfigurationError, read_pin, self.pin_file(content))
        self.assertRaises(ConfigurationError, read_pin, Path("/nowhere/pin"))

    def test_settings_hide_the_pin(self) -> None:
        """The token's settings show nothing of the PIN when printed."""
        self.assertNotIn("otter", repr(TokenSettings(module="m", pin="hungry-otter")))
