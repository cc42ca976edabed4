"""The scenes of the specification: what happens in each, in the order in which the page shows them.

Everything that terminals, cardholders and the operator do here is real.
"""

from __future__ import annotations

from typing import Any, Final

from tests.transactions.foreigner import Foreigner
from tests.transactions.script import Script
from tests.transactions.stage import Stage, Terminal
from trus.core.messages_directory import ChannelGiven
from trus.device.errors import Stopped

SCRIPT: Final = Script()
scene = SCRIPT.scene
#: Seconds of a day.
DAY: Final = 86_400.0


def gives_up(waiting: Any) -> None:
    """Let nobody wait for an answer any more: the terminal's memory is gone."""
    waiting.addErrback(lambda failure: failure.trap(Stopped))


# ------------------------------------------------------------------------------------ purchases


@scene("purchase-pin", "With PIN, known to be needed", sealed=True)
def purchase_with_pin(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    stage.remark("12.50 USD; the policy needs a PIN above 10.00, and the terminal sends it at once.")
    till.ask(lambda c: c.purchase(1250, grace.track2, grace.pin))


@scene("purchase-pin-asked", "With PIN, asked for; the first is wrong", sealed=True)
def purchase_asked_for_pin(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    till.pinpad = ["0000", grace.pin]
    stage.remark("The terminal knows no better than to ask.")
    till.ask(lambda c: c.purchase(1250, grace.track2))
    stage.remark("A wrong PIN is final. The next attempt is a request of its own, with a trace number of its own.")
    till.ask(lambda c: c.purchase(1250, grace.track2))


@scene("purchase-no-pin", "Without PIN")
def purchase_without_pin(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    stage.remark("8.00 USD: below what the policy needs a PIN for.")
    till.ask(lambda c: c.purchase(800, grace.track2))


@scene("purchase-declined", "Declined")
def purchase_declined(stage: Stage) -> None:
    till, grace, alan, old = Terminal(stage), stage.cards["GRACE"], stage.cards["ALAN"], stage.cards["OLDCARD"]
    stage.remark("More than the company pays a day.")
    till.ask(lambda c: c.purchase(8001, grace.track2, grace.pin))
    stage.remark("More than the purse holds.")
    till.ask(lambda c: c.purchase(1600, alan.track2, alan.pin))
    stage.remark("A card whose month is over.")
    till.ask(lambda c: c.purchase(500, old.track2))
    stage.remark("A stripe with another verification value.")
    copied = grace.track2[:-8] + f"{(int(grace.track2[-8:]) + 1) % 10**8:08d}"
    till.ask(lambda c: c.purchase(500, copied))


@scene("purchase-purses", "Two purses share a purchase")
def purchase_of_two_purses(stage: Stage) -> None:
    till, emmy = Terminal(stage), stage.cards["EMMY"]
    stage.remark("The purse for meals holds 12.00, the main one 20.00; the policy lets them share.")
    till.ask(lambda c: c.purchase(1500, emmy.track2, emmy.pin))


@scene("partial", "Partial approval, for split tender")
def partial_approval(stage: Stage) -> None:
    till, alan = Terminal(stage), stage.cards["ALAN"]
    stage.remark("The purse holds 15.00. The cashier takes the rest in cash.")
    till.ask(lambda c: c.purchase(2000, alan.track2, alan.pin, partial=True))


# ----------------------------------------------------------------------------- pre-authorizations


@scene("hold-complete", "Completed whole", sealed=True)
def completed(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    held = till.ask(lambda c: c.hold(5000, grace.track2, grace.pin))
    stage.remark("What is set aside is not booked: BALANCE tells both.")
    till.ask(lambda c: c.balance(grace.track2, grace.pin))
    till.ask(lambda c: c.capture(5000, held.rrn))
    stage.remark("Once only.")
    till.ask(lambda c: c.capture(1, held.rrn))


@scene("hold-purses", "Set aside in two purses")
def held_in_two_purses(stage: Stage) -> None:
    till, emmy = Terminal(stage), stage.cards["EMMY"]
    held = till.ask(lambda c: c.hold(1500, emmy.track2, emmy.pin))
    stage.remark("MEAL pays all that it set aside, MAIN the rest.")
    till.ask(lambda c: c.capture(1400, held.rrn))
    till.ask(lambda c: c.balance(emmy.track2, emmy.pin))


@scene("hold-partial", "Completed in part; too much is refused")
def completed_in_part(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    held = till.ask(lambda c: c.hold(5000, grace.track2, grace.pin))
    stage.remark("More than was set aside.")
    till.ask(lambda c: c.capture(5001, held.rrn))
    stage.remark("32.00 of it; 18.00 are free again.")
    till.ask(lambda c: c.capture(3200, held.rrn))


@scene("hold-release", "Given up")
def released(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    held = till.ask(lambda c: c.hold(5000, grace.track2, grace.pin))
    till.ask(lambda c: c.release(held.rrn))
    stage.remark("There is nothing left to give up.")
    till.ask(lambda c: c.release(held.rrn))


@scene("hold-expired", "Expired, then completed too late")
def expired(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    held = till.ask(lambda c: c.hold(5000, grace.track2, grace.pin))
    till.dies()
    stage.sleep(7 * DAY)
    stage.remark("Seven days later the backend has recorded that it is over.")
    till.on()
    till.ask(lambda c: c.capture(5000, held.rrn))


@scene("hold-completion-void", "A completion is cancelled, and made anew")
def completion_voided(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    held = till.ask(lambda c: c.hold(5000, grace.track2, grace.pin))
    paid = till.ask(lambda c: c.capture(4000, held.rrn))
    assert paid.reference is not None
    reference = paid.reference
    stage.remark("The guest pays for a part in cash: the completion is cancelled, and 50.00 are set aside as before.")
    till.ask(lambda c: c.void(reference))
    till.ask(lambda c: c.balance(grace.track2, grace.pin))
    till.ask(lambda c: c.capture(3000, held.rrn))


@scene("hold-completion-back", "A completion is taken back, and made anew")
def completion_taken_back(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    held = till.ask(lambda c: c.hold(5000, grace.track2, grace.pin))
    paid = till.ask(lambda c: c.capture(4000, held.rrn))
    assert paid.reference is not None
    reference = paid.reference
    stage.remark("The wrong amount: the completion is taken back, and 50.00 are set aside again.")
    till.ask(lambda c: c.reverse(reference))
    till.ask(lambda c: c.capture(3000, held.rrn))


# ----------------------------------------------------------------------------- refunds and voids


@scene("refund-full", "Whole")
def refunded(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    sold = till.ask(lambda c: c.purchase(1250, grace.track2, grace.pin))
    till.ask(lambda c: c.refund(1250, sold.rrn, original=sold.reference))


@scene("refund-parts", "In parts; more than is left is refused", sealed=True)
def refunded_in_parts(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    sold = till.ask(lambda c: c.purchase(1250, grace.track2, grace.pin))
    till.ask(lambda c: c.refund(500, sold.rrn))
    stage.remark("7.50 are left.")
    till.ask(lambda c: c.refund(751, sold.rrn))
    stage.remark("The exact rest is always possible.")
    till.ask(lambda c: c.refund(750, sold.rrn))
    stage.remark("A reference that is none of this shop's.")
    till.ask(lambda c: c.refund(1, "632400999999"))


@scene("void", "Of the open batch, and of a closed one")
def voided(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    first = till.ask(lambda c: c.purchase(800, grace.track2)).reference
    second = till.ask(lambda c: c.purchase(900, grace.track2)).reference
    assert first is not None
    assert second is not None
    till.ask(lambda c: c.void(first))
    till.ask(lambda c: c.close_batch())
    stage.remark("Its batch is closed: REFUND is the way.")
    till.ask(lambda c: c.void(second))


# -------------------------------------------------------------------------------------- reversals


@scene("reversal-system", "By the terminal: the answer was not final", sealed=True)
def reversed_by_terminal(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    stage.token.available = False
    stage.remark("The backend cannot reach its key store: nothing is stored, and 91 is never final. The terminal takes")
    stage.remark("the request back at once, which needs no key, and would repeat that until it is answered.")
    till.ask(lambda c: c.purchase(800, grace.track2))


@scene("reversal-customer", "At the customer's word")
def reversed_by_customer(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    sold = till.ask(lambda c: c.purchase(800, grace.track2)).reference
    assert sold is not None
    till.ask(lambda c: c.reverse(sold))
    stage.remark("Again, under a number of its own: it is as taken back as before, and no money moves twice.")
    till.ask(lambda c: c.reverse(sold))


@scene("reversal-first", "Before its original, which comes late", sealed=True)
def reversed_before_original(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    late = till.pipe
    late.holding = True
    stage.remark("This line is stuck on its way.")
    gives_up(till.begin(lambda c: c.purchase(800, grace.track2)))
    till.dies(backend_knows=False)
    stage.remark("The terminal loses power. Switched on again it finds the request unanswered, and takes it back.")
    till.on()
    stage.remark("Now the original arrives. Nobody hears the answer: its connection is dead.")
    late.let_go()
    stage.pump()


@scene("duplicate", "A repetition is answered from the store")
def answered_from_store(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    lost = till.pipe
    lost.deaf = True
    stage.remark("The answer is lost with its connection. In a new session the terminal asks again, and gets the same")
    stage.remark("answer, to the last octet of its fields. The purse paid once.")
    waiting = till.begin(lambda c: c.purchase(1250, grace.track2, grace.pin))
    lost.cut()
    stage.wait_for(waiting)


# ------------------------------------------------------------------------- questions and advices


@scene("balance", "A balance")
def balance(stage: Stage) -> None:
    till, grace, emmy = Terminal(stage), stage.cards["GRACE"], stage.cards["EMMY"]
    till.ask(lambda c: c.balance(grace.track2, grace.pin))
    stage.remark("A cardholder with two purses; the PIN is asked for.")
    till.pinpad = [emmy.pin]
    till.ask(lambda c: c.balance(emmy.track2))


@scene("pin-change", "A PIN is changed")
def pin_changed(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    stage.remark("One digit over and over: what a thief tries first.")
    till.ask(lambda c: c.change_pin(grace.track2, grace.pin, "7777"))
    till.ask(lambda c: c.change_pin(grace.track2, grace.pin, "7193"))
    stage.remark("The old one is wrong now.")
    till.ask(lambda c: c.purchase(1250, grace.track2, grace.pin))
    till.ask(lambda c: c.purchase(1250, grace.track2, "7193"))


@scene("pin-locked", "Three wrong PINs, and the operator gives the tries back")
def pin_locked(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    for _ in range(3):
        till.ask(lambda c: c.purchase(1250, grace.track2, "0000"))
    stage.remark("The right one does not help any more.")
    till.ask(lambda c: c.purchase(1250, grace.track2, grace.pin))
    stage.remark("An admin gives the card its tries back (CARD-TRIES on the console).")
    stage.order("CARD-TRIES", card=grace.name)
    till.ask(lambda c: c.purchase(1250, grace.track2, grace.pin))


@scene("advice", "Told of, and told again", sealed=True)
def advised(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    lost = till.pipe
    lost.deaf = True
    stage.remark("A sale of 9.00 that was made off-line. The answer is lost.")
    waiting = till.begin(lambda c: c.advise(900, grace.track2))
    lost.cut()
    stage.wait_for(waiting)


@scene("advice-above", "Above what the purse holds, and above the floor limit")
def advised_above(stage: Stage) -> None:
    till, alan = Terminal(stage), stage.cards["ALAN"]
    till.ask(lambda c: c.purchase(1000, alan.track2))
    stage.remark("The purse holds 5.00. The shop is paid 8.00 all the same; the issuer bears 3.00.")
    till.ask(lambda c: c.advise(800, alan.track2))
    stage.remark("Above the network's floor limit of 50.00.")
    till.ask(lambda c: c.advise(5001, alan.track2))


# ------------------------------------------------------------------------- network management


@scene("network", "Echo, sign-off, sign-on, new keys, a new business date")
def network_management(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    stage.remark("Two and a half minutes of silence.")
    stage.pump(155)
    stage.wait_for(till.client.sign(on=False))
    stage.wait_for(till.client.sign(on=True))
    stage.remark("The operator closes the business date.")
    stage.order("DAY-ADVANCE")
    stage.pump(2)
    stage.remark("An hour has passed.")
    till.client.change_keys()
    stage.pump()
    stage.remark("Under new keys; the PIN key is still the session's first.")
    till.ask(lambda c: c.purchase(1250, grace.track2, grace.pin))


@scene("channel", "Another channel bundle, or none")
def channel(stage: Stage) -> None:
    device = Foreigner(stage)
    have = {"have": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}
    stage.remark("There is no other: the device goes on with the one that it has.")
    device.say("COMMAND CHANNEL", {}, have)
    stage.channels.bundle = ChannelGiven(bytes(range(48)), "k3v7q2zx5mwd4tjh6yfb3rpc7nse2ual")
    stage.remark("There is a new one (48 octets stand for the PKCS#12).")
    device.say("COMMAND CHANNEL", {}, have)
    device.go_on("INFO COMPLETE", {})


# ----------------------------------------------------------------------------- batches, receipts


@scene("batch", "In balance", sealed=True)
def batch_in_balance(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    sold = till.ask(lambda c: c.purchase(1250, grace.track2, grace.pin))
    back = till.ask(lambda c: c.purchase(800, grace.track2)).reference
    assert back is not None
    till.ask(lambda c: c.reverse(back))
    till.ask(lambda c: c.refund(250, sold.rrn))
    stage.remark("Sold 12.50 and 8.00, taken back 8.00, given back 2.50.")
    till.ask(lambda c: c.close_batch())


@scene("batch-out", "Out of balance, item by item", sealed=True)
def batch_out_of_balance(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    till.ask(lambda c: c.purchase(800, grace.track2))
    stage.remark("The terminal is exchanged for another, which knows nothing of this purchase.")
    till.forgets()
    till.on()
    till.ask(lambda c: c.purchase(900, grace.track2))
    till.ask(lambda c: c.close_batch())


@scene("receipt", "An answer is proved")
def proved(stage: Stage) -> None:
    till, grace = Terminal(stage), stage.cards["GRACE"]
    sold = till.ask(lambda c: c.purchase(800, grace.track2))
    device = Foreigner(stage)
    stage.remark("Any terminal may ask, which knows the proof code. No head covers the answer yet.")
    device.say("COMMAND PROVE", {}, {"proof": sold.proof})
    stage.pump(2)
    stage.idle()
    stage.remark("Two seconds later.")
    device.say("COMMAND PROVE", {}, {"proof": sold.proof})
    device.go_on("INFO COMPLETE", {})
    stage.remark("A mark that is no answer's.")
    device.say("COMMAND PROVE", {}, {"proof": sold.proof[:-4] + "0000"})
