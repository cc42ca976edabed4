"""Answers what strangers ask of the directory and of the OCSP responder, all of a batch together.

Translates and batches, decides nothing: keys, lists and states are trus.pki's. Whatever is asked
wrongly finds nothing; an OCSP request that is none gets the protocol's own unsigned answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from trus.core.messages import Refused
from trus.core.messages_directory import AskChannel, ChannelGiven, LookedUp, Lookup, Renew, Renewed
from trus.errors import ConfigurationError, IdentityRefused, KeyNotFound
from trus.values import DeviceRole, PeerIdentity, ResponseCode

#: The one reason that a device is told apart: it asks again later.
TOO_EARLY: Final = "too-early"
#: What can be asked for.
CERTIFICATE: Final = "certificate"
LIST: Final = "list"
OCSP: Final = "ocsp"
#: An answer is kept at gateways and by HTTP caches for this long at most: how much later than
#: the responder itself they may say what has changed.
MAX_KEPT_SECONDS: Final = 60


class Found(Protocol):
    """What a search found."""

    @property
    def bodies(self) -> Sequence[bytes]: ...  # noqa: D102 - a shape

    @property
    def seconds(self) -> int: ...  # noqa: D102


class Answered(Protocol):
    """An OCSP response."""

    @property
    def der(self) -> bytes: ...  # noqa: D102 - a shape

    @property
    def seconds(self) -> int: ...  # noqa: D102


class Certificates(Protocol):
    """What the core needs of the directory of certificates."""

    def find(self, by: str, value: bytes) -> Found:
        """Return what a key finds. Raises KeyNotFound for what is no key."""
        ...


class Lists(Protocol):
    """What the core needs of the published lists."""

    def find(self, by: str, value: bytes) -> Found:
        """Return the list that a key or a path names."""
        ...


class Responder(Protocol):
    """What the core needs of the OCSP responder."""

    def answer(self, requests: Sequence[bytes]) -> Sequence[Answered]:
        """Answer DER requests, in order."""
        ...


class Issued(Protocol):
    """A certificate that was issued."""

    @property
    def peer(self) -> PeerIdentity: ...  # noqa: D102 - a shape

    @property
    def chain(self) -> list[bytes]: ...  # noqa: D102


class Renewals(Protocol):
    """What the core needs of the identity service for renewals."""

    def renew(self, peer: PeerIdentity, csr: bytes, address: str = "") -> Issued:
        """Issue the next certificate of a session's holder. Raises IdentityRefused."""
        ...


class Channels(Protocol):
    """What the core needs of the channel bundles."""

    def give(self, role: DeviceRole, have: bytes) -> ChannelGiven | None:
        """Return the bundle of a kind of device, None when it is the one that the device has."""
        ...


class NoChannels:
    """Channels of a backend that keeps no bundles."""

    def give(self, role: DeviceRole, have: bytes) -> ChannelGiven | None:
        """Give nothing."""
        return None


class DirectoryDesk:
    """trus.core.core.DirectoryHandler on a PKI."""

    def __init__(
        self,
        certificates: Certificates,
        lists: Lists,
        responder: Responder,
        renewals: Renewals,
        note: Callable[[str, str], None],
        channels: Channels | None = None,
    ) -> None:
        """`note(level, text)` tells the operator of renewals."""
        self._channels: Channels = channels or NoChannels()
        self._certificates = certificates
        self._lists = lists
        self._responder = responder
        self._renewals = renewals
        self._note = note

    def renew(self, asked: Renew) -> Renewed | Refused:
        """Issue the next certificate of a session's holder."""
        peer = asked.peer
        try:
            issued = self._renewals.renew(peer, asked.csr, asked.address)
        except IdentityRefused as refusal:
            self._note("warn", f"renewal refused: {refusal.reason}, {peer.role.value} {peer.name}")
            early = refusal.reason == TOO_EARLY
            return Refused(
                ResponseCode.INVALID_TRANSACTION if early else ResponseCode.SECURITY_VIOLATION, refusal.reason
            )
        self._note("info", f"renewed {peer.role.value} {peer.name}, serial {issued.peer.serial} after {peer.serial}")
        return Renewed(list(issued.chain))

    def channel(self, asked: AskChannel) -> ChannelGiven | Refused:
        """Return the channel bundle of a session's holder's kind; refused when there is none but the one it has."""
        peer = asked.peer
        try:
            given = self._channels.give(peer.role, asked.have)
        except ConfigurationError as problem:
            self._note("error", f"no channel bundle for {peer.role.value} {peer.name}: {problem}")
            return Refused(ResponseCode.RECORD_NOT_FOUND, "no-bundle")
        if given is None:
            return Refused(ResponseCode.RECORD_NOT_FOUND, "no-newer-bundle")
        self._note("info", f"gave {peer.role.value} {peer.name} the channel bundle of its kind")
        return given

    def look_up(self, asked: Sequence[Lookup]) -> list[LookedUp]:
        """Answer all, in order. Raises KeyStoreUnavailable."""
        answers = iter(self._responder.answer([each.value for each in asked if each.what == OCSP]))
        found = []
        for each in asked:
            if each.what == OCSP:
                answer = next(answers)
                found.append(LookedUp([answer.der], min(answer.seconds, MAX_KEPT_SECONDS)))
            else:
                found.append(self._find(each))
        return found

    def _find(self, asked: Lookup) -> LookedUp:
        where = {CERTIFICATE: self._certificates, LIST: self._lists}.get(asked.what)
        if where is None:
            return LookedUp([], 0)
        try:
            found = where.find(asked.by, asked.value)
        except KeyNotFound:
            return LookedUp([], MAX_KEPT_SECONDS)
        return LookedUp(list(found.bodies), min(found.seconds, MAX_KEPT_SECONDS))
