"""A lunch is paid, end to end, on real parts: processes, TLS, token, ciphered database."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import TestCase

from tests.integration.network import Network, demand
from trus.values import Result


class LunchTests(TestCase):
    """Gateway and backend in one process."""

    timeout = 120
    split = False

    def setUp(self) -> None:
        self.network = Network(self.split)
        self.addCleanup(self.network.remove)
        self.network.start()

    @inlineCallbacks
    def test_a_lunch_is_paid(self) -> Generator[Deferred[Any], Any, None]:
        """DC-1, DC-4, TR-2, TR-11: stripe and PIN at a terminal become an approval, entries and a settlement."""
        yield Deferred.fromCoroutine(self._lunch())

    async def _lunch(self) -> None:
        town = await self.network.small_town(reactor)
        home = await self.network.enrolled(reactor, town, "T0000001")
        client = self.network.terminal(reactor, home)
        terms = await client.start()
        self.assertEqual(terms.currency, "USD")
        card = town.cards[0]
        paid = await client.purchase(1250, card["track2"], card["pin"])
        self.assertEqual((paid.result, paid.code, paid.amount), (Result.APPROVED, "00", 1250))
        wrong = await client.purchase(100, card["track2"], "0000" if card["pin"] != "0000" else "1111")
        self.assertEqual((wrong.result, wrong.code, wrong.tries_left), (Result.DECLINED, "55", 2))
        poor = await client.purchase(10000, card["track2"], card["pin"])
        self.assertEqual((poor.result, poor.code), (Result.DECLINED, "51"))
        second = await client.purchase(300, card["track2"], card["pin"])
        back = await client.reverse(second.reference)
        self.assertEqual(back.result, Result.REVERSED)
        balance = await client.balance(card["track2"], card["pin"])
        self.assertEqual(balance.balance, 10000 - 1250)
        closed = await client.close_batch()
        self.assertEqual((closed.result, closed.balanced), (Result.APPROVED, True))
        explained = await demand(town.admin, "EXPLAIN", rrn=poor.rrn)
        said = explained.text + " ".join(" ".join(row.values()) for row in explained.rows)
        self.assertIn("87.50", said)
        day = await demand(town.admin, "DAY")
        settled = await demand(town.admin, "SETTLEMENT", date=terms.business_date)
        self.assertEqual([(row["shop"], row["net"]) for row in settled.rows], [("BISTRO", "12.50")], day.rows)
        await client.stop()
        await town.admin.close()
        self._no_secrets(town.cards)

    def _no_secrets(self, cards: list[dict[str, str]]) -> None:
        """Nothing that was typed or read at the terminal stands in a log, a database or a journal."""
        canaries = [card["track2"] for card in cards] + [card["track2"].partition("=")[0] for card in cards]
        canaries += ["Zoë0", "Ωmega"]
        files = [
            path for path in self.network.folder.rglob("*") if path.is_file() and "personalisation" not in path.parts
        ]
        self.assertGreater(len(files), 30)
        for path in files:
            content = path.read_bytes()
            for canary in canaries:
                self.assertNotIn(canary.encode(), content, path)

    @inlineCallbacks
    def test_what_was_approved_survives_a_kill(self) -> Generator[Deferred[Any], Any, None]:
        """Kill -9 of every process loses no approval: the same request is answered the same afterwards."""
        yield Deferred.fromCoroutine(self._killed())

    async def _killed(self) -> None:
        town = await self.network.small_town(reactor)
        home = await self.network.enrolled(reactor, town, "T0000001")
        client = self.network.terminal(reactor, home)
        await client.start()
        card = town.cards[0]
        approved = [await client.purchase(100 + number, card["track2"], card["pin"]) for number in range(10)]
        self.assertEqual({each.code for each in approved}, {"00"})
        await client.stop()
        for process in self.network.processes:
            process.kill()
        self.network.start()
        admin = await self.network.admin(reactor)
        seen = await demand(admin, "TRANSACTIONS", kind="purchase", limit="50")
        self.assertEqual({row["rrn"] for row in seen.rows}, {each.rrn for each in approved})
        await admin.close()

    def test_a_human_can_use_the_console_with_openssl(self) -> None:
        """DC-6: `openssl s_client -quiet` with the admin's certificate is enough; the gateway opens nothing."""
        root = self.network.layout.root
        said = subprocess.run(
            [
                *["openssl", "s_client", "-quiet", "-verify_quiet", "-connect", f"127.0.0.1:{self.network.admin_port}"],
                *["-cert", str(root / "admins" / "admin.pem"), "-key", str(root / "admins" / "admin.key")],
                *["-CAfile", str(root / "pki" / "admin-ca.pem"), "-servername", "admin.trus.internal"],
            ],
            input=b"whoami\nCOMMAND NONSENSE\nday\nquit\n",
            capture_output=True,
            timeout=30,
            check=False,
        )
        text = said.stdout.decode()
        self.assertIn("INFO CONSOLE", text)
        self.assertIn("INFO ERROR", text)
        self.assertEqual(text.count("INFO OK"), 2)
        self.assertIn("INFO BYE", text)


class SplitLunchTests(LunchTests):
    """DC-1: gateway and backend in two processes, from two files, linked by two-way TLS."""

    split = True
