"""A client that somebody wrote from docs/protocol.md, who has never seen the program.

Imports nothing of trus, on purpose: what it can do, a stranger can do. It is short rather
than careful, and checks only what it must to talk to the backend.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Fields = dict[str, str]
ZEROS = bytes(32)


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def h(tag: str, *items: bytes) -> bytes:
    return hashlib.sha256(b"".join(len(x).to_bytes(4, "big") + x for x in (b"trus1 " + tag.encode(), *items))).digest()


def extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.new(salt, ikm, "sha256").digest()


def expand(secret: bytes, label: str, context: bytes = b"", n: int = 32) -> bytes:
    name = b"trus1 " + label.encode()
    info = n.to_bytes(2, "big") + bytes([len(name)]) + name + bytes([len(context)]) + context
    return hmac.new(secret, info + b"\x01", "sha256").digest()[:n]


def read_fields(text: str) -> Fields:
    """Split "a=1 b=..." at spaces outside quotes."""
    found: Fields = {}
    for name, value in re.findall(r'([a-z][a-z0-9-]*)=("(?:[^"\\]|\\.)*"|\S+)', text):
        found[name] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
    return found


def pad(fields: Fields) -> bytes:
    text = "".join(f"{name}={value} " for name, value in fields.items()).encode()
    return text.ljust(max(64, -(-len(text) // 64) * 64))


def split_seal(line: bytes) -> tuple[bytes, bytes]:
    clear, _, seal = line.rpartition(b" seal=")
    return clear, unb64(seal.decode())


def pan_field(pan: str) -> bytes:
    """ISO 9564-1, format 4: how many digits there are beyond 12, the digits, zeros."""
    digits = pan.rjust(12, "0")
    return bytes.fromhex((f"{len(digits) - 12}" + digits).ljust(32, "0"))


def seal_pin(key: bytes, pin: str, pan: str, fill: bytes) -> bytes:
    """ISO 9564-1, format 4: control 4, length, PIN, A to the middle; then 8 random octets."""
    cipher = Cipher(algorithms.AES(key), modes.ECB())
    first = bytes.fromhex(f"4{len(pin):x}{pin}".ljust(16, "a")) + fill
    middle = cipher.encryptor().update(first)
    return cipher.encryptor().update(bytes(a ^ b for a, b in zip(middle, pan_field(pan), strict=True)))


def open_pin(key: bytes, block: bytes, pan: str) -> tuple[str, bytes]:
    """The PIN of a block, and its fill."""
    cipher = Cipher(algorithms.AES(key), modes.ECB())
    middle = cipher.decryptor().update(block)
    first = cipher.decryptor().update(bytes(a ^ b for a, b in zip(middle, pan_field(pan), strict=True)))
    return first[:8].hex()[2 : 2 + int(first.hex()[1], 16)], first[8:]


@dataclass
class Keys:
    """The keys of both directions; numbers begin at 0."""

    secret: bytes
    th: bytes
    count: dict[str, int] = field(default_factory=lambda: {"initiator": 0, "responder": 0})

    def seal(self, side: str, clear: bytes, plaintext: bytes) -> bytes:
        return clear + b" seal=" + b64(self._aead(side).encrypt(self._nonce(side), plaintext, clear)).encode()

    def open(self, side: str, line: bytes) -> bytes:
        clear, sealed = split_seal(line)
        return self._aead(side).decrypt(self._nonce(side), sealed, clear)

    def _aead(self, side: str) -> AESGCM:
        return AESGCM(expand(self.secret, f"{side} key", self.th))

    def _nonce(self, side: str) -> bytes:
        iv = int.from_bytes(expand(self.secret, f"{side} iv", self.th, 12), "big")
        number = self.count[side]
        self.count[side] += 1
        return (iv ^ number).to_bytes(12, "big")

    @property
    def pin(self) -> bytes:
        return expand(self.secret, "pin", self.th)

    @property
    def resumption(self) -> bytes:
        return expand(self.secret, "resumption", self.th)


class Schedule:
    """Follows a handshake line by line; one who knows a private key can read everything."""

    def __init__(self, resumption: bytes = ZEROS) -> None:
        self.early = extract(ZEROS, resumption)
        self.secret = b""
        self.th: dict[int, bytes] = {}

    def binder(self, bound: bytes, binding: bytes) -> bytes:
        return hmac.new(expand(self.early, "binder"), h("binder", bound, binding), "sha256").digest()

    def line1(self, line: bytes) -> None:
        self.th[1] = h("th1", line)

    def agree(self, private: X25519PrivateKey, share: str, clear2: bytes) -> None:
        dh = private.exchange(X25519PublicKey.from_public_bytes(unb64(share)))
        self.secret = extract(expand(self.early, "derived"), dh)
        self.th[2] = h("th2", self.th[1], clear2)

    def proof_keys(self, side: str) -> tuple[bytes, bytes]:
        th = self.th[2 if side == "responder" else 3]
        return expand(self.secret, f"{side} proof key", th), expand(self.secret, f"{side} proof iv", th, 12)

    def open_proof(self, side: str, line: bytes) -> bytes:
        key, iv = self.proof_keys(side)
        clear, sealed = split_seal(line)
        return AESGCM(key).decrypt(iv, sealed, clear)

    def seal_proof(self, side: str, clear: bytes, plaintext: bytes) -> bytes:
        key, iv = self.proof_keys(side)
        return clear + b" seal=" + b64(AESGCM(key).encrypt(iv, plaintext, clear)).encode()

    def mac(self, side: str, credential: bytes, signature: bytes) -> bytes:
        th = self.th[2 if side == "responder" else 3]
        return hmac.new(expand(self.secret, f"{side} mac", th), h("mac", th, credential, signature), "sha256").digest()

    def payload(self, side: str, credential: bytes) -> bytes:
        th = self.th[2 if side == "responder" else 3]
        return b" " * 64 + b"trus 1, " + side.encode() + b" signature\x00" + h("proof", th, credential)

    def line2(self, line: bytes, credential: bytes) -> None:
        self.th[3] = h("th3", self.th[2], line, credential)

    def line3(self, line: bytes, credential: bytes) -> Keys:
        self.th[4] = h("th4", self.th[3], line, credential)
        return Keys(self.secret, self.th[4])


class Client:
    """A terminal: one object for each session."""

    def __init__(
        self,
        draw: Callable[[int], bytes],
        key: ec.EllipticCurvePrivateKey,
        binding: bytes,
        authority: x509.Certificate,
        chain: Sequence[bytes] = (),
        enrol: Fields | None = None,
        ticket: tuple[bytes, bytes] | None = None,
    ) -> None:
        """`enrol` has role, name, csr (base64url) or birth, and code; `ticket` is the ticket and its secret."""
        self.label = b64(draw(12))
        self.private = X25519PrivateKey.from_private_bytes(draw(32))
        self.nonce = draw(16)
        self.draw, self.key, self.chain, self.binding = draw, key, chain, binding
        self.authority, self.enrol, self.ticket = authority, enrol, ticket
        self.mode = "enrol" if enrol else "resume" if ticket else "full"
        self.schedule = Schedule(ticket[1] if ticket else ZEROS)
        self.keys: Keys | None = None
        self.dialogue = 0

    # ------------------------------------------------------------ handshake

    def message1(self) -> bytes:
        share = b64(self.private.public_key().public_bytes_raw())
        line = (
            f"COMMAND AUTHENTICATE s={self.label} to=backend versions=1 suites=1 "
            f"mode={self.mode} share={share} nonce={b64(self.nonce)}"
        ).encode()
        if self.ticket:
            line += b" ticket=" + b64(self.ticket[0]).encode()
            line += b" binder=" + b64(self.schedule.binder(line, self.binding)).encode()
        self.schedule.line1(line)
        return line

    def message3(self, line2: bytes) -> bytes:
        clear2, _ = split_seal(line2)
        self.schedule.agree(self.private, read_fields(clear2.decode())["share"], clear2)
        shown = read_fields(self.schedule.open_proof("responder", line2).decode())
        if self.ticket:
            credential, signature = h("credential"), b""
        else:
            chain = [unb64(part) for part in shown["chain"].split(",")]
            credential = h("credential", *chain, unb64(shown.get("staple", "")))
            signature = unb64(shown["signature"])
            leaf = x509.load_der_x509_certificate(chain[0])
            leaf.verify_directly_issued_by(self.authority)
            public = leaf.public_key()
            assert isinstance(public, ec.EllipticCurvePublicKey)
            public.verify(signature, self.schedule.payload("responder", credential), ec.ECDSA(hashes.SHA256()))
        if unb64(shown["mac"]) != self.schedule.mac("responder", credential, signature):
            raise ValueError("the backend's MAC is wrong")
        self.schedule.line2(line2, credential)
        return self._prove()

    def _prove(self) -> bytes:
        fields: Fields = {}
        if self.ticket:
            credential = h("credential")
        elif self.enrol:
            fields = dict(self.enrol)
            csr = unb64(fields.get("csr", ""))
            items = (fields["role"].encode(), fields["name"].encode(), csr, fields["code"].encode())
            credential = h("credential", *items, self.binding)
        else:
            fields = {"chain": ",".join(map(b64, self.chain))}
            credential = h("credential", *self.chain, self.binding)
        signature = b""
        if not self.ticket:
            fields["binding"] = b64(self.binding)
        if not self.ticket and "birth" not in fields:
            payload = self.schedule.payload("initiator", credential)
            signature = self.key.sign(payload, ec.ECDSA(hashes.SHA256()))
            fields["signature"] = b64(signature)
        fields["mac"] = b64(self.schedule.mac("initiator", credential, signature))
        clear = f"DATA AUTHENTICATE s={self.label}".encode()
        line = self.schedule.seal_proof("initiator", clear, pad(fields))
        self.keys = self.schedule.line3(line, credential)
        return line

    # -------------------------------------------------------------- session

    def hear(self, line: bytes) -> tuple[str, Fields]:
        """Open a line of the backend: its first two words, and all its fields."""
        assert self.keys is not None
        plaintext = self.keys.open("responder", line)
        clear = line.rpartition(b" seal=")[0].decode()
        head = " ".join(clear.split(" ")[:2])
        return head, read_fields(clear) | read_fields(plaintext.decode())

    def say(self, head: str, clear: Fields, sealed: Fields) -> bytes:
        assert self.keys is not None
        words = " ".join([head, f"s={self.label}", *(f"{name}={value}" for name, value in clear.items())])
        return self.keys.seal("initiator", words.encode(), pad(sealed))

    def rekey(self) -> bytes:
        self.fresh = X25519PrivateKey.from_private_bytes(self.draw(32))
        self.offer = (self.fresh.public_key().public_bytes_raw(), self.draw(16))
        return self.say("COMMAND REKEY", {}, {"share": b64(self.offer[0]), "nonce": b64(self.offer[1])})

    def rekeyed(self, answer: Fields) -> bytes:
        """Return INFO REKEYED; afterwards both directions are under new keys."""
        assert self.keys is not None
        share, nonce = unb64(answer["share"]), unb64(answer["nonce"])
        last = self.say("INFO REKEYED", {}, {})
        dh = self.fresh.exchange(X25519PublicKey.from_public_bytes(share))
        secret = extract(expand(extract(ZEROS, self.keys.resumption), "derived"), dh)
        self.keys = Keys(secret, h("rekey", self.keys.th, *self.offer, share, nonce))
        return last
