"""Reads what the off-line root has left for a running backend: its revocation list, and transcripts.

Opens no token. A list or a transcript that the root did not sign is no list and no transcript; where
there is no file, nothing was revoked and no ceremony held here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from trus.clock import Clock
from trus.errors import ConfigurationError
from trus.issuing.ceremonies import new_ceremonies, record_ceremony
from trus.ledger.registry import Registry
from trus.pki.authority import Authority
from trus.pki.ceremony import ROOT
from trus.pki.transcript import MAX_TRANSCRIPT_BYTES, told, verify
from trus.settings.model import BackendSettings

#: Between two looks for new transcripts.
_LOOK_EVERY_SECONDS: Final = 60.0


def root_list_path(settings: BackendSettings) -> Path:
    """Return where the root's revocation list lies: beside its certificate."""
    return settings.identity.anchor.with_name(f"{ROOT}.crl")


def ceremonies_path(settings: BackendSettings) -> Path:
    """Return where transcripts of ceremonies lie: beside the root's certificate."""
    return settings.identity.anchor.with_name("ceremonies")


def revoked_issuers(settings: BackendSettings, roots: Sequence[x509.Certificate]) -> frozenset[int]:
    """Return the serial numbers of revoked issuing authorities.

    Raises ConfigurationError for a list that cannot be read or that no root signed: a backend that does not
    know whom to refuse does not start.
    """
    path = root_list_path(settings)
    try:
        crl = x509.load_pem_x509_crl(path.read_bytes())
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError):
        raise ConfigurationError(f"the root's revocation list {path} cannot be read") from None
    if not any(_signed(crl, root) for root in roots):
        raise ConfigurationError(f"the revocation list {path} was not signed by the root")
    return frozenset(entry.serial_number for entry in crl)


def _signed(crl: x509.CertificateRevocationList, root: x509.Certificate) -> bool:
    key = root.public_key()
    return isinstance(key, ec.EllipticCurvePublicKey) and crl.is_signature_valid(key)


class CeremonyRecorder:
    """Looks for transcripts that the audit chain was not told of yet."""

    def __init__(
        self,
        registry: Registry,
        folder: Path,
        authorities: Sequence[Authority],
        clock: Clock,
        note: Callable[[str, str], None],
    ) -> None:
        self._registry = registry
        self._folder = folder
        self._roots = list(dict.fromkeys(each.root for each in authorities))
        self._issuing = [each.certificate for each in authorities]
        self._clock = clock
        self._note = note
        self._next_look = clock.monotonic()
        self._refused: set[str] = set()

    def keep(self) -> None:
        """Put new transcripts on record; a forged one is noted, once. Raises StorageFailed."""
        now = self._clock.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_SECONDS
        texts = {path.name: path.read_bytes() for path in sorted(self._folder.glob("*.txt")) if _fits(path)}
        digests = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
        for name in new_ceremonies(self._registry, digests):
            try:
                signer = verify(texts[name], self._roots, self._issuing)
                said = told(texts[name])
            except ConfigurationError as problem:
                if digests[name] not in self._refused:
                    self._note("warn", f"the transcript {name} is not put on record: {problem}")
                    self._refused.add(digests[name])
                continue
            record_ceremony(self._registry, self._clock, name, said, signer.subject.rfc4514_string())


def _fits(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= MAX_TRANSCRIPT_BYTES
