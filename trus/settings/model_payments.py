"""Names the settings of payments: what holds for every company of the network, beside their own policies.

Reads no file. Part of trus.settings.model, which is long enough without it.
"""
# ruff: noqa: RUF009 - setting() and section() are attrs.field()

from __future__ import annotations

import attrs

from trus.settings import kinds
from trus.settings.sections import Section, setting
from trus.settings.values import Duration

_FLOOR_LIMIT = "Most that a terminal may sell off-line at once, in minor units; a company's policy may say less."
_HOLD = "A pre-authorization that nobody has completed by then expires."
_GRACE = "Business dates for which credit that had ended can be spent once a refund has brought it back."
_PROOFS = "Proofs of its answers (COMMAND PROVE) that a terminal may ask for in a minute; further ones are answered 91."


@attrs.frozen(kw_only=True)
class PaymentSettings(Section):
    """What the network allows every company; what a company allows its cards is its policy (POLICY-SET)."""

    floor_limit: int = setting(kinds.whole(0, 999_999_999_999, "minor units"), _FLOOR_LIMIT, 5_000, spell=True)
    hold: Duration = setting(kinds.duration("1s", "90d"), _HOLD, Duration(7 * 86_400), spell=True)
    proofs_a_minute: int = setting(kinds.whole(1, 1_000_000), _PROOFS, 60)
    grace_days: int = setting(kinds.whole(0, 366), _GRACE, 7, spell=True)
