"""The scenes of bad input: every line is genuine and sealed, and none changes anything."""

from __future__ import annotations

from typing import Final

from tests.protocol.stranger import Fields
from tests.transactions.foreigner import Foreigner
from tests.transactions.script import Script
from tests.transactions.stage import Stage, Terminal

SCRIPT: Final = Script()
scene = SCRIPT.scene
_TRACK = "track2"


def _purchase(device: Foreigner, stage: Stage, **other: str) -> tuple[Fields, Fields]:
    """Return the clear and the sealed fields of a purchase of 8.00 with a good card, some of them replaced."""
    told = device.numbers()
    clear = {"stan": told["stan"], "amount": "8.00", "currency": "USD", "date": told["date"]}
    sealed = {"rid": device.rid(), _TRACK: stage.cards["GRACE"].track2}
    for name, value in other.items():
        (clear if name in clear else sealed)[name] = value
    return clear, sealed


@scene("bad-amounts", "Amounts that are none")
def amounts(stage: Stage) -> None:
    device = Foreigner(stage)
    for why, amount in (
        ("Zero.", "0.00"),
        ("Negative: no amount of the grammar.", "-5.00"),
        ("More digits than an amount has.", "9999999999999.99"),
        ("As many minor units as there are: more than anything holds.", "9999999999.99"),
        ("Decimals that US dollars do not have.", "5.000"),
        ("Digits that are not ASCII.", "\u0665.\u0660\u0660"),
    ):
        stage.remark(why)
        clear, sealed = _purchase(device, stage, amount=amount)
        grace = stage.cards["GRACE"]
        device.say("COMMAND PROCESS", clear, {**sealed, "pin": device.pin(grace.track2, grace.pin), "format": "4"})


@scene("bad-currency", "Another currency than the shop's, and one that is none")
def currencies(stage: Stage) -> None:
    device = Foreigner(stage)
    stage.remark("The shop takes US dollars.")
    device.say("COMMAND PROCESS", *_purchase(device, stage, currency="EUR"))
    stage.remark("Not in ISO 4217.")
    device.say("COMMAND PROCESS", *_purchase(device, stage, currency="XQZ"))


@scene("bad-dates", "Business dates that are over, or to come")
def dates(stage: Stage) -> None:
    device = Foreigner(stage)
    for why, date in (
        ("Two days before the open one: too old for a new request.", "2026-11-18"),
        ("Tomorrow.", "2026-11-21"),
        ("No such day.", "2026-02-30"),
    ):
        stage.remark(why)
        device.say("COMMAND PROCESS", *_purchase(device, stage, date=date))


@scene("bad-number", "A number that was used for another request", sealed=True)
def numbers(stage: Stage) -> None:
    device = Foreigner(stage)
    clear, sealed = _purchase(device, stage)
    device.say("COMMAND PROCESS", clear, sealed)
    stage.remark("The same number and rid, another amount.")
    device.say("COMMAND PROCESS", {**clear, "amount": "9.00"}, sealed)
    stage.remark("The same number, another rid.")
    device.say("COMMAND PROCESS", clear, {**sealed, "rid": device.rid()})
    stage.remark("The same request: the stored answer.")
    device.say("COMMAND PROCESS", {**clear, "repeat": "yes"}, sealed)
    stage.remark("The operator closes the business date: with the new date the number is another request's, with the")
    stage.remark("old one the same request's still.")
    stage.order("DAY-ADVANCE")
    stage.pump(2)
    device.say("COMMAND PROCESS", {**clear, "date": "2026-11-21"}, {**sealed, "rid": device.rid()})
    device.say("COMMAND PROCESS", {**clear, "repeat": "yes"}, sealed)


@scene("bad-foreign", "Other terminals' and other shops' transactions")
def foreign(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    sold = till.ask(lambda c: c.purchase(800, grace.track2))
    assert sold.reference is not None
    theirs = sold.reference
    device = Foreigner(stage)
    stage.remark("Another terminal of the same shop names that number. REVERSE and VOID are of own requests alone:")
    stage.remark("this one lays a tombstone for a request that never was, and the purchase stands.")
    told = device.numbers()
    named = {
        "rid": device.rid(),
        "original-stan": f"{theirs.identity.stan:06d}",
        "original-date": theirs.identity.business_date,
        "original-rid": device.rid(),
        "reason": "customer",
    }
    clear = {"stan": told["stan"], "amount": "8.00", "currency": "USD", "date": told["date"]}
    device.say("COMMAND REVERSE", clear, named)
    stage.remark("Nor can it be cancelled there.")
    told = device.numbers()
    device.say("COMMAND VOID", {**clear, "stan": told["stan"]}, {**named, "rid": device.rid()})
    elsewhere = Foreigner(stage, 2)
    stage.remark("A terminal of another shop has read the reference on the slip: it is no purchase of that shop.")
    told = elsewhere.numbers()
    refund = {"stan": told["stan"], "amount": "8.00", "currency": "USD", "date": told["date"]}
    elsewhere.say("COMMAND REFUND", refund, {"rid": elsewhere.rid(), "original-rrn": sold.rrn})


@scene("bad-reversals", "Reversals of what cannot be taken back")
def reversals(stage: Stage) -> None:
    device = Foreigner(stage)
    clear, sealed = _purchase(device, stage)
    device.say("COMMAND PROCESS", clear, sealed)

    def reverse(original: Fields, rid: str, amount: str) -> str:
        told, own = device.numbers(), device.rid()
        device.say(
            "COMMAND REVERSE",
            {"stan": told["stan"], "amount": amount, "currency": "USD", "date": told["date"]},
            {
                "rid": own,
                "original-stan": original["stan"],
                "original-date": original["date"],
                "original-rid": rid,
                "reason": "customer",
            },
        )
        return own

    stage.remark("Another amount than the stored one.")
    reverse(clear, sealed["rid"], "8.01")
    stage.remark("Another rid.")
    reverse(clear, device.rid(), "8.00")
    stage.remark("As it was: taken back.")
    number, rid = device.stan + 1, reverse(clear, sealed["rid"], "8.00")
    stage.remark("The reversal itself cannot be taken back.")
    reverse({"stan": f"{number:06d}", "date": clear["date"]}, rid, "8.00")


@scene("bad-lines", "Genuine lines that are none of the protocol's")
def lines(stage: Stage) -> None:
    device = Foreigner(stage)
    stage.remark("A verb that there is not.")
    device.say("COMMAND EMPTY-SAFE", {})
    stage.remark("A field that the table does not list.")
    clear, sealed = _purchase(device, stage)
    device.say("COMMAND PROCESS", {**clear, "tip": "1.00"}, sealed)
    stage.remark("A trace number of five digits.")
    device.say("COMMAND PROCESS", {**clear, "stan": "00001"}, sealed)
    stage.remark("A line that only the backend may say.")
    device.say("INFO RESULT", {"result": "approved", "code": "00"})
    stage.remark("A PIN that nobody asked for.")
    device.say("DATA PIN-BLOCK", {"format": "4"}, {"block": device.rid()})
    stage.remark("A stripe that is none.")
    clear, sealed = _purchase(device, stage, track2="12345678=9")
    device.say("COMMAND PROCESS", clear, sealed)
    stage.remark("A PIN block that does not open: no try is taken.")
    clear, sealed = _purchase(device, stage, amount="12.50")
    device.say("COMMAND PROCESS", clear, {**sealed, "pin": device.rid(), "format": "4"})
