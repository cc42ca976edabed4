"""Says what the attacker can compute: every cryptographic function, forwards, and what opens it.

Knows no message order. What is not listed cannot be done: a hash is not inverted, a MAC or a
signature not forged, a seal not opened without its key. That is the idealisation of a symbolic
proof (Dolev and Yao 1983); docs/security/proof.md says what it leaves out.
"""

from __future__ import annotations

from typing import Final

from proofs.terms import Symbol, Term, Theory, variables
from proofs.words import CONTEXTS, HANDSHAKE, LABELS, MODES, NONE, REKEY, constant

# ------------------------------------------------------------------------------- public functions

#: X25519: the base point, and a point times an exponent. pow(pow(base, x), y) = pow(pow(base, y), x).
BASE: Final = Term("base")
power: Final = Symbol("power", 2)

#: A share of small order.
SMALL_SHARE: Final = Term("small_share")

extract: Final = Symbol("extract", 2)
expand: Final = Symbol("expand", 3)
ZEROS: Final = Term("zeros")

public_key: Final = Symbol("public_key", 1)
certificate: Final = Symbol("certificate", 3)
request: Final = Symbol("request", 2)
#: A PKCS#12 file: a private key and its certificate.
pair: Final = Symbol("pair", 2)
request_body: Final = Symbol("request_body", 1)

#: The hash H of the specification, one function for each tag, so that tags never collide.
th1: Final = Symbol("th1", 1)
th2: Final = Symbol("th2", 2)
th3: Final = Symbol("th3", 3)
th4: Final = Symbol("th4", 3)
rekey_hash: Final = Symbol("th_rekey", 5)
credential: Final = Symbol("credential", 2)
credential_enrol: Final = Symbol("credential_enrol", 5)
CREDENTIAL_RESUME: Final = Term("credential_resume")
proof: Final = Symbol("proof", 3)
mac_text: Final = Symbol("mac_text", 3)
binder_text: Final = Symbol("binder_text", 2)

ticket_text: Final = Symbol("ticket_text", 2)
following: Final = Symbol("following", 1)

# --------------------------------------------------------- functions that need a key to make or open

#: The first argument of these three is a note for the proof alone: who made it, in which session.
#: The attacker may write any note on what it makes itself.
sign: Final = Symbol("sign", 3)
mac: Final = Symbol("mac", 3)
record: Final = Symbol("record", 5)
#: Key, associated data, plaintext; each of these keys seals once.
seal: Final = Symbol("seal", 3)

BACKEND: Final = Term("backend")
POS: Final = Term("pos")
CARD: Final = Term("card")
#: Version 1 and suite 1, the only ones.
ONE: Final = Term("one")
#: Anything that the attacker makes up.
EVE: Final = Term("eve")
#: The exporter value of a TLS connection that the attacker itself made to an honest gateway.
RELAY: Final = Term("exporter_of_eve")
STAPLE: Final = Term("staple")
#: The context string of some other protocol in which a device's key may also sign.
OTHER_CONTEXT: Final = Term("other_context")
FIRST: Final = Term("number_0")

_CONSTANTS: Final = (
    *(
        BASE,
        SMALL_SHARE,
        NONE,
        ZEROS,
        BACKEND,
        POS,
        CARD,
        ONE,
        EVE,
        RELAY,
        STAPLE,
        OTHER_CONTEXT,
        FIRST,
        CREDENTIAL_RESUME,
    ),
    *(constant(words) for words in (*MODES, *LABELS, *CONTEXTS.values()) if not words.endswith(" iv")),
)

#: The sealed fields of any line of a session: what is paid, and a PIN block.
payment_text: Final = Symbol("payment_text", 2)

#: Can be made from their parts and taken apart again.
_STRUCTURES: Final = (
    certificate,
    request,
    pair,
    ticket_text,
    payment_text,
    *(message.symbol("sealed") for message in (*HANDSHAKE, *REKEY) if message.sealed),
)

#: Can be made from their parts, and hide them.
_ONE_WAY: Final = (
    *(extract, expand, public_key, request_body, th1, th2, th3, th4, rekey_hash),
    *(credential, credential_enrol, proof, mac_text, binder_text, following),
    *(message.symbol("clear") for message in (*HANDSHAKE, *REKEY)),
)


def share_of(exponent: Term) -> Term:
    """Return the X25519 public key of an exponent."""
    return power(BASE, exponent)


def agreements(exponent: Term, *, small: bool = False) -> tuple[tuple[Term, Term], ...]:
    """Return pairs of a received share and the secret that it makes with `exponent`.

    Shares of small order, which make it all zero whatever the exponent, are refused and not among
    them, unless `small` says otherwise.

    Two pairs together stand for the equation power(power(B, x), y) = power(power(B, y), x) with
    B the base point: whoever meets this secret meets it in both spellings.
    """
    share, other = variables("Share Other")
    pairs = (share, power(share, exponent)), (share_of(other), power(share_of(exponent), other))
    return (*pairs, (SMALL_SHARE, ZEROS)) if small else pairs


def attacker(theory: Theory, knows: Symbol, word: str = "attacker") -> None:
    """Add all that an attacker can compute from what it knows."""
    for item in _CONSTANTS:
        theory.rule(f"{word}_knows_{item}", (), knows(item))
    for symbol in (*_STRUCTURES, *_ONE_WAY):
        general = symbol.of_variables()
        theory.rule(f"{word}_makes_{symbol.name}", [knows(part) for part in general.args], knows(general))
    for symbol in _STRUCTURES:
        general = symbol.of_variables()
        for part in general.args:
            theory.rule(f"{word}_takes_apart_{symbol.name}", [knows(general)], knows(part))
    key, text, note, data, number, share, exponent = variables("Key Text Note Data Number Share Exponent")
    theory.rule(f"{word}_multiplies", [knows(share), knows(exponent)], knows(power(share, exponent)))
    theory.rule(
        f"{word}_multiplies_in_the_other_order",
        [knows(share_of(share)), knows(exponent)],
        knows(power(share_of(exponent), share)),
    )
    theory.rule(f"{word}_signs", [knows(key), knows(text), knows(note)], knows(sign(note, key, text)))
    theory.rule(f"{word}_reads_what_is_signed", [knows(sign(note, key, text))], knows(text))
    theory.rule(f"{word}_makes_a_mac", [knows(key), knows(text), knows(note)], knows(mac(note, key, text)))
    theory.rule(f"{word}_seals", [knows(key), knows(data), knows(text)], knows(seal(key, data, text)))
    theory.rule(f"{word}_opens_a_seal", [knows(seal(key, data, text)), knows(key)], knows(text))
    sealed = record(note, key, number, data, text)
    theory.rule(f"{word}_makes_a_record", [knows(part) for part in sealed.args], knows(sealed))
    theory.rule(f"{word}_opens_a_record", [knows(sealed), knows(key)], knows(text))
