"""Answers batches: sorts the requests by kind, hands each kind on whole, puts the answers in order.

Decides nothing itself and knows neither token nor database: the pipeline of money, the
identity service and the admin's handlers come in through the constructor. Within a batch
money goes first, then handshakes, then enrolment, then administration, so that a cardholder
never waits for a report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, cast

from trus.core.faults import describe
from trus.core.jobs import Job, NoJob
from trus.core.messages import (
    AdminAnswer,
    AdminCommand,
    Advise,
    Answer,
    BackendIdentity,
    Balance,
    Capture,
    ChangePin,
    CheckStanding,
    CloseBatch,
    DayOpen,
    DayState,
    Enrol,
    Enrolled,
    Failed,
    Health,
    HealthReport,
    IdentityMaterial,
    MoneyRequest,
    Outcome,
    PairMade,
    PeersRechecked,
    PeerVerified,
    PinWanted,
    PreAuthorize,
    Purchase,
    RecheckPeers,
    Reconcile,
    Refund,
    Refused,
    Release,
    Request,
    Reverse,
    Signature,
    SignHandshake,
    StandingsChanged,
    StandingsSince,
    VerifyPeer,
    Void,
)
from trus.core.messages_directory import AskChannel, ChannelGiven, LookedUp, Lookup, Renew, Renewed
from trus.core.messages_receipts import ProveReceipt, ReceiptProved
from trus.errors import KeyStoreUnavailable
from trus.values import BusinessDate, ResponseCode


class MoneyHandler(Protocol):
    """Decides and commits requests that may move money."""

    def handle(self, batch: list[MoneyRequest]) -> Sequence[Outcome | PinWanted | Failed | Refused]:
        """Answer each, in order; what was approved is durable by then."""
        ...


class IdentityHandler(Protocol):
    """Proves who the backend is and who its peers are."""

    def material(self) -> BackendIdentity:
        """Return the backend's chain and its OCSP answer."""
        ...

    def sign(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Sign handshake payloads with the backend's identity key, one token call."""
        ...

    def verify(self, asked: Sequence[VerifyPeer]) -> Sequence[PeerVerified | Refused]:
        """Judge peers' chains now, in order."""
        ...

    def standing(self, asked: Sequence[CheckStanding]) -> Sequence[PeerVerified | Refused]:
        """Judge the holders of tickets now, in order."""
        ...

    def enrol(self, request: Enrol) -> Enrolled | PairMade | Refused:
        """Issue an individual certificate against an activation code."""
        ...

    def epoch(self) -> int:
        """Return the number of the newest change of a holder's standing."""
        ...

    def changes(self, asked: StandingsSince) -> StandingsChanged:
        """Say whose standing changed since."""
        ...

    def recheck(self, asked: RecheckPeers) -> PeersRechecked:
        """Judge the holders of live sessions now."""
        ...


class DirectoryHandler(Protocol):
    """Answers what anybody may ask about certificates."""

    def look_up(self, asked: Sequence[Lookup]) -> Sequence[LookedUp]:
        """Answer all, in order."""
        ...

    def renew(self, asked: Renew) -> Renewed | Refused:
        """Issue the next certificate of a session's holder."""
        ...

    def channel(self, asked: AskChannel) -> ChannelGiven | Refused:
        """Return the channel bundle of a session's holder's kind."""
        ...


class NoDirectory:
    """A DirectoryHandler that finds nothing: for cores that are asked nothing of the kind."""

    def look_up(self, asked: Sequence[Lookup]) -> Sequence[LookedUp]:
        """Find nothing."""
        return [LookedUp([], 0) for _ in asked]

    def renew(self, asked: Renew) -> Renewed | Refused:
        """Issue nothing."""
        return Refused(ResponseCode.NOT_SUPPORTED, "no-directory")

    def channel(self, asked: AskChannel) -> ChannelGiven | Refused:
        """Give nothing."""
        return Refused(ResponseCode.NOT_SUPPORTED, "no-directory")


class ReceiptHandler(Protocol):
    """Proves answers to the terminals that got them."""

    def prove(self, asked: ProveReceipt) -> ReceiptProved | Refused:
        """Return the proof, or why there is none."""
        ...


class NoReceipts:
    """A ReceiptHandler that proves nothing: for cores that are asked nothing of the kind."""

    def prove(self, asked: ProveReceipt) -> ReceiptProved | Refused:
        """Prove nothing."""
        return Refused(ResponseCode.NOT_SUPPORTED, "no-receipts")


class AdminHandler(Protocol):
    """Carries out what admins order."""

    def handle(self, command: AdminCommand) -> AdminAnswer:
        """Carry out one command; refusals are answers."""
        ...


class Upkeep(Protocol):
    """The work that waits for a quiet moment: checkpoints, signed heads, renewals."""

    def business_date(self) -> BusinessDate:
        """Return the open business date."""
        ...

    def idle(self) -> None:
        """Do what is due; return soon."""
        ...

    def health(self) -> dict[str, str]:
        """Return each part's state: "ok" or a sentence."""
        ...

    def close(self) -> None:
        """Finish and close the database and the token."""
        ...


#: Answers requests of one kind, in order.
Together = Callable[[list[Any]], Sequence[Answer]]


class Core:
    """The synchronous core: one thread, no reactor, no network."""

    def __init__(
        self,
        money: MoneyHandler,
        identity: IdentityHandler,
        admin: AdminHandler,
        upkeep: Upkeep,
        note: Callable[[str, str], None],
        counters: dict[str, int] | None = None,
        directory: DirectoryHandler | None = None,
        job: Job | None = None,
        receipts: ReceiptHandler | None = None,
    ) -> None:
        """`note(level, text)` receives lines for the operator's log; `counters` is filled in place.

        `job` is worked on between batches by whoever runs this core.
        """
        self.job: Job = job or NoJob()
        self._identity = identity
        self._admin = admin
        self._upkeep = upkeep
        self._note = note
        self._waits_for = ""
        self._counters: dict[str, int] = {} if counters is None else counters
        self._counters.update(dict.fromkeys(COUNTERS, 0))
        self._directory = directory or NoDirectory()
        self._receipts = receipts or NoReceipts()
        #: In the order of their importance to a cardholder at a till.
        self._together: tuple[tuple[str, Together], ...] = (
            ("money", money.handle),
            ("signatures", self._sign),
            ("chains", identity.verify),
            ("standings", identity.standing),
            ("lookups", self._directory.look_up),
        )

    def handle(self, batch: list[Request]) -> list[Answer]:
        """Answer every request of the batch, in order."""
        self._counters["batches"] += 1
        answers: list[Answer | None] = [None] * len(batch)
        places: dict[str, list[int]] = {}
        for place, request in enumerate(batch):
            places.setdefault(_KINDS.get(type(request), SINGLE), []).append(place)
        for kind, work in self._together:
            if kind in places:
                self._answer_together(kind, work, batch, places[kind], answers)
        for place in sorted(places.get(SINGLE, ()), key=lambda each: _RANK.get(type(batch[each]), 0)):
            answers[place] = self._answer_singly(batch[place])
        return cast("list[Answer]", answers)

    def idle(self) -> None:
        """Do the housekeeping that is due; a failure of it is noted, never raised.

        That it waits for a token that is away is noted once: the token's guard goes on about it.
        """
        try:
            self._upkeep.idle()
            self._waits_for = ""
        except KeyStoreUnavailable as failure:
            if str(failure) != self._waits_for:
                self._waits_for = str(failure)
                self._note("error", f"housekeeping waits for the token: {failure}")
        except Exception as failure:  # noqa: BLE001 - an alarm must not stop payments
            self._fault("housekeeping", failure)

    def close(self) -> None:
        """Close database and token; what cannot be finished is noted, never raised."""
        try:
            self._upkeep.close()
        except Exception as failure:  # noqa: BLE001 - a core that ends must end
            self._fault("closing", failure)

    def _answer_together(
        self, kind: str, work: Together, batch: list[Request], places: list[int], answers: list[Answer | None]
    ) -> None:
        """Answer all requests of one kind in one call; a failure of the call is the answer to each."""
        self._counters[kind] += len(places)
        self._counters[f"{kind}-batches"] += 1
        given: Sequence[Answer]
        try:
            given = work([batch[place] for place in places])
        except KeyStoreUnavailable:
            given = [Failed(ResponseCode.ISSUER_UNAVAILABLE, "keystore")] * len(places)
        except Exception as failure:  # noqa: BLE001 - the peers get 96 and the operator the place
            self._fault(kind, failure)
            given = [Failed(ResponseCode.SYSTEM_ERROR, "fault")] * len(places)
        for place, answer in zip(places, given, strict=True):
            answers[place] = answer

    def _sign(self, asked: Sequence[SignHandshake]) -> list[Signature]:
        return [Signature(value) for value in self._identity.sign([each.payload for each in asked])]

    def _answer_singly(self, request: Request) -> Answer:
        try:
            return self._answer_one(request)
        except KeyStoreUnavailable:
            return Failed(ResponseCode.ISSUER_UNAVAILABLE, "keystore")
        except Exception as failure:  # noqa: BLE001 - as above
            self._fault(type(request).__name__, failure)
            return Failed(ResponseCode.SYSTEM_ERROR, "fault")

    def _answer_one(self, request: Request) -> Answer:
        match request:
            case IdentityMaterial():
                return self._identity.material()
            case Enrol():
                self._counters["enrolments"] += 1
                return self._identity.enrol(request)
            case AdminCommand():
                self._counters["admin"] += 1
                return self._admin.handle(request)
            case DayState():
                return DayOpen(self._upkeep.business_date(), self._identity.epoch())
            case StandingsSince():
                return self._identity.changes(request)
            case RecheckPeers():
                return self._identity.recheck(request)
            case Renew():
                self._counters["renewals"] += 1
                return self._directory.renew(request)
            case AskChannel():
                return self._directory.channel(request)
            case ProveReceipt():
                self._counters["proofs"] += 1
                return self._receipts.prove(request)
            case Health():
                return HealthReport(self._upkeep.health(), dict(self._counters))
            case _:
                return Failed(ResponseCode.NOT_SUPPORTED, "request")

    def _fault(self, where: str, failure: BaseException) -> None:
        self._counters["faults"] += 1
        self._note("critical", f"unexpected failure in {where}: {describe(failure)}")


#: What is counted since the core started; a batch of money is one commit, unless it stored nothing.
COUNTERS: Final = (
    "batches",
    *("money", "money-batches", "signatures", "signatures-batches", "chains", "chains-batches"),
    *("standings", "standings-batches", "lookups", "lookups-batches", "enrolments", "renewals", "admin", "faults"),
    "proofs",
)
#: Requests that are answered one by one.
SINGLE: Final = "single"
#: Requests that are answered together, one call for all of a kind.
_KINDS: Final[dict[type, str]] = {
    Purchase: "money",
    Balance: "money",
    Reverse: "money",
    Refund: "money",
    Void: "money",
    PreAuthorize: "money",
    Capture: "money",
    Release: "money",
    Advise: "money",
    ChangePin: "money",
    CloseBatch: "money",
    Reconcile: "money",
    SignHandshake: "signatures",
    VerifyPeer: "chains",
    CheckStanding: "standings",
    Lookup: "lookups",
}

#: Order of work inside a batch after money and signatures: small is first.
_RANK = {
    IdentityMaterial: 0,
    DayState: 0,
    Health: 1,
    Enrol: 2,
    Renew: 2,
    AskChannel: 2,
    ProveReceipt: 2,
    AdminCommand: 3,
}
