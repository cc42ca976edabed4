"""Reads a conversation with the initiator's private key, by the specification alone, and writes it down."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from tests.protocol import stranger


@dataclass
class Step:
    """A line as it was said, what its seal held, and a remark."""

    side: str
    line: bytes
    plaintext: bytes | None
    remark: str

    def as_json(self) -> dict[str, str]:
        shown = {"from": self.side, "line": self.line.decode()}
        if self.plaintext is not None:
            shown["plaintext"] = self.plaintext.decode()
        return shown


@dataclass
class Conversation:
    """Everything said in one connection, read by one who knows the initiator's private key."""

    name: str
    title: str
    schedule: stranger.Schedule
    private: X25519PrivateKey
    rekey_private: X25519PrivateKey
    binding: bytes
    values: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    keys: stranger.Keys | None = None
    opened: dict[str, str] = field(default_factory=dict)

    def hear(self, side: str, line: bytes, remark: str = "") -> bytes:
        """Note a line with its CR LF; return it without."""
        octets = line[:-2]
        self.steps.append(Step(side, octets, self._read(side, octets), remark))
        return octets

    def _read(self, side: str, line: bytes) -> bytes | None:
        if line.startswith(b"COMMAND AUTHENTICATE"):
            self.schedule.line1(line)
            return None
        if b" seal=" not in line:
            return None
        if self.keys is not None:
            plaintext = self.keys.open(side, line)
            self._note_rekey(line, plaintext)
            return plaintext
        if side == "responder":
            clear = stranger.split_seal(line)[0]
            self.schedule.agree(self.private, stranger.read_fields(clear.decode())["share"], clear)
            self.values["secret"] = self.schedule.secret.hex()
        plaintext = self.schedule.open_proof(side, line)
        shown = stranger.read_fields(plaintext.decode())
        credential = stranger.h("credential", *self._credential(side, shown))
        self.values["CR" if side == "responder" else "CI"] = credential.hex()
        for name, octets in zip(("key", "iv"), self.schedule.proof_keys(side), strict=True):
            self.values[f"{side} proof {name}"] = octets.hex()
        if side == "responder":
            self.schedule.line2(line, credential)
        else:
            self.keys = self.schedule.line3(line, credential)
            for number, th in self.schedule.th.items():
                self.values[f"TH{number}"] = th.hex()
            self._note_keys("")
        return plaintext

    def _credential(self, side: str, shown: dict[str, str]) -> list[bytes]:
        if list(shown) == ["mac"]:
            return []
        chain = [stranger.unb64(part) for part in shown["chain"].split(",")] if "chain" in shown else []
        if side == "responder":
            return [*chain, stranger.unb64(shown.get("staple", ""))]
        words = [shown[name].encode() for name in ("role", "name") if name in shown]
        if "code" in shown:
            words += [stranger.unb64(shown.get("csr", "")), shown["code"].encode()]
        return [*chain, *words, stranger.unb64(shown.get("binding", ""))]

    def _note_keys(self, prefix: str) -> None:
        assert self.keys is not None
        for side in ("initiator", "responder"):
            self.values[f"{prefix}{side} key"] = stranger.expand(self.keys.secret, f"{side} key", self.keys.th).hex()
            self.values[f"{prefix}{side} iv"] = stranger.expand(self.keys.secret, f"{side} iv", self.keys.th, 12).hex()
        if not prefix:
            self.values["pin key"] = self.keys.pin.hex()
        self.values[f"{prefix}resumption"] = self.keys.resumption.hex()

    def _note_rekey(self, line: bytes, plaintext: bytes) -> None:
        if b"REKEY" not in line[:13]:
            return
        self.opened |= {
            line[:4].decode() + name: value for name, value in stranger.read_fields(plaintext.decode()).items()
        }
        if line.startswith(b"INFO REKEYED"):
            offers = [
                stranger.unb64(self.opened[name]) for name in ("COMMshare", "COMMnonce", "DATAshare", "DATAnonce")
            ]
            dh = self.rekey_private.exchange(X25519PublicKey.from_public_bytes(offers[2]))
            assert self.keys is not None
            secret = stranger.extract(
                stranger.expand(stranger.extract(stranger.ZEROS, self.keys.resumption), "derived"), dh
            )
            self.keys = stranger.Keys(secret, stranger.h("rekey", self.keys.th, *offers))
            self._note_keys("rekeyed ")

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "initiator x25519 private": self.private.private_bytes_raw().hex(),
            "initiator x25519 private of the rekey": self.rekey_private.private_bytes_raw().hex(),
            "channel binding": self.binding.hex(),
            "values": self.values,
            "lines": [step.as_json() for step in self.steps],
        }

    def as_markdown(self) -> str:
        shown = [f"#### {self.title}\n", "```"]
        for step in self.steps:
            if step.remark:
                shown.append(f"# {step.remark}")
            shown.append(f"{'<' if step.side == 'initiator' else '>'} {_cut(step.line.decode())}")
            if step.plaintext is not None:
                plaintext = step.plaintext.decode()
                shown.append(f"      {_cut(plaintext.rstrip(' ')) or '(nothing)'}  [{len(step.plaintext)} octets]")
        return "\n".join([*shown, "```"]) + "\n"


def _cut(text: str) -> str:
    """Shorten values of more than 24 characters, so that a line can be read."""
    return re.sub(r"=([A-Za-z0-9_,-]{12})[A-Za-z0-9_,-]{13,}", r"=\1...", text)
