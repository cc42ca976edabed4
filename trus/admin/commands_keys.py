"""The part of the table of commands that is about K_DB, the master key of the database, and about backups.

Carries nothing out; trus.issuing.keys does.
"""

from __future__ import annotations

from typing import Final

from trus.admin import arguments as kinds
from trus.admin.model import AdminRole, Argument, Command

_ADMINISTRATORS: Final = frozenset({AdminRole.ADMINISTRATOR})
_WATCHERS: Final = frozenset({AdminRole.ADMINISTRATOR, AdminRole.AUDITOR})

KEY_COMMANDS: Final = (
    Command(
        "KEY-ROTATE",
        "Makes a new version of K_DB and re-ciphers the database under it, while payments go on.",
        _ADMINISTRATORS,
        mutating=True,
    ),
    Command("KEY-STATUS", "Shows the versions of K_DB, what needs each, and how far a rotation is.", _WATCHERS),
    Command(
        "KEY-DESTROY",
        "Destroys a version of K_DB for ever, if nothing needs it any more.",
        _ADMINISTRATORS,
        (Argument("version", kinds.whole_number(1, 255), "N", "the version, as KEY-STATUS shows it"),),
        mutating=True,
    ),
    Command("BACKUPS", "Lists backups: made when, needed until when, of which head, for which officers.", _WATCHERS),
)
