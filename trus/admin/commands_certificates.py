"""The part of the table of commands that is about individual certificates: search, show, suspend, revoke.

Carries nothing out; trus.issuing.certificates does.
"""

from __future__ import annotations

from typing import Final

from trus.admin import arguments as kinds
from trus.admin.arguments import Converter
from trus.admin.model import AdminRole, Argument, Command

#: The states that CERTIFICATES searches for: those of the register, and what the calendar says.
EXPIRING: Final = "expiring"
EXPIRED: Final = "expired"
STATES: Final = ("good", "pending", "held", "revoked", EXPIRING, EXPIRED)
#: Days within which a certificate counts as expiring, unless told.
EXPIRING_DAYS: Final = 30

#: Words of the console for the reasons of RFC 5280 section 5.3.1, as they stand on revocation lists.
REVOCATION_REASONS: Final = {
    "lost": "keyCompromise",
    "compromised": "keyCompromise",
    "retired": "cessationOfOperation",
    "superseded": "superseded",
    "moved": "affiliationChanged",
    "withdrawn": "privilegeWithdrawn",
    "unspecified": "unspecified",
}

_EVERYONE: Final = frozenset(AdminRole)
_ADMINISTRATORS: Final = frozenset({AdminRole.ADMINISTRATOR})
_ISSUERS: Final = frozenset({AdminRole.ADMINISTRATOR, AdminRole.ISSUER})
_CARE: Final = frozenset({AdminRole.ADMINISTRATOR, AdminRole.ISSUER, AdminRole.SUPPORT})


def _optional(name: str, convert: Converter, shape: str, text: str) -> Argument:
    return Argument(name, convert, shape, text, required=False)


_SERIAL: Final = Argument("serial", kinds.serial, "SERIAL", "the certificate's serial number in hexadecimal")
_ONE: Final = (
    _optional("serial", kinds.serial, "SERIAL", "this certificate"),
    _optional("device", kinds.holder, "DEVICE", "all certificates of this terminal, card or backend"),
)
#: The reason of REVOKE and of CERTIFICATE-REVOKE.
REASON: Final = _optional("reason", kinds.choice(*REVOCATION_REASONS), "REASON", ", ".join(REVOCATION_REASONS))

CERTIFICATE_COMMANDS: Final = (
    Command(
        "CERTIFICATES",
        "Searches the directory of individual certificates.",
        _EVERYONE,
        (
            _optional("serial", kinds.serial, "SERIAL", "this serial number"),
            _optional("device", kinds.holder, "DEVICE", "of this terminal, card or backend"),
            _optional("role", kinds.choice("pos", "card", "backend"), "ROLE", "of pos, card or backend"),
            _optional("shop", kinds.identifier(1, 15), "SHOP", "of terminals of this shop"),
            _optional("state", kinds.choice(*STATES), "STATE", ", ".join(STATES)),
            _optional("days", kinds.whole_number(1, 3650), "N", f"expiring within N days, {EXPIRING_DAYS} unless told"),
            _optional("issued", kinds.calendar_date, "DATE", "issued on that day, UTC"),
            _optional("valid", kinds.calendar_date, "DATE", "begun and not ended at the start of that day, UTC"),
            _optional("limit", kinds.whole_number(1, 500), "N", "rows at most, 50 unless told"),
            _optional("after", kinds.page_mark, "MARK", "go on after the mark that the last page ended with"),
        ),
    ),
    Command("CERTIFICATE", "Shows one certificate, whole: DER in base64.", _EVERYONE, (_SERIAL,)),
    Command(
        "CERTIFICATE-HOLD",
        "Suspends a certificate, or all of a device, until released; live sessions end within seconds.",
        _CARE,
        _ONE,
        mutating=True,
    ),
    Command("CERTIFICATE-RELEASE", "Makes what was suspended good again.", _ISSUERS, _ONE, mutating=True),
    Command(
        "CERTIFICATE-REVOKE",
        "Revokes a certificate, or all of a device, for ever; live sessions end within seconds.",
        _ADMINISTRATORS,
        (*_ONE, REASON),
        mutating=True,
    ),
)
