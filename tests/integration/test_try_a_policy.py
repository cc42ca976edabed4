"""docs/how-to/try-a-policy.md, typed as it stands, beside a running network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from typing import Any, Final

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.integration.network import PROJECT, Network

PAGE: Final = (PROJECT / "docs" / "how-to" / "try-a-policy.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    """Return the page's blocks of a kind, in order."""
    found = re.findall(r"^```([a-z]*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [text for named, text in found if named == kind]


class PageTests(TestCase):
    """Three lunches, of which one is dear."""

    timeout = 300

    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self.network.remove)
        self.network.start()

    @inlineCallbacks
    def test_as_it_stands(self) -> Generator[Deferred[Any], Any, None]:
        """The page's commands say what a stricter policy would have declined, and change nothing."""
        yield Deferred.fromCoroutine(self._type_it())

    async def _type_it(self) -> None:
        town = await self.network.small_town(reactor)
        home = await self.network.enrolled(reactor, town, "T0000001")
        client = self.network.terminal(reactor, home)
        await client.start()
        cards = town.cards
        for amount, card in ((1250, cards[0]), (900, cards[0]), (800, cards[1])):
            paid = await client.purchase(amount, card["track2"], card["pin"])
            self.assertEqual(paid.code, "00")
        await client.stop()
        await town.admin.close()
        changed, waits, each = blocks("sh")
        text = await deferToThread(self._typed, changed)
        [shown] = blocks("text")
        said = re.escape(shown.strip()).replace("2026\\-11\\-01", r"[0-9-]{10}")
        self.assertRegex(text, said)
        self.assertRegex(text, r"00\s.*61\s.*single-amount\s.*1\s.*12\.50")
        text = await deferToThread(self._typed, waits)
        self.assertEqual(text.count("1 would have been answered otherwise"), 2)
        self.assertIn("under the one from 2099-01-01 on", text)
        text = await deferToThread(self._typed, each)
        sentence = "12.50 USD was asked, and the company pays at most 10.00 USD at once."
        self.assertEqual(text.count(sentence), 2)
        [told] = json.loads(text[text.index("\n[\n") :])
        self.assertEqual((told["decided"], told["changed"], told["items"][0]["was_authorized"]), (3, 1, 1250))
        for card in cards:
            self.assertNotIn(card["track2"].partition("=")[0][-8:], text)

    def _typed(self, script: str) -> str:
        environment = {**os.environ, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}", "COLUMNS": "120"}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.network.layout.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        self.assertEqual(done.returncode, 0, script + done.stderr)
        return done.stdout
