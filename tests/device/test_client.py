"""A terminal over real TLS and a real sealed session, against a scripted backend."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from twisted.internet.defer import Deferred

from tests.device.acting import PIN, TRACK2
from tests.device.network import QUICK, NetworkCase, pause
from trus.cards.errors import CardDataRefused
from trus.cards.numbers import CardNumber
from trus.cards.pin import open_pin
from trus.core import messages as core
from trus.core.messages import Answer, Outcome, Request
from trus.device.client import Stopped, TerminalClient, Unreachable
from trus.device.journal import JournalFailed, MemoryJournal, Totals
from trus.protocol import session
from trus.protocol.session import SealedSession
from trus.protocol.tickets import TicketKeys
from trus.values import DeviceRole, Result


def clear_pin(material: core.PinMaterial) -> str:
    """Open a PIN block as the core does."""
    cipher = Cipher(algorithms.AES(material.key), modes.ECB())

    def decrypt(block: bytes) -> bytes:
        decryptor = cipher.decryptor()
        return decryptor.update(block) + decryptor.finalize()

    return open_pin(material.block, CardNumber(TRACK2.partition("=")[0]), decrypt).digits


class Paying(NetworkCase):
    async def test_approved(self) -> None:
        """TR-2, TR-16, TR-19: stripe and PIN reach the backend sealed, and yes comes back."""
        client = self.client(await self.enrolled())
        terms = await client.start()
        self.assertEqual((terms.currency, terms.business_date), ("USD", "2026-11-20"))
        answer = await client.purchase(1250, TRACK2, PIN)
        self.assertTrue(answer.approved)
        [request] = self.network.requests
        assert isinstance(request, core.Purchase) and request.pin is not None
        self.assertEqual((request.amount, request.track2.text, request.peer.name), (1250, TRACK2, "T0000001"))
        self.assertEqual(clear_pin(request.pin), PIN)
        for line in self.network.heard:
            self.assertNotIn(TRACK2.encode(), line)

    async def test_before_the_first_connection(self) -> None:
        """An off-line sale can be told of before the first connection, when the cashier names the currency."""
        client = self.client(await self.enrolled())
        told = Deferred.fromCoroutine(client.advise(1250, TRACK2, currency="USD"))
        await client.start()
        self.assertTrue((await told).approved)
        self.assertEqual([type(each) for each in self.network.requests], [core.Advise])

    async def test_asks_for_the_pin(self) -> None:
        """When the backend wants a PIN, the cardholder is asked for it."""
        asked: list[int | None] = []

        async def ask(tries: int | None) -> str | None:
            asked.append(tries)
            return PIN

        def decide(request: Request) -> Answer:
            assert isinstance(request, core.Purchase)
            return core.PinWanted() if request.pin is None else Outcome("approved", "00", "A1B2C3")

        self.network.decide = decide
        client = self.client(await self.enrolled(), ask_pin=ask)
        await client.start()
        self.assertTrue((await client.purchase(1250, TRACK2)).approved)
        self.assertEqual(asked, [None])

    async def test_no_pinpad(self) -> None:
        """Without anybody to ask, or with an answer that is no PIN, the purchase is cancelled."""
        self.network.decide = lambda request: (
            Outcome("reversed", "00") if isinstance(request, core.Reverse) else core.PinWanted()
        )

        async def nonsense(tries: int | None) -> str | None:
            return "no digits"

        for ask in (None, nonsense):
            client = self.client(await self.enrolled(f"T000000{2 if ask else 3}"), ask_pin=ask)
            await client.start()
            answer = await client.purchase(1250, TRACK2)
            self.assertEqual((answer.approved, answer.text), (False, "CANCELLED"))
            await client.settled()

    async def test_pipelined(self) -> None:
        """Many purchases go over one connection at once, each with its own answer."""
        self.network.decide = lambda request: (
            Outcome("approved", "00")
            if isinstance(request, core.Purchase) and request.amount % 2
            else Outcome("declined", "51")
        )
        client = self.client(await self.enrolled())
        await client.start()
        waiting = [Deferred.fromCoroutine(client.purchase(amount, TRACK2, PIN)) for amount in range(1, 201)]
        answers = [await each for each in waiting]
        self.assertEqual([answer.approved for answer in answers], [bool(n % 2) for n in range(1, 201)])
        self.assertEqual(client.sessions, 1)

    async def test_others(self) -> None:
        """Balance, reversal and closing of the batch work over the same session."""
        journal = MemoryJournal()
        client = self.client(await self.enrolled(), journal=journal)
        await client.start()
        bought = await client.purchase(1250, TRACK2, PIN)
        self.network.decide = lambda _: Outcome("approved", "00", balance=8750, currency="USD")
        self.assertEqual((await client.balance(TRACK2, PIN)).balance, 8750)
        self.network.decide = lambda _: Outcome("reversed", "00", amount=1250, currency="USD")
        assert bought.reference is not None
        self.assertEqual((await client.reverse(bought.reference)).result, Result.REVERSED)
        self.assertEqual(journal.memory.totals, Totals(1, 1250, 1, 1250))
        self.network.decide = lambda _: Outcome("approved", "00", details={"balanced": "yes"})
        self.assertTrue((await client.close_batch()).balanced)
        close = self.network.requests[-1]
        assert isinstance(close, core.CloseBatch)
        self.assertEqual((close.purchase_count, close.reversal_amount), (1, 1250))

    async def test_nonsense(self) -> None:
        """What is no stripe or no PIN is refused before anything is written or said."""
        client = self.client(await self.enrolled())
        await client.start()
        for track2, pin in (("4711", PIN), (TRACK2, "12"), (TRACK2 + "x", None)):
            with self.assertRaises(CardDataRefused):
                await client.purchase(1250, track2, pin)
        self.assertEqual(client.unfinished, 0)


class Losing(NetworkCase):
    async def test_answer_lost(self) -> None:
        """When an answer is lost with its connection, the same request gets it over the next one."""
        client = self.client(await self.enrolled())
        await client.start()
        seen: dict[bytes, Outcome] = {}

        def decide(request: Request) -> Answer:
            assert isinstance(request, core.Purchase)
            first = request.rid not in seen
            outcome = seen.setdefault(request.rid, Outcome("approved", "00", "A1B2C3"))
            self.network.mute = 1 if first else 0
            return outcome

        self.network.decide = decide
        answer = await client.purchase(1250, TRACK2, PIN)
        self.assertTrue(answer.approved)
        self.assertEqual((answer.attempts, client.sessions, len(seen)), (2, 2, 1))
        first, second = self.network.requests
        assert isinstance(first, core.Purchase) and isinstance(second, core.Purchase)
        self.assertEqual((first.identity, first.repeat, second.repeat), (second.identity, False, True))
        assert first.pin is not None and second.pin is not None
        self.assertNotEqual(first.pin.key, second.pin.key)
        self.assertEqual(clear_pin(second.pin), PIN)

    async def test_resumes(self) -> None:
        """After a lost connection the session is resumed by ticket, without certificates."""
        client = self.client(await self.enrolled())
        await client.start()
        self.network.heard.clear()
        self.network.doors[0].abort()
        while client.sessions < 2 or not client.connected:
            await pause(0.02)
        self.assertIn(b"mode=resume", self.network.heard[0])

    async def test_ticket_forgotten(self) -> None:
        """A backend that has forgotten its tickets is authenticated in full again."""
        client = self.client(await self.enrolled())
        await client.start()
        self.network.tickets = TicketKeys(self.network.clock, self.network.entropy)
        self.network.heard.clear()
        self.network.doors[0].abort()
        while client.sessions < 2 or not client.connected:
            await pause(0.02)
        opening = [line for line in self.network.heard if line.startswith(b"COMMAND AUTHENTICATE")]
        self.assertEqual([b"mode=full" in line for line in opening], [False, True])

    async def test_gateway_away(self) -> None:
        """A terminal outlives its gateway: it reconnects and goes on."""
        client = self.client(await self.enrolled())
        await client.start()
        await self.network.close()
        waiting = Deferred.fromCoroutine(client.purchase(1250, TRACK2, PIN))
        await pause(0.5)
        await self.network.open()
        self.assertTrue((await waiting).approved)

    async def test_silence(self) -> None:
        """A backend that never answers: declined, and taken back until acknowledged."""
        client = self.client(await self.enrolled(), timing=QUICK)
        await client.start()
        silent = [True]

        def decide(request: Request) -> Answer | None:
            if silent[0]:
                return None
            return Outcome("reversed", "00") if isinstance(request, core.Reverse) else Outcome("approved", "00")

        self.network.decide = decide
        answer = await client.purchase(1250, TRACK2, PIN)
        self.assertEqual((answer.result, answer.code, answer.reversing), (Result.DECLINED, "", True))
        self.assertGreater(answer.attempts, 1)
        silent[0] = False
        await client.settled()
        reversals = [request for request in self.network.requests if isinstance(request, core.Reverse)]
        purchases = [request for request in self.network.requests if isinstance(request, core.Purchase)]
        self.assertEqual(len({request.identity for request in reversals}), 1)
        self.assertEqual({request.original for request in reversals}, {request.identity for request in purchases})

    async def test_unreachable(self) -> None:
        """When nobody listens, starting says so at once and tries on in the background."""
        home = await self.enrolled()
        await self.network.close()
        client = self.client(home)
        with self.assertRaises(Unreachable):
            await client.start()
        await self.network.open()
        while not client.connected:
            await pause(0.02)

    async def test_revoked(self) -> None:
        """A terminal whose certificate is revoked gets no session, and says why."""
        home = await self.enrolled()
        holder = self.network.identities.verify(home.identity().chain, DeviceRole.POS)
        self.network.identities.revoke(holder.serial, "stolen")
        with self.assertRaisesRegex(Unreachable, "refused"):
            await self.client(home).start()

    async def test_stopped(self) -> None:
        """Stopping tells whoever waits, and leaves nothing behind in the reactor."""
        self.network.decide = lambda _: None
        client = self.client(await self.enrolled())
        await client.start()
        waiting = Deferred.fromCoroutine(client.purchase(1250, TRACK2, PIN))
        await pause(0.1)
        await client.stop()
        with self.assertRaises(Stopped):
            await waiting

    async def test_disk_full(self) -> None:
        """A terminal whose journal fails asks nothing, says why and hangs up."""

        class Full(MemoryJournal):
            def sync(self) -> None:
                if self.memory.unfinished:
                    raise JournalFailed("No space left on device")

        client = self.client(await self.enrolled(), journal=Full())
        await client.start()
        with self.assertRaises(JournalFailed):
            await client.purchase(1250, TRACK2, PIN)
        self.assertEqual(self.network.requests, [])

    async def test_rekeyed(self) -> None:
        """Old keys are replaced in place, and the same session goes on paying."""
        client = self.client(await self.enrolled())
        await client.start()
        self.patch(session, "MAX_RECORDS", 8)
        for amount in range(1, 11):
            self.assertTrue((await client.purchase(amount, TRACK2, PIN)).approved)
        rekeyed = [line for line in self.network.heard if line.startswith(b"INFO REKEYED")]
        self.assertGreater(len(rekeyed), 0)
        self.assertEqual(client.sessions, 1)


class Interrupted(NetworkCase):
    """What is said to a terminal between requests."""

    async def again(self, client: TerminalClient) -> None:
        """Wait for a second session, and pay in it."""
        while client.sessions < 2 or not client.connected:
            await pause(0.02)
        self.assertTrue((await client.purchase(1250, TRACK2, PIN)).approved)

    async def test_backend_lost(self) -> None:
        """When the gateway says that the backend is lost, the terminal makes a new session."""
        client = self.client(await self.enrolled())
        await client.start()
        self.network.doors[0].send(b"INFO NOTICE code=backend-lost")
        await self.again(client)

    async def test_slow_down(self) -> None:
        """A gateway's word that ends nothing changes nothing."""
        client = self.client(await self.enrolled())
        await client.start()
        self.network.doors[0].send(b"INFO NOTICE code=slow-down")
        self.assertTrue((await client.purchase(1250, TRACK2, PIN)).approved)
        self.assertEqual(client.sessions, 1)

    async def test_bye(self) -> None:
        """A backend that says good bye is left, and asked again over a new session."""
        client = self.client(await self.enrolled())
        await client.start()
        self.network.doors[0].bye()
        await self.again(client)

    async def test_forged_line(self) -> None:
        """TR-16: an unsealed approval is no approval: the session ends and nothing is believed."""
        self.network.decide = lambda _: None
        client = self.client(await self.enrolled())
        await client.start()
        waiting = Deferred.fromCoroutine(client.purchase(1250, TRACK2, PIN))
        await pause(0.1)
        self.network.decide = lambda _: Outcome("declined", "51")
        self.network.doors[0].send(b"INFO RESULT s=AAAAAAAAAAAAAAAA id=c1 result=approved code=00")
        answer = await waiting
        self.assertEqual((answer.approved, answer.code, client.sessions), (False, "51", 2))

    async def test_not_a_gateway(self) -> None:
        """A peer that says something else than the protocol is left, with the reason."""
        home = await self.enrolled()
        nonsense = ((b"hello there", "malformed"), (b"INFO BYE reason=idle", "gateway"), (b"x" * 5000, "too-long"))
        for greeting, why in nonsense:
            self.network.greeting = greeting
            client = self.client(home)
            with self.assertRaisesRegex(Unreachable, why):
                await client.start()
            await client.stop()

    async def test_session_gone_meanwhile(self) -> None:
        """A session whose keys are gone when something is to be said is replaced by another."""
        client = self.client(await self.enrolled())
        await client.start()
        session_of(client).end("test")
        self.assertTrue((await client.purchase(1250, TRACK2, PIN)).approved)
        self.assertEqual(client.sessions, 2)

    async def test_started_twice(self) -> None:
        """Starting again waits for the same session; stopping while dialling leaves nothing behind."""
        client = self.client(await self.enrolled())
        first, second = client.start(), client.start()
        self.assertEqual(await first, await second)
        self.assertEqual(await client.start(), client.terms)
        self.assertEqual(client.sessions, 1)
        other = self.client(await self.enrolled("T0000002"))
        dialling = other.start()
        await other.stop()
        with self.assertRaises(Stopped):
            await dialling

    async def test_pinpad_fails(self) -> None:
        """A pinpad that breaks cancels the purchase, and its fault is logged."""
        self.network.decide = lambda request: (
            Outcome("reversed", "00") if isinstance(request, core.Reverse) else core.PinWanted()
        )

        async def broken(tries: int | None) -> str | None:
            raise ZeroDivisionError

        client = self.client(await self.enrolled(), ask_pin=broken)
        await client.start()
        self.assertEqual((await client.purchase(1250, TRACK2)).text, "CANCELLED")
        await client.settled()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_pin_after_the_journal_failed(self) -> None:
        """A cardholder who gives up after the disk refused a record is nobody's business: no failure comes of it."""
        self.network.decide = lambda request: core.PinWanted()
        typed: Deferred[str | None] = Deferred()

        async def ask(tries: int | None) -> str | None:
            return await typed

        home = await self.enrolled()
        journal = home.journal()
        client = self.client(home, ask_pin=ask, journal=journal)
        await client.start()
        waiting = Deferred.fromCoroutine(client.purchase(1250, TRACK2))
        while not self.network.requests:
            await pause(0.02)
        await pause(0.2)

        def refuse(file: int) -> None:
            raise OSError(5, "Input/output error")

        journal._fsync = refuse
        second = Deferred.fromCoroutine(client.purchase(100, TRACK2, "1234"))
        for each in (waiting, second):
            with self.assertRaises(JournalFailed):
                await each
        typed.callback(None)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_signs(self) -> None:
        """A program signs its terminal off and on, and has its keys changed, on one session."""
        client = self.client(await self.enrolled())
        await client.start()
        await client.sign(on=False)
        waiting = Deferred.fromCoroutine(client.purchase(1250, TRACK2, PIN))
        await client.sign(on=True)
        self.assertEqual((await waiting).code, "00")
        client.change_keys()
        self.assertEqual((await client.purchase(1250, TRACK2, PIN)).code, "00")
        self.assertEqual(client.sessions, 1)
        while not any(line.startswith(b"INFO REKEYED") for line in self.network.heard):
            await pause(0.02)
        await client.stop()
        with self.assertRaises(Unreachable):
            await client.sign(on=True)

    async def test_refund(self) -> None:
        """A refund goes by the purchase's reference; a reference that is none is refused before."""
        self.network.decide = lambda _: Outcome("declined", "40")
        client = self.client(await self.enrolled())
        await client.start()
        self.assertEqual((await client.refund(100, "632500000042")).code, "40")
        with self.assertRaises(CardDataRefused):
            await client.refund(100, "63250000004")


def session_of(client: TerminalClient) -> SealedSession:
    """Return the session that a client has open."""
    assert client._connection is not None and client._connection.conversation is not None
    found = client._connection.conversation.session
    assert found is not None
    return found
