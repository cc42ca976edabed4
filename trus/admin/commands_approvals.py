"""The part of the table of commands that is about dual control and about requests for certificates.

Carries nothing out; trus.issuing.approvals and trus.issuing.enrolments do.
"""

from __future__ import annotations

from typing import Final

from trus.admin import arguments as kinds
from trus.admin.arguments import Converter
from trus.admin.model import AdminRole, Argument, Command

#: The states of an order that others must approve.
ORDER_STATES: Final = ("waiting", "approved", "done", "failed", "rejected", "expired")
#: The ends of a request for a certificate.
ENROLMENT_STATES: Final = ("issued", "refused")

_EVERYONE: Final = frozenset(AdminRole)
#: Whoever may order something that changes anything; what the order itself needs is looked at as well.
_DECIDERS: Final = frozenset({AdminRole.ADMINISTRATOR, AdminRole.ISSUER, AdminRole.SUPPORT})
_CARE: Final = frozenset({AdminRole.ADMINISTRATOR, AdminRole.ISSUER, AdminRole.SUPPORT, AdminRole.AUDITOR})


def _optional(name: str, convert: Converter, shape: str, text: str) -> Argument:
    return Argument(name, convert, shape, text, required=False)


_ORDER: Final = Argument("order", kinds.identifier(8, 8), "ORDER", "the order's id, as APPROVALS shows it")
_PAGE: Final = (
    _optional("limit", kinds.whole_number(1, 500), "N", "rows at most, 50 unless told"),
    _optional("after", kinds.page_mark, "MARK", "go on after the mark that the last page ended with"),
)

APPROVAL_COMMANDS: Final = (
    Command(
        "APPROVALS",
        "Lists orders that other admins must approve, the oldest first.",
        _EVERYONE,
        (_optional("state", kinds.choice(*ORDER_STATES), "STATE", ", ".join(ORDER_STATES)), *_PAGE),
    ),
    Command(
        "APPROVE",
        "Agrees to another admin's order, or to a device's request; when enough have, it is carried out.",
        _DECIDERS,
        (_ORDER,),
        mutating=True,
    ),
    Command(
        "REJECT",
        "Ends an order that waits; its orderer may as well.",
        _DECIDERS,
        (_ORDER,),
        mutating=True,
    ),
)
ENROLMENT_COMMANDS: Final = (
    Command(
        "ENROLMENTS",
        "Lists devices' requests for certificates, newest first: issued, or refused with step and reason.",
        _CARE,
        (
            _optional("state", kinds.choice(*ENROLMENT_STATES), "STATE", ", ".join(ENROLMENT_STATES)),
            _optional("device", kinds.holder, "DEVICE", "only of this terminal or card"),
            _optional("date", kinds.calendar_date, "DATE", "only of this business date"),
            *_PAGE,
        ),
    ),
)
