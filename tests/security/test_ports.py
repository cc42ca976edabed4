"""Every certificate at every port of a real deployment: processes, sockets and TLS as an operator has them."""

from __future__ import annotations

import re
import socket
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
from OpenSSL import SSL, crypto
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.network import PROJECT, Network
from tests.net.authority import Authority as Stranger
from trus.certificates.oids import urn
from trus.cli.compose import tls_authorities
from trus.cli.keystore import open_token
from trus.cli.lists import RevocationLists
from trus.cli.processes import children
from trus.clock import SystemClock, SystemEntropy
from trus.pki import profiles
from trus.pki.authority import Authority, Names
from trus.pki.channel import ADMIN, ADMIN_SERVER_BUNDLE, CHANNEL, CHANNEL_BUNDLES, BundlePlan, admin_plan, make_bundle
from trus.pki.identity import INDIVIDUAL
from trus.settings.loading import load
from trus.values import ChannelRole

#: The first words of a port to whom it lets in; the device port answers a line that is none.
GREETINGS: Final = {"device": b"INFO ERROR ", "link": b"INFO LINK ", "admin": b"INFO CONSOLE "}
SECONDS: Final = 10.0

Pem = tuple[bytes, bytes]


def of_bundle(bundle: bytes, passphrase: bytes) -> Pem:
    """Return certificate and key of a PKCS#12 file in PEM."""
    key, certificate, _ = pkcs12.load_key_and_certificates(bundle, passphrase)
    assert certificate is not None and isinstance(key, ec.EllipticCurvePrivateKey)
    return certificate.public_bytes(Encoding.PEM), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class PortMatrixTests(SynchronousTestCase):
    """One deployment; the certificates that it has, and those that its authorities would never give away."""

    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self.network.remove)
        config = self.network.layout.config
        text = config.read_text("utf-8")
        for setting in ("connections_per_second: 5", "connection_burst: 20"):
            self.assertIn(f"# {setting}", text)  # the admin port lets in few at once, and this test knocks often
            text = text.replace(f"# {setting}", f"{setting.partition(':')[0]}: 1000")
        config.write_text(text, "utf-8")
        self.ports = {
            "device": self.network.devices_port,
            "link": self.network.link_port,
            "admin": self.network.admin_port,
        }

    def table(self) -> dict[str, str]:
        """Return docs/operations.md's table of who may enter where: the one port of each certificate, "" for none."""
        page = (PROJECT / "docs" / "operations.md").read_text("utf-8")
        rows = re.findall(r"^\| `([a-z-]+)` \| (yes|no) \| (yes|no) \| (yes|no) \|$", page, re.MULTILINE)
        found = {}
        for who, *says in rows:
            opened = [port for port, word in zip(("device", "link", "admin"), says, strict=True) if word == "yes"]
            self.assertLessEqual(len(opened), 1)
            found[who] = "".join(opened)
        self.assertEqual(set(found), {*(plan.stem for plan in CHANNEL_BUNDLES), "backend-admin", "admin"})
        return found

    def start(self) -> None:
        """Start gateway and backend."""
        self.network.start()

    def enters(self, port: str, shown: Pem | None) -> bool:
        """Say whether a caller who shows this certificate hears a word from a port; it trusts every server."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_verify(SSL.VERIFY_NONE)
        if shown is not None:
            context.use_certificate(crypto.load_certificate(crypto.FILETYPE_PEM, shown[0]))
            context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_PEM, shown[1]))
        with socket.create_connection(("127.0.0.1", self.ports[port]), SECONDS) as plain:
            plain.setblocking(True)
            plain.settimeout(None)
            caller = SSL.Connection(context, plain)
            caller.set_connect_state()
            heard = b""
            try:
                caller.do_handshake()
                if port == "device":
                    caller.sendall(b"hello\r\n")
                heard = caller.recv(4096)
            except (SSL.Error, OSError):
                pass  # the port has hung up
        if heard:
            self.assertTrue(heard.startswith(GREETINGS[port]), heard)
        return bool(heard)

    def held(self, folder: Path, stem: str) -> Pem:
        """Return what lies in a bundle of the deployment."""
        return of_bundle((folder / f"{stem}.p12").read_bytes(), (folder / f"{stem}.pass").read_bytes().strip())

    def forged(self) -> dict[str, Pem]:
        """Return certificates that the deployment's own authorities sign for this test alone, and a stranger's.

        Those called revoked are on their authority's list.
        """
        backend = load(self.network.layout.config).backend
        assert backend is not None
        clock, entropy = SystemClock(), SystemEntropy()
        made: dict[str, Pem] = {}
        with open_token(backend) as store:
            lists = RevocationLists(tls_authorities(backend, store, clock, entropy), clock)
            channel, admins, individual = (
                Authority(store, store, label, clock, entropy) for label in (CHANNEL, ADMIN, INDIVIDUAL)
            )

            def issue(what: str, authority: Authority, plan: BundlePlan) -> int:
                bundle = make_bundle(authority, plan, entropy)
                made[what] = (bundle.certificate_pem, bundle.key_pem)
                return bundle.serial

            for plan in (*CHANNEL_BUNDLES, ADMIN_SERVER_BUNDLE, admin_plan("admin")):
                own, other = (channel, admins) if plan in CHANNEL_BUNDLES else (admins, channel)
                issue(f"expired {plan.stem}", own, _over(plan))
                issue(f"{plan.stem} of the other authority", other, plan)
                lists.revoke(own.label, issue(f"revoked {plan.stem}", own, plan))
            key = ec.generate_private_key(ec.SECP256R1())
            clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            for holder, profile in profiles.DEVICE_PROFILES.items():
                names = Names("T0000001", (urn(holder, "T0000001"),))
                leaf = individual.issue(key.public_key(), profile, names)
                made[f"individual {holder.value}"] = (leaf.public_bytes(Encoding.PEM), clear)
            signer = individual.issue(key.public_key(), profiles.OCSP_SIGNER, Names("OCSP signer"))
            made["OCSP signer"] = (signer.public_bytes(Encoding.PEM), clear)
        stranger = Stranger()
        for role in ChannelRole:
            theirs = stranger.issue(role)
            clear = theirs.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            made[f"a stranger's {role.value}"] = (theirs.chain[0].public_bytes(Encoding.PEM), clear)
        return made

    def test_matrix(self) -> None:
        """TR-14, TR-20, TR-23: each certificate opens the one port that it is for; the others open none.

        Every kind of certificate of the network, in use, expired, revoked, of the other authority and of a
        stranger's, and those of individuals, on every port.
        """
        forged = self.forged()
        self.start()
        pki, admins = self.network.layout.pki, self.network.layout.admins
        opens = {who: port for who, port in self.table().items() if port}
        callers: dict[str, tuple[Pem | None, str]] = {
            **{plan.stem: (self.held(pki, plan.stem), opens.get(plan.stem, "")) for plan in CHANNEL_BUNDLES},
            "backend-admin": (self.held(pki, "backend-admin"), ""),
            "admin": (self.held(admins, "admin"), opens.get("admin", "")),
            "none": (None, ""),
            **{what: (pem, "") for what, pem in forged.items()},
        }
        found = {(who, port): self.enters(port, pem) for who, (pem, _) in callers.items() for port in self.ports}
        wanted = {(who, port): port == opened for who, (_, opened) in callers.items() for port in self.ports}
        self.assertEqual([place for place in found if found[place] != wanted[place]], [])
        self.assertEqual(len(callers), 9 + 3 * 8 + len(profiles.DEVICE_PROFILES) + 1 + len(ChannelRole))
        # The doors were not shut by so much knocking: who may enter still does.
        for who, (pem, opened) in callers.items():
            if opened:
                self.assertTrue(self.enters(opened, pem), who)

    def test_older_tls(self) -> None:
        """TR-14: no port speaks TLS 1.2, whatever certificate comes with it."""
        self.start()
        for port, (folder, stem) in {
            "device": (self.network.layout.pki, "pos"),
            "link": (self.network.layout.pki, "gateway-link"),
            "admin": (self.network.layout.admins, "admin"),
        }.items():
            certificate, key = self.held(folder, stem)
            both = self.network.folder / f"{stem}.pem"
            both.write_bytes(certificate + key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(both)
            with socket.create_connection(("127.0.0.1", self.ports[port]), SECONDS) as plain:
                self.assertRaises((ssl.SSLError, OSError), context.wrap_socket, plain)

    def test_nothing_else_listens(self) -> None:
        """TR-11, TR-13: the deployment's processes listen on the ports of the configuration and on no other."""
        self.start()
        inodes = {inode for pid in family(self.network.processes[0].popen.pid) for inode in sockets(pid)}
        listening = set()
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    listening.add(int(fields[1].rpartition(":")[2], 16))
        self.assertEqual(listening, {*self.ports.values(), self.network.directory_port})

    def test_core_has_no_network(self) -> None:
        """TR-13: the process that holds keys and ledger has no socket of any network, only the pair to its front."""
        self.start()
        front = self.network.processes[0].popen.pid
        (core,) = [pid for pid in family(front) if pid != front]
        for table in ("tcp", "tcp6", "udp", "udp6"):
            inodes = {line.split()[9] for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]}
            held = sockets(core)
            self.assertEqual(held & inodes, set(), table)


def _over(plan: BundlePlan) -> BundlePlan:
    """Return the plan of a certificate that ended half an hour ago."""
    profile = msgspec.structs.replace(plan.profile, lifetime=timedelta(minutes=-30))
    return msgspec.structs.replace(plan, profile=profile)


def sockets(pid: int) -> set[str]:
    """Return the inodes of a process's sockets; none when this user may not look."""
    try:
        links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except PermissionError:
        return set()
    return {link[8:-1] for link in links if link.startswith("socket:[")}


def family(pid: int) -> list[int]:
    """Return a process and its children, and theirs."""
    return [pid, *(each for child in children(pid) for each in family(child))]
