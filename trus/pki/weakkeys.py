"""Knows public keys whose private half everybody knows: no certificate of the network bears one.

Guesses at nothing: the list holds keys of published examples and keys with tiny private numbers, the
marks of a generator that was never given entropy. Sources: RFC 9500 section 2.3, RFC 6979 A.2.5.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from trus.pki.csr import key_digest

#: The order of the base point of P-256 (SEC 2, section 2.4.2).
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
#: Private numbers up to this, and as close below the order.
_TINY: Final = 256
#: testECCP256 of RFC 9500, and the example of RFC 6979.
_PUBLISHED: Final = (
    0xE6CB5BDD80AA45AE9C95E8C15476679FFEC953C16851E711E743939589C64FC1,
    0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721,
)


@cache
def weak_keys() -> frozenset[bytes]:
    """Return SHA-256 of SubjectPublicKeyInfo of every key on the list."""
    tiny = range(1, _TINY + 1)
    numbers = (*_PUBLISHED, *tiny, *(_ORDER - number for number in tiny))
    return frozenset(key_digest(ec.derive_private_key(each, ec.SECP256R1()).public_key()) for each in numbers)
