"""Makes a sealed session between two holders of individual certificates (SIGMA-I).

Opens no sockets, reads no clock of its own, signs and verifies nothing by itself: each call
returns effects (trus.protocol.effects) for the owner to carry out, in order. This module is
the front of trus.protocol.initiator and trus.protocol.responder, with a driver for owners
whose keys answer at once.
Specification: docs/protocol.md, "The handshake".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from trus.errors import IdentityRefused
from trus.protocol.effects import (
    Effect,
    Mode,
    NeedSignature,
    NeedVerification,
    PeerVerifier,
    Signer,
    Terms,
)
from trus.protocol.errors import ErrorCode
from trus.protocol.initiator import EnrolmentRequest, Expected, Initiator
from trus.protocol.proofs import Waiting
from trus.protocol.responder import Responder

__all__ = [
    "ANSWER_TIMEOUT_SECONDS",
    "HANDSHAKE_TIMEOUT_SECONDS",
    "PIN_TIMEOUT_SECONDS",
    "REPEAT_AFTER_SECONDS",
    "EnrolmentRequest",
    "Expected",
    "Initiator",
    "Mode",
    "Responder",
    "Terms",
    "Waiting",
    "run",
]

#: From message 1 to message 4; the backend's token may be busy.
HANDSHAKE_TIMEOUT_SECONDS: Final = 20
#: From a request to its repetition with the same identity.
REPEAT_AFTER_SECONDS: Final = 8
#: From a request to its final answer; past it the device takes the request back.
ANSWER_TIMEOUT_SECONDS: Final = 30
#: From COMMAND PRESENT-PIN to DATA PIN-BLOCK; past it the responder ends the dialogue.
PIN_TIMEOUT_SECONDS: Final = 60


def run(
    handshake: Initiator | Responder,
    effects: Iterable[Effect],
    signer: Signer,
    verifier: PeerVerifier,
    terms: Terms | None = None,
) -> list[Effect]:
    """Answer every NeedSignature and NeedVerification at once; return the other effects in order.

    `terms` is what a responder tells the peer. A verifier that raises IdentityRefused ends
    the handshake with the code refused.
    """
    waiting = deque(effects)
    left: list[Effect] = []
    while waiting:
        effect = waiting.popleft()
        if isinstance(effect, NeedSignature):
            waiting.extend(handshake.provide_signature(signer.sign(effect.payload)))
        elif isinstance(effect, NeedVerification):
            waiting.extend(_verify(handshake, effect, verifier, terms or Terms()))
        else:
            left.append(effect)
    return left


def _verify(
    handshake: Initiator | Responder, effect: NeedVerification, verifier: PeerVerifier, terms: Terms
) -> list[Effect]:
    try:
        peer = verifier.verify(effect.chain, effect.staple, effect.role)
    except IdentityRefused as refusal:
        return handshake.refuse(ErrorCode.REFUSED, refusal.reason)
    if isinstance(handshake, Initiator):
        return handshake.provide_verification(peer)
    return handshake.provide_verification(peer, terms)
