"""The token of a simulated backend: slow at times, gone at times, pulled out in the middle of a batch.

Holds no key: trus.hsm.memory does. A core that closes it closes its session, not the token.
"""

from __future__ import annotations

from collections.abc import Sequence

from trus.errors import KeyStoreUnavailable
from trus.hsm.memory import MemoryStore
from trus.hsm.ports import KeyAttributes, KeyHandle, KeyPurpose


class TokenState:
    """How the token is; it stays so over restarts of the core."""

    def __init__(self) -> None:
        self.available = True
        #: Calls until it is pulled out; 0 for never.
        self.pulled_in = 0
        #: Seconds that every call takes.
        self.slow = 0.0
        #: Seconds that the calls of the batch under way have taken.
        self.spent = 0.0


class UnreliableToken:
    """trus.hsm.ports.KeyStore and ObjectStore, as one session of a core with the token."""

    production = False

    def __init__(self, keys: MemoryStore, kept: dict[str, bytes], state: TokenState) -> None:
        """`kept` holds the certificates that this run has put there."""
        self._keys = keys
        self._kept = kept
        self._state = state
        self._closed = False

    def _use(self) -> MemoryStore:
        state = self._state
        if state.pulled_in:
            state.pulled_in -= 1
            if not state.pulled_in:
                state.available = False
        if self._closed or not state.available:
            raise KeyStoreUnavailable("the simulated token is gone")
        state.spent += state.slow
        return self._keys

    def generate(self, label: str, purpose: KeyPurpose) -> KeyHandle:
        """Refuse: the town's keys were all made at its foundation."""
        raise KeyStoreUnavailable("the simulated token makes no keys")

    def find(self, label: str, version: int | None = None) -> KeyHandle:
        """Return the handle of a key."""
        return self._use().find(label, version)

    def handles(self) -> Sequence[KeyHandle]:
        """Return the handles of all keys."""
        return self._use().handles()

    def attributes(self, handle: KeyHandle) -> KeyAttributes:
        """Return what the token says of a key."""
        return self._use().attributes(handle)

    def destroy(self, handle: KeyHandle) -> None:
        """Refuse: other runs use the same keys."""
        raise KeyStoreUnavailable("the simulated token destroys no keys")

    def public_key(self, handle: KeyHandle) -> bytes:
        """Return the public half of a pair."""
        return self._use().public_key(handle)

    def sign(self, handle: KeyHandle, payloads: Sequence[bytes]) -> list[bytes]:
        """Return signatures, the same for the same payload (RFC 6979)."""
        return self._use().sign(handle, payloads)

    def encrypt_blocks(self, handle: KeyHandle, blocks: Sequence[bytes]) -> list[bytes]:
        """Return each block under a key."""
        return self._use().encrypt_blocks(handle, blocks)

    def mac(self, handle: KeyHandle, messages: Sequence[bytes]) -> list[bytes]:
        """Return HMACs."""
        return self._use().mac(handle, messages)

    def close(self) -> None:
        """Log out."""
        self._closed = True

    def put_certificate(self, label: str, der: bytes) -> None:
        """Keep a certificate for this run."""
        self._use()
        self._kept[label] = der

    def certificate(self, label: str) -> bytes:
        """Return a certificate."""
        keys = self._use()
        return self._kept[label] if label in self._kept else keys.certificate(label)

    def certificate_labels(self) -> Sequence[str]:
        """Return the labels of all certificates."""
        return sorted({*self._use().certificate_labels(), *self._kept})
