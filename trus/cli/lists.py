"""Renews the revocation lists of a deployment in their files, while the core is idle or by hand.

Decides nothing about what is revoked (trus.pki.lists). A list is replaced as a whole, by
renaming, so that whoever reads the file sees the former one or the new one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from trus.clock import Clock
from trus.errors import ConfigurationError
from trus.pki.authority import Authority, RevokedSerial
from trus.pki.lists import is_due, next_list, read_list
from trus.pki.profiles import CRL_VALIDITY

#: Between two looks: a list lives for months.
_LOOK_EVERY_SECONDS: Final = 3_600.0


class RevocationLists:
    """The lists of some authorities, each in a PEM file."""

    def __init__(
        self, lists: Sequence[tuple[Authority, Path]], clock: Clock, validity: timedelta = CRL_VALIDITY
    ) -> None:
        """A list is believed for `validity` from its signature on."""
        self._validity = validity
        self._lists = tuple(lists)
        self._clock = clock
        self._looked: float | None = None

    def keep(self) -> list[str]:
        """Renew what is due, looking at most once an hour; return the labels of what was renewed.

        Raises ConfigurationError when a list cannot be read or written, KeyStoreUnavailable.
        """
        now = self._clock.monotonic()
        if self._looked is not None and now - self._looked < _LOOK_EVERY_SECONDS:
            return []
        self._looked = now
        return self.renew(force=False)

    def renew(self, *, force: bool = True) -> list[str]:
        """Renew every list, or with `force` off those that are due; return their labels."""
        renewed = []
        for authority, path in self._lists:
            current = read_list(authority, _read(path))
            if force or is_due(current, self._clock.now(), self._validity):
                _replace(path, next_list(authority, current, validity=self._validity).public_bytes(Encoding.PEM))
                renewed.append(authority.label)
        return renewed

    def holds(self, label: str, serial: int) -> bool:
        """Say whether a certificate is on the list of the authority `label`. Raises ConfigurationError."""
        for authority, path in self._lists:
            if authority.label == label:
                current = read_list(authority, _read(path))
                return current.get_revoked_certificate_by_serial_number(serial) is not None
        raise ConfigurationError(f"there is no list of an authority {label!r} here")

    def revoke(self, label: str, serial: int) -> None:
        """Put a certificate of the authority `label` on its list. Raises ConfigurationError."""
        for authority, path in self._lists:
            if authority.label == label:
                current = read_list(authority, _read(path))
                entry = RevokedSerial(serial, self._clock.now().replace(microsecond=0))
                _replace(path, next_list(authority, current, [entry], self._validity).public_bytes(Encoding.PEM))
                return
        raise ConfigurationError(f"there is no list of an authority {label!r} here")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the revocation list {path} cannot be read ({error.strerror})") from None


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise ConfigurationError(f"the revocation list {path} cannot be written ({error.strerror})") from None
