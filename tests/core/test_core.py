"""The core answers every request of a batch, in order, whatever one of them does."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from trus.core.core import Core
from trus.core.messages import (
    AdminAnswer,
    AdminCommand,
    BackendIdentity,
    CheckStanding,
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
    PeersRechecked,
    PeerVerified,
    Purchase,
    RecheckPeers,
    Refused,
    Request,
    Signature,
    SignHandshake,
    StandingsChanged,
    StandingsSince,
    VerifyPeer,
)
from trus.errors import KeyStoreUnavailable
from trus.values import BusinessDate, DeviceRole, Identity, PeerIdentity, TerminalId, TrackTwo

PEER = PeerIdentity(DeviceRole.POS, "T0000001", "0a")
DAY = BusinessDate("2026-11-20")


def purchase(stan: int) -> Purchase:
    return Purchase(
        PEER, Identity(TerminalId("T0000001"), DAY, stan), bytes(16), 1250, "USD", TrackTwo("9000=30127250000000")
    )


class Parts:
    """Stands for pipeline, identity service, admin handlers and upkeep at once."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.fails: dict[str, Exception] = {}

    def _step(self, name: str) -> None:
        self.order.append(name)
        if name in self.fails:
            raise self.fails[name]

    def handle(self, what: list[MoneyRequest] | AdminCommand) -> list[Outcome] | AdminAnswer:
        if isinstance(what, AdminCommand):
            self._step("admin")
            return AdminAnswer("00", what.command)
        self._step("money")
        return [Outcome("approved", "00", rrn=f"{request.identity.stan:012d}") for request in what]

    def material(self) -> BackendIdentity:
        self._step("material")
        return BackendIdentity([b"leaf"], b"", "backend", 60)

    def sign(self, payloads: Sequence[bytes]) -> list[bytes]:
        self._step("sign")
        return [b"signed " + payload for payload in payloads]

    def verify(self, asked: Sequence[VerifyPeer]) -> list[PeerVerified | Refused]:
        self._step("verify")
        return [PeerVerified(PEER, DAY) if each.chain[0] == b"good" else Refused("63", "expired") for each in asked]

    def standing(self, asked: Sequence[CheckStanding]) -> list[PeerVerified]:
        self._step("standing")
        return [PeerVerified(each.peer, DAY) for each in asked]

    def enrol(self, request: Enrol) -> Enrolled:
        self._step("enrol")
        return Enrolled(PEER, [b"leaf"], DAY)

    def epoch(self) -> int:
        return 7

    def changes(self, asked: StandingsSince) -> StandingsChanged:
        return StandingsChanged(7, True, [("pos", "T0000001")])

    def recheck(self, asked: RecheckPeers) -> PeersRechecked:
        return PeersRechecked(["revoked" for _ in asked.peers])

    def business_date(self) -> BusinessDate:
        return DAY

    def idle(self) -> None:
        self._step("idle")

    def health(self) -> dict[str, str]:
        return {"token": "ok"}

    def close(self) -> None:
        self._step("close")


class CoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.parts = Parts()
        self.notes: list[tuple[str, str]] = []
        self.core = Core(
            self.parts, self.parts, self.parts, self.parts, lambda level, text: self.notes.append((level, text))
        )

    def test_answers_stand_where_their_requests_stood(self) -> None:
        """However kinds are mixed, the n-th answer belongs to the n-th request."""
        batch: list[Request] = [
            AdminCommand("ada", "01", "HELP", {}),
            purchase(1),
            SignHandshake(b"a"),
            VerifyPeer([b"bad"], "pos"),
            purchase(2),
            Enrol("pos", "T0000001", "code", b"csr"),
            SignHandshake(b"b"),
            VerifyPeer([b"good"], "pos"),
            CheckStanding(PEER),
            IdentityMaterial(),
            DayState(),
        ]
        self.assertEqual(
            self.core.handle(batch),
            [
                AdminAnswer("00", "HELP"),
                Outcome("approved", "00", rrn="000000000001"),
                Signature(b"signed a"),
                Refused("63", "expired"),
                Outcome("approved", "00", rrn="000000000002"),
                Enrolled(PEER, [b"leaf"], DAY),
                Signature(b"signed b"),
                PeerVerified(PEER, DAY),
                PeerVerified(PEER, DAY),
                BackendIdentity([b"leaf"], b"", "backend", 60),
                DayOpen(DAY, 7),
            ],
        )

    def test_cardholders_never_wait_for_a_report(self) -> None:
        """Money goes first, then handshakes, then enrolment, then administration; signatures in one token call."""
        self.core.handle(
            [
                AdminCommand("ada", "01", "TRANSACTIONS", {}),
                Enrol("pos", "T", "c", b""),
                VerifyPeer([b"good"], "pos"),
                SignHandshake(b"a"),
                SignHandshake(b"b"),
                purchase(1),
                purchase(2),
            ]
        )
        self.assertEqual(self.parts.order, ["money", "sign", "verify", "enrol", "admin"])

    def test_an_unexpected_failure_is_96_and_tells_no_secret(self) -> None:
        """A fault in the pipeline answers 96; the operator's line names places, never the message."""
        self.parts.fails["money"] = ValueError("4111111111111111")
        self.assertEqual(self.core.handle([purchase(1)]), [Failed("96", "fault")])
        self.assertEqual(len(self.notes), 1)
        level, text = self.notes[0]
        self.assertEqual(level, "critical")
        self.assertIn("ValueError at", text)
        self.assertNotIn("4111111111111111", text)

    def test_a_fault_in_one_kind_leaves_the_others_answered(self) -> None:
        """A signature that fails does not take the purchase beside it along."""
        self.parts.fails["sign"] = RuntimeError()
        self.assertEqual(
            self.core.handle([SignHandshake(b"a"), purchase(7)]),
            [Failed("96", "fault"), Outcome("approved", "00", rrn="000000000007")],
        )

    def test_a_token_that_is_gone_is_91(self) -> None:
        """Without the token, handshakes and enrolments get 91: try again, nothing happened."""
        for step in ("sign", "verify", "enrol"):
            self.parts.fails[step] = KeyStoreUnavailable("gone")
        self.assertEqual(
            self.core.handle([SignHandshake(b"a"), VerifyPeer([b"good"], "pos"), Enrol("pos", "T", "c", b"")]),
            [Failed("91", "keystore")] * 3,
        )

    def test_an_admins_fault_is_96_for_the_admin_alone(self) -> None:
        """An unexpected failure of a command is noted by the command's class and answered 96."""
        self.parts.fails["admin"] = KeyError("secret")
        answers = self.core.handle([AdminCommand("ada", "01", "X", {}), DayState()])
        self.assertEqual(answers, [Failed("96", "fault"), DayOpen(DAY, 7)])
        self.assertIn("AdminCommand", self.notes[0][1])
        self.assertNotIn("secret", self.notes[0][1])

    def test_housekeeping_that_fails_is_noted_and_payments_go_on(self) -> None:
        """A failing checkpoint alarms the operator and stops nothing."""
        self.parts.fails["idle"] = OSError("disk")
        self.core.idle()
        self.assertEqual(self.notes[0][0], "critical")
        self.assertEqual(self.core.handle([DayState()]), [DayOpen(DAY, 7)])

    def test_housekeeping_that_waits_for_the_token_is_noted_once(self) -> None:
        """While the token is away housekeeping waits, is noted once, and fills no log; nor is it a fault."""
        for sentence in ("gone", "gone", "locked", "locked"):
            self.parts.fails["idle"] = KeyStoreUnavailable(sentence)
            self.core.idle()
        del self.parts.fails["idle"]
        self.core.idle()
        self.parts.fails["idle"] = KeyStoreUnavailable("locked")
        self.core.idle()
        self.assertEqual(
            self.notes,
            [("error", f"housekeeping waits for the token: {sentence}") for sentence in ("gone", "locked", "locked")],
        )

    def test_health_counts_what_was_done(self) -> None:
        """The health report tells parts and counters."""
        self.core.handle([purchase(1), purchase(2), SignHandshake(b"")])
        (report,) = self.core.handle([Health()])
        assert isinstance(report, HealthReport)
        self.assertEqual(report.parts, {"token": "ok"})
        self.assertEqual((report.counters["money"], report.counters["signatures"]), (2, 1))
        self.assertEqual(report.counters["faults"], 0)

    def test_a_core_that_cannot_finish_ends_all_the_same(self) -> None:
        """A last head that cannot be signed is noted; the core ends."""
        self.parts.fails["close"] = OSError("disk")
        self.core.close()
        self.assertIn("closing", self.notes[0][1])

    def test_closing_closes_the_parts(self) -> None:
        """A core that stops closes its token and database."""
        self.core.close()
        self.assertEqual(self.parts.order, ["close"])
