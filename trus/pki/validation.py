"""Says whether a peer may be believed now: its chain, its role, its state in the register, its holder.

Issues nothing and changes nothing. Chains are judged by trus.certificates, which devices use as
well; the register is the backend's own knowledge and is asked every time, so that a revocation
takes effect with the next handshake.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509

from trus.certificates.chains import ChainVerifier
from trus.certificates.staples import REVOKED
from trus.errors import IdentityRefused
from trus.pki.ports import CertificateRecord, CertificateRegister, CertificateState
from trus.values import DeviceRole, PeerIdentity

#: The reasons that this module adds to those of trus.certificates.
UNKNOWN: Final = "unknown-certificate"
HELD: Final = "held"
BLOCKED: Final = "blocked-holder"
REVOKED_AUTHORITY: Final = "revoked-authority"


#: A verdict: who the peer is, or why it is refused.
Verdict = PeerIdentity | IdentityRefused


class PeerValidation:
    """The individual authority's anchors and the register of what it issued."""

    def __init__(
        self,
        anchors: Sequence[x509.Certificate],
        register: CertificateRegister,
        revoked_issuers: Collection[int] = (),
        on_first_use: Callable[[Sequence[PeerIdentity]], object] = lambda _: None,
        issuer_of: Callable[[CertificateRecord], int | None] = lambda record: None,
    ) -> None:
        """`issuer_of` returns the serial number of the authority that issued a certificate, None when unknown.

        `revoked_issuers` are the serial numbers of issuing authorities on the root's revocation list, and
        `on_first_use` hears of peers whose chains were good and whose certificates nobody had shown before.
        """
        self._register = register
        self._on_first_use = on_first_use
        self._issuer_of = issuer_of
        self.believe(anchors, revoked_issuers)

    def believe(self, anchors: Sequence[x509.Certificate], revoked_issuers: Collection[int]) -> None:
        """Judge by these roots and this list from now on. Raises ConfigurationError without a root."""
        self._verifier = ChainVerifier(anchors)
        self._revoked_issuers = frozenset(revoked_issuers)

    def judge_chains(self, asked: Sequence[tuple[Sequence[bytes], DeviceRole]], now: datetime) -> list[Verdict]:
        """Judge chains (DER, leaf first, no root), each for its role, at `now`; in order.

        The register is asked once for all of them.
        """
        verdicts: list[Verdict] = []
        for chain, role in asked:
            try:
                verified = self._verifier.verify(chain, role, now)
                if verified.issuer.serial_number in self._revoked_issuers:
                    raise IdentityRefused(REVOKED_AUTHORITY)
                verdicts.append(verified.peer)
            except IdentityRefused as refusal:
                verdicts.append(refusal)
        good = [place for place, verdict in enumerate(verdicts) if isinstance(verdict, PeerIdentity)]
        peers = [peer for peer in verdicts if isinstance(peer, PeerIdentity)]
        records = self._register.certificates([peer.serial for peer in peers]) if peers else {}
        for place, verdict in zip(good, self._judge(peers, records, now), strict=True):
            verdicts[place] = verdict
        shown = [peer for peer in verdicts if isinstance(peer, PeerIdentity)]
        pending = [peer for peer in shown if records[peer.serial].state is CertificateState.PENDING]
        if pending:
            self._on_first_use(pending)
        return verdicts

    def judge_standing(self, peers: Sequence[PeerIdentity], now: datetime) -> list[Verdict]:
        """Judge peers known before: registered, good, unexpired, their holders not blocked; in order."""
        records = self._register.certificates([peer.serial for peer in peers]) if peers else {}
        verdicts = self._judge(peers, records, now)
        if not self._revoked_issuers:
            return verdicts
        return [
            IdentityRefused(REVOKED_AUTHORITY)
            if isinstance(verdict, PeerIdentity) and self._issuer_of(records[verdict.serial]) in self._untrusted
            else verdict
            for verdict in verdicts
        ]

    @property
    def _untrusted(self) -> frozenset[int | None]:
        # Once an authority was revoked, a certificate of which nobody can say who issued it is not believed.
        return self._revoked_issuers | {None}

    def _judge(
        self, peers: Sequence[PeerIdentity], records: Mapping[str, CertificateRecord], now: datetime
    ) -> list[Verdict]:
        if not peers:
            return []
        blocked = self._register.blocked([(peer.role, peer.name) for peer in peers])
        verdicts: list[Verdict] = []
        for peer in peers:
            try:
                _demand_same(records.get(peer.serial), peer, now)
            except IdentityRefused as refusal:
                verdicts.append(refusal)
            else:
                verdicts.append(IdentityRefused(BLOCKED) if (peer.role, peer.name) in blocked else peer)
        return verdicts


def _demand_same(record: CertificateRecord | None, peer: PeerIdentity, now: datetime) -> None:
    said = (peer.role, peer.name, peer.shop, peer.model)
    if record is None or (record.role, record.name, record.shop, record.model) != said:
        raise IdentityRefused(UNKNOWN)
    demand_good(record, now)


def demand(verdict: Verdict) -> PeerIdentity:
    """Return the peer of a good verdict. Raises the IdentityRefused of a bad one."""
    if isinstance(verdict, IdentityRefused):
        raise verdict
    return verdict


def demand_good(record: CertificateRecord, now: datetime) -> None:
    """Raise IdentityRefused unless the register calls the certificate good and it has not ended."""
    if record.state is CertificateState.REVOKED:
        raise IdentityRefused(REVOKED)
    if record.state is CertificateState.HELD:
        raise IdentityRefused(HELD)
    if now > record.not_after:
        raise IdentityRefused("expired-certificate")
