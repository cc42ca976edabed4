"""One-time activation codes: by which a device without a certificate proves that it may have one.

Stores no code: a keyed hash under a data key of the token, so that a stolen database opens no
enrolment. 100 random bits in Crockford's base 32 (no I, L, O, U) and one Luhn check symbol, so
that a mistyped code is told from a guessed one.
"""

from __future__ import annotations

import hmac
from typing import Final

from stdnum import luhn
from stdnum.exceptions import ValidationError

from trus.clock import Entropy
from trus.errors import IdentityRefused
from trus.hsm.datakeys import DataKeys
from trus.values import DeviceRole

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_SYMBOLS: Final = 20  #: times 5 bits
_GROUP: Final = 7
#: What people read into a code that is not in the alphabet.
_LOOK_ALIKE: Final = str.maketrans({"O": "0", "I": "1", "L": "1", " ": None, "-": None})
#: Longer input is no code, and is not looked at.
_MAX_INPUT: Final = 64

#: The data key's label.
HASH_LABEL: Final = "activation-codes"

#: The reason for a code that cannot be one.
MALFORMED_CODE: Final = "malformed-code"


def make_code(entropy: Entropy) -> str:
    """Return a fresh code, `XXXXXXX-XXXXXXX-XXXXXXX`: 100 random bits and a check symbol."""
    number = int.from_bytes(entropy.draw(13), "big") >> 4
    symbols = "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_RANDOM_SYMBOLS)))
    symbols += luhn.calc_check_digit(symbols, alphabet=_ALPHABET)
    return "-".join(symbols[start : start + _GROUP] for start in range(0, len(symbols), _GROUP))


def normalise(code: str) -> str:
    """Return the code's 21 symbols: blanks and hyphens dropped, case and look-alikes put right.

    Raises IdentityRefused("malformed-code") when the check symbol does not fit.
    """
    if len(code) > _MAX_INPUT or not code.isascii():
        raise IdentityRefused(MALFORMED_CODE)
    symbols = code.upper().translate(_LOOK_ALIKE)
    try:
        luhn.validate(symbols, alphabet=_ALPHABET)
    except ValidationError:
        raise IdentityRefused(MALFORMED_CODE) from None
    if len(symbols) != _RANDOM_SYMBOLS + 1:
        raise IdentityRefused(MALFORMED_CODE)
    return symbols


class ActivationCodes:
    """Keyed hashes of codes, bound to the holder that each code is for."""

    def __init__(self, data_keys: DataKeys) -> None:
        self._data_keys = data_keys

    def hash(self, role: DeviceRole, name: str, code: str, shop: str = "", model: str = "") -> bytes:
        """Return the 32-byte keyed hash under which a code is stored. Raises IdentityRefused.

        Shop and model are in it: an activation whose row was changed behind our back opens nothing.
        """
        message = _message(role, name, code, shop, model)
        return hmac.digest(self._data_keys.derive(HASH_LABEL), message, "sha256")

    def matches(self, stored: bytes, role: DeviceRole, name: str, code: str, shop: str = "", model: str = "") -> bool:
        """Compare a code with a stored hash, in constant time. Raises IdentityRefused.

        A code that was hashed before K_DB was rotated is known as long as the token holds that version.
        """
        message = _message(role, name, code, shop, model)
        hashes = [hmac.digest(key, message, "sha256") for key in self._data_keys.derive_all(HASH_LABEL)]
        return any([hmac.compare_digest(stored, each) for each in hashes])  # noqa: C419 - equal work, whichever it is


def _message(role: DeviceRole, name: str, code: str, shop: str, model: str) -> bytes:
    bound = (shop, model) if shop or model else ()
    return "\x00".join((role.value, name, *bound, normalise(code))).encode("utf-8")
