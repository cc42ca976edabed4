"""Rotates K_DB at an admin's order, and tells of its versions and of backups.

Does no work on rows or file itself: the order begins it, and the core's loop carries it on between
batches (trus.ledger.rotation).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trus.admin.model import RefusalCode
from trus.core.messages import AdminAnswer
from trus.issuing.desk import Desk, Handler, Order, approvers, counted, done, refuse
from trus.ledger.backups import BackupRow
from trus.ledger.days import moment
from trus.ledger.rotation import KeyRotation, KeyStatus, RotationRefused

#: Hexadecimal characters by which an officer's key is shown: enough to compare with a certificate's.
_SHOWN: Final = 16


def begin_rotation(desk: Desk, order: Order) -> AdminAnswer:
    """KEY-ROTATE."""
    rotation = _rotation(desk)
    try:
        row = rotation.begin(order.admin.name, approvers(order))
    except RotationRefused as refused:
        raise refuse(RefusalCode.STATE, f"{_sentence(refused)} KEY-STATUS shows how far it is.") from None
    text = f"K_DB goes from version {row.from_version} to {row.to_version}: {counted(row.total, 'row')}, then the file."
    return done(f"{text} Payments go on; KEY-STATUS shows how far it is.", _rows(rotation.status()))


def show_status(desk: Desk, order: Order) -> AdminAnswer:
    """KEY-STATUS."""
    status = _rotation(desk).status()
    return done(status.told, _rows(status))


def destroy_version(desk: Desk, order: Order) -> AdminAnswer:
    """KEY-DESTROY."""
    version = int(order.text("version"))
    try:
        _rotation(desk).destroy(version, order.admin.name, approvers(order))
    except RotationRefused as refused:
        raise refuse(RefusalCode.STATE, _sentence(refused)) from None
    return done(f"Version {version} of K_DB is destroyed.")


def list_backups(desk: Desk, order: Order) -> AdminAnswer:
    """BACKUPS."""
    rows = [_backup(row) for row in _rotation(desk).backups()]
    return done(f"Backups: {len(rows)}", rows)


def _rotation(desk: Desk) -> KeyRotation:
    if desk.rotation is None:
        raise refuse(RefusalCode.NOT_SUPPORTED, "This core rotates no keys.")
    return desk.rotation


def _rows(status: KeyStatus) -> list[dict[str, str]]:
    return [
        {"version": str(version), "use": status.use_of(version), "needed": status.need_of(version)}
        for version in status.versions
    ]


def _backup(row: BackupRow) -> dict[str, str]:
    return {
        "backup": row.backup,
        "made": moment(row.at).strftime("%Y-%m-%d %H:%M"),
        "expires": moment(row.expires_at).strftime("%Y-%m-%d"),
        "versions": ",".join(str(version) for version in row.versions),
        "head": str(row.head),
        "officers": ",".join(officer[:_SHOWN] for officer in row.officers),
    }


def _sentence(refused: RotationRefused) -> str:
    text = str(refused)
    return f"{text[:1].upper()}{text[1:]}."


HANDLERS: Final[Mapping[str, Handler]] = {
    "KEY-ROTATE": begin_rotation,
    "KEY-STATUS": show_status,
    "KEY-DESTROY": destroy_version,
    "BACKUPS": list_backups,
}
