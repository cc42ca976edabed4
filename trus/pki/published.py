"""Finds the newest list that anybody may have: of the issuing authorities, of their root, of TLS.

Signs nothing. Lists of the issuing authorities are kept by the register (trus.pki.revocation); those
of authorities whose keys are elsewhere come as files of the deployment, read by whoever composes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trus.pki.authority import Authority
from trus.pki.directory import Found, KeyKind, key_digest_of, name_digest
from trus.pki.revocation import ListKind, RevocationLists, list_name


class ForeignList(NamedTuple):
    """A list of an authority whose lists are kept in files: its path below /crl, its authority, itself."""

    path: str
    authority: x509.Certificate
    crl: x509.CertificateRevocationList


class PublishedLists:
    """Every list, by its authority's keys (RFC 4387 section 2.2) and by its path."""

    def __init__(
        self,
        lists: RevocationLists,
        authorities: Callable[[], Sequence[Authority]],
        foreign: Callable[[], Sequence[ForeignList]],
        seconds: int,
    ) -> None:
        """`foreign()` reads the lists that are kept in files; an answer is worth keeping for `seconds`."""
        self._lists = lists
        self._authorities = authorities
        self._foreign = foreign
        self._seconds = seconds

    def find(self, by: str, value: bytes) -> Found:
        """Return the full list of the authority that a key names, or the list at a path; nothing for any other."""
        if by == "path":
            return self._at(value.decode("ascii", "replace"))
        digest_of = _DIGESTS.get(by)
        if digest_of is None:
            return Found((), self._seconds)
        for authority in self._authorities():
            if digest_of(authority.certificate) == value:
                return self._kept(authority, ListKind.FULL)
        found = [each.crl for each in self._foreign() if digest_of(each.authority) == value]
        return Found(tuple(map(_der, found[:1])), self._seconds)

    def _at(self, path: str) -> Found:
        for authority in self._authorities():
            for kind in (ListKind.FULL, ListKind.DELTA):
                if path == f"{list_name(authority)}/{kind.value}":
                    return self._kept(authority, kind)
        found = [each.crl for each in self._foreign() if each.path == path]
        return Found(tuple(map(_der, found[:1])), self._seconds)

    def _kept(self, authority: Authority, kind: ListKind) -> Found:
        kept = self._lists.newest(authority, kind)
        return Found(() if kept is None else (kept.der,), self._seconds)


def _subject_digest(certificate: x509.Certificate) -> bytes:
    # A list is found by its own issuer's name, which is the authority's subject.
    return name_digest(certificate.subject)


#: By what a list is found; the value is taken of its authority's certificate.
_DIGESTS: Final[dict[str, Callable[[x509.Certificate], bytes]]] = {
    KeyKind.ISSUER.value: _subject_digest,
    KeyKind.SUBJECT_KEY.value: key_digest_of,
}


def _der(crl: x509.CertificateRevocationList) -> bytes:
    return crl.public_bytes(Encoding.DER)
