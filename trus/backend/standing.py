"""Ends the live sessions of whoever does not stand any more: revoked, suspended or blocked.

Judges nobody: the core does, from its register. The core numbers every change of a holder's
standing, whichever process made it, and tells the newest number with each answer about the day;
when it has grown, the sessions of the holders concerned are looked at again, all of them in as
few requests as batches allow. A question that fails is asked again with the next number heard:
the change stays unheard until every session concerned has been judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from twisted.logger import Logger

from trus.backend.batching import OnAnswer
from trus.core.messages import Answer, PeersRechecked, RecheckPeers, Request, StandingsChanged, StandingsSince
from trus.values import PeerIdentity

#: Holders judged by one request: a look at the register costs the core about a millisecond.
PEERS_A_REQUEST: Final = 256


class Watched(Protocol):
    """A device's connection, as far as its holders' standing goes."""

    def peers(self) -> list[PeerIdentity]:
        """Return the holders of its sessions, and of handshakes that may yet become sessions."""
        ...

    def expel(self, peer: PeerIdentity, reason: str) -> None:
        """End whatever that holder has here; `reason` is a fixed word for the log."""
        ...


class StandingWatch:
    """Compares the number of the newest change with the one whose consequences have been drawn."""

    _log = Logger()

    def __init__(self, ask: Callable[[Request, OnAnswer], None]) -> None:
        """`ask` puts a request into the core's next batch."""
        self._ask = ask
        #: Returns the connections now open.
        self.live: Callable[[], Iterable[Watched]] = lambda: ()
        self._drawn: int | None = None
        self._busy = False

    def heard(self, epoch: int) -> None:
        """Take the number of the newest change, as the core tells it every second."""
        if self._drawn is None:
            self._drawn = epoch  # sessions begin after this: each was judged as it began
        elif epoch != self._drawn and not self._busy:
            self._busy = True
            self._ask(StandingsSince(self._drawn), self._told)

    def _told(self, answer: Answer) -> None:
        if not isinstance(answer, StandingsChanged):
            self._busy = False
            return
        holders = frozenset(answer.holders) if answer.complete else None
        concerned: dict[PeerIdentity, list[Watched]] = {}
        for connection in self.live():
            for peer in connection.peers():
                if holders is None or (peer.role.value, peer.name) in holders:
                    concerned.setdefault(peer, []).append(connection)
        self._judge(list(concerned.items()), answer.epoch)

    def _judge(self, concerned: list[tuple[PeerIdentity, list[Watched]]], epoch: int) -> None:
        """Have the holders judged; whoever comes later is judged as it comes."""
        if not concerned:
            self._drawn = epoch
            self._busy = False
            return
        now, later = concerned[:PEERS_A_REQUEST], concerned[PEERS_A_REQUEST:]

        def judged(answer: Answer) -> None:
            if not isinstance(answer, PeersRechecked):
                self._busy = False
                return
            for (peer, connections), reason in zip(now, answer.reasons, strict=True):
                if reason:
                    self._expel(peer, connections, reason)
            self._judge(later, epoch)

        self._ask(RecheckPeers([peer for peer, _ in now]), judged)

    def _expel(self, peer: PeerIdentity, connections: list[Watched], reason: str) -> None:
        self._log.warn(
            "{role} {name} (serial {serial}) does not stand any more: {reason}",
            role=peer.role.value,
            name=peer.name,
            serial=peer.serial,
            reason=reason,
        )
        for connection in connections:
            connection.expel(peer, reason)
