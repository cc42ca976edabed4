"""Makes the PIN blocks that a request needs, under the keys of the session that will carry them.

Keeps nothing: a clear PIN goes through here and is gone.
"""

from __future__ import annotations

from collections.abc import Callable

from trus.device.orders import BalanceOrder, Order, PinOrder
from trus.device.requests import Request
from trus.protocol.session import SealedSession

#: Makes an ISO 9564-1 format 4 block: clear PIN, card number, 16-byte key -> 16 bytes.
PinEncoder = Callable[[str, str, bytes], bytes]


def pin_block(encode: PinEncoder, request: Request, session: SealedSession) -> bytes | None:
    """Return the block of the PIN that was entered, None when there is none; the request notes that it was said."""
    if request.pin is None or not isinstance(request.order, Order | BalanceOrder | PinOrder):
        return None
    request.pin_said = True
    return encode(request.pin, request.order.track2.partition("=")[0], session.pin_key)


def new_pin_block(encode: PinEncoder, request: Request, session: SealedSession) -> bytes | None:
    """Return the block of the PIN that shall be, None where no PIN is changed."""
    order = request.order
    if not isinstance(order, PinOrder):
        return None
    return encode(order.new_pin, order.track2.partition("=")[0], session.pin_key)
