"""A client that has the file of vectors and the specification, and nothing else, says and hears every scene."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.trial.unittest import SynchronousTestCase

from tests.protocol import stranger
from tests.transactions.writing import VECTORS

WHOLE = json.loads(VECTORS.read_text(encoding="utf-8"))


class GivenSession:
    """A session whose keys are given; the responder's line 0 was message 4."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.prefix = {"initiator": "", "responder": ""}
        self.count = {"initiator": 0, "responder": 1}

    def seal(self, side: str, clear: str, plaintext: bytes) -> str:
        key = bytes.fromhex(self.given[f"{self.prefix[side]}{side} key"])
        nonce = self._nonce(side)
        return f"{clear} seal={stranger.b64(AESGCM(key).encrypt(nonce, plaintext, clear.encode()))}"

    def _nonce(self, side: str) -> bytes:
        iv = int.from_bytes(bytes.fromhex(self.given[f"{self.prefix[side]}{side} iv"]), "big")
        self.count[side] += 1
        return (iv ^ (self.count[side] - 1)).to_bytes(12, "big")

    def rekeyed(self, side: str) -> None:
        """From its next line on this side seals with the new keys, from number 0."""
        self.prefix[side], self.count[side] = "rekeyed ", 0


class IndependentClientTests(SynchronousTestCase):
    """Every promise here is kept to somebody who has read the specification and has its vectors."""

    def test_every_scene_can_be_said_from_the_file(self) -> None:
        """TR-19: From keys, clear parts and sealed fields a stranger's program makes every octet of every scene."""
        for scene in WHOLE["scenes"]:
            sessions = [GivenSession(each) for each in scene["sessions"]]
            whole = hashlib.sha256()
            for step in scene["steps"]:
                if "clear" in step:
                    line = self.said(sessions[step["session"]], step)
                    self.assertEqual(step.get("line", line), line)
                    whole.update(line.encode() + b"\r\n")
            self.assertEqual(whole.hexdigest(), scene["digest"], scene["name"])

    def said(self, session: GivenSession, step: dict[str, Any]) -> str:
        """Return the line of a step, sealed by whoever says it."""
        side, clear = step["from"], step["clear"]
        if "sealed" not in step:
            return str(clear)
        text = f"{step['sealed']} " if step["sealed"] else ""
        plaintext = text.encode()
        # Padded to the next multiple of 64 octets, at least one block.
        self.assertEqual(step["padded"], max(64, -(-len(plaintext) // 64) * 64))
        line = session.seal(side, clear, plaintext.ljust(step["padded"]))
        if (side, clear.split(" ")[1]) in (("responder", "REKEY"), ("initiator", "REKEYED")):
            session.rekeyed(side)
        return line

    def test_every_pin_block_can_be_made_from_the_file(self) -> None:
        """TR-19: Each PIN block is the ISO 9564-1 format 4 block of PIN, card and fill as the file says."""
        made = 0
        for scene in WHOLE["scenes"]:
            tracks: dict[tuple[int, str], str] = {}
            for step in scene["steps"]:
                fields = stranger.read_fields(step.get("clear", "")) | stranger.read_fields(step.get("sealed", ""))
                dialogue = (step.get("session", 0), fields.get("id", ""))
                tracks[dialogue] = fields.get("track2") or tracks.get(dialogue, "")
                for name, held in step.get("pins", {}).items():
                    key = bytes.fromhex(scene["sessions"][step["session"]]["pin key"])
                    pan = tracks[dialogue].partition("=")[0]
                    block = stranger.seal_pin(key, held["pin"], pan, bytes.fromhex(held["fill"]))
                    self.assertEqual(stranger.b64(block), fields[name])
                    made += 1
        self.assertGreater(made, 20)

    def test_a_repetition_is_answered_in_the_same_words(self) -> None:
        """TR-11: The stored answer comes back with the same fields, sealed anew, in another session."""
        scene = next(each for each in WHOLE["scenes"] if each["name"] == "duplicate")
        answers = [each for each in scene["steps"] if each.get("clear", "").startswith("INFO RESULT")]
        self.assertEqual([each["session"] for each in answers], [0, 1])
        first, again = ({**stranger.read_fields(each["clear"]), "sealed": each["sealed"], "s": ""} for each in answers)
        self.assertEqual(first, again)

    def test_the_cards_are_in_the_file(self) -> None:
        """The stripes that honest terminals read are those of the cards that the file lists."""
        stripes = {each["track2"] for each in WHOLE["cards"]}
        scene = next(each for each in WHOLE["scenes"] if each["name"] == "purchase-pin")
        fields = [stranger.read_fields(each.get("sealed", "")) for each in scene["steps"]]
        self.assertTrue({each["track2"] for each in fields if "track2" in each} <= stripes)
