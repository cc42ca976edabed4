"""Reads terms of the model as octets, with the program's own hash, key derivation, MAC and cipher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proofs import primitives
from proofs.terms import Symbol, Term
from proofs.words import CONTEXTS, HANDSHAKE, LABELS, MODES, NONE, REKEY, Wire, constant
from tests.protocol.network import Party
from trus.protocol.fields import format_octets
from trus.protocol.keyschedule import IV_BYTES, expand, extract, mac, transcript
from trus.protocol.table import SEAL_BLOCK_BYTES

#: What a term stands for: octets, or text that stands in a field as it is.
Value = bytes | str

_WORDS: Final = {constant(words).name: words for words in (*MODES, *LABELS, *CONTEXTS.values())}
_WIRES: Final[Mapping[Symbol, Wire]] = {
    wire.symbol(part): wire for wire in (*HANDSHAKE, *REKEY) for part in ("clear", "sealed")
}
#: Hashes of the model, and their tag.
_HASHES: Final = {
    **{f"th{number}": f"th{number}" for number in (1, 2, 3, 4)},
    "th_rekey": "rekey",
    "mac_text": "mac",
    "binder_text": "binder",
    "credential": "credential",
    "credential_enrol": "credential",
    "credential_resume": "credential",
}


class Reading:
    """What the names of the model stand for in one conversation."""

    def __init__(self, known: Mapping[str, Value], parties: Mapping[str, Party]) -> None:
        """`known` has a value for variables, constants and functions by name, `parties` for who holds a key."""
        self.known = {"one": "1", "backend": "backend", "pos": "pos", "zeros": bytes(32), **known}
        self.parties = parties

    def value(self, term: Term) -> Value:
        """Return octets, or the text of a field. Raises KeyError for what the conversation does not know."""
        if term.name in self.known:
            return self.known[term.name]
        if term.name in _WORDS:
            return _WORDS[term.name]
        if term.name in _HASHES:
            return transcript(_HASHES[term.name], *map(self.octets, term.args))
        if (wire := _WIRES.get(Symbol(term.name, len(term.args)))) is not None:
            return self._fields(wire, term)
        found: Callable[..., Value] = getattr(self, f"_{term.name}")
        return found(*term.args)

    def octets(self, term: Term) -> bytes:
        """Return what is hashed, sealed or signed."""
        value = b"" if term == NONE else self.value(term)
        return value.encode() if isinstance(value, str) else value

    def _fields(self, wire: Wire, term: Term) -> bytes:
        clear = term.name.startswith("clear")
        names = wire.clear if clear else wire.sealed
        said = [f"{name}={self._text(arg)}" for name, arg in zip(names, term.args, strict=True) if arg != NONE]
        if clear:
            return " ".join((wire.head, *said)).encode()
        text = "".join(f"{each} " for each in said)
        return text.ljust(max(1, -(-len(text) // SEAL_BLOCK_BYTES)) * SEAL_BLOCK_BYTES).encode()

    def _text(self, term: Term) -> str:
        value = self.value(term)
        return value if isinstance(value, str) else format_octets(value)

    # ------------------------------------------------------------------------------ keys and seals

    def _extract(self, salt: Term, secret: Term) -> bytes:
        return extract(self.octets(salt), self.octets(secret))

    def _expand(self, secret: Term, label: Term, context: Term) -> bytes:
        return expand(self.octets(secret), _WORDS[label.name], self.octets(context))

    def cipher(self, key: Term) -> tuple[AESGCM, bytes]:
        """Return the cipher of a key, and the nonce of its first use."""
        secret, label, context = key.args
        iv = _WORDS[label.name].removesuffix("key") + "iv"
        if iv not in LABELS:
            raise KeyError(iv)
        return AESGCM(self.octets(key)), expand(self.octets(secret), iv, self.octets(context), IV_BYTES)

    def _seal(self, key: Term, data: Term, text: Term) -> bytes:
        if key.name == "ticket_key":
            return self.octets(Term("ticket"))
        cipher, nonce = self.cipher(key)
        clear = self.octets(data)
        sealed = cipher.encrypt(nonce, self.octets(text), clear)
        return clear + b" seal=" + format_octets(sealed).encode()

    def _mac(self, _note: Term, key: Term, text: Term) -> bytes:
        return mac(self.octets(key), self.octets(text))

    def _power(self, share: Term, exponent: Term) -> bytes:
        name = {"Other": "other_share"}.get(exponent.name, f"share_of_{exponent.name}")
        return self.octets(Term(name if share == primitives.BASE else "agreed"))

    # -------------------------------------------------------------------------- signatures, certificates

    def _holder(self, key: Term) -> Party:
        return self.parties[self.octets(key.args[0] if key.args else key).decode()]

    def _sign(self, _note: Term, key: Term, text: Term) -> bytes:
        return self._holder(key).sign(self.octets(text))

    def _proof(self, context: Term, transcript_hash: Term, shown: Term) -> bytes:
        digest = transcript("proof", self.octets(transcript_hash), self.octets(shown))
        return b" " * 64 + self.octets(context) + b"\x00" + digest

    def _certificate(self, _role: Term, name: Term, _key: Term) -> bytes:
        (leaf,) = self.parties[self.octets(name).decode()].chain
        return leaf
