"""Turns the rule and figures that settled a request into a sentence for support.

Knows no card and no person: the sentence says what was looked at and no more. Figures that were
erased read as "?", and a rule of a later version is shown as it was stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trus.money import AmountError, format_amount

#: Figures in minor units of the figure "currency".
AMOUNTS: Final = frozenset(
    {
        "asked",
        "authorized",
        "balance",
        "completion_amount",
        "given_back",
        "held",
        "left",
        "limit",
        "paid",
        "pin_above",
        "purchase_amount",
        "refund_amount",
        "refunded",
        "reversal_amount",
        "shortfall",
        "spent",
        "terminal_completion_amount",
        "terminal_purchase_amount",
        "terminal_refund_amount",
        "terminal_reversal_amount",
        "terminal_void_amount",
        "void_amount",
    }
)

#: What a batch is counted by, in the figures of a closing.
_COUNTED: Final = ("purchase", "reversal", "refund", "void", "completion")


def _totals(whose: str) -> str:
    return ", ".join(f"{{{whose}{kind}s}} {kind}s of {{{whose}{kind}_amount}}" for kind in _COUNTED)


#: A sentence for each rule of trus.auth.rules, and for what the pipeline records beside them.
SENTENCES: Final[Mapping[str, str]] = {
    "approved": "Nothing stood against it.",
    "partial": (
        "{asked} was asked with partial approval allowed, and {authorized} was approved; limited by {limited_by}."
    ),
    "terminal-unknown": "The terminal is not registered.",
    "terminal-not-active": "The terminal is {state}.",
    "shop-not-active": "The shop is {state}.",
    "currency-of-terminal": "The request was in {currency}, and the shop takes {shop_currency}.",
    "amount": "{asked} is not an amount that can be paid.",
    "track-unreadable": "What the terminal sent is not a track 2.",
    "card-not-genuine": (
        "The stripe is not genuine (card known: {known}): no such card, or its verification value is wrong."
    ),
    "card-lost": "The card was reported lost.",
    "card-stolen": "The card was reported stolen.",
    "card-suspected": "The card is under suspicion of fraud.",
    "card-not-active": "The card is {state}.",
    "card-expired": "The card was valid through {expiry} and it was {month} (year and month).",
    "card-replaced": (
        "The stripe says valid through {track_expiry}, and the card of this number is now valid through {expiry}."
    ),
    "service-code": "The service code {service_code} is not for goods and services.",
    "employee-not-active": "The cardholder is {state}.",
    "company-not-active": "The company is {state}.",
    "pin-locked": "No PIN try is left of {tries_allowed}: the PIN must be set again.",
    "pin-wanted": "The company's policy needs a PIN, and none came.",
    "pin-unusable": "The PIN block did not open; no try was taken.",
    "pin-wrong": "The PIN was wrong; tries left: {tries_left}.",
    "currency-of-purse": "The purchase was in {currency}, and the purse holds {purse_currency}.",
    "no-policy": "The company has no policy in force.",
    "category": "The shop's category {mcc} is not one that the company pays for.",
    "week-day": "It was day {week_day} of the week (Monday is 1), and the company pays on {allowed}.",
    "hours": "It was {time} where the company is, and it pays from {opens} to {closes}.",
    "daily-count": "{count} purchases were made on {day}, and the company pays for {count_limit} a day.",
    "holiday": "{date} is one of the company's holidays, on which it pays for nothing.",
    "weekly-count": "{count} purchases were made in the week {week}, and the company pays for {count_limit} a week.",
    "monthly-count": "{count} purchases were made in {month}, and the company pays for {count_limit} a month.",
    "shop-daily-count": (
        "{count} purchases were made at {shop} on {day}, and the company pays for {count_limit} a day there."
    ),
    "weekly-amount": (
        "{asked} was asked; {spent} was spent in the week {week} of the {limit} that the company pays a week."
    ),
    "monthly-amount": "{asked} was asked; {spent} was spent in {month} of the {limit} that the company pays a month.",
    "shop-daily-amount": (
        "{asked} was asked; {spent} was spent at {shop} on {day} of the {limit} that the company pays a day there."
    ),
    "velocity": "The card made {count} requests within {minutes} minutes, and the company allows {count_limit}.",
    "too-far": (
        "{minutes} minutes before, the card paid at {shop_before}, {distance_km} km away; the company believes in"
        " {speed} km/h."
    ),
    "stripe-read": (
        "The stripe came as reading {read} of the terminal, {reading}: its highest is {highest}; nothing was read then."
    ),
    "purse-category": "The shop's category {mcc} is not one that any of the company's purses pays.",
    "purses": "{asked} was asked, and the purses that pay for this kind of shop held {purses}.",
    "single-amount": "{asked} was asked, and the company pays at most {limit} at once.",
    "daily-amount": "{asked} was asked; {spent} was spent on {day} of the {limit} that the company pays a day.",
    "funds": "{asked} was asked, and the purse held {balance}.",
    "business-date": "The request was new and of {date}, when the open business date was {open}.",
    "taken-back": "The terminal took it back ({reason}); {given_back} was given back.",
    "purchase-unknown": (
        "No purchase of this shop has the reference {purchase}, or what the terminal said of it is wrong."
    ),
    "purchase-taken-back": "The purchase {purchase} was taken back or cancelled, so that nothing of it is left.",
    "currency-of-purchase": "The request was in {currency}, and the purchase {purchase} in {purchase_currency}.",
    "refund-too-large": (
        "{asked} was asked back of the purchase {purchase}; it paid {paid}, of which {refunded} was refunded before,"
        " so that {left} is left."
    ),
    "purchase-refunded": "The purchase {purchase} was refunded whole ({refunded}), so that nothing is left to cancel.",
    "batch-closed": "The batch of the purchase {purchase} was closed: its money can be refunded.",
    "voided": "The purchase {purchase} was cancelled in its batch ({reason}); {given_back} was given back.",
    "hold-unknown": (
        "No pre-authorization of this shop has the reference {purchase}, or what the terminal said of it is wrong."
    ),
    "hold-ended": "The pre-authorization {purchase} was over ({ended}).",
    "over-hold": "{asked} was asked of the pre-authorization {purchase}, which had set {held} aside.",
    "completed": "{asked} of the {held} that {purchase} had set aside was paid; the rest is free again.",
    "released": "The shop gave up the {held} that {purchase} had set aside.",
    "expired": "Nobody asked in time for the {held} that {purchase} had set aside: it is free again.",
    "pin-changed": "The cardholder proved the PIN and replaced it.",
    "new-pin-simple": "The PIN that the cardholder wanted is among the first that a thief tries, or the one before.",
    "new-pin-unusable": "The block of the new PIN did not open; no try was taken.",
    "terminal-slowed": (
        "The terminal had sent {wrong_values} wrong verification values and wrong PINs of {wrong_cards} cards:"
        " nothing was checked, and nothing would be for {wait} seconds more."
    ),
    "terminal-swept": (
        "The network blocked the terminal {terminal} after {wrong_values} wrong verification values and wrong PINs of"
        " {wrong_cards} cards; an admin lifts that with TERMINAL-UNBLOCK."
    ),
    "range-swept": (
        "{wrong_values} wrong verification values, or numbers of no card, came for one range of card numbers, from"
        " whatever terminals: its cards pay nothing without PIN for a while."
    ),
    "stripe-unopened": (
        "The advice's stripe was sealed for another request, or to a key that is not held any more; nothing was posted."
    ),
    "over-floor": "{asked} was sold off-line, and a terminal may sell {limit} at once without asking.",
    "advised": ("{asked} was sold off-line; the purse held {balance}, and {shortfall} of it is the issuer's risk."),
    "refunded": "{asked} of the purchase {purchase} over {paid} went back to the purse; {left} of it is left.",
    "refund-taken-back": "The terminal took the refund back ({reason}); {given_back} was taken from the purse again.",
    "never-came": "The terminal took back a request that had not come ({reason}); if it comes, it gets 68.",
    "batch-balanced": f"The terminal's totals agree: {_totals('')}.",
    "batch-differs": f"The terminal counted {_totals('terminal_')}; the ledger holds {_totals('')}. It is open still.",
    "batch-reconciled": f"All {{items}} items agree: {_totals('')}.",
    "batch-items-differ": (
        f"Of {{items}} items and those of the ledger {{differences}} differ; the ledger holds {_totals('')}."
    ),
}


#: Figures of several purses: "SNACK:250,MAIN:1000", minor units.
PAID_FROM: Final = "paid_from"
_PURSES: Final = frozenset({PAID_FROM, "purses"})
#: A reading out of its order that the policy only has noted.
_NOTED: Final = " Its stripe came as reading {read}, {reading}: the terminal's highest is {highest}."
_PAID: Final = " Paid from: {paid_from}."


def _show_purses(value: str, currency: str) -> str:
    parts = []
    for each in value.split(",") if value else ():
        name, _, amount = each.partition(":")
        parts.append(f"{name} {_show('asked', int(amount), currency)}" if amount.isdecimal() else each)
    return ", ".join(parts) or "nothing"


class _Shown(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def explain(rule: str, figures: Mapping[str, int | str]) -> str:
    """Return one sentence for a stored rule and its figures, amounts with their currency."""
    sentence = SENTENCES.get(rule)
    if sentence is None:
        shown = ", ".join(f"{name} {value}" for name, value in figures.items())
        return f"Rule {rule}: {shown}." if shown else f"Rule {rule}."
    currency = str(figures.get("currency", ""))
    if PAID_FROM in figures:
        sentence += _PAID
    if "reading" in figures and rule != "stripe-read":
        sentence += _NOTED
    return sentence.format_map(_Shown({name: _show(name, value, currency) for name, value in figures.items()}))


def _show(name: str, value: int | str, currency: str) -> str:
    if name in _PURSES and isinstance(value, str):
        return _show_purses(value, currency)
    if name not in AMOUNTS or not isinstance(value, int):
        return str(value)
    try:
        return f"{format_amount(value, currency)} {currency}"
    except AmountError:
        return str(value)
