"""What only a real token can show: its answers, its failures, its owner."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11 import exceptions as faults
from twisted.trial.unittest import SynchronousTestCase

from tests.hsm.certificates import some_certificate
from tests.hsm.tokens import LABEL, OFFICER_PIN, PIN, fresh_store, fresh_token
from trus.errors import ConfigurationError, KeyNotFound, KeyStoreError, KeyStoreUnavailable, WrongTokenPin
from trus.hsm.datakeys import DATABASE_KEY_LABEL, DataKeys
from trus.hsm.module import ModuleSettings, acquire, translate
from trus.hsm.pkcs11 import Pkcs11Store, TokenSettings, read_pin
from trus.hsm.ports import KeyPurpose
from trus.hsm.signing import TokenPrivateKey
from trus.hsm.softhsm import create_token, write_configuration


def settings(base: TokenSettings, **changes: object) -> TokenSettings:
    """Return the settings with some of them changed."""
    known = {name: getattr(base, name) for name in ("module", "pin", "token_label", "slot", "softhsm_conf")}
    return TokenSettings(**{**known, **changes})  # type: ignore[arg-type]


class TokenTests(SynchronousTestCase):
    """The token itself."""

    def test_the_token_will_not_show_a_key(self) -> None:
        """DC-5, TR-17: asked for the bytes of any key by PKCS#11 itself, the token refuses."""
        store = fresh_store(self)
        for purpose in KeyPurpose:
            handle = store.generate(f"K_{purpose.value}", purpose)
            with self.assertRaises(faults.AttributeSensitive):
                store._private[handle][Attribute.VALUE]

    def test_the_token_will_not_unlock_a_key(self) -> None:
        """No attribute of a key can be changed afterwards to let it out or let it decrypt."""
        store = fresh_store(self)
        key = store._private[store.generate("K_PIN", KeyPurpose.PIN)]
        for attribute, value in (
            (Attribute.EXTRACTABLE, True),
            (Attribute.SENSITIVE, False),
            (Attribute.DECRYPT, True),
        ):
            with self.assertRaises(faults.PKCS11Error):
                key[attribute] = value

    def test_a_batch_of_blocks_is_one_call_of_the_token(self) -> None:
        """However many PIN blocks a batch holds, the token is asked once."""
        store = fresh_store(self)
        handle = store.generate("K_PIN", KeyPurpose.PIN)
        real = store._private[handle]
        calls = []

        class Counted:
            def encrypt(self, data: bytes, **options: object) -> bytes:
                calls.append(len(data))
                sealed: bytes = real.encrypt(data, **options)
                return sealed

        store._private[handle] = Counted()
        store.encrypt_blocks(handle, [bytes(16)] * 4096)
        self.assertEqual(calls, [65_536])

    def test_keys_and_certificates_survive_a_restart(self) -> None:
        """A token opened again has the keys and certificates that were put into it, and no others."""
        token = fresh_token(self)
        certificate = some_certificate("kept")
        with Pkcs11Store(token) as store:
            handles = [store.generate(f"K_{purpose.value}", purpose) for purpose in KeyPurpose]
            mac = store.mac(store.find("K_data"), [b"m"])
            store.put_certificate("kept", certificate)
            store.put_certificate("kept", certificate)
        with Pkcs11Store(token) as store:
            self.assertEqual(sorted(handles, key=lambda each: each.label), list(store.handles()))
            self.assertEqual(store.mac(store.find("K_data"), [b"m"]), mac)
            self.assertEqual(store.certificate("kept"), certificate)
            found = list(store._token.pkcs11.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE}))
            self.assertEqual(len(found), 1)

    def test_foreign_objects_are_left_alone(self) -> None:
        """A key that somebody else put into the token is neither listed nor touched."""
        token = fresh_token(self)
        with Pkcs11Store(token) as store:
            store.generate("K_PIN", KeyPurpose.PIN)
            store._token.pkcs11.generate_key(KeyType.AES, 128, label="theirs", id=b"\x01\x02", store=True)
        with Pkcs11Store(token) as store:
            self.assertEqual([each.label for each in store.handles()], ["K_PIN"])

    def test_another_thread_is_refused(self) -> None:
        """A token opened by one thread cannot be used by another: it would crash there."""
        store = fresh_store(self)
        handle = store.generate("K_DB", KeyPurpose.DATA)
        seen: list[BaseException] = []

        def use() -> None:
            try:
                store.mac(handle, [b"m"])
            except KeyStoreError as error:
                seen.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        self.assertEqual([str(error) for error in seen], ["a token is used by the one thread that opened it"])

    def test_a_child_process_opens_its_own(self) -> None:
        """After a fork the child is refused the parent's store, and may open the token for itself."""
        token = fresh_token(self)
        store = Pkcs11Store(token)
        self.addCleanup(store.close)
        handle = store.generate("K_DB", KeyPurpose.DATA)
        mac = store.mac(handle, [b"m"])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store.mac(handle, [b"m"])
            except KeyStoreError:
                with Pkcs11Store(token) as own:
                    status = 0 if own.mac(own.find("K_DB"), [b"m"]) == mac else 2
            finally:
                os._exit(status)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertEqual(store.mac(handle, [b"m"]), mac)


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


class SigningTests(SynchronousTestCase):
    """A private key object whose key stays in the token."""

    def setUp(self) -> None:
        self.store = fresh_store(self)
        self.key = TokenPrivateKey(self.store, self.store.generate("CA", KeyPurpose.SIGN))

    def test_the_builders_sign_with_it(self) -> None:
        """A PKCS#10 request built by `cryptography` and signed in the token verifies."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.key, hashes.SHA256())
        self.assertTrue(request.is_signature_valid)
        self.assertEqual(self.key.key_size, 256)
        self.assertEqual(self.key.curve.name, "secp256r1")

    def test_it_gives_no_key_away(self) -> None:
        """Everything that would need the key's bytes is refused, and so is another algorithm."""
        other = ec.generate_private_key(ec.SECP256R1())
        self.assertRaises(UnsupportedAlgorithm, self.key.private_numbers)
        self.assertRaises(
            UnsupportedAlgorithm, self.key.private_bytes, Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
        )
        self.assertRaises(UnsupportedAlgorithm, self.key.exchange, ec.ECDH(), other.public_key())
        self.assertRaises(UnsupportedAlgorithm, self.key.sign, b"m", ec.ECDSA(hashes.SHA384()))
        self.assertEqual(repr(self.key), "<TokenPrivateKey CA:1>")

    def test_only_a_signing_key_is_lent(self) -> None:
        """A key of another purpose cannot pose as a private key."""
        pin = self.store.generate("K_PIN", KeyPurpose.PIN)
        self.assertRaises(KeyStoreError, TokenPrivateKey, self.store, pin)


class DataKeyTests(SynchronousTestCase):
    """Data keys derived from K_DB in the token."""

    def setUp(self) -> None:
        self.store = fresh_store(self)

    def test_data_keys_are_stable_and_separate(self) -> None:
        """TR-13: a data key depends on the version of K_DB and on its label, and on nothing else."""
        self.store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
        first = DataKeys(self.store)
        self.assertEqual(first.version, 1)
        self.assertEqual(len(first.derive("database")), 32)
        self.assertEqual(first.derive("database"), DataKeys(self.store).derive("database"))
        self.assertNotEqual(first.derive("database"), first.derive("lookup"))
        self.store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
        self.assertEqual(DataKeys(self.store).version, 2)
        self.assertNotEqual(DataKeys(self.store).derive("database"), first.derive("database"))
        self.assertEqual(DataKeys(self.store, 1).derive("database"), first.derive("database"))

    def test_the_repr_tells_no_key(self) -> None:
        """What a log could print of data keys holds none of them."""
        self.store.generate(DATABASE_KEY_LABEL, KeyPurpose.DATA)
        keys = DataKeys(self.store)
        keys.derive("database")
        self.assertEqual(repr(keys), "<DataKeys of K_DB version 1, redacted>")

    def test_without_k_db_there_are_no_data_keys(self) -> None:
        """A token without K_DB, or with a K_DB for another purpose, is refused."""
        self.assertRaises(KeyNotFound, DataKeys, self.store)
        self.store.generate(DATABASE_KEY_LABEL, KeyPurpose.PIN)
        self.assertRaises(KeyStoreError, DataKeys, self.store)
