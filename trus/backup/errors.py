"""Names what can go wrong with a backup."""

from trus.errors import TrusError


class BackupRefused(TrusError):
    """A backup cannot be made, opened or restored; the message says why in one sentence."""
