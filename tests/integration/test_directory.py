"""The certificate directory of a whole network over HTTP: real processes, OpenSSL as the client."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator
from email.message import Message
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.integration.network import Network, Town, demand
from tests.pki import lint


class DirectoryTests(TestCase):
    """Gateway and backend in two processes; the client knows the gateway alone."""

    timeout = 180

    def setUp(self) -> None:
        self.network = Network(split=True)
        self.addCleanup(self.network.remove)
        self.network.start()
        self.folder = self.network.folder
        pki = self.network.layout.root / "pki"
        self.root = x509.load_pem_x509_certificate((pki / "individual-ca.pem").read_bytes())
        self.issuing = x509.load_pem_x509_certificate((pki / "individual-issuing.pem").read_bytes())
        self.url = f"http://127.0.0.1:{self.network.directory_port}"

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, _lower(answer.headers), answer.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, _lower(refusal.headers), refusal.read()

    async def fetch(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        return await deferToThread(self.get, path, **headers)

    async def fetch_there(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Fetch what the backend makes within its first seconds, however slow the machine is."""
        for _ in range(300):
            answer = await self.fetch(path)
            if answer[0] == 200:
                return answer
            self.assertIn(answer[0], (404, 503))
            await deferToThread(time.sleep, 0.2)
        return answer

    async def openssl(self, *arguments: str) -> tuple[int, str]:
        def run() -> tuple[int, str]:
            command = ["openssl", *arguments]
            done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout + done.stderr

        return await deferToThread(run)

    @inlineCallbacks
    def test_certificates_lists_and_ocsp(self) -> Generator[Deferred[Any], Any, None]:
        """TR-15: found by RFC 4387, listed by RFC 5280, answered by RFC 6960, and OpenSSL agrees with all of it."""
        yield Deferred.fromCoroutine(self._story())

    async def _story(self) -> None:
        town = await self.network.small_town(reactor, employees=1)
        leaves = {}
        for name in ("T0000001", "T0000002"):
            home = await self.network.enrolled(reactor, town, name)
            leaves[name] = x509.load_pem_x509_certificate((home.path / "chain.pem").read_bytes())
        await self._certificates(leaves["T0000001"])
        await self._lists_before()
        self.write("root.pem", self.root)
        self.write("issuing.pem", self.issuing)
        for name, leaf in leaves.items():
            self.write(f"{name}.pem", leaf)
            self.assertIn(f"{name}.pem: good", await self.ask_ocsp(name))
        await self._revoke(town, leaves)
        await town.admin.close()

    def write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self.folder / name
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return path

    async def _certificates(self, leaf: x509.Certificate) -> None:
        der = leaf.public_bytes(Encoding.DER)
        for name, value in (("certHash", der), ("sHash", leaf.subject.public_bytes())):
            path = f"/certificates/search.cgi?{name}={key(value)}"
            status, headers, body = await self.fetch(path)
            self.assertEqual((status, headers["content-type"], body), (200, "application/pkix-cert", der), name)
        status, headers, _ = await self.fetch(path, **{"If-None-Match": headers["etag"]})
        self.assertEqual(status, 304)
        for uri in ("urn:trus:pos:T0000001", "trus:pos:T0000001"):
            self.assertEqual((await self.fetch(f"/certificates/search.cgi?uri={uri}"))[2], der)
        root = key(self.root.subject.public_bytes())
        status, headers, body = await self.fetch(f"/certificates/search.cgi?iHash={root}")
        self.assertTrue(headers["content-type"].startswith("multipart/mixed"))
        self.assertEqual(body.count(b"Content-Type: application/pkix-cert"), 2)
        self.assertEqual((await self.fetch("/certificates/search.cgi?name=T0000009"))[0], 404)

    async def _lists_before(self) -> None:
        for path in ("individual/1/full", "individual/1/delta", "individual-root", "channel"):
            status, headers, body = await self.fetch_there(f"/crl/{path}.crl")
            self.assertEqual((status, headers["content-type"]), (200, "application/pkix-crl"), path)
            self.assertEqual(lint.list_findings(body), [], path)
            self.assertIn("max-age=", headers["cache-control"])
        by_issuer = await self.fetch(f"/crls/search.cgi?iHash={key(self.issuing.subject.public_bytes())}")
        self.assertEqual(by_issuer[2], (await self.fetch("/crl/individual/1/full.crl"))[2])

    async def ask_ocsp(self, name: str, *options: str) -> str:
        status, said = await self.openssl(
            *["ocsp", "-issuer", "issuing.pem", "-cert", f"{name}.pem", "-CAfile", "root.pem", "-verify_other"],
            *["issuing.pem", "-url", f"{self.url}/ocsp", *options],
        )
        self.assertEqual((status, "Response verify OK" in said), (0, True), said)
        return said

    async def _revoke(self, town: Town, leaves: dict[str, x509.Certificate]) -> None:
        """Revoke a terminal: OCSP says so at once, lists within seconds, with the reason; the other stays good."""
        await demand(town.admin, "REVOKE", terminal="T0000001", reason="compromised")
        # A nonce makes the answer fresh: no cache may have it.
        self.assertIn("T0000001.pem: revoked", said := await self.ask_ocsp("T0000001", "-nonce"))
        self.assertIn("Reason: keyCompromise", said)
        await deferToThread(time.sleep, 5.0)
        # By the issuer's key it was not asked for before, so no cache has it.
        named = self.issuing.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        crl = x509.load_der_x509_crl((await self.fetch(f"/crls/search.cgi?sKIDHash={key(named)}"))[2])
        self.assertIsNotNone(crl.get_revoked_certificate_by_serial_number(leaves["T0000001"].serial_number))
        (self.folder / "full.crl").write_bytes(crl.public_bytes(Encoding.PEM))
        root_list = x509.load_der_x509_crl((await self.fetch("/crl/individual-root.crl"))[2])
        (self.folder / "root.crl").write_bytes(root_list.public_bytes(Encoding.PEM))
        for name, good in (("T0000001", False), ("T0000002", True)):
            status, said = await self.openssl(
                *["verify", "-x509_strict", "-crl_check_all", "-CAfile", "root.pem", "-untrusted", "issuing.pem"],
                *["-CRLfile", "full.crl", "-CRLfile", "root.crl", f"{name}.pem"],
            )
            self.assertEqual(status == 0, good, said)
        self.assertIn("T0000002.pem: good", await self.ask_ocsp("T0000002", "-nonce"))

    @inlineCallbacks
    def test_what_is_refused(self) -> Generator[Deferred[Any], Any, None]:
        """TR-12: wrong methods, paths, keys and lengths are refused by fixed codes, and nothing comes back of them."""
        yield Deferred.fromCoroutine(self._refusals())

    async def _refusals(self) -> None:
        canary = "CANARY" * 4
        wanted = {
            "/": 404,
            f"/{canary}": 404,
            "/crl/../pki/individual-ca.pem": 404,
            "/crl/individual/1/full.crl?x": 404,
            "/crl/individual/2/full.crl": 404,
            "/crl/admin.crl": 404,
            "/certificates/search.cgi": 400,
            f"/certificates/search.cgi?sHash={canary}": 400,
            f"/certificates/search.cgi?sHash={key(b'x')}&uri=x": 400,
            f"/certificates/search.cgi?serial={key(b'x')}": 400,
            f"/crls/search.cgi?uri={canary}": 400,
            "/certificates/search.cgi?uri=%ff": 400,
            "/ocsp/": 400,
            "/ocsp/!!!": 400,
            "/ocsp/" + "A" * 9000: 414,
        }
        for path, status in wanted.items():
            found, _, body = await self.fetch(path)
            self.assertEqual((found, body), (status, b""), path[:60])
        malformed = await self.fetch("/ocsp/MAA")
        self.assertEqual(ocsp.load_der_ocsp_response(malformed[2]).response_status.name, "MALFORMED_REQUEST")
        for method, path, data, status in (
            ("POST", "/crl/channel.crl", b"", 405),
            ("PUT", "/ocsp", b"", 405),
            ("DELETE", "/crl/channel.crl", b"", 405),
            ("POST", "/ocsp", b"x" * 5000, 413),
            ("POST", "/ocsp", b"0\x00", 415),
        ):
            self.assertEqual(await deferToThread(self.send, method, path, data), status, (method, path))

    def send(self, method: str, path: str, data: bytes) -> int:
        request = urllib.request.Request(self.url + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            return refusal.code

    @inlineCallbacks
    def test_get_and_post_are_one(self) -> Generator[Deferred[Any], Any, None]:
        """RFC 6960 appendix A.1: GET and POST bring the same answer; one with a nonce is kept by nobody."""
        yield Deferred.fromCoroutine(self._get_and_post())

    async def _get_and_post(self) -> None:
        builder = ocsp.OCSPRequestBuilder().add_certificate(self.issuing, self.issuing, hashes.SHA1())
        names = builder.build()
        asked = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            hashlib.sha1(self.issuing.subject.public_bytes()).digest(), names.issuer_key_hash, 0x5E1A, hashes.SHA1()
        )
        der = asked.build().public_bytes(Encoding.DER)
        status, headers, got = await self.fetch("/ocsp/" + urllib.parse.quote(base64.b64encode(der), safe=""))
        self.assertEqual((status, headers["content-type"]), (200, "application/ocsp-response"))
        self.assertIn("max-age=", headers["cache-control"])
        request = urllib.request.Request(
            f"{self.url}/ocsp", data=der, headers={"content-type": "application/ocsp-request"}
        )
        posted = await deferToThread(lambda: urllib.request.urlopen(request, timeout=20).read())
        self.assertEqual(posted, got)
        self.assertEqual(lint.response_findings(got), [])
        nonced = asked.add_extension(x509.OCSPNonce(b"n" * 32), critical=False).build().public_bytes(Encoding.DER)
        status, headers, _ = await self.fetch("/ocsp/" + urllib.parse.quote(base64.b64encode(nonced), safe=""))
        self.assertEqual((status, headers["cache-control"]), (200, "no-store"))

    @inlineCallbacks
    def test_without_a_backend(self) -> Generator[Deferred[Any], Any, None]:
        """A gateway whose backend is gone gives out what it may still keep, and 503 for the rest."""
        yield Deferred.fromCoroutine(self._without())

    async def _without(self) -> None:
        _, _, kept = await self.fetch("/crl/individual/1/full.crl")
        self.network.processes[0].kill()
        self.assertEqual((await self.fetch("/crl/individual/1/full.crl"))[2], kept)
        status, headers, body = await self.fetch("/crl/individual/1/delta.crl")
        self.assertEqual((status, body, "retry-after" in headers), (503, b"", True))


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def key(value: bytes) -> str:
    """Return the search key of RFC 4387 section 2.1: base64 of the SHA-1, without padding."""
    return urllib.parse.quote(base64.b64encode(hashlib.sha1(value).digest()).decode().rstrip("="), safe="")
