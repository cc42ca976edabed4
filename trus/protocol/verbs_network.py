"""Lists the lines of a session beside payments: keeping in touch, signing on and off, the day, errors, the end.

Decides nothing (trus.protocol.verbs).
"""

from __future__ import annotations

from typing import Final

from trus.protocol import fields as f
from trus.protocol.spec import Cover, FieldSpec, Kind, Need, Side, VerbSpec
from trus.protocol.verbs_parts import ANYBODY, BOTH, INITIATOR, RESPONDER, may

NETWORK: Final = (
    VerbSpec(
        Kind.COMMAND,
        "ECHO",
        BOTH,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (),
        "Are you there?",
    ),
    VerbSpec(Kind.INFO, "ECHO", BOTH, None, Cover.SEALED, Need.MUST, Need.MUST, (), (), "I am here."),
    VerbSpec(
        Kind.COMMAND,
        "SIGN-ON",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (),
        "The terminal will send requests (again): may it, and what holds?",
    ),
    VerbSpec(
        Kind.INFO,
        "SIGNED-ON",
        RESPONDER,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (
            FieldSpec("date", f.DATE, "the open business date"),
            may("currency", f.CURRENCY, "the terminal's currency"),
            may("pin", f.WORD, "always or policy, as in INFO AUTHENTICATED"),
        ),
        "It may; this holds.",
    ),
    VerbSpec(
        Kind.COMMAND,
        "SIGN-OFF",
        INITIATOR,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (),
        "The terminal sends no requests from now on, until SIGN-ON.",
    ),
    VerbSpec(
        Kind.INFO,
        "SIGNED-OFF",
        RESPONDER,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.MUST,
        (),
        (),
        "From now on only reversals, ECHO and SIGN-ON are taken.",
    ),
    VerbSpec(
        Kind.INFO,
        "DAY",
        RESPONDER,
        None,
        Cover.SEALED,
        Need.MUST,
        Need.NEVER,
        (),
        (FieldSpec("date", f.DATE, "the business date that is open from now on"),),
        "A new business date is open.",
    ),
    VerbSpec(
        Kind.INFO,
        "NOTICE",
        (Side.GATEWAY,),
        Cover.CLEAR,
        Cover.CLEAR,
        Need.MAY,
        Need.NEVER,
        (
            FieldSpec("code", f.WORD, "backend-lost, unreachable, unknown-session, slow-down, going-down"),
            may("text", f.TEXT, "a line for a person"),
        ),
        (),
        "A word from the gateway; it changes no transaction.",
    ),
    VerbSpec(
        Kind.INFO,
        "ERROR",
        ANYBODY,
        Cover.CLEAR,
        Cover.SEALED,
        Need.MAY,
        Need.MAY,
        (FieldSpec("code", f.WORD, "what was wrong, see Error codes"),),
        (),
        "The line that this answers was not accepted; a dialogue that it names is over.",
    ),
    VerbSpec(
        Kind.INFO,
        "BYE",
        ANYBODY,
        Cover.CLEAR,
        Cover.SEALED,
        Need.MAY,
        Need.NEVER,
        (may("reason", f.WORD, "done, idle, restart, replaced, standing"),),
        (),
        "The session (or, without s, the connection) is over; nothing follows.",
    ),
)
