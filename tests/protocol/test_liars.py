"""Peers that hold the right keys and still break the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.protocol.network import BACKEND, CARD, POS, TERMS, Network, Verifier, converse, lines_in, refusals_in
from trus.protocol.effects import Effect, Established, Mode, Terms
from trus.protocol.errors import ErrorCode
from trus.protocol.handshake import Expected, Initiator, Responder, run
from trus.protocol.proofs import format_chain
from trus.values import DeviceRole


class LiarTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network("liars")

    def lie(self, side: Initiator | Responder, change: Callable[[dict[str, str]], Any]) -> None:
        """Let `side` say something else under its genuine seal."""
        original = side._seal_proof

        def seal(clear: bytes, sealed: dict[str, str], signature: bytes) -> bytes:
            change(sealed)
            return original(clear, sealed, signature)

        self.patch(side, "_seal_proof", seal)

    def ends(self, effects: list[Effect], code: ErrorCode, reason: str) -> None:
        self.assertEqual([(effect.code, effect.reason) for effect in refusals_in(effects)], [(code, reason)])
        self.assertFalse([effect for effect in effects if isinstance(effect, Established)])

    def test_responder_without_chain(self) -> None:
        """A responder that shows no certificate is refused."""
        responder = self.network.responder()
        self.lie(responder, lambda sealed: sealed.pop("chain"))
        left, _ = converse(self.network.initiator(), responder)
        self.ends(left, ErrorCode.BAD_FIELD, "proof")

    def test_chain_in_a_resumption(self) -> None:
        """A resumption that brings a certificate is refused."""
        left, _ = converse(self.network.initiator(), self.network.responder())
        established = left[-1]
        assert isinstance(established, Established)
        initiator = self.network.initiator(Mode.RESUME, ticket=established.ticket)
        responder = self.network.responder()
        self.lie(responder, lambda sealed: sealed.update(chain="AAAA"))
        responder.receive(lines_in(initiator.start())[0][:-2])
        (answer,) = lines_in(responder.provide_standing(TERMS))
        self.ends(initiator.receive(answer[:-2]), ErrorCode.BAD_FIELD, "resume")

    def test_wrong_mac(self) -> None:
        """A proof whose MAC does not cover the credential is refused, on either side."""
        for liar in ("initiator", "responder"):
            initiator, responder = self.network.initiator(), self.network.responder()
            side = initiator if liar == "initiator" else responder
            self.lie(side, lambda sealed: sealed.update(chain=format_chain(CARD.chain)))
            left, right = converse(initiator, responder)
            self.ends(right if liar == "initiator" else left, ErrorCode.REFUSED, "mac")

    def test_mixed_modes(self) -> None:
        """Fields of another mode in message 3 are refused."""
        changes: tuple[Callable[[dict[str, str]], Any], ...] = (
            lambda sealed: sealed.update(csr="AAAA"),
            lambda sealed: sealed.pop("chain"),
            lambda sealed: sealed.update(code="K7QM2-XW4TR-9BNHC"),
        )
        for change in changes:
            initiator, responder = self.network.initiator(), self.network.responder()
            self.lie(initiator, change)
            _, right = converse(initiator, responder)
            self.ends(right, ErrorCode.BAD_FIELD, "proof")

    def confirm(self, change: Callable[[Responder, dict[str, str]], None]) -> list[Effect]:
        """Return what the initiator makes of a message 4 that `change` altered before it was sealed."""
        initiator, responder = self.network.initiator(), self.network.responder()
        original = responder._say_authenticated

        def say(direction: Any, sealed: dict[str, str]) -> bytes:
            altered = dict(sealed)
            change(responder, altered)
            return original(direction, altered)

        self.patch(responder, "_say_authenticated", say)
        left, _ = converse(initiator, responder)
        return left

    def test_certificate_that_nobody_asked_for(self) -> None:
        """A message 4 with a certificate outside mode enrol is refused."""
        left = self.confirm(lambda _, sealed: sealed.update(chain="AAAA"))
        self.ends(left, ErrorCode.BAD_FIELD, "chain")

    def test_another_label_under_the_right_key(self) -> None:
        """A message 4 under another label is refused although its seal opens."""

        def relabel(responder: Responder, _: dict[str, str]) -> None:
            responder.label = "A" * 16

        self.ends(self.confirm(relabel), ErrorCode.UNKNOWN_SESSION, "line")

    def test_terms_between_devices(self) -> None:
        """Between devices message 4 names neither date nor PIN policy."""
        initiator = self.network.initiator(Mode.DEVICE, CARD, Expected(DeviceRole.POS), to="POS00001")
        responder = self.network.responder(POS, DeviceRole.CARD, None, frozenset({Mode.DEVICE}), name="POS00001")
        left, _ = converse(initiator, responder, CARD, POS, Terms())
        established = left[-1]
        assert isinstance(established, Established)
        self.assertEqual(established.terms, Terms())

    def test_owner_without_terms(self) -> None:
        """The driver for owners that answer at once says the default terms when it is given none."""
        initiator, responder = self.network.initiator(), self.network.responder()
        verifier = Verifier()
        (line2,) = lines_in(run(responder, responder.receive(lines_in(initiator.start())[0][:-2]), BACKEND, verifier))
        (line3,) = lines_in(run(initiator, initiator.receive(line2[:-2]), POS, verifier))
        established = run(responder, responder.receive(line3[:-2]), BACKEND, verifier)[-1]
        assert isinstance(established, Established)
        self.assertEqual(established.terms, Terms())
