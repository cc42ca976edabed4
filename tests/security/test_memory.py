"""What a crash or a debugger of the same user gets of a process that holds secrets: nothing."""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from trus.cards.pin import Pin
from trus.core.faults import describe
from trus.core.messages import AdminCommand, Enrol, Purchase
from trus.issuing.making import FreshCard
from trus.pki.channel import Bundle
from trus.protocol.initiator import EnrolmentRequest
from trus.protocol.keyschedule import DirectionKeys, SessionSecrets
from trus.protocol.tickets import StoredTicket, TicketContent
from trus.values import DeviceRole, Identity, PeerIdentity, PinMaterial, Secret, TrackTwo

_CHILD = """
import resource
from pathlib import Path
from trus.cli.memory import forbid_core_dumps, hide_memory
before = Path("/proc/self/environ").stat().st_uid
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
forbid_core_dumps()
hide_memory()
soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
print(soft in (0, 1) and hard in (0, 1))
import ctypes
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


class MemoryTests(SynchronousTestCase):
    """Processes."""

    def test_no_dump(self) -> None:
        """A core leaves no dump, neither in a file nor in a pipe, and cannot be traced by others of its user."""
        done = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.split(), ["True", "0"])

    def test_a_crash_leaves_no_file(self) -> None:
        """A process that aborts after that leaves nothing behind."""
        folder = Path(self.mktemp())
        folder.mkdir()
        code = "import os\nfrom trus.cli.memory import forbid_core_dumps\nforbid_core_dumps()\nos.abort()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=folder, check=False)
        self.assertLess(done.returncode, 0)
        self.assertEqual(list(folder.iterdir()), [])


class ReprTests(SynchronousTestCase):
    """What a traceback, a log line or a debugger's list of values shows."""

    def test_nothing_secret_is_shown(self) -> None:
        """TR-13: a value that bears a PIN, stripe, key, code or passphrase shows none of it, however it is printed."""
        peer = PeerIdentity(DeviceRole.POS, "T0000001", "0a", "BISTRO")
        canary, octets = "CANARY", b"CANARY"
        keys = DirectionKeys(octets, octets)
        values: list[Secret] = [
            Pin(canary),
            TrackTwo(canary),
            PinMaterial(octets, octets),
            keys,
            SessionSecrets(keys, keys, octets, octets, octets),
            StoredTicket(octets, octets, 0.0, 0.0, peer),
            TicketContent(octets, peer, 0.0, 0.0),
            EnrolmentRequest(DeviceRole.POS, "T0000001", octets, canary),
            Bundle(octets, canary, octets, octets, 1),
            Enrol("pos", "T0000001", canary, octets),
            AdminCommand("admin", "0a", "EMPLOYEE-ADD", {"name": canary}),
            Purchase(peer, Identity("T0000001", "2026-11-20", 1), b"", 1, "USD", TrackTwo(canary)),  # type: ignore[arg-type]
        ]
        for value in values:
            for shown in (repr(value), str(value), f"{value}", repr([value]), repr({"x": value})):
                self.assertNotIn(canary, shown)
        self.assertTrue(issubclass(FreshCard, Secret))

    def test_faults(self) -> None:
        """A failure anywhere in the core is told by class and place, never by what it was about."""
        try:
            int("CANARY")
        except ValueError as failure:
            self.assertIn("CANARY", traceback.format_exc())
            self.assertNotIn("CANARY", describe(failure))
