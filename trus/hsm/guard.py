"""Stands before a token that may be slow, gone or locked: measures each call, fails fast, opens it again.

Decides nothing about requests: a call that cannot be served raises KeyStoreUnavailable, at once while
the token is known to be away, and the caller answers 91. The operator hears of it when it begins, once a
minute while it lasts, and when it is over. A PIN that the token refused is never tried twice: three
wrong ones lock most tokens for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from trus.clock import Clock
from trus.errors import KeyStoreUnavailable, TrusError, WrongTokenPin
from trus.hsm.ports import KeyAttributes, KeyHandle, KeyPurpose, KeyStore, ObjectStore, PairWrapper, WrappedPair

#: Pauses in seconds between attempts to open a token that is away: soon, then slower and slower.
PAUSES_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
#: Seconds between two lines for the operator about one lasting failure.
REMINDER_SECONDS: Final = 60.0
#: What is counted under these names where HEALTH shows the core's counters.
COUNTERS: Final = ("token-calls", "token-failures", "token-refused", "token-recoveries", "token-slowest-ms")

_Answer = TypeVar("_Answer")


class TokenStore(KeyStore, ObjectStore, PairWrapper, Protocol):
    """A whole token: keys, certificates, wrapping."""


class RecoverableStore(TokenStore, Protocol):
    """A token that can be opened again."""

    def recover(self, pin: str = "") -> None:
        """Open it anew. Raises KeyStoreUnavailable, WrongTokenPin."""
        ...


class CallWatch(Protocol):
    """Is told of every call of the token, so that another process can see one that does not come back."""

    def begin(self, doing: str) -> None:
        """Say that a call begins."""
        ...

    def end(self) -> None:
        """Say that it came back."""
        ...


class _Trouble:
    """One lasting failure: since when, how often it was in the way, and when to try again."""

    def __init__(self, sentence: str, now: float, *, slow: bool) -> None:
        self.sentence = sentence
        self.slow = slow
        self.began = now
        self.began_in_silence = False
        self.refused = 0
        self.attempts = 0
        self.retry_at = now + PAUSES_SECONDS[0]

    def postpone(self, now: float) -> None:
        self.attempts += 1
        self.retry_at = now + PAUSES_SECONDS[min(self.attempts, len(PAUSES_SECONDS) - 1)]


class GuardedStore:
    """A TokenStore on a token that may fail; calls block, so it belongs in the core process alone."""

    production = True

    def __init__(
        self,
        store: RecoverableStore,
        clock: Clock,
        note: Callable[[str, str], None],
        *,
        deadline_seconds: float,
        pin: Callable[[], str],
        watch: CallWatch,
        counters: dict[str, int],
    ) -> None:
        """`pin()` returns the PIN to open the token with, read anew; it may raise TrusError.

        A call that takes longer than `deadline_seconds` counts as failed, unless it changed something.
        """
        self._store = store
        self._clock = clock
        self._note = note
        self._deadline = deadline_seconds
        self._pin = pin
        self._watch = watch
        self._counters = counters
        self._counters.update(dict.fromkeys(COUNTERS, 0))
        self._trouble: _Trouble | None = None
        self._refused_pin: str | None = None
        self._told_at = float("-inf")

    def __repr__(self) -> str:
        """Say which token it guards, and whether it works."""
        return f"<GuardedStore {'working' if self._trouble is None else 'in trouble'}, {self._store!r}>"

    # ---------------------------------------------------------------------------- the guard

    @property
    def trouble(self) -> str:
        """What is wrong with the token, in one sentence; empty when nothing is."""
        return "" if self._trouble is None else self._trouble.sentence

    def tend(self) -> None:
        """Try to open a token that is away, when it is time to; for the core's quiet moments."""
        if self._trouble is not None:
            self._back()
            self._remind()

    def _call(self, doing: str, call: Callable[[], _Answer], *, changes: bool = False) -> _Answer:
        if self._trouble is not None and not self._back():
            raise self._unavailable()
        answer, took = self._timed(doing, call)
        if took > self._deadline:
            self._begin_trouble(f"the token took {took:.1f} s for {doing}", slow=True)
            if not changes:
                raise self._unavailable()
        return answer

    def _timed(self, doing: str, call: Callable[[], _Answer]) -> tuple[_Answer, float]:
        started = self._clock.monotonic()
        self._watch.begin(doing)
        try:
            answer = call()
        except KeyStoreUnavailable as failure:
            self._counters["token-failures"] += 1
            self._begin_trouble(str(failure), slow=False)
            raise
        finally:
            self._watch.end()
            took = self._clock.monotonic() - started
            self._counters["token-calls"] += 1
            self._counters["token-slowest-ms"] = max(self._counters["token-slowest-ms"], int(took * 1000))
        return answer, took

    def _begin_trouble(self, sentence: str, *, slow: bool) -> None:
        now = self._clock.monotonic()
        trouble = self._trouble
        if trouble is not None:
            trouble.sentence, trouble.slow = sentence, slow
            return
        self._trouble = trouble = _Trouble(sentence, now, slow=slow)
        if now - self._told_at >= REMINDER_SECONDS:
            self._tell(f"{sentence}; what needs the token gets code 91 until it works again")
        else:
            # It comes and goes: one line a minute, whatever it does in between.
            trouble.began_in_silence = True

    def _unavailable(self) -> KeyStoreUnavailable:
        trouble = self._trouble
        if trouble is None:
            return KeyStoreUnavailable("the token works again")
        trouble.refused += 1
        self._counters["token-refused"] += 1
        self._remind()
        return KeyStoreUnavailable(trouble.sentence)

    def _remind(self) -> None:
        trouble, now = self._trouble, self._clock.monotonic()
        if trouble is not None and now - self._told_at >= REMINDER_SECONDS:
            lasted = now - trouble.began
            self._tell(f"{trouble.sentence}; for {lasted:.0f} s now, {trouble.refused} calls refused")
            trouble.began_in_silence = False

    def _tell(self, sentence: str) -> None:
        self._told_at = self._clock.monotonic()
        self._note("critical", sentence)

    def _back(self) -> bool:
        """Return whether the token works again, having tried when it was time to."""
        trouble = self._trouble
        if trouble is None:
            return True
        if self._clock.monotonic() < trouble.retry_at:
            return False
        try:
            works = self._probe() if trouble.slow else self._reopen()
        except TrusError as failure:
            works = False
            trouble.sentence, trouble.slow = str(failure), False
        now = self._clock.monotonic()
        if not works:
            trouble.postpone(now)
            return False
        self._trouble = None
        self._counters["token-recoveries"] += 1
        lasted = now - trouble.began
        if not trouble.began_in_silence:
            self._note("warn", f"the token works again after {lasted:.1f} s, {trouble.refused} calls were refused")
        return True

    def _probe(self) -> bool:
        """Ask a slow token something small, and say whether it answered in time."""
        _, took = self._timed("looking at its keys", self._store.handles)
        return took <= self._deadline

    def _reopen(self) -> bool:
        """Open the token anew. Raises TrusError when it cannot be; a refused PIN is not tried again."""
        pin = self._pin()
        if pin == self._refused_pin:
            raise WrongTokenPin(f"{self.trouble.partition(':')[0]}: it is not tried again before the PIN file changes")
        self._watch.begin("being opened again")
        try:
            self._store.recover(pin)
        except WrongTokenPin:
            self._refused_pin = pin
            raise
        finally:
            self._watch.end()
        self._refused_pin = None
        return True

    # ---------------------------------------------------------------------------- KeyStore

    def generate(self, label: str, purpose: KeyPurpose) -> KeyHandle:
        """Make a key; see KeyStore."""
        return self._call("making a key", lambda: self._store.generate(label, purpose), changes=True)

    def find(self, label: str, version: int | None = None) -> KeyHandle:
        """Return the handle of a key; see KeyStore."""
        return self._call("finding a key", lambda: self._store.find(label, version))

    def handles(self) -> Sequence[KeyHandle]:
        """Return the handles of all keys; see KeyStore."""
        return self._call("listing its keys", self._store.handles)

    def attributes(self, handle: KeyHandle) -> KeyAttributes:
        """Return what the token says of a key; see KeyStore."""
        return self._call("describing a key", lambda: self._store.attributes(handle))

    def destroy(self, handle: KeyHandle) -> None:
        """Destroy a key; see KeyStore."""
        self._call("destroying a key", lambda: self._store.destroy(handle), changes=True)

    def public_key(self, handle: KeyHandle) -> bytes:
        """Return the public half of a pair; see KeyStore."""
        return self._call("giving a public key", lambda: self._store.public_key(handle))

    def sign(self, handle: KeyHandle, payloads: Sequence[bytes]) -> list[bytes]:
        """Sign; see KeyStore."""
        return self._call("signing", lambda: self._store.sign(handle, payloads))

    def encrypt_blocks(self, handle: KeyHandle, blocks: Sequence[bytes]) -> list[bytes]:
        """Encrypt single blocks; see KeyStore."""
        return self._call("encrypting", lambda: self._store.encrypt_blocks(handle, blocks))

    def mac(self, handle: KeyHandle, messages: Sequence[bytes]) -> list[bytes]:
        """Return MACs; see KeyStore."""
        return self._call("computing a MAC", lambda: self._store.mac(handle, messages))

    def close(self) -> None:
        """Let go of the token."""
        self._store.close()

    # ------------------------------------------------------------- PairWrapper, ObjectStore

    def wrap_new_pair(self, wrapping: KeyHandle) -> WrappedPair:
        """Make a pair and give it out wrapped; see PairWrapper."""
        return self._call("making a pair", lambda: self._store.wrap_new_pair(wrapping))

    def wrap_pair(self, wrapping: KeyHandle, key: ec.EllipticCurvePrivateKey) -> WrappedPair:
        """Wrap a pair; see PairWrapper."""
        return self._call("wrapping a pair", lambda: self._store.wrap_pair(wrapping, key))

    def unwrap_pair(self, wrapping: KeyHandle, pair: WrappedPair) -> ec.EllipticCurvePrivateKey:
        """Open a pair; see PairWrapper."""
        return self._call("opening a pair", lambda: self._store.unwrap_pair(wrapping, pair))

    def put_certificate(self, label: str, der: bytes) -> None:
        """Keep a certificate; see ObjectStore."""
        self._call("storing a certificate", lambda: self._store.put_certificate(label, der), changes=True)

    def certificate(self, label: str) -> bytes:
        """Return a certificate; see ObjectStore."""
        return self._call("giving a certificate", lambda: self._store.certificate(label))

    def certificate_labels(self) -> Sequence[str]:
        """Return the labels of certificates; see ObjectStore."""
        return self._call("listing certificates", self._store.certificate_labels)
