"""Keeps the memory of processes that hold secrets out of files.

Protects from accidents and from other users of the machine, not from root. Whoever may read the
token's PIN file and folder has the keys anyway; this is about core dumps and debuggers, which
would copy session keys, data keys and the stripe of the moment somewhere else.
Sources: core(5), prctl(2), ptrace(2) of Linux.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4
#: 1 stands for "no dump, not even into the pipe of core_pattern", where 0 would not count.
_NO_DUMP: Final = 1


def forbid_core_dumps() -> None:
    """Make this process and its children leave no core dump when they crash."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    most = _NO_DUMP if hard == resource.RLIM_INFINITY else min(_NO_DUMP, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


def hide_memory() -> None:
    """Let no other process of this user attach to this one or read its memory and environment.

    Holds for this process alone, until it executes another program. Does nothing where the
    system is not Linux.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
