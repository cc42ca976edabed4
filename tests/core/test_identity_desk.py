"""The core answers questions of identity in batches, and never tells a peer the PKI's reason."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from trus.core.identity import IdentityDesk
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
from trus.values import BusinessDate, DeviceRole, Frozen, PeerIdentity, Secret

DAY = BusinessDate("2026-11-20")
PEER = PeerIdentity(DeviceRole.POS, "T0000001", "0a")


class Material(Frozen, frozen=True):
    chain: list[bytes]
    staple: bytes
    name: str
    valid_seconds: int


class Issued(Frozen, frozen=True):
    peer: PeerIdentity
    chain: list[bytes]


class Delivered(Secret, frozen=True):
    peer: PeerIdentity
    p12: bytes
    passphrase: str


class Pki:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def material(self) -> Material:
        return Material([b"leaf"], b"staple", "backend", 60)

    def sign(self, payloads: Sequence[bytes]) -> list[bytes]:
        return [b"s" + payload for payload in payloads]

    def verify_batch(self, asked: Sequence[tuple[Sequence[bytes], DeviceRole]]) -> list[PeerIdentity | IdentityRefused]:
        self.calls.append(f"verify {len(asked)}")
        return [PEER if chain[0] == b"good" else IdentityRefused("revoked") for chain, _ in asked]

    def standing_batch(self, peers: Sequence[PeerIdentity]) -> list[PeerIdentity | IdentityRefused]:
        self.calls.append(f"standing {len(peers)}")
        return [peer if peer.serial == "0a" else IdentityRefused("blocked") for peer in peers]

    def epoch(self) -> int:
        return 9

    def changes_since(self, epoch: int) -> list[tuple[DeviceRole, str]] | None:
        return None if epoch < 5 else [(DeviceRole.POS, "T0000001")]

    def deliver(self, role: DeviceRole, name: str, code: str, address: str = "") -> Delivered:
        if code == "wrong":
            raise IdentityRefused("wrong-code")
        return Delivered(PeerIdentity(role, name, "2b"), b"p12", "open sesame")

    def enrol(self, role: DeviceRole, name: str, code: str, csr: bytes, address: str = "") -> Issued:
        if code != "right":
            raise IdentityRefused("wrong-code")
        return Issued(PEER, [b"leaf"])


class IdentityDeskTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pki = Pki()
        self.notes: list[tuple[str, str]] = []
        self.desk = IdentityDesk(self.pki, lambda: DAY, lambda level, text: self.notes.append((level, text)))

    def test_chains_are_judged_with_one_look_at_the_register(self) -> None:
        """However many handshakes wait, the register is read once; answers keep their order."""
        asked = [VerifyPeer([b"bad"], "pos"), VerifyPeer([b"good"], "king"), VerifyPeer([b"good"], "pos")]
        self.assertEqual(
            self.desk.verify(asked), [Refused("63", "revoked"), Refused("63", "unknown-role"), PeerVerified(PEER, DAY)]
        )
        self.assertEqual(self.pki.calls, ["verify 2"])

    def test_holders_of_tickets_are_judged_together(self) -> None:
        """A blocked holder is refused, its neighbour goes on."""
        other = PeerIdentity(DeviceRole.POS, "T0000002", "0b")
        self.assertEqual(
            self.desk.standing([CheckStanding(other), CheckStanding(PEER)]),
            [Refused("63", "blocked"), PeerVerified(PEER, DAY)],
        )
        self.assertEqual(self.pki.calls, ["standing 2"])

    def test_live_sessions_are_judged_together(self) -> None:
        """The holders of live sessions get a word each, in order, for one look at the register."""
        other = PeerIdentity(DeviceRole.POS, "T0000002", "0b")
        self.assertEqual(self.desk.recheck(RecheckPeers([PEER, other])), PeersRechecked(["", "blocked"]))
        self.assertEqual(self.pki.calls, ["standing 2"])

    def test_changes_of_standing_are_told(self) -> None:
        """The front hears whose standing changed, and when that cannot be told any more."""
        self.assertEqual(self.desk.epoch(), 9)
        self.assertEqual(self.desk.changes(StandingsSince(8)), StandingsChanged(9, True, [("pos", "T0000001")]))
        self.assertEqual(self.desk.changes(StandingsSince(1)), StandingsChanged(9, False, []))

    def test_the_backends_own_material_is_handed_on(self) -> None:
        """The front gets chain, OCSP answer and its validity as the PKI made them."""
        self.assertEqual(self.desk.material(), BackendIdentity([b"leaf"], b"staple", "backend", 60))
        self.assertEqual(self.desk.sign([b"a"]), [b"sa"])

    def test_an_enrolment_is_on_the_operators_log_without_its_code(self) -> None:
        """Issued and refused enrolments are noted with name, serial and reason, never with the code."""
        self.assertEqual(self.desk.enrol(Enrol("pos", "T0000001", "right", b"csr")), Enrolled(PEER, [b"leaf"], DAY))
        refused = self.desk.enrol(Enrol("pos", "T0000001", "SECRET-CODE", b"csr", "192.0.2.1:5"))
        self.assertEqual(refused, Refused("63", "wrong-code"))
        self.assertEqual([level for level, _ in self.notes], ["info", "warn"])
        self.assertNotIn("SECRET", str(self.notes))

    def test_a_device_without_a_request_gets_a_pair(self) -> None:
        """TR-17: who sends no request is given pair and certificate; neither is in the log or in a repr."""
        made = self.desk.enrol(Enrol("pos", "T0000001", "right", b""))
        self.assertEqual(made, PairMade(PeerIdentity(DeviceRole.POS, "T0000001", "2b"), b"p12", "open sesame", DAY))
        self.assertEqual(self.desk.enrol(Enrol("pos", "T0000001", "wrong", b"")), Refused("63", "wrong-code"))
        self.assertEqual([level for level, _ in self.notes], ["info", "warn"])
        self.assertNotIn("sesame", f"{self.notes} {made!r}")

    def test_no_backend_enrols_over_the_wire(self) -> None:
        """Only terminals and cards may ask for a certificate; a backend's is made at home."""
        for role in ("backend", "admin", ""):
            self.assertEqual(self.desk.enrol(Enrol(role, "X", "right", b"")), Refused("63", "unknown-role"))
