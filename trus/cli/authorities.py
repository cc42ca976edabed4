"""Takes up what the off-line root has left for a running backend: issuing authorities, its list, transcripts.

Opens no token. A list or a transcript that the root did not sign is no list and no transcript; where
there is no file, nothing was revoked and no ceremony held here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from trus.certificates.chains import load_anchors
from trus.clock import Clock
from trus.errors import ConfigurationError
from trus.issuing.ceremonies import new_ceremonies, record_ceremony
from trus.ledger.registry import Registry
from trus.pki.authority import Authority
from trus.pki.ceremony import ROOT
from trus.pki.transcript import MAX_TRANSCRIPT_BYTES, told, verify
from trus.settings.channels import read_file
from trus.settings.model import BackendSettings

#: Between two looks for new transcripts.
_LOOK_EVERY_SECONDS: Final = 60.0
#: Between two looks at the files of authorities: a revoked authority's devices are out that much later at most.
_AUTHORITIES_EVERY_SECONDS: Final = 2.0


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


class Believer(Protocol):
    """What the watch needs of the identity service."""

    @property
    def authorities(self) -> Sequence[Authority]:
        """Every generation of the individual authority, the one that issues first."""
        ...

    def look_again(self, revoked_issuers: Collection[int]) -> bool:
        """Take up what is newer; say whether an issuing authority is. Raises KeyStoreError, ConfigurationError."""
        ...


class AuthorityWatch:
    """Takes up what ceremonies leave for a running backend: the next issuing authority, the root's newer list.

    What cannot be read, or was not signed by the root, leaves the former in use, and the operator is told.
    """

    def __init__(
        self,
        settings: BackendSettings,
        service: Believer,
        concern_everybody: Callable[[], object],
        clock: Clock,
        note: Callable[[str, str], None],
    ) -> None:
        """`concern_everybody()` lets the standing of whoever has a session be looked at again."""
        self._settings = settings
        self._service = service
        self._concern_everybody = concern_everybody
        self._clock = clock
        self._note = note
        self._issuing = settings.identity.anchor.with_name("individual-issuing.pem")
        self._seen: tuple[tuple[int, int, int], ...] = ()
        self._revoked: frozenset[int] = frozenset()
        self._next_look = clock.monotonic()

    def keep(self) -> None:
        """Look at the files, when it is time to. Raises KeyStoreUnavailable, StorageFailed; looks again later then."""
        now = self._clock.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _AUTHORITIES_EVERY_SECONDS
        stamps = tuple(map(_stamp, (self._issuing, root_list_path(self._settings), self._settings.identity.anchor)))
        if stamps == self._seen:
            return
        try:
            newer, revoked = self._take_up()
        except ConfigurationError as problem:
            self._note("error", f"the former root's list and issuing authority stay in use: {problem}")
            self._seen = stamps
            return
        if revoked != self._revoked:
            self._concern_everybody()
            self._note("warn", f"the root's list names {len(revoked)} revoked issuing authorities: sessions are judged")
            self._revoked = revoked
        if newer:
            current = self._service.authorities[0]
            self._note("warn", f"issuing authority {current.version} issues from now on")
        self._seen = stamps

    def _take_up(self) -> tuple[bool, frozenset[int]]:
        roots = load_anchors(read_file(self._settings.identity.anchor, "the anchor"))
        revoked = revoked_issuers(self._settings, roots)
        newer = self._service.look_again(revoked)
        if self._issuing.exists():
            wanted = load_anchors(read_file(self._issuing, "the issuing authorities"))[-1]
            if wanted not in [each.certificate for each in self._service.authorities]:
                raise ConfigurationError(f"the token holds no key of the newest authority in {self._issuing}")
        return newer, revoked


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is replaced: time in nanoseconds, inode, size; zeros without a file."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_ino, status.st_size)


class CeremonyRecorder:
    """Looks for transcripts that the audit chain was not told of yet."""

    def __init__(
        self,
        registry: Registry,
        folder: Path,
        authorities: Callable[[], Sequence[Authority]],
        clock: Clock,
        note: Callable[[str, str], None],
    ) -> None:
        self._registry = registry
        self._folder = folder
        self._authorities = authorities
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
        authorities = self._authorities()
        roots = list(dict.fromkeys(each.root for each in authorities))
        issuing = [each.certificate for each in authorities]
        for name in new_ceremonies(self._registry, digests):
            try:
                signer = verify(texts[name], roots, issuing)
                said = told(texts[name])
            except ConfigurationError as problem:
                if digests[name] not in self._refused:
                    self._note("warn", f"the transcript {name} is not put on record: {problem}")
                    self._refused.add(digests[name])
                continue
            record_ceremony(self._registry, self._clock, name, said, signer.subject.rfc4514_string())


def _fits(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= MAX_TRANSCRIPT_BYTES
