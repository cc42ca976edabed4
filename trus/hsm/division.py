"""Divides what a key store keeps: the network's own certificates in the token, devices' in the wrapped store.

Keeps nothing itself. A certificate of a device that an earlier version put into the token is
still found there; nothing new of a device goes into the token, whose objects are all read at every start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trus.errors import KeyNotFound
from trus.hsm.ports import ObjectStore

#: What the labels of devices' certificates begin with: one for each terminal and each virtual card.
DEVICE_PREFIXES: Final = ("pos/", "card/")


class DividedObjectStore:
    """An ObjectStore of two: raw objects for the few, wrapped ones for the many."""

    def __init__(self, token: ObjectStore, wrapped: ObjectStore, prefixes: tuple[str, ...] = DEVICE_PREFIXES) -> None:
        """Labels that begin with one of `prefixes` belong in the wrapped store."""
        self._token = token
        self._wrapped = wrapped
        self._prefixes = prefixes

    def put_certificate(self, label: str, der: bytes) -> None:
        """Keep a DER certificate where it belongs, replacing one of the same label."""
        (self._wrapped if label.startswith(self._prefixes) else self._token).put_certificate(label, der)

    def certificate(self, label: str) -> bytes:
        """Return the DER certificate of a label. Raises KeyNotFound."""
        if not label.startswith(self._prefixes):
            return self._token.certificate(label)
        try:
            return self._wrapped.certificate(label)
        except KeyNotFound:
            return self._token.certificate(label)

    def certificate_labels(self) -> Sequence[str]:
        """Return the labels of all certificates of both, sorted, each once."""
        return sorted({*self._token.certificate_labels(), *self._wrapped.certificate_labels()})
