"""Answers the front's questions about identity with what the private PKI says.

Translates and batches, judges nothing: chains, codes and states are trus.pki's. A refusal
reaches the front as a response code and a fixed word for the log; the peer hears only
"authentication failed".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from trus.core.messages import (
    BackendIdentity,
    CheckStanding,
    Enrol,
    Enrolled,
    PairMade,
    PeersRechecked,
    PeerVerified,
    RecheckPeers,
    Refused,
    StandingsChanged,
    StandingsSince,
    VerifyPeer,
)
from trus.errors import IdentityRefused
from trus.values import BusinessDate, DeviceRole, PeerIdentity, ResponseCode


class Material(Protocol):
    """The backend's own chain and OCSP answer."""

    @property
    def chain(self) -> list[bytes]: ...  # noqa: D102 - a shape

    @property
    def staple(self) -> bytes: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def valid_seconds(self) -> int: ...  # noqa: D102


class Issued(Protocol):
    """A certificate that was issued, and whom it names."""

    @property
    def peer(self) -> PeerIdentity: ...  # noqa: D102

    @property
    def chain(self) -> list[bytes]: ...  # noqa: D102


class Delivered(Protocol):
    """A pair that was made for a device, and whom its certificate names."""

    @property
    def peer(self) -> PeerIdentity: ...  # noqa: D102 - a shape

    @property
    def p12(self) -> bytes: ...  # noqa: D102

    @property
    def passphrase(self) -> str: ...  # noqa: D102


class Identities(Protocol):
    """What the core needs of trus.pki.identity.IdentityService."""

    def material(self) -> Material:
        """Return chain and OCSP answer."""
        ...

    def sign(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Sign with the backend identity's key."""
        ...

    def verify_batch(self, asked: Sequence[tuple[Sequence[bytes], DeviceRole]]) -> list[PeerIdentity | IdentityRefused]:
        """Judge chains, each for its role, reading the register once."""
        ...

    def standing_batch(self, peers: Sequence[PeerIdentity]) -> list[PeerIdentity | IdentityRefused]:
        """Judge holders of tickets, reading the register once."""
        ...

    def enrol(self, role: DeviceRole, name: str, code: str, csr: bytes, address: str = "") -> Issued:
        """Issue a certificate against an activation code; `address` is the device's. Raises IdentityRefused."""
        ...

    def deliver(self, role: DeviceRole, name: str, code: str, address: str = "") -> Delivered:
        """Make a pair for a device, keep it wrapped, and return it, once. Raises IdentityRefused."""
        ...

    def epoch(self) -> int:
        """Return the number of the newest change of standing."""
        ...

    def changes_since(self, epoch: int) -> Sequence[tuple[DeviceRole, str]] | None:
        """Return whose standing changed after `epoch`; None when it may be anybody's."""
        ...


_ROLES: Final = {role.value: role for role in DeviceRole}


class IdentityDesk:
    """trus.core.core.IdentityHandler on a PKI."""

    def __init__(
        self,
        identities: Identities,
        business_date: Callable[[], BusinessDate],
        note: Callable[[str, str], None],
        restored: int = 0,
    ) -> None:
        """`note(level, text)` tells the operator of refused enrolments; `restored` is how often the ledger was."""
        self._restored = restored
        self._identities = identities
        self._business_date = business_date
        self._note = note
        #: Returns the public key that terminals seal the stripes of advices to, empty for none.
        self.advice_key: Callable[[], bytes] = bytes

    def material(self) -> BackendIdentity:
        """Return the backend's chain and its OCSP answer."""
        material = self._identities.material()
        return BackendIdentity(list(material.chain), material.staple, material.name, material.valid_seconds)

    def sign(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Sign handshake payloads, one token call for all."""
        return self._identities.sign(payloads)

    def verify(self, asked: Sequence[VerifyPeer]) -> list[PeerVerified | Refused]:
        """Judge peers' chains now, in order."""
        known = [(each.chain, _ROLES.get(each.role)) for each in asked]
        verdicts = iter(self._identities.verify_batch([(chain, role) for chain, role in known if role is not None]))
        return self._answers([IdentityRefused("unknown-role") if role is None else next(verdicts) for _, role in known])

    def standing(self, asked: Sequence[CheckStanding]) -> list[PeerVerified | Refused]:
        """Judge the holders of tickets now, in order."""
        return self._answers(self._identities.standing_batch([each.peer for each in asked]))

    def epoch(self) -> int:
        """Return the number of the newest change of standing."""
        return self._identities.epoch()

    def changes(self, asked: StandingsSince) -> StandingsChanged:
        """Say whose standing changed since."""
        # The number first: a change in between is told twice rather than never.
        epoch = self._identities.epoch()
        holders = self._identities.changes_since(asked.epoch)
        return StandingsChanged(epoch, holders is not None, [(role.value, name) for role, name in holders or ()])

    def recheck(self, asked: RecheckPeers) -> PeersRechecked:
        """Judge the holders of live sessions now, one look at the register for all."""
        verdicts = self._identities.standing_batch(asked.peers)
        return PeersRechecked([each.reason if isinstance(each, IdentityRefused) else "" for each in verdicts])

    def _answers(self, verdicts: Sequence[PeerIdentity | IdentityRefused]) -> list[PeerVerified | Refused]:
        date = self._business_date()
        return [
            _refused(verdict.reason)
            if isinstance(verdict, IdentityRefused)
            else PeerVerified(verdict, date, epoch=self._restored, advice_key=self.advice_key())
            for verdict in verdicts
        ]

    def enrol(self, request: Enrol) -> Enrolled | PairMade | Refused:
        """Issue an individual certificate against an activation code, with a pair where the device has none."""
        role = _ROLES.get(request.role)
        if role is None or role is DeviceRole.BACKEND:
            return _refused("unknown-role")
        try:
            if not request.csr:
                return self._deliver(role, request)
            issued = self._identities.enrol(role, request.name, request.code, request.csr, request.address)
        except IdentityRefused as refusal:
            self._note("warn", f"enrolment refused: {refusal.reason}, from {request.address}")
            return _refused(refusal.reason)
        self._note("info", f"enrolled {issued.peer.role.value} {issued.peer.name}, serial {issued.peer.serial}")
        return Enrolled(issued.peer, list(issued.chain), self._business_date())

    def _deliver(self, role: DeviceRole, request: Enrol) -> PairMade:
        made = self._identities.deliver(role, request.name, request.code, request.address)
        self._note("info", f"made the pair of {made.peer.role.value} {made.peer.name}, serial {made.peer.serial}")
        return PairMade(made.peer, made.p12, made.passphrase, self._business_date())


def _refused(reason: str) -> Refused:
    return Refused(ResponseCode.SECURITY_VIOLATION, reason)
