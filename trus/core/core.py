"""Answers batches: sorts the requests by kind, hands each kind on whole, puts the answers in order.

Decides nothing itself and knows neither token nor database: the pipeline of money, the
identity service and the admin's handlers come in through the constructor. Within a batch
money goes first, then handshakes, then enrolment, then administration, so that a cardholder
never waits for a report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

from trus.core.faults import describe
from trus.core.messages import (
    AdminAnswer,
    AdminCommand,
    Answer,
    BackendIdentity,
    Balance,
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
    PeerVerified,
    PinWanted,
    Purchase,
    Refused,
    Request,
    Reverse,
    Signature,
    SignHandshake,
    VerifyPeer,
)
from trus.errors import KeyStoreUnavailable
from trus.values import BusinessDate, PeerIdentity, ResponseCode


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

    def verify(self, chain: Sequence[bytes], role: str) -> PeerVerified | Refused:
        """Judge a peer's chain now."""
        ...

    def standing(self, peer: PeerIdentity) -> PeerVerified | Refused:
        """Judge the holder of a ticket now."""
        ...

    def enrol(self, request: Enrol) -> Enrolled | Refused:
        """Issue an individual certificate against an activation code."""
        ...


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
    ) -> None:
        """`note(level, text)` receives lines for the operator's log; `counters` is filled in place."""
        self._money = money
        self._identity = identity
        self._admin = admin
        self._upkeep = upkeep
        self._note = note
        self._counters: dict[str, int] = {} if counters is None else counters
        self._counters.update(dict.fromkeys(COUNTERS, 0))

    def handle(self, batch: list[Request]) -> list[Answer]:
        """Answer every request of the batch, in order."""
        self._counters["batches"] += 1
        answers: list[Answer | None] = [None] * len(batch)
        money: list[int] = []
        signing: list[int] = []
        rest: list[int] = []
        for index, request in enumerate(batch):
            if isinstance(request, (Purchase, Reverse, Balance, CloseBatch)):
                money.append(index)
            elif isinstance(request, SignHandshake):
                signing.append(index)
            else:
                rest.append(index)
        if money:
            self._counters["money-batches"] += 1
            self._answer_money(batch, money, answers)
        if signing:
            self._answer_signing(batch, signing, answers)
        for index in sorted(rest, key=lambda position: _RANK.get(type(batch[position]), 0)):
            answers[index] = self._guarded(self._answer_one, batch[index])
        return cast("list[Answer]", answers)

    def idle(self) -> None:
        """Do the housekeeping that is due; a failure of it is noted, never raised."""
        try:
            self._upkeep.idle()
        except Exception as failure:  # noqa: BLE001 - an alarm must not stop payments
            self._fault("housekeeping", failure)

    def close(self) -> None:
        """Close database and token; what cannot be finished is noted, never raised."""
        try:
            self._upkeep.close()
        except Exception as failure:  # noqa: BLE001 - a core that ends must end
            self._fault("closing", failure)

    def _answer_money(self, batch: list[Request], places: list[int], answers: list[Answer | None]) -> None:
        self._counters["money"] += len(places)
        asked = [cast("MoneyRequest", batch[place]) for place in places]
        try:
            given: Sequence[Answer] = self._money.handle(asked)
        except Exception as failure:  # noqa: BLE001 - the peers get 96 and the operator the place
            self._fault("money", failure)
            given = [Failed(ResponseCode.SYSTEM_ERROR, "fault")] * len(places)
        for place, answer in zip(places, given, strict=True):
            answers[place] = answer

    def _answer_signing(self, batch: list[Request], places: list[int], answers: list[Answer | None]) -> None:
        self._counters["handshakes"] += len(places)
        payloads = [cast("SignHandshake", batch[place]).payload for place in places]
        given: Sequence[Answer]
        try:
            given = [Signature(value) for value in self._identity.sign(payloads)]
        except KeyStoreUnavailable:
            given = [Failed(ResponseCode.ISSUER_UNAVAILABLE, "keystore")] * len(places)
        except Exception as failure:  # noqa: BLE001 - as above
            self._fault("signing", failure)
            given = [Failed(ResponseCode.SYSTEM_ERROR, "fault")] * len(places)
        for place, answer in zip(places, given, strict=True):
            answers[place] = answer

    def _guarded(self, work: Callable[[Request], Answer], request: Request) -> Answer:
        try:
            return work(request)
        except KeyStoreUnavailable:
            return Failed(ResponseCode.ISSUER_UNAVAILABLE, "keystore")
        except Exception as failure:  # noqa: BLE001 - as above
            self._fault(type(request).__name__, failure)
            return Failed(ResponseCode.SYSTEM_ERROR, "fault")

    def _answer_one(self, request: Request) -> Answer:
        match request:
            case VerifyPeer():
                return self._identity.verify(request.chain, request.role)
            case CheckStanding():
                return self._identity.standing(request.peer)
            case IdentityMaterial():
                return self._identity.material()
            case Enrol():
                self._counters["enrolments"] += 1
                return self._identity.enrol(request)
            case AdminCommand():
                self._counters["admin"] += 1
                return self._admin.handle(request)
            case DayState():
                return DayOpen(self._upkeep.business_date())
            case Health():
                return HealthReport(self._upkeep.health(), dict(self._counters))
            case _:
                return Failed(ResponseCode.NOT_SUPPORTED, "request")

    def _fault(self, where: str, failure: BaseException) -> None:
        self._counters["faults"] += 1
        self._note("critical", f"unexpected failure in {where}: {describe(failure)}")


#: What is counted since the core started; a batch of money is one commit, unless it stored nothing.
COUNTERS: Final = ("batches", "money-batches", "money", "handshakes", "enrolments", "admin", "faults")

#: Order of work inside a batch after money and signatures: small is first.
_RANK = {
    VerifyPeer: 0,
    CheckStanding: 0,
    IdentityMaterial: 0,
    DayState: 0,
    Health: 1,
    Enrol: 2,
    AdminCommand: 3,
}
