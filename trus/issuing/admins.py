"""Renews an admin's certificate under the same name, and tells ahead which of them end.

Issues no certificate: whoever has the admins' authority does (trus.issuing.desk.AdminCertificates). An admin
renews nobody's but the own. The former certificate is accepted beside the new one until its end or a set time,
whichever is earlier; of several former ones the newest alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from trus.admin.model import RefusalCode
from trus.auth.model import State
from trus.core.messages import AdminAnswer
from trus.issuing.desk import Desk, Handler, MadeCertificate, Order, audit, done, refuse
from trus.issuing.identities import microseconds, moment
from trus.ledger.registry import RegistryChange
from trus.ledger.registry_values import AdminRow

#: Days for which a former certificate is accepted unless told.
OVERLAP_DAYS: Final = 30
_SECOND: Final = 1_000_000
_MICROSECOND: Final = timedelta(microseconds=1)


class AdminEnd(NamedTuple):
    """When the certificate of an admin who may come in ends (aware, UTC); None while that is not known."""

    name: str
    until: datetime | None


def knows(row: AdminRow, serial: str, now: datetime) -> bool:
    """Return whether a certificate is an admin's: the present one, or the former one before its time is over."""
    return serial == row.serial or (bool(serial) and serial == row.former and microseconds(now) < row.former_until)


def is_news(row: AdminRow, serial: str, ends: int) -> bool:
    """Return whether the end of a certificate (seconds, 0 for not told) is something the register does not know yet."""
    return ends > 0 and serial == row.serial and row.not_after != ends * _SECOND


def note_end(change: RegistryChange, row: AdminRow, ends: int) -> None:
    """Note the end (seconds since 1970-01-01 UTC) of the certificate that an admin came with."""
    change.identities.set_admin_end(row.row, ends * _SECOND)


def put_in_place(
    change: RegistryChange, row: AdminRow, made: MadeCertificate, overlap: timedelta
) -> dict[str, int | str]:
    """Let a new certificate be an admin's, the present one for a while yet; return the figures of the event."""
    until = change.at + overlap // _MICROSECOND
    if row.not_after:
        until = min(until, row.not_after)
    change.identities.renew_admin(row, made.serial, microseconds(made.not_after), until)
    return {"admin": row.name, "serial": made.serial, "former": row.serial, "former-until": shown_end(until)}


def renew(desk: Desk, order: Order) -> AdminAnswer:
    """ADMIN-RENEW: the bundle is written first, so that nothing is registered that nobody holds."""
    makers = desk.admin_certificates
    if makers is None:
        raise refuse(RefusalCode.NOT_SUPPORTED, "This backend's token does not hold the key of the admins' authority.")
    with desk.registry.reading() as view:
        _present(view.identities.admin(order.admin.name), order)
    made = makers.make(order.admin.name)
    overlap = timedelta(days=int(order.text("overlap") or OVERLAP_DAYS))
    with desk.registry.changing(desk.clock.now()) as change:
        row = _present(change.identities.admin(order.admin.name), order)
        figures = put_in_place(change, row, made, overlap)
        audit(change, order, figures)
    shown = {name: str(value) for name, value in figures.items()}
    shown |= {"until": f"{made.not_after:%Y-%m-%dT%H:%M:%SZ}", "file": made.file}
    return done(f"The new certificate of {row.name} is in {made.file} on the backend's host.", [shown])


def _present(row: AdminRow | None, order: Order) -> AdminRow:
    """Return the row of an admin who came with the present certificate. Raises CommandRefused for a former one."""
    if row is None or row.serial != order.admin.serial:
        raise refuse(RefusalCode.STATE, "Your certificate has been renewed already: come with the new one.")
    return row


def shown_end(at: int) -> str:
    """Return a stored moment as the console shows it, "" for 0."""
    return f"{moment(at):%Y-%m-%dT%H:%M:%SZ}" if at else ""


def ends_of_admins(rows: Sequence[AdminRow]) -> Iterator[AdminEnd]:
    """Yield when the certificates of admins who are not blocked end."""
    for row in rows:
        if row.state == State.ACTIVE:
            yield AdminEnd(row.name, moment(row.not_after) if row.not_after else None)


def say_admins(ends: Sequence[AdminEnd], now: datetime, ahead: timedelta) -> str:
    """Return "ok", or a sentence about the admins whose certificates end within `ahead` or have ended."""
    late = [(each.name, each.until) for each in ends if each.until is not None and each.until - ahead <= now]
    if not late:
        return "ok"
    return "ends: " + ", ".join(f"{name} on {until:%Y-%m-%d}" for name, until in late) + "; ADMIN-RENEW makes the next"


HANDLERS: Final[Mapping[str, Handler]] = {"ADMIN-RENEW": renew}
