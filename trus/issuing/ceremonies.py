"""Puts transcripts of key ceremonies on record: an event each in the audit chain, with both officers' names.

Reads no file and judges no signature: whoever calls hands over transcripts that were verified. One
that is on record already is passed over, so that the whole folder can be given every time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trus.clock import Clock
from trus.issuing.desk import ORDER_KIND
from trus.issuing.identities import PKI
from trus.ledger.registry import Registry
from trus.pki.transcript import Told

#: The rule under which a ceremony is on record.
CEREMONY: Final = "CEREMONY"


def new_ceremonies(registry: Registry, found: Mapping[str, str]) -> list[str]:
    """Return the names of those transcripts (name: SHA-256, hex) that are not on record yet, sorted."""
    with registry.reading() as view:
        known = view.approvals.ceremonies()
    return sorted(name for name, digest in found.items() if bytes.fromhex(digest) not in known)


def record_ceremony(registry: Registry, clock: Clock, name: str, told: Told, signer: str) -> None:
    """Put a verified transcript on record: `name` is its file's, `signer` the subject that signed it."""
    figures: dict[str, int | str] = {
        "ceremony": told.ceremony,
        "officers": ", ".join(told.officers),
        "begun": told.begun,
        "signer": signer,
        "transcript": name,
        "sha256": told.digest,
    }
    with registry.changing(clock.now()) as change:
        change.approvals.add_ceremony(bytes.fromhex(told.digest), name[:64], change.at)
        change.post(kind=ORDER_KIND, actor=PKI, rule=CEREMONY, figures=figures)
