"""`trus token`, and what doctor says of tokens: on a real deployment, with a second library's token as the card."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

from click.testing import CliRunner

from tests.cli.test_doctor import Deployed
from tests.hsm.certificates import some_certificate
from tests.hsm.softokn import make_token
from trus.cli.compose import compose_core
from trus.cli.doctor_keys import check_token_and_database
from trus.cli.findings import Finding, State
from trus.cli.keystore import KeyChamber, objects_path, open_guarded, open_objects, open_token
from trus.cli.pins import PinSource
from trus.cli.token import token_group
from trus.clock import SystemClock, SystemEntropy
from trus.core.messages import Health, HealthReport
from trus.core.pulse import NoPulse
from trus.errors import ConfigurationError, KeyStoreError, KeyStoreUnavailable
from trus.hsm.objectfile import ObjectFile
from trus.hsm.pkcs11 import Pkcs11Store
from trus.settings import load
from trus.settings.model import BackendSettings

CARD_PIN = "card-pin-9"


class TokenCase(Deployed):
    """A deployment, and ways to change its settings."""

    def backend(self) -> BackendSettings:
        """Return the settings as the file says them now."""
        backend = load(self.file).backend
        assert backend is not None
        return backend

    def configure(self, *lines: str) -> None:
        """Add lines to the token's section."""
        text = self.file.read_text()
        start = "    pin_file: token/pin\n"
        assert start in text
        self.file.write_text(text.replace(start, start + "".join(f"    {line}\n" for line in lines)))

    def run_token(self, *arguments: str) -> tuple[int, str]:
        """Run `trus token ...`; return exit code and output."""
        outcome = CliRunner().invoke(
            token_group, [*arguments, "--config", str(self.file)], standalone_mode=False, catch_exceptions=False
        )
        return outcome.return_value or 0, outcome.output


class SealedPinTests(TokenCase):
    """TR-18: a software token unlocked by a key on a card."""

    def setUp(self) -> None:
        super().setUp()
        self.card = make_token(self.folder / "card", "smart-card", CARD_PIN)
        (self.folder / "card-pin").write_text(CARD_PIN + "\n")
        (self.folder / "card-pin").chmod(0o600)
        self.pin_file = self.folder / "token" / "pin"
        self.clear = self.pin_file.read_text().strip()

    def name_card(self, *more: str) -> None:
        """Have the settings name the card."""
        lines = [f"module: {self.card.module}", "label: smart-card", f'parameters: "{self.card.parameters}"', *more]
        self.configure("pin_sealed_by:", *(f"  {line}" for line in lines))

    def test_without_the_card_there_is_no_pin(self) -> None:
        """TR-18: sealed, the PIN is in no file; the backend opens with the card and not without it."""
        self.name_card("pin_file: card-pin")
        _, said = self.run_token("seal-pin", "--make-key")
        self.assertIn("is sealed to the key trus-pin-seal of the token smart-card", said)
        self.assertNotIn(self.clear, said)
        for path in self.folder.rglob("*"):
            if path.is_file():
                self.assertNotIn(self.clear.encode(), path.read_bytes(), path)
        core = compose_core(load(self.file), SystemClock(), SystemEntropy(), lambda level, text: None)
        [health] = core.handle([Health()])
        core.close()
        assert isinstance(health, HealthReport)
        self.assertEqual(health.parts["token"], "ok")
        shutil.rmtree(self.folder / "card")
        self.assertRaises(KeyStoreError, open_token, self.backend())

    def test_a_person_is_asked_where_no_file_holds_the_cards_pin(self) -> None:
        """Without a file the card's PIN is asked for, once: the open PIN is kept while its file does not change."""
        self.name_card("pin_file: card-pin")
        self.run_token("seal-pin", "--make-key")
        self.file.write_text(self.file.read_text().replace("      pin_file: card-pin\n", ""))
        asked: list[str] = []

        def ask(label: str) -> str:
            asked.append(label)
            return CARD_PIN

        source = PinSource(self.backend().token, ask)
        self.assertEqual([source.pin(), source.pin()], [self.clear] * 2)
        self.assertEqual(asked, ["smart-card"])
        self.assertEqual(repr(source), "<PinSource of token 'trus', redacted>")

    def test_settings_and_file_must_agree(self) -> None:
        """A sealed file without a card in the settings, and the reverse, are one sentence each."""
        self.assertEqual(PinSource(self.backend().token).pin(), self.clear)
        error = self.assertRaises(ConfigurationError, self.run_token, "seal-pin")
        self.assertIn("pin_sealed_by: say which token", str(error))
        plain = self.file.read_text()
        self.name_card("pin_file: card-pin")
        error = self.assertRaises(ConfigurationError, PinSource(self.backend().token).pin)
        self.assertIn("is not sealed: run trus token seal-pin", str(error))
        self.assertRaises(KeyStoreError, self.run_token, "seal-pin")  # no such key on the card yet
        self.assertEqual(self.pin_file.read_text().strip(), self.clear)
        self.run_token("seal-pin", "--make-key")
        error = self.assertRaises(ConfigurationError, self.run_token, "seal-pin")
        self.assertIn("is sealed already", str(error))
        self.file.write_text(plain)
        error = self.assertRaises(ConfigurationError, open_token, self.backend())
        self.assertIn("pin_sealed_by must say which token opens it", str(error))

    def test_a_removed_token_is_opened_again_without_the_card(self) -> None:
        """The card may lie in a safe while the backend runs: a token that comes back is opened without it."""
        self.name_card("pin_file: card-pin")
        self.run_token("seal-pin", "--make-key")
        store = open_guarded(self.backend(), SystemClock(), lambda level, text: None, NoPulse(), {})
        self.addCleanup(store.close)
        shutil.rmtree(self.folder / "card")
        tokens = self.folder / "token" / "tokens"
        tokens.rename(tokens.with_name("taken"))
        self.assertRaises(KeyStoreUnavailable, store.handles)
        tokens.with_name("taken").rename(tokens)
        for _ in range(100):
            if store.trouble:
                threading.Event().wait(0.05)
                store.tend()
        self.assertGreater(len(store.handles()), 5)


class ObjectCommandTests(TokenCase):
    """`trus token check` and `trus token renew`."""

    def fill(self) -> None:
        """Keep a few certificates, as the core does."""
        keys = open_guarded(self.backend(), SystemClock(), lambda level, text: None, NoPulse(), {})
        chamber = KeyChamber(keys, open_objects(self.backend(), keys, SystemEntropy()))
        for name in ("T1", "T2"):
            chamber.certificates.put_certificate(f"pos/{name}/1", some_certificate(name))
        chamber.escrow.make_pair("card/A")
        chamber.tend()
        chamber.close()

    def test_check_names_what_was_changed(self) -> None:
        """Every record is opened; one that was changed is named, and the command fails."""
        self.fill()
        self.assertEqual(self.run_token("check"), (0, "3 names are known; 0 records were changed\n"))
        file = ObjectFile(objects_path(self.backend()))
        name, body = next(iter(file.records()))
        file.append([(name, body[:-1] + bytes((body[-1] ^ 1,)))])
        file.close()
        code, said = self.run_token("check")
        self.assertEqual(code, 1)
        self.assertIn("1 records were changed", said)
        self.assertIn(f"was changed (name {name[:8].hex()})", said)

    def test_renew_wraps_anew_and_destroys_the_old_keys(self) -> None:
        """After renewal the objects open under new keys, and the old ones are gone from the token."""
        self.fill()
        copy = objects_path(self.backend()).read_bytes()
        _, said = self.run_token("renew")
        self.assertEqual(said, "the store is wrapped under new keys; 2 former ones were destroyed\n")
        self.assertEqual(self.run_token("check")[0], 0)
        with open_token(self.backend()) as keys:
            versions = {each.label: each.version for each in keys.handles() if each.label in ("K_OBJECTS", "K_WRAP")}
            self.assertEqual(versions, {"K_OBJECTS": 2, "K_WRAP": 2})
            objects = open_objects(self.backend(), keys, SystemEntropy())
            objects.take_pair("card/A")
            objects.close()
        self.assertNotEqual(objects_path(self.backend()).read_bytes(), copy)
        _, said = self.run_token("renew", "--keep-old-keys")
        self.assertIn("2 former ones were kept", said)


class MigrationTests(TokenCase):
    """A deployment of an earlier version."""

    def test_an_older_deployment_gets_its_store_and_keeps_its_certificates(self) -> None:
        """TR-17: certificates that an earlier version put into the token are found; new ones are wrapped."""
        backend = self.backend()
        with open_token(backend) as keys:
            for handle in keys.handles():
                if handle.label in ("K_OBJECTS", "K_WRAP"):
                    keys.destroy(handle)
            keys.put_certificate("pos/T0000001/1", some_certificate("old"))
        shutil.rmtree(objects_path(backend).parent)
        keys_ = open_guarded(backend, SystemClock(), lambda level, text: None, NoPulse(), {})
        chamber = KeyChamber(keys_, open_objects(backend, keys_, SystemEntropy()))
        self.addCleanup(chamber.close)
        self.assertIn(b"old", chamber.certificates.certificate("pos/T0000001/1"))
        chamber.certificates.put_certificate("pos/T0000002/2", some_certificate("new"))
        self.assertNotIn("pos/T0000002/2", keys_.certificate_labels())
        self.assertIn(b"new", chamber.certificates.certificate("pos/T0000002/2"))


class DoctorTokenTests(TokenCase):
    """What doctor says of a token and its objects."""

    def findings(self) -> list[Finding]:
        """Look at token and database."""
        return list(check_token_and_database(self.backend(), SystemClock()))

    def wrong(self) -> list[str]:
        """Return the sentences of what is wrong."""
        return [f"{each.subject}: {each.text}" for each in self.findings() if each.state is State.WRONG]

    def test_a_well_token_says_how_fast_it_is(self) -> None:
        """The token's speed and the store of wrapped objects are told."""
        texts = [f"{each.subject}: {each.text}" for each in self.findings()]
        self.assertTrue(any(text.startswith("token: answers in ") for text in texts), texts)
        self.assertTrue(any(text.startswith("wrapped objects: opens, 0 names") for text in texts), texts)
        self.assertEqual(self.wrong(), [])

    def test_a_removed_token_is_wrong(self) -> None:
        """TR-18: a token that is not there is told in one sentence, and that the database waits for it."""
        (self.folder / "token" / "tokens").rename(self.folder / "taken")
        token, database = self.wrong()
        self.assertTrue(token.startswith("token: the "), token)
        self.assertEqual(database, "database: cannot be opened without the token")

    def test_a_lost_objects_file_is_told(self) -> None:
        """A store of wrapped objects that is gone, or is another file, is told."""
        path = objects_path(self.backend())
        content = path.read_bytes()
        path.write_bytes(b"x" * 100)
        self.assertEqual(self.wrong(), [f"wrapped objects: {path} is not a key store's object file"])
        path.unlink()
        self.assertEqual(self.wrong(), [])
        path.write_bytes(content)

    def test_a_token_that_hangs_does_not_hang_doctor(self) -> None:
        """TR-18: a module that does not come back is told after a while, with what was found by then."""
        self.configure("deadline: 100ms")
        released = threading.Event()
        self.addCleanup(released.set)

        def hang(backend: BackendSettings) -> Pkcs11Store:
            released.wait(60)
            raise KeyStoreUnavailable("released")

        findings = list(check_token_and_database(self.backend(), SystemClock(), hang))
        self.assertEqual([each.state for each in findings], [State.WRONG])
        self.assertIn("it hangs, and so does the backend", findings[0].text)

    def test_a_fault_in_the_looking_is_not_hidden(self) -> None:
        """An unexpected failure while looking is raised, not taken for health."""

        def broken(backend: BackendSettings) -> Pkcs11Store:
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            list(check_token_and_database(self.backend(), SystemClock(), broken))


class NoTerminalTests(TokenCase):
    """A person to ask, and no terminal to ask on."""

    def test_without_a_terminal_the_start_says_so(self) -> None:
        """A backend without a terminal that should ask for a card's PIN says what to do instead of waiting."""
        script = Path(self.mktemp()).absolute()
        script.write_text(
            "import os\nos.setsid()\nfrom trus.cli.pins import ask_on_terminal\n"
            "from trus.errors import ConfigurationError\n"
            "try:\n    ask_on_terminal('card')\nexcept ConfigurationError as error:\n    print(error)\n"
        )
        said = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=60)
        self.assertIn("there is none: start with twistd -n, or set pin_sealed_by.pin_file", said.stdout)
