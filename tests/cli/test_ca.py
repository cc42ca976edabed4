"""`trus ca` on a real deployment: two tokens, two officers, transcripts, and the change of the issuing authority."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from tests.pki.registers import new_key, request_for
from trus.certificates.chains import load_anchors, serial_text
from trus.cli.ca import ca_group
from trus.cli.compose import compose_core
from trus.cli.layout import InitOptions, Layout
from trus.cli.provisioning import provision
from trus.clock import SystemClock, SystemEntropy
from trus.core.core import Core
from trus.core.messages import (
    AdminAnswer,
    AdminCommand,
    BackendIdentity,
    Enrol,
    Enrolled,
    IdentityMaterial,
    PeerVerified,
    Refused,
    VerifyPeer,
)
from trus.device.trust import DeviceTrust
from trus.pki.transcript import told
from trus.settings.loading import load
from trus.values import DeviceRole

OFFICERS = ("--officer", "Anna Kowalska", "--officer", "Boris")


class CeremonyCase(SynchronousTestCase):
    """A deployment whose root token is still on the machine."""

    def setUp(self) -> None:
        self.parent = Path(self.mktemp()).absolute()
        self.parent.mkdir()
        self.layout = Layout(self.parent / "site")
        provision(self.layout.root, InitOptions(), SystemClock(), SystemEntropy())
        self.config = ("--config", str(self.layout.config))
        self.notes: list[tuple[str, str]] = []

    def run_ca(self, *arguments: str, said: str = "") -> Result:
        """Run `trus ca` with arguments and lines at its prompts."""
        return CliRunner().invoke(ca_group, arguments, input=said)

    def done(self, *arguments: str, said: str = "") -> str:
        """Run what must succeed; return what it printed."""
        result = self.run_ca(*arguments, said=said)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.output

    def refused(self, *arguments: str, said: str = "") -> str:
        """Run what must be refused in one sentence; return the sentence."""
        result = self.run_ca(*arguments, said=said)
        self.assertNotEqual(result.exit_code, 0, result.output)
        self.assertNotIn("Traceback", result.output)
        return result.output

    def listed(self) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = json.loads(self.done("list", *self.config, "--json"))
        return rows

    def core(self) -> Core:
        """Start a core on the deployment."""
        settings = load(self.layout.config)
        core = compose_core(settings, SystemClock(), SystemEntropy(), lambda *note: self.notes.append(note))
        self.addCleanup(core.close)
        return core

    def roll_over(self) -> Path:
        """Go through the change of the issuing authority; return the certificate's file."""
        request, certificate = self.parent / "next.csr", self.parent / "next.pem"
        self.done("new-issuing", *self.config, *OFFICERS, "--out", str(request))
        self.done("sign-issuing", str(request), *self.config, *OFFICERS, "--out", str(certificate))
        self.done("rollover", str(certificate), *self.config, *OFFICERS)
        return certificate

    def transcripts(self) -> list[Path]:
        return sorted(self.layout.ceremonies.glob("*.txt"))


class CeremonyTests(CeremonyCase):
    """The commands, one after another."""

    def order(self, core: Core, verb: str, **arguments: str) -> AdminAnswer:
        """Give a command to a core as the deployment's admin."""
        pem = self.layout.admin_bundle("admin").with_suffix(".pem").read_bytes()
        serial = serial_text(x509.load_pem_x509_certificate(pem))
        [answer] = core.handle([AdminCommand("admin", serial, verb, arguments)])
        assert isinstance(answer, AdminAnswer)
        self.assertEqual(answer.code, "00", answer.text)
        return answer

    def enrol(self, core: Core, terminal: str) -> Enrolled:
        """Give a terminal its certificate by way of the console and a device's request."""

        if not self.order(core, "SHOPS").rows:
            self.order(core, "SHOP-ADD", id="S1", name="Shop", mcc="5812")
        code = self.order(core, "TERMINAL-ADD", id=terminal, shop="S1").rows[0]["activation-code"]
        [enrolled] = core.handle([Enrol("pos", terminal, code, request_for(new_key()))])
        assert isinstance(enrolled, Enrolled), enrolled
        return enrolled

    def test_the_issuing_authority_changes_with_overlap(self) -> None:
        """TR-15: after a roll-over new certificates come from the new authority; old ones are believed as before."""
        before = self.core()
        old = self.enrol(before, "T0000001")
        before.close()
        self.roll_over()
        after = self.core()
        new = self.enrol(after, "T0000002")
        self.assertNotEqual(old.chain[1], new.chain[1])
        for enrolled in (old, new):
            [verdict] = after.handle([VerifyPeer(list(enrolled.chain), "pos")])
            assert isinstance(verdict, PeerVerified), verdict
            self.assertEqual(verdict.peer, enrolled.peer)
        [material] = after.handle([IdentityMaterial()])
        assert isinstance(material, BackendIdentity)
        self.assertEqual(material.chain[1], new.chain[1])
        after.close()
        trust = DeviceTrust.from_pem(self.layout.anchor.read_bytes())
        trust.verify(material.chain, DeviceRole.BACKEND, material.staple, SystemClock().now())
        states = [(row["what"], row["generation"], row["state"]) for row in self.listed()]
        answers = "answers for what it issued"
        self.assertEqual(states, [("root", "", "off line"), ("issuing", "2", "issues"), ("issuing", "1", answers)])
        for enrolled in (old, new):
            leaf, issuing = (x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in enrolled.chain)
            (self.parent / "leaf.pem").write_bytes(leaf)
            (self.parent / "issuing.pem").write_bytes(issuing)
            verified = ["openssl", "verify", "-x509_strict", "-CAfile", str(self.layout.anchor)]
            verified += ["-untrusted", str(self.parent / "issuing.pem"), str(self.parent / "leaf.pem")]
            subprocess.run(verified, check=True, capture_output=True)

    def test_every_ceremony_leaves_a_signed_transcript(self) -> None:
        """Each step is on paper with both officers, fingerprints and serial numbers; a changed letter is noticed."""
        self.roll_over()
        self.done("crl", *self.config, *OFFICERS)
        names = [path.name for path in self.transcripts()]
        wanted = ["init-root", "new-issuing", "sign-issuing", "rollover", "crl"]
        self.assertEqual(names, [f"{number:04d}-{name}.txt" for number, name in enumerate(wanted, 1)])
        for path in self.transcripts():
            said = self.done("verify-transcript", str(path), *self.config)
            self.assertIn(told(path.read_bytes()).digest, said)
            if "init-root" not in path.name:
                self.assertIn("attended by Anna Kowalska and Boris", said)
        issuing = load_anchors(self.layout.issuing.read_bytes())
        self.assertEqual(len(issuing), 2)
        for name in ("sign-issuing", "rollover"):
            [path] = self.layout.ceremonies.glob(f"*-{name}.txt")
            self.assertIn(serial_text(issuing[1]), path.read_text())
        forged = self.parent / "forged.txt"
        forged.write_bytes(path.read_bytes().replace(b"Boris", b"Borys"))
        self.assertIn("changed after it was signed", self.refused("verify-transcript", str(forged), *self.config))
        self.assertIn("no transcript", self.refused("verify-transcript", str(self.layout.config), *self.config))

    def test_ceremonies_are_in_the_audit_chain(self) -> None:
        """A running backend puts each transcript on record, with both officers; a forged one it puts nowhere."""
        self.roll_over()
        forged = self.layout.ceremonies / "0009-forged.txt"
        forged.write_bytes(self.transcripts()[0].read_bytes().replace(b"officer 1", b"officer 3"))
        for _ in range(2):
            core = self.core()
            core.idle()
            orders = self.order(core, "ORDERS", limit="500").rows
            core.close()
            found = [row["figures"] for row in orders if row["order"] == "CEREMONY"]
            self.assertEqual(len(found), 4, found)
        attended = [figures for figures in found if "officers=Anna Kowalska, Boris" in figures]
        self.assertEqual(len(attended), 3)
        for path in self.transcripts()[:-1]:
            self.assertTrue(any(told(path.read_bytes()).digest in figures for figures in found), path)
        self.assertEqual(len([text for level, text in self.notes if "0009-forged.txt" in text]), 2)

    def test_a_revoked_issuing_authority(self) -> None:
        """The root's list names a revoked issuing authority, and from the next start on it is believed no more."""
        core = self.core()
        old = self.enrol(core, "T0000001")
        core.close()
        self.roll_over()
        first = load_anchors(self.layout.issuing.read_bytes())[0]
        self.done("crl", *self.config, *OFFICERS, "--revoke", serial_text(first))
        self.assertEqual(self.listed()[-1]["state"], "revoked")
        after = self.core()
        [verdict] = after.handle([VerifyPeer(list(old.chain), "pos")])
        assert isinstance(verdict, Refused), verdict
        self.assertEqual(verdict.reason, "revoked-authority")

    def test_the_root_on_another_machine(self) -> None:
        """Request and certificate travel; the root's machine needs no deployment, the deployment no root."""
        stick = self.parent / "stick"
        stick.mkdir()
        self.layout.root_token.rename(stick / "root-token")
        shutil.copytree(self.layout.pki, stick / "pki")
        parts = [stick / "root-token" / name for name in ("part-1", "part-2")]
        kept = [part.read_text() for part in parts]
        for part in parts:
            part.unlink()
        request, certificate = self.parent / "next.csr", self.parent / "next.pem"
        self.done("new-issuing", *self.config, *OFFICERS, "--out", str(request))
        self.assertEqual(self.listed()[-1]["state"], "waits for its certificate")
        sign = ("sign-issuing", str(request), "--pki", str(stick / "pki"), *OFFICERS, "--out", str(certificate))
        self.done(*sign, said="".join(kept))
        said = self.done("rollover", str(certificate), *self.config, *OFFICERS)
        self.assertNotIn(kept[0].strip(), said)
        self.assertEqual([row["state"] for row in self.listed()][:2], ["off line", "issues"])
        written = [path.name for path in sorted((stick / "pki" / "ceremonies").glob("*.txt"))]
        self.assertEqual(written, ["0001-init-root.txt", "0002-sign-issuing.txt"])

    def test_two_officers_or_nothing(self) -> None:
        """One officer, the same one twice, or one part of the PIN in place of two: no ceremony, nothing written."""
        before = {path: path.read_bytes() for path in self.layout.pki.rglob("*") if path.is_file()}
        crl = ("crl", *self.config)
        self.assertIn("nobody counts twice", self.refused(*crl, "--officer", "Anna", said="ANNA\n"))
        self.assertIn("officer's name", self.refused(*crl, said="A\x07nna\nBoris\n"))
        part = str(self.layout.root_token / "part-1")
        wrong = (*crl, *OFFICERS, "--part-file", part, "--part-file", part)
        self.assertIn("refused the PIN", self.refused(*wrong))
        self.assertIn("refused the PIN", self.refused(*crl, *OFFICERS, "--part-file", part))
        after = {path: path.read_bytes() for path in self.layout.pki.rglob("*") if path.is_file()}
        self.assertEqual(after, before)
        self.assertIn("transcript", self.done(*crl, said="Anna\nBoris\n"))

    def test_what_does_not_fit_is_refused(self) -> None:
        """A request or a certificate of somebody else, a missing file, a place that nobody named: one sentence each."""
        stranger = self.parent / "stranger.csr"
        stranger.write_bytes(b"nothing")
        out = ("--out", str(self.parent / "out.pem"))
        self.assertIn("no readable request", self.refused("sign-issuing", str(stranger), *self.config, *OFFICERS, *out))
        missing = str(self.parent / "missing")
        self.assertIn("cannot be read", self.refused("rollover", missing, *self.config, *OFFICERS))
        self.assertIn("say where", self.refused("crl", *OFFICERS))
        self.assertIn("--config FILE", self.refused("new-issuing", "--pki", str(self.layout.pki), *OFFICERS, *out))
        channel = str(self.layout.authority("channel"))
        self.assertIn("no root that is trusted", self.refused("rollover", channel, *self.config, *OFFICERS))
        several = self.parent / "several.pem"
        several.write_bytes(self.layout.issuing.read_bytes() * 2)
        self.assertIn("more than one", self.refused("rollover", str(several), *self.config, *OFFICERS))
        self.roll_over()
        first = self.parent / "first.pem"
        first.write_bytes(load_anchors(self.layout.issuing.read_bytes())[0].public_bytes(Encoding.PEM))
        self.assertIn("has a successor", self.refused("rollover", str(first), *self.config, *OFFICERS))

    def test_a_new_root_elsewhere(self) -> None:
        """`trus ca init-root` makes a root and its token in an empty place, and refuses a place that has one."""
        pki = self.parent / "elsewhere" / "pki"
        made = ("init-root", "--network", "lunch", "--pki", str(pki), *OFFICERS)
        said = self.done(*made)
        self.assertIn("part-1 and part-2 go to two people", said)
        root = load_anchors((pki / "individual-ca.pem").read_bytes())[0]
        self.assertEqual(root.subject.rfc4514_string(), "CN=lunch individual root")
        [transcript] = (pki / "ceremonies").glob("*.txt")
        self.done("verify-transcript", str(transcript), "--pki", str(pki))
        self.assertIn("exists already", self.refused(*made))
        secrets = [path.read_text().strip() for path in (pki.parent / "root-token").glob("part-*")]
        self.assertEqual(len(secrets), 2)
        self.assertFalse(any(secret in said for secret in secrets))

    def test_the_list_is_for_people_too(self) -> None:
        """Without --json the root and its issuing authorities are a table."""
        self.assertIsNotNone(re.search(r"issuing.*issues", self.done("list", *self.config)))
