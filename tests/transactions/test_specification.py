"""Holds docs/transactions.md and its vectors against real terminals, a real backend and a real ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from twisted.trial.unittest import SynchronousTestCase

from tests.transactions import writing
from tests.transactions.codes import CODES
from tests.transactions.hearing import Remark
from tests.transactions.writing import PAGE, SCENES, VECTORS, Played, as_markdown, page, play, scene_json
from trus.protocol.messages import Phase, Side
from trus.protocol.table import DEVICE_TABLE

#: What a device says about certificates, and what it says before it is authenticated, is shown elsewhere.
ELSEWHERE = {"AUTHENTICATE", "RENEW", "LOOKUP", "BYE", "ERROR"}


@lru_cache(maxsize=1)
def plays() -> Sequence[Played]:
    """Return every scene, played anew once a process."""
    return [play(scene) for scene in SCENES]


class SpecificationTests(SynchronousTestCase):
    """What the page says is what is said."""

    def test_the_page_is_what_is_played(self) -> None:
        """TR-19: Every transcript of docs/transactions.md is what terminals and backend say today, octet by octet."""
        before = PAGE.read_text(encoding="utf-8")
        for each in plays():
            self.assertIn(as_markdown(each), before, f"python -m tests.protocol.transcripts renews {each.scene.name}")
        self.assertEqual(page(before, plays()), before)

    def test_the_vectors_are_what_is_played(self) -> None:
        """TR-19: docs/vectors/transactions.json holds the same, with every key and every field."""
        written = VECTORS.read_text(encoding="utf-8")
        scenes = {each["name"]: each for each in json.loads(written)["scenes"]}
        for each in plays():
            self.assertEqual(scenes[each.scene.name], scene_json(each))
        self.assertEqual(writing.vectors(plays()), written)

    def test_every_transaction_is_shown(self) -> None:
        """TR-19: Every line that a device may say in a session is in some transcript, and every answer to it."""
        spoken = {
            f"{kind} {verb}"
            for side in (Side.INITIATOR, Side.RESPONDER)
            for kind, verb in DEVICE_TABLE.spoken(Phase.SEALED, side)
            if verb not in ELSEWHERE
        }
        shown = {said.words for each in plays() for said in each.said}
        self.assertEqual(spoken - shown, {"DATA CERTIFICATE", "DATA CRL"})

    def test_every_code_is_one_that_the_page_allows(self) -> None:
        """TR-11: No request is answered with a code that the page does not list for it."""
        seen = set()
        for each in plays():
            asked = {}
            for said in each.said:
                dialogue = (said.session.number, said.fields.get("id"))
                if said.words.startswith("COMMAND") and said.side == "initiator":
                    asked[dialogue] = said.words.removeprefix("COMMAND ")
                elif said.words == "INFO RESULT" and said.side == "responder" and asked[dialogue] in CODES:
                    self.assertIn(said.fields["code"], CODES[asked[dialogue]], (each.scene.name, asked[dialogue]))
                    seen.add(asked[dialogue])
        self.assertEqual(seen, set(CODES))

    def test_what_is_refused_says_why(self) -> None:
        """Every scene of bad input explains each of its lines, and none of those that are refused is approved."""
        for each in plays():
            if each.scene.name.startswith("bad-"):
                self.assertTrue([entry for entry in each.entries if isinstance(entry, Remark)])
                self.assertTrue([said for said in each.said if said.fields.get("code", "00") != "00"])
