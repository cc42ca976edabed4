"""Registers shops and terminals, hands out activation codes, and closes terminals for ever.

An activation code is shown once, in the answer to the order that made it, and kept nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trus.admin.commands_certificates import REVOCATION_REASONS
from trus.admin.model import RefusalCode
from trus.auth.model import State
from trus.core.messages import AdminAnswer
from trus.errors import KeyStoreError, StorageFailed
from trus.issuing.desk import Desk, Handler, Order, audit, done, page, refuse, the_shop, the_terminal
from trus.issuing.states import next_state
from trus.ledger.registry_values import ShopRow, TerminalRow
from trus.values import DeviceRole

_REVOKED: Final = "revoked"


def add_shop(desk: Desk, order: Order) -> AdminAnswer:
    """SHOP-ADD."""
    shop_id = order.text("id")
    with desk.registry.changing(desk.clock.now()) as change:
        if change.shops.shop(shop_id) is not None:
            raise refuse(RefusalCode.EXISTS, "That shop exists.")
        row = change.shops.add_shop(
            shop_id=shop_id,
            name=order.text("name"),
            mcc=order.text("mcc"),
            currency=order.text("currency") or desk.settings.currency,
            at=change.at,
        )
        audit(change, order, {"shop": shop_id, "mcc": row.mcc, "currency": row.currency})
    return done(f"Shop {shop_id} is registered.", [_shop(row)])


def list_shops(desk: Desk, order: Order) -> AdminAnswer:
    """SHOPS."""
    with desk.registry.reading() as view:
        rows = [_shop(row) for row in view.shops.shops(order.text("after"), order.limit + 1)]
    return page(order, rows, "shop", "shops")


def change_shop(desk: Desk, order: Order) -> AdminAnswer:
    """SHOP-BLOCK, SHOP-UNBLOCK."""
    with desk.registry.changing(desk.clock.now()) as change:
        row = the_shop(change, order)
        state = next_state(order.verb, row.state)
        if state is not None:
            change.shops.set_shop_state(row.row, state)
            audit(change, order, {"shop": row.shop})
    return done(f"Shop {row.shop} is {state or row.state}.")


def add_terminal(desk: Desk, order: Order) -> AdminAnswer:
    """TERMINAL-ADD: the terminal, then its activation code."""
    terminal_id = order.text("id")
    with desk.registry.changing(desk.clock.now()) as change:
        shop = the_shop(change, order)
        if change.shops.terminal(terminal_id) is not None:
            raise refuse(RefusalCode.EXISTS, "That terminal exists.")
        model = order.text("model")
        row = change.shops.add_terminal(terminal_id=terminal_id, owner=shop, model=model, at=change.at)
        audit(change, order, {"terminal": terminal_id, "shop": shop.shop, **({"model": model} if model else {})})
    return _with_code(desk, order, row, f"Terminal {terminal_id} is registered.", "The terminal is registered, but")


def new_code(desk: Desk, order: Order) -> AdminAnswer:
    """TERMINAL-CODE: a code in the place of the old one."""
    with desk.registry.changing(desk.clock.now()) as change:
        row = the_terminal(change, order)
        if row.state == State.CLOSED:
            raise refuse(RefusalCode.STATE, "The terminal is closed for ever.")
        audit(change, order, {"terminal": row.terminal})
    return _with_code(desk, order, row, "The earlier code is void.", "The earlier code stays:")


def list_terminals(desk: Desk, order: Order) -> AdminAnswer:
    """TERMINALS."""
    with desk.registry.reading() as view:
        shop = the_shop(view, order) if order.text("shop") else None
        rows = view.shops.terminals(None if shop is None else shop.row, order.text("after"), order.limit + 1)
    return page(order, [_terminal(row) for row in rows], "terminal", "terminals")


def place_shop(desk: Desk, order: Order) -> AdminAnswer:
    """SHOP-PLACE."""
    said = order.text("place")
    with desk.registry.changing(desk.clock.now()) as change:
        row = the_shop(change, order)
        change.shops.set_shop_place(row.row, "" if said == "none" else said)
        audit(change, order, {"shop": row.shop, "place": said})
    return done(f"Shop {row.shop} is at {said}." if said != "none" else f"Shop {row.shop} has no place.")


def change_terminal(desk: Desk, order: Order) -> AdminAnswer:
    """TERMINAL-BLOCK, TERMINAL-UNBLOCK."""
    with desk.registry.changing(desk.clock.now()) as change:
        row = the_terminal(change, order)
        state = next_state(order.verb, row.state)
        if state is not None:
            change.shops.set_terminal_state(row.row, state)
            change.directory.changed(DeviceRole.POS, row.terminal, change.at)
            audit(change, order, {"terminal": row.terminal})
    return done(f"Terminal {row.terminal} is {state or row.state}.")


def revoke(desk: Desk, order: Order) -> AdminAnswer:
    """REVOKE: the rules refuse the terminal from the next batch on, the PKI its certificates."""
    reason = REVOCATION_REASONS[order.text("reason") or "retired"]
    with desk.registry.changing(desk.clock.now()) as change:
        row = the_terminal(change, order)
        change.shops.set_terminal_state(row.row, State.CLOSED)
        change.directory.changed(DeviceRole.POS, row.terminal, change.at)
        change.identities.close_activation(DeviceRole.POS, row.terminal)
        held = change.identities.certificates_of(DeviceRole.POS, row.terminal)
        revoked = [each.serial for each in held if each.state != _REVOKED]
        for serial in revoked:
            change.identities.set_certificate_state(serial, _REVOKED, change.at, reason)
        audit(
            change,
            order,
            {"terminal": row.terminal, "reason": reason, "certificates": " ".join(revoked)},
        )
    return done(
        f"Terminal {row.terminal} is closed for ever, {len(revoked)} certificates are revoked.",
        [{"serial": serial, "reason": reason} for serial in revoked],
    )


def _with_code(desk: Desk, order: Order, row: TerminalRow, text: str, without: str) -> AdminAnswer:
    try:
        code = desk.activations.open_activation(
            DeviceRole.POS, row.terminal, shop=row.shop, model=row.model, opened_by=order.admin.name
        )
    except (KeyStoreError, StorageFailed):
        raise refuse(
            RefusalCode.UNAVAILABLE, f"{without} no activation code could be made: TERMINAL-CODE makes one later."
        ) from None
    return done(
        f"{text} Its activation code is shown this once.",
        [{"terminal": row.terminal, "shop": row.shop, "activation-code": code}],
    )


def _shop(row: ShopRow) -> dict[str, str]:
    return {"shop": row.shop, "name": row.name, "mcc": row.mcc, "currency": row.currency, "state": row.state}


def _terminal(row: TerminalRow) -> dict[str, str]:
    return {"terminal": row.terminal, "shop": row.shop, "model": row.model, "state": row.state}


HANDLERS: Final[Mapping[str, Handler]] = {
    "SHOP-ADD": add_shop,
    "SHOPS": list_shops,
    "SHOP-BLOCK": change_shop,
    "SHOP-UNBLOCK": change_shop,
    "TERMINAL-ADD": add_terminal,
    "TERMINAL-CODE": new_code,
    "TERMINALS": list_terminals,
    "SHOP-PLACE": place_shop,
    "TERMINAL-BLOCK": change_terminal,
    "TERMINAL-UNBLOCK": change_terminal,
    "REVOKE": revoke,
}
