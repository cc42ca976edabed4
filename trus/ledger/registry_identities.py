"""Keeps admins, opened activations and the state of every individual certificate.

Holds no code and no certificate: a code's keyed hash, a certificate's handle in the key store
(TR-17). Begins and ends no transaction: the caller's connection is in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Column, Connection, bindparam, delete, insert, select, update

from trus.ledger.prepared import Prepared, PreparedSets
from trus.ledger.registry_directory import note_change
from trus.ledger.registry_values import ActivationRow, AdminRow, CertificateRow
from trus.ledger.tables import activation, admin, card, certificate, terminal

_ACTIVATION_COLUMNS: Final = (
    activation.c.role,
    activation.c.name,
    activation.c.shop,
    activation.c.model,
    activation.c.code_hash,
    activation.c.expires_at,
    activation.c.failures,
    activation.c.key_digest,
    activation.c.serial,
    activation.c.opened_by,
)
_CERTIFICATE_COLUMNS: Final = (
    certificate.c.serial,
    certificate.c.role,
    certificate.c.name,
    certificate.c.shop,
    certificate.c.model,
    certificate.c.handle,
    certificate.c.key_digest,
    certificate.c.not_before,
    certificate.c.not_after,
    certificate.c.state,
    certificate.c.changed_at,
    certificate.c.reason,
)
_ADMIN_COLUMNS: Final = (
    admin.c.id,
    admin.c.name,
    admin.c.serial,
    admin.c.roles,
    admin.c.state,
    admin.c.not_after,
    admin.c.former,
    admin.c.former_until,
)
_ADMIN: Final = Prepared(select(*_ADMIN_COLUMNS).where(admin.c.name == bindparam("called")))
_CERTIFICATES: Final = PreparedSets(
    lambda names: select(*_CERTIFICATE_COLUMNS).where(certificate.c.serial.in_([bindparam(each) for each in names]))
)


def _active(name: Column[str], state: Column[str]) -> PreparedSets:
    """Return the statement for those of several names whose row is active."""
    return PreparedSets(
        lambda names: select(name).where(name.in_([bindparam(each) for each in names]), state == "active")
    )


_ACTIVE: Final = {
    "pos": _active(terminal.c.terminal, terminal.c.state),
    "card": _active(card.c.card, card.c.state),
}


class IdentityRegistry:
    """Admins, activations and certificates on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # ---------------------------------------------------------------------------- admins

    def add_admin(self, *, name: str, serial: str, roles: Sequence[str], at: int, not_after: int = 0) -> None:
        """Store an admin, known by the certificate's name and serial number; `not_after` is its end, 0 when unknown."""
        row = {"name": name, "serial": serial, "roles": " ".join(roles), "state": "active", "created_at": at}
        self._connection.execute(insert(admin), {**row, "not_after": not_after})

    def admin(self, name: str) -> AdminRow | None:
        """Return an admin by name, None when there is none."""
        row = _ADMIN.first(self._connection, called=name)
        return None if row is None else _admin(row)

    def admins(self) -> list[AdminRow]:
        """Return all admins, in the order of their names."""
        rows = self._connection.execute(select(*_ADMIN_COLUMNS).order_by(admin.c.name))
        return [_admin(row) for row in rows]

    def admin_of_serial(self, serial: str) -> AdminRow | None:
        """Return the admin whose certificate has that serial number."""
        row = self._connection.execute(select(*_ADMIN_COLUMNS).where(admin.c.serial == serial)).one_or_none()
        return None if row is None else _admin(row)

    def set_admin_end(self, row: int, not_after: int) -> None:
        """Note when an admin's certificate ends."""
        self._connection.execute(update(admin).where(admin.c.id == row).values(not_after=not_after))

    def renew_admin(self, row: AdminRow, serial: str, not_after: int, former_until: int) -> None:
        """Put a certificate in the place of an admin's present one, which is accepted until a moment; 0: no more."""
        values = {"serial": serial, "not_after": not_after, "former": row.serial, "former_until": former_until}
        self._connection.execute(update(admin).where(admin.c.id == row.row).values(**values))

    def set_admin_state(self, row: int, state: str) -> None:
        """Change an admin's state."""
        self._connection.execute(update(admin).where(admin.c.id == row).values(state=state))

    def set_admin_roles(self, row: int, roles: Sequence[str]) -> None:
        """Change what an admin may do."""
        self._connection.execute(update(admin).where(admin.c.id == row).values(roles=" ".join(roles)))

    # ----------------------------------------------------------------------- activations

    def activation(self, role: str, name: str) -> ActivationRow | None:
        """Return the activation opened for a holder, None when there is none."""
        query = select(*_ACTIVATION_COLUMNS).where(activation.c.role == role, activation.c.name == name)
        row = self._connection.execute(query).one_or_none()
        if row is None:
            return None
        return ActivationRow(*row[:7], key_digest=row[7] or b"", serial=row[8] or "", opened_by=row[9])

    def open_activation(self, opened: ActivationRow, at: int) -> None:
        """Store an activation in the place of an earlier one of the same holder."""
        self.close_activation(opened.role, opened.name)
        self._connection.execute(
            insert(activation),
            {
                "role": opened.role,
                "name": opened.name,
                "shop": opened.shop,
                "model": opened.model,
                "code_hash": opened.code_hash,
                "created_at": at,
                "expires_at": opened.expires_at,
                "failures": opened.failures,
                "key_digest": opened.key_digest or None,
                "serial": opened.serial or None,
                "opened_by": opened.opened_by,
            },
        )

    def close_activation(self, role: str, name: str) -> None:
        """Void the activation of a holder, if there is one."""
        self._connection.execute(delete(activation).where(activation.c.role == role, activation.c.name == name))

    def count_failure(self, role: str, name: str, failures: int) -> None:
        """Set the number of wrong codes given for a holder."""
        self._connection.execute(
            update(activation).where(activation.c.role == role, activation.c.name == name).values(failures=failures)
        )

    def redeem(self, opened: ActivationRow) -> None:
        """Note the key and the certificate that an activation brought."""
        self._connection.execute(
            update(activation)
            .where(activation.c.role == opened.role, activation.c.name == opened.name)
            .values(failures=opened.failures, key_digest=opened.key_digest, serial=opened.serial)
        )

    # ---------------------------------------------------------------------- certificates

    def certificates(self, serials: Sequence[str]) -> dict[str, CertificateRow]:
        """Return the entries of these serial numbers; a serial without one is absent."""
        return {row[0]: CertificateRow(*row) for row in _CERTIFICATES.rows(self._connection, serials)}

    def certificates_of(self, role: str, name: str) -> list[CertificateRow]:
        """Return the entries of one holder, newest first."""
        query = (
            select(*_CERTIFICATE_COLUMNS)
            .where(certificate.c.role == role, certificate.c.name == name)
            .order_by(certificate.c.not_before.desc(), certificate.c.serial)
        )
        return [CertificateRow(*tuple(row)) for row in self._connection.execute(query)]

    def register(self, entry: CertificateRow) -> None:
        """Store a certificate's entry."""
        self._connection.execute(insert(certificate), {name: getattr(entry, name) for name in entry.__struct_fields__})

    def set_certificate_state(self, serial: str, state: str, at: int, reason: str) -> bool:
        """Change a certificate's state, and its holder's standing; False when there is no such entry."""
        changed = self._connection.execute(
            update(certificate)
            .where(certificate.c.serial == serial)
            .values(state=state, changed_at=at, reason=reason)
            .returning(certificate.c.role, certificate.c.name)
        ).one_or_none()
        if changed is None:
            return False
        note_change(self._connection, changed[0], changed[1], at)
        return True

    def not_active(self, role: str, names: Sequence[str]) -> set[str]:
        """Return those terminals (role "pos") or cards (role "card") whose row is not active, or missing.

        Holders of other roles have no row and are never returned.
        """
        active = _ACTIVE.get(role)
        if active is None:
            return set()
        return set(names) - {row[0] for row in active.rows(self._connection, names)}


def _admin(row: Sequence[Any]) -> AdminRow:
    return AdminRow(row[0], row[1], row[2], tuple(row[3].split()), *row[4:])
