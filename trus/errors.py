"""Names everything that can go wrong in trus, so that a caller catches what it means.

Holds no behaviour beyond a message; what a peer may be told is decided where the peer is.
A message of these errors never carries a PIN, a track, a key or a byte that a peer sent.
"""


class TrusError(Exception):
    """Root of every error that trus raises on purpose."""


class ConfigurationError(TrusError):
    """The operator's settings cannot be used; the message names each problem and its path."""


class KeyStoreError(TrusError):
    """The key store refused or failed."""


class KeyStoreUnavailable(KeyStoreError):
    """The token is missing, removed, locked or too slow: requests that need it get code 91."""


class WrongTokenPin(KeyStoreError):
    """The token refused the user PIN."""


class KeyNotFound(KeyStoreError):
    """The token holds no key with that label and version."""


class LedgerError(TrusError):
    """The ledger refused or failed."""


class WrongDatabaseKey(LedgerError):
    """The database file does not open under the key derived from the token."""


class StorageFailed(LedgerError):
    """A batch failed for certain (disk full, constraint): nothing of it was stored."""


class OutcomeUnknown(LedgerError):
    """A commit neither succeeded nor failed visibly: nothing may be said until it is read back."""


class Unbalanced(LedgerError):
    """A posting whose entries do not sum to zero for each currency was refused."""


class IdentityRefused(TrusError):
    """A certificate chain, an activation code or a proof of possession was refused.

    `reason` is a short fixed word for the audit; peers see only a response code.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CommandRefused(TrusError):
    """An admin's command was understood and refused; `code` is fixed, the text is for the admin."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
