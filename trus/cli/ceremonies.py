"""Performs the ceremonies of the individual authority: each step done, then written down, then signed.

Asks nobody anything and opens no token: the commands `trus init` and `trus ca` do. What is returned
has not been written anywhere yet, but for the keys in their tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trus.cli.layout import write_private
from trus.clock import Clock, Entropy
from trus.errors import ConfigurationError
from trus.hsm.ports import KeyStore, ObjectStore
from trus.pki.authority import ca_label
from trus.pki.ceremony import ROOT, Root, read_request
from trus.pki.generations import Generations, request_generation, take_in
from trus.pki.identity import INDIVIDUAL
from trus.pki.policy import CEREMONY_OFFICERS, Policy
from trus.pki.transcript import Transcript, check_officers, key_fingerprint

#: Longest name of a network inside an authority's name: a common name has 64 characters at most.
_NETWORK_CHARACTERS: Final = 24


@attrs.frozen
class Deed:
    """What a ceremony brought: its transcript, and whatever of the rest it made."""

    transcript: bytes
    root: x509.Certificate
    issuing: x509.Certificate | None = None
    revocation_list: x509.CertificateRevocationList | None = None
    request: bytes = b""


@attrs.frozen
class Officiant:
    """Who performs a ceremony for whom: the network, its policy, its officers, the time."""

    network: str
    policy: Policy
    officers: Sequence[str]
    clock: Clock
    entropy: Entropy

    def begin(self, ceremony: str) -> Transcript:
        """Begin a transcript. Raises ConfigurationError unless there are two different officers."""
        officers = check_officers(self.officers, CEREMONY_OFFICERS)
        return Transcript(ceremony, self.network, officers, self.clock)

    # ------------------------------------------------------------------ at the root's token

    def init_root(self, store: KeyStore, objects: ObjectStore, request: bytes = b"") -> Deed:
        """Make the root and its empty list; sign the first issuing authority when its request is at hand."""
        transcript = self.begin("init-root")
        root = Root.create(store, objects, self.network[:_NETWORK_CHARACTERS], self.policy, self.clock, self.entropy)
        transcript.step("made the root's key in its token", label=f"{ca_label(ROOT)}:{root.authority.version}")
        transcript.certificate("signed the root's certificate with it", root.certificate)
        issuing = _sign(transcript, root, request) if request else None
        listed = _list(transcript, root, None, ())
        return Deed(transcript.seal(root.authority.signer), root.certificate, issuing, listed)

    def sign_issuing(self, store: KeyStore, objects: ObjectStore, request: bytes) -> Deed:
        """Sign the certificate of an issuing authority."""
        transcript = self.begin("sign-issuing")
        root = Root(store, objects, self.policy, self.clock, self.entropy)
        issuing = _sign(transcript, root, request)
        return Deed(transcript.seal(root.authority.signer), root.certificate, issuing)

    def sign_list(
        self,
        store: KeyStore,
        objects: ObjectStore,
        current: x509.CertificateRevocationList | None,
        revoked: Sequence[int],
    ) -> Deed:
        """Sign the root's next revocation list, with `revoked` serial numbers added."""
        transcript = self.begin("crl")
        root = Root(store, objects, self.policy, self.clock, self.entropy)
        listed = _list(transcript, root, current, revoked)
        return Deed(transcript.seal(root.authority.signer), root.certificate, revocation_list=listed)

    # -------------------------------------------------------------- at the operating token

    def new_issuing(self, store: KeyStore, objects: ObjectStore) -> Deed:
        """Make the key of the next issuing authority, and its request; the present one vouches for it."""
        transcript = self.begin("new-issuing")
        present = Generations(store, objects, INDIVIDUAL, self.clock, self.entropy).current
        handle, request = request_generation(store, INDIVIDUAL, self.issuing_name())
        parsed, name = read_request(request)
        transcript.step(
            "made the key of the next issuing authority in the operating token, and its request",
            label=f"{handle.label}:{handle.version}",
            subject=name,
            key_sha256=key_fingerprint(parsed.public_key()),
            request_sha256=hashlib.sha256(request).hexdigest(),
        )
        return Deed(transcript.seal(present.signer), present.root, request=request)

    def roll_over(
        self, store: KeyStore, objects: ObjectStore, issuing: x509.Certificate, root: x509.Certificate
    ) -> Deed:
        """Take in the certificate of the next issuing authority: from now on it issues.

        Raises ConfigurationError unless `root` issued it for a key of this token.
        """
        transcript = self.begin("rollover")
        former = Generations(store, objects, INDIVIDUAL, self.clock, self.entropy).current
        take_in(store, objects, INDIVIDUAL, issuing, root)
        now = Generations(store, objects, INDIVIDUAL, self.clock, self.entropy).current
        if now.certificate != issuing:
            raise ConfigurationError("that is the certificate of an issuing authority that has a successor already")
        transcript.certificate("took in the next issuing authority, which issues from now on", issuing)
        transcript.certificate("the former one answers for what it issued until that has ended", former.certificate)
        return Deed(transcript.seal(now.signer), now.root, issuing)

    def issuing_name(self) -> str:
        """Return the common name of issuing authorities, to which each adds its number."""
        return f"{self.network[:_NETWORK_CHARACTERS]} individual issuing authority"


def _sign(transcript: Transcript, root: Root, request: bytes) -> x509.Certificate:
    issuing = root.sign_issuing(request)
    transcript.step("took a request for an issuing authority", request_sha256=_request_digest(request))
    transcript.certificate("signed its certificate", issuing)
    return issuing


def _request_digest(request: bytes) -> str:
    """Return SHA-256 (hex) of a request's DER, in whichever form it came."""
    parsed, _ = read_request(request)
    return hashlib.sha256(parsed.public_bytes(Encoding.DER)).hexdigest()


def _list(
    transcript: Transcript, root: Root, current: x509.CertificateRevocationList | None, revoked: Sequence[int]
) -> x509.CertificateRevocationList:
    listed = root.revocation_list(current, revoked)
    number = listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    transcript.step(
        "signed the list of revoked issuing authorities",
        number=str(number),
        believed_until=f"{listed.next_update_utc:%Y-%m-%dT%H:%M:%SZ}",
        revoked=", ".join(f"{each.serial_number:x}" for each in listed) or "none",
    )
    return listed


def keep_transcript(folder: Path, ceremony: str, transcript: bytes) -> Path:
    """Write a transcript under the next free number of `folder`; return its file."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = 1 + max((int(each.name[:4]) for each in folder.glob("[0-9][0-9][0-9][0-9]-*.txt")), default=0)
    path = folder / f"{number:04d}-{ceremony}.txt"
    write_private(path, transcript)
    return path
