"""The tools of the faults work where the tests run, and say why where they do not."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.faults import plans, tools
from tests.faults.disks import FailedFsync
from tests.faults.injections import ClockJump, Kill
from tests.faults.steps import Part


class ToolTests(SynchronousTestCase):
    def test_strace_and_libfaketime_are_there(self) -> None:
        """script/bootstrap --dev has put strace and libfaketime where the machine had none."""
        self.assertEqual(tools.find_strace(attach=False).missing, "")
        self.assertEqual(tools.find_faketime().missing, "")

    def test_what_is_missing_is_said(self) -> None:
        """A tool that is not there is named with the reason, and what needs it is not tried."""
        self.patch(shutil, "which", lambda name: None)
        self.patch(tools, "UNPACKED", Path(self.mktemp()))
        strace = tools.find_strace()
        self.assertIn("script/bootstrap --dev", strace.missing)
        faketime = tools.Tool(missing="none")
        self.assertEqual([each.why for each in plans.missing(strace, faketime)], [strace.missing, "none"])
        self.assertFalse(plans.possible(FailedFsync(1), strace, faketime, []))
        self.assertFalse(plans.possible(ClockJump("backend", 5), strace, faketime, []))
        self.assertTrue(plans.possible(Kill(Part.CORE), strace, faketime, []))
