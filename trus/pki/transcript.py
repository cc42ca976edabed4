"""Writes down a key ceremony: who was there, when, what was made, with fingerprints; signed at the end.

Performs no step itself and knows no token beyond the key that signs. A transcript is plain text
that officers read and keep; the signature covers every byte above it, so that a line changed,
dropped or added later is noticed by whoever holds the root's certificate.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from trus.certificates.chains import serial_text
from trus.clock import Clock
from trus.errors import ConfigurationError
from trus.values import Frozen

_HEAD: Final = "trus ceremony transcript, version 1"
_BEGIN: Final = "-----BEGIN TRANSCRIPT SIGNATURE-----"
_END: Final = "-----END TRANSCRIPT SIGNATURE-----"
#: What is signed begins with this, so that a transcript is nothing else that the key signs.
_CONTEXT: Final = b"trus ceremony transcript\x00"
#: Officers' names and what is written of names: one line of plain text.
_PLAIN: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z ._,'@-]{0,63}")
_WIDTH: Final = 64
#: A ceremony has a page or two.
MAX_TRANSCRIPT_BYTES: Final = 65_536


class Told(Frozen, frozen=True):
    """What a transcript says of itself: the ceremony, who was there, when it began, its SHA-256 (hex)."""

    ceremony: str
    officers: tuple[str, ...]
    begun: str
    digest: str


def check_officers(officers: Sequence[str], wanted: int) -> tuple[str, ...]:
    """Return the officers' names. Raises ConfigurationError unless they are `wanted` different people."""
    names = tuple(" ".join(name.split()) for name in officers)
    for name in names:
        if _PLAIN.fullmatch(name) is None:
            raise ConfigurationError("an officer's name is 1 to 64 letters, digits, spaces and ._,'@-")
    if len({name.casefold() for name in names}) != len(names) or len(names) < wanted:
        raise ConfigurationError(f"{wanted} officers are needed, and nobody counts twice")
    return names


def key_fingerprint(key: object) -> str:
    """Return SHA-256 (hex) of a public key's SubjectPublicKeyInfo. Raises TypeError for no such key."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("a ceremony's keys are on P-256")
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


class Transcript:
    """A ceremony under way."""

    def __init__(self, ceremony: str, network: str, officers: Sequence[str], clock: Clock) -> None:
        """Begin now. Raises ConfigurationError for names that are no line of plain text."""
        self._clock = clock
        self._steps = 0
        self._lines = [
            _HEAD,
            f"ceremony: {ceremony}",
            f"network: {network}",
            *(f"officer: {name}" for name in check_officers(officers, 0)),
            f"begun: {_moment(clock.now())}",
            "",
        ]

    def step(self, text: str, **facts: str) -> None:
        """Write down a step that was done, with the values that prove it, `name: value` each."""
        self._steps += 1
        self._lines.append(f"{self._steps}. {_moment(self._clock.now())} {text}")
        self._lines += [f"   {name.replace('_', ' ')}: {value}" for name, value in facts.items()]

    def certificate(self, text: str, certificate: x509.Certificate) -> None:
        """Write down a step that made or took in a certificate."""
        self.step(
            text,
            subject=certificate.subject.rfc4514_string(),
            serial=serial_text(certificate),
            valid=f"{_moment(certificate.not_valid_before_utc)} to {_moment(certificate.not_valid_after_utc)}",
            key_sha256=key_fingerprint(certificate.public_key()),
            certificate_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        )

    def seal(self, signer: ec.EllipticCurvePrivateKey) -> bytes:
        """End the ceremony and return the signed text. Raises KeyStoreUnavailable."""
        self._lines += ["", f"ended: {_moment(self._clock.now())}"]
        self._lines += [f"signed by: {key_fingerprint(signer.public_key())}", ""]
        text = "\n".join(self._lines) + "\n"
        signature = signer.sign(_CONTEXT + text.encode("utf-8"), ec.ECDSA(hashes.SHA256()))
        return text.encode("utf-8") + _block(signature)


def verify(
    transcript: bytes, roots: Sequence[x509.Certificate], others: Sequence[x509.Certificate] = ()
) -> x509.Certificate:
    """Return the certificate of the key that signed a transcript: one of `roots`, or of `others` that a root issued.

    Raises ConfigurationError with one sentence when it was changed, or signed by somebody else.
    """
    text, _, block = transcript.partition(_BEGIN.encode())
    try:
        signature = base64.b64decode(b"".join(block.partition(_END.encode())[0].split()), validate=True)
    except binascii.Error:
        signature = b""
    # Written anew, the block must be the same: there is one way to write a signature.
    if transcript != text + _block(signature) or not text.startswith(_HEAD.encode() + b"\n"):
        raise ConfigurationError("that is no transcript of a ceremony, or not the whole of it")
    for certificate in (*roots, *(each for each in others if _below(each, roots))):
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            continue
        if f"\nsigned by: {key_fingerprint(key)}\n\n".encode() not in text:
            continue
        try:
            key.verify(signature, _CONTEXT + text, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise ConfigurationError("the transcript was changed after it was signed") from None
        return certificate
    raise ConfigurationError("the transcript was signed by a key that this root does not vouch for")


def _block(signature: bytes) -> bytes:
    encoded = base64.b64encode(signature).decode("ascii")
    wrapped = [encoded[start : start + _WIDTH] for start in range(0, len(encoded), _WIDTH)]
    return ("\n".join([_BEGIN, *wrapped, _END]) + "\n").encode("ascii")


def told(transcript: bytes) -> Told:
    """Return what a transcript says of itself; whether it is true, `verify` says. Raises ConfigurationError."""
    said: dict[str, list[str]] = {}
    head, _, rest = transcript.partition(b"\n\n")
    lines = head.decode("utf-8", "replace").splitlines()
    if not rest or not lines or lines[0] != _HEAD:
        raise ConfigurationError("that is no transcript of a ceremony")
    for line in lines[1:]:
        name, _, value = line.partition(": ")
        said.setdefault(name, []).append(value)
    return Told(
        ceremony=said.get("ceremony", [""])[0],
        officers=tuple(said.get("officer", [])),
        begun=said.get("begun", [""])[0],
        digest=hashlib.sha256(transcript).hexdigest(),
    )


def _below(certificate: x509.Certificate, roots: Sequence[x509.Certificate]) -> bool:
    for root in roots:
        try:
            certificate.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
