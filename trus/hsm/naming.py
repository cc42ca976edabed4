"""Writes label, version and purpose of a key into the two names that PKCS#11 objects have.

CKA_LABEL is `LABEL:VERSION`, for people and for tools such as pkcs11-tool; CKA_ID is
`PURPOSE:LABEL:VERSION`, for this program. Objects named otherwise are somebody else's. A certificate
is found by its CKA_ID as well: a module may change CKA_LABEL, and NSS does.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from trus.errors import KeyStoreError
from trus.hsm.ports import KeyHandle, KeyPurpose

_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,95}\Z")
_ID: Final = re.compile(rb"([a-z]{1,16}):([A-Za-z0-9][A-Za-z0-9_./-]{0,95}):([1-9][0-9]{0,5})\Z")
_CERTIFICATE: Final = b"certificate:"

PURPOSES: Final = frozenset(purpose.value for purpose in KeyPurpose)


def check_label(label: str) -> None:
    """Raise KeyStoreError unless the label may name an object: letters, digits and `_./-`, at most 96."""
    if _LABEL.match(label) is None:
        raise KeyStoreError("a label of the key store holds letters, digits and _./- alone, at most 96")


def object_label(handle: KeyHandle) -> str:
    """Return the CKA_LABEL of a key."""
    return f"{handle.label}:{handle.version}"


def object_id(handle: KeyHandle) -> bytes:
    """Return the CKA_ID of a key."""
    return f"{handle.purpose.value}:{handle.label}:{handle.version}".encode("ascii")


def parse_id(name: bytes) -> KeyHandle | None:
    """Return the handle that a CKA_ID stands for, None when the object is not ours."""
    match = _ID.match(name)
    if match is None or match[1].decode("ascii") not in PURPOSES:
        return None
    return KeyHandle(match[2].decode("ascii"), int(match[3]), KeyPurpose(match[1].decode("ascii")))


def certificate_id(label: str) -> bytes:
    """Return the CKA_ID of a certificate."""
    return _CERTIFICATE + label.encode("ascii")


def certificate_label(label: str, der: bytes) -> str:
    """Return the CKA_LABEL of a certificate: its label and the beginning of its SHA-256 fingerprint.

    NSS refuses the same CKA_LABEL for two subjects, which a replacement may have for a moment.
    """
    return f"{label} {hashlib.sha256(der).hexdigest()[:8]}"


def parse_certificate_id(name: bytes) -> str:
    """Return the label that a certificate's CKA_ID stands for, empty when it is of an earlier version."""
    return name[len(_CERTIFICATE) :].decode("ascii", "replace") if name.startswith(_CERTIFICATE) else ""


def demand(handle: KeyHandle, *purposes: KeyPurpose) -> None:
    """Raise KeyStoreError unless the key serves one of the purposes."""
    if handle.purpose not in purposes:
        raise KeyStoreError(f"the key {object_label(handle)} is for {handle.purpose.value} alone")


def newest(handles: list[KeyHandle], label: str, version: int | None) -> KeyHandle | None:
    """Return the handle of this label and version (the newest when None), None when there is none."""
    fitting = [each for each in handles if each.label == label and version in (None, each.version)]
    return max(fitting, key=lambda each: each.version) if fitting else None
