"""The channel bundles of a real deployment: who is given which, and when the former one ends."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.network import PROJECT
from tests.pki.registers import SetClock
from trus.cli.certificates import certificates_group, open_desk
from trus.cli.channels import HANDED_OUT, PLANS, RETIRING, ChannelBundles, Retirement, ends_of, read_retiring, say_ends
from trus.cli.doctor import check_bundles
from trus.cli.findings import State
from trus.cli.layout import InitOptions, Layout
from trus.cli.provisioning import provision
from trus.clock import SystemClock, SystemEntropy
from trus.device.channel import check_bundle
from trus.device.renewal import NotRenewed
from trus.errors import ConfigurationError
from trus.net.credentials import from_pkcs12
from trus.pki.channel import CHANNEL_BUNDLES, make_bundle
from trus.settings.loading import load
from trus.values import DeviceRole


class BundleTests(SynchronousTestCase):
    """A deployment, and a clock of the test's own."""

    def setUp(self) -> None:
        self.layout = Layout(Path(self.mktemp()).absolute())
        provision(self.layout.root, InitOptions(), SystemClock(), SystemEntropy())
        self.bundles = ChannelBundles(self.layout.pki, SystemEntropy())
        self.clock = SetClock(SystemClock().now())
        self.notes: list[tuple[str, str]] = []

    def replace(self, stem: str = "pos", overlap: timedelta = timedelta(days=30)) -> x509.Certificate:
        """Replace a bundle; return the former certificate."""
        former = self.bundles.read(stem).chain[0]
        [plan] = [plan for plan in CHANNEL_BUNDLES if plan.stem == stem]
        passphrase = (self.layout.pki / f"{stem}.pass").read_text().strip()
        with open_desk(self.layout.config, self.clock, SystemEntropy()) as desk:
            made = make_bundle(desk.authorities["channel"], plan, SystemEntropy(), passphrase)
        self.bundles.replace(stem, made.pkcs12, former, self.clock.now() + overlap)
        return former

    def retire(self) -> list[int]:
        """Let the core look once; return what is on the channel's list then."""
        with open_desk(self.layout.config, self.clock, SystemEntropy()) as desk:
            keeper = Retirement(
                self.bundles, self.layout.pki, desk.lists, self.clock, lambda *note: self.notes.append(note)
            )
            keeper.keep()
            self.clock.advance(timedelta(seconds=11))
            keeper.keep()
        crl = x509.load_pem_x509_crl(self.layout.revocation_list("channel").read_bytes())
        return [entry.serial_number for entry in crl]

    def test_the_former_one_ends_when_its_time_is_over(self) -> None:
        """TR-14: not before its time, then for ever, and once: the list's number grows no further."""
        former = self.replace()
        self.assertEqual(self.retire(), [])
        self.clock.advance(timedelta(days=31))
        self.assertEqual(self.retire(), [former.serial_number])
        content = self.layout.revocation_list("channel").read_bytes()
        self.assertEqual(self.retire(), [former.serial_number])
        self.assertEqual(self.layout.revocation_list("channel").read_bytes(), content)
        self.assertEqual(len(self.notes), 1)

    def test_what_is_in_use_is_never_revoked(self) -> None:
        """TR-14: a replacement that was killed before the new file was in its place ends nothing."""
        in_use = self.bundles.path("pos").read_bytes()
        self.replace(overlap=timedelta(0))
        self.bundles.path("pos").write_bytes(in_use)
        self.clock.advance(timedelta(days=1))
        self.assertEqual(self.retire(), [])

    def test_twice_replaced(self) -> None:
        """Each former certificate has its own end."""
        first = self.replace(overlap=timedelta(days=2))
        second = self.replace(overlap=timedelta(days=9))
        self.assertEqual(len(read_retiring(self.layout.pki)), 2)
        self.clock.advance(timedelta(days=3))
        self.assertEqual(self.retire(), [first.serial_number])
        self.clock.advance(timedelta(days=7))
        self.assertEqual(set(self.retire()), {first.serial_number, second.serial_number})

    def test_a_file_that_cannot_be_read(self) -> None:
        """A damaged file is told once, and ends nothing."""
        self.replace(overlap=timedelta(0))
        for content in ("no json", json.dumps([{"stem": "pos"}])):
            (self.layout.pki / RETIRING).write_text(content)
            self.assertRaises(ConfigurationError, read_retiring, self.layout.pki)
        self.assertEqual(self.retire(), [])
        self.assertEqual([level for level, _ in self.notes], ["error"])

    def test_who_is_given_which(self) -> None:
        """A terminal is given the terminals', a card the cards', under a new passphrase each time; a backend none."""
        for role, stem in ((DeviceRole.POS, "pos"), (DeviceRole.CARD, "card")):
            held = self.bundles.read(stem).chain[0]
            self.assertIsNone(self.bundles.give(role, held.fingerprint(hashes.SHA256())))
            one, other = (self.bundles.give(role, b"another one") for _ in range(2))
            assert one is not None
            assert other is not None
            self.assertNotEqual(one.passphrase, other.passphrase)
            self.assertNotIn(one.passphrase, repr(one))
            given = from_pkcs12(one.p12, one.passphrase.encode())
            self.assertEqual(given.chain[0], held)
            self.assertEqual(given.authorities, self.bundles.read(stem).authorities)
        self.assertIsNone(self.bundles.give(DeviceRole.BACKEND, b""))
        self.bundles.path("pos").unlink()
        self.assertIsNone(self.bundles.give(DeviceRole.POS, b""))

    def test_a_terminal_takes_its_own_alone(self) -> None:
        """TR-14: a terminal refuses another kind's bundle, one that has ended, and what is none."""
        now = SystemClock().now()
        given = {}
        for role in (DeviceRole.POS, DeviceRole.CARD):
            made = self.bundles.give(role, b"")
            assert made is not None
            given[role] = made
        pos, card = given[DeviceRole.POS], given[DeviceRole.CARD]
        check_bundle(pos.p12, pos.passphrase, now)
        self.assertRaises(NotRenewed, check_bundle, card.p12, card.passphrase, now)
        self.assertRaises(NotRenewed, check_bundle, pos.p12, card.passphrase, now)
        self.assertRaises(NotRenewed, check_bundle, b"none", pos.passphrase, now)
        self.assertRaises(NotRenewed, check_bundle, pos.p12, pos.passphrase, now + timedelta(days=4000))

    def test_the_page(self) -> None:
        """Each command of docs/how-to/renew-channel-certificates.md does what the page says, as it stands there."""
        page = (PROJECT / "docs" / "how-to" / "renew-channel-certificates.md").read_text("utf-8")
        names = re.findall(r"`([a-z-]+)`", page[page.index("The name is that") : page.index("The file\nis replaced")])
        self.assertEqual(set(names) - {"pki/"}, set(PLANS))
        former = f"{self.bundles.read('pos').chain[0].serial_number:x}"
        commands = re.findall(r"^trus certificates (.*)$", page, re.MULTILINE)
        self.assertEqual(len(commands), 4)
        for command in commands:
            words = command.replace("trus.yaml", str(self.layout.config)).replace("SERIAL", former).split()
            done = CliRunner().invoke(certificates_group, words)
            self.assertEqual(done.exit_code, 0, done.output)
        crl = x509.load_pem_x509_crl(self.layout.revocation_list("channel").read_bytes())
        self.assertEqual([f"{entry.serial_number:x}" for entry in crl], [former])

    def test_ends_are_told_ahead(self) -> None:
        """TR-15: HEALTH and doctor tell two months before a bundle that is handed out ends, and by which command."""
        ends = ends_of(self.bundles)
        self.assertEqual([each.stem for each in ends], list(HANDED_OUT))
        first = min(each.until for each in ends)
        self.assertEqual(say_ends(ends, self.clock.now()), "ok")
        self.assertIn("trus certificates renew NAME", say_ends(ends, first - timedelta(days=30)))
        backend = load(self.layout.config).backend
        assert backend is not None
        for now, states in (
            (self.clock.now(), {State.OK}),
            (first - timedelta(days=30), {State.OK, State.WARNING}),
            (first + timedelta(days=4000), {State.WRONG}),
        ):
            self.assertEqual({finding.state for finding in check_bundles(backend, now)}, states)
        self.bundles.path("card").write_bytes(b"none")
        self.assertIn(State.WRONG, {finding.state for finding in check_bundles(backend, self.clock.now())})
