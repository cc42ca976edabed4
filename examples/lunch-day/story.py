"""Tells one day of lunches and writes it down: network.yaml (who is who) and purchases.csv (what happens).

    .venv/bin/python examples/lunch-day/story.py [--check]

What each row must be answered is part of the story, written by hand beside the purchase. Before
anything is written the pencil below follows the day on paper (purses, limits, PIN tries) and
stops when the story contradicts itself; trus is not asked. `--check` writes nothing and fails when
the files differ from the story.

The day happens at lunch time wherever it is played: whoever plays it gives the companies a time
zone in which it is between twelve and one o'clock now (`time-zone: lunchtime`), and the company that
rests takes today as its day off (`week-days: not-today`).
"""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cast import CARDS, COMPANIES, MEALS, PEOPLE, SHOPS

HERE = Path(__file__).resolve().parent
COLUMNS = ("at", "shop", "terminal", "employee", "amount", "pin", "expect", "action", "card", "figure", "note")

# ---------------------------------------------------------------------------------- what happens


@dataclass
class Row:
    """One thing that happens at a terminal; `figure` is an amount that the answer must name."""

    at: int
    shop: str
    employee: str
    amount: int
    pin: str
    expect: str
    action: str = "buy"
    card: str = "own"
    figure: int | None = None
    note: str = ""
    till: int = 0


@dataclass
class Day:
    """The rows of the day; times in seconds since midnight."""

    rows: list[Row] = field(default_factory=list)
    clock: int = 0

    def scene(self, at: str) -> None:
        """Go on at a time of day."""
        hours, minutes = at.split(":")
        self.clock = int(hours) * 3600 + int(minutes) * 60

    def row(self, shop: str, employee: str, amount: int, expect: str, **rest: object) -> None:
        """Something happens; half a minute passes."""
        pin = str(rest.pop("pin", "right"))
        self.rows.append(Row(self.clock, shop, employee, amount, pin, expect, **rest))  # type: ignore[arg-type]
        self.clock += 30


def tell() -> list[Row]:
    """Tell the day, scene by scene."""
    day = Day()

    # Nobody remarkable: a soup or a sandwich early, a lunch, something sweet.
    usual = [
        [who for who in PEOPLE if who in "E101 E102 E103 E201 E202 E203 E204 E301 E302 E303 E801 E802 E803 E804"],
        ["CANTEEN", "GROCER", "BAKERY", "DAIRY", "SPICES"],
        ["TAVERNA", "NOODLES", "CANTEEN", "BUTCHER"],
        ["SWEETS", "BAKERY", "DAIRY"],
    ]
    day.scene("11:31")
    for place, who in enumerate(usual[0]):
        day.row(usual[1][place % 5], who, 340 + 45 * (place % 4), "00", till=place % 2)
    day.scene("12:02")
    for place, who in enumerate(usual[0]):
        day.row(usual[2][place % 4], who, 1150 + 35 * (place % 6), "00", till=place % 2)
    day.scene("13:40")
    for place, who in enumerate(usual[0]):
        day.row(usual[3][place % 3], who, 260 + 25 * (place % 3), "00")

    day.scene("14:20")
    for place, who in enumerate(usual[0]):
        day.row("CANTEEN", who, 120 + 15 * (place % 5), "00", till=place % 2, note="coffee")

    # The PIN: wrong once, wrong twice and forgiven, wrong until the card is locked.
    day.scene("11:45")
    for who in ("E104", "E205", "E304"):
        day.row("CANTEEN", who, 980, "55", pin="wrong", note="2 tries left")
        day.row("CANTEEN", who, 980, "00", note="a new attempt, a new trace number")
    for who in ("E701", "E805"):
        for _ in range(2):
            day.row("TAVERNA", who, 1240, "55", pin="wrong")
            day.row("TAVERNA", who, 1240, "55", pin="wrong", note="1 try left")
            day.row("TAVERNA", who, 1240, "00", note="a right PIN gives the tries back")
    for who in ("E105", "E403", "E806"):
        day.row("NOODLES", who, 890, "55", pin="wrong", note="2 tries left")
        day.row("NOODLES", who, 890, "55", pin="wrong", note="1 try left")
        day.row("NOODLES", who, 890, "55", pin="wrong", note="no try left")
        day.row("NOODLES", who, 890, "75", note="the right PIN does not help any more")
        day.row("BAKERY", who, 120, "75", note="nor elsewhere, nor for less")

    # Small purses: 9.00 is all there is.
    day.scene("12:20")
    for who in ("E601", "E602", "E603", "E604"):
        day.row("NOODLES", who, 1190, "51", note="the purse holds 9.00")
        day.row("NOODLES", who, 640, "00")
        day.row("SWEETS", who, 261, "51", note="one cent too much")
        day.row("SWEETS", who, 0, "00", action="balance", figure=260)
        day.row("SWEETS", who, 260, "00", note="to the last cent")
        day.row("SWEETS", who, 1, "51", note="the purse is empty")
    day.scene("12:50")
    day.row("TAVERNA", "E704", 9000, "10", action="partial", figure=6000, note="the rest is paid in cash")
    day.row("TAVERNA", "E704", 500, "51")

    # 25.00 a day, and not a cent more; 18.00 at once for the printers; two purchases for the engineers.
    day.scene("13:00")
    for who in ("E104", "E205"):
        day.row("BUTCHER", who, 1521, "61", note="25.00 a day")
        day.row("BUTCHER", who, 1520, "00", note="25.00 exactly")
        day.row("BAKERY", who, 1, "61")
    for who in ("E301", "E302", "E303"):
        day.row("TAVERNA", who, 1801, "61", note="18.00 at once is the most")
    for who in ("E401", "E402", "E404"):
        day.row("CANTEEN", who, 720, "00")
        day.row("SPICES", who, 480, "00")
        day.row("SWEETS", who, 150, "65", note="two purchases a day")
        day.row("DAIRY", who, 90, "65")
    day.row("TAVERNA", "E702", 2990, "00", note="this company limits nothing but the purse")
    day.row("TAVERNA", "E702", 2990, "00")
    day.row("TAVERNA", "E702", 30, "51")

    # No PIN up to 10.00 for the designers: the network asks for it above.
    day.scene("12:10")
    for who in ("E501", "E502", "E503", "E504"):
        day.row("BAKERY", who, 450, "00", pin="none", note="up to 10.00 without PIN")
        day.row("NOODLES", who, 1000, "00", pin="none")
        day.row("CANTEEN", who, 1001, "00", pin="asked", note="the PIN is asked for")

    # Not here, not now, not at all.
    day.scene("12:25")
    for who in ("E101", "E202", "E303", "E803"):
        day.row("BAR", who, 650, "57", note="a bar is no canteen")
        day.row("WINES", who, 1890, "57", note="nor is a wine shop")
    day.row("BAR", "E701", 700, "00", note="this company pays for bars")
    day.row("GROCER", "E701", 700, "57", note="but not for groceries")
    for who in ("E901", "E902", "E903"):
        day.row("CANTEEN", who, 820, "57", note="night shift: 22:00 to 06:00")
        day.row("BAKERY", who, 240, "57", till=0)
    for who in ("EA01", "EA02"):
        day.row("CANTEEN", who, 760, "57", note="their day off")
        day.row("SWEETS", who, 310, "57")
    day.row("CANTEEN", "EB01", 760, "57", note="the company is blocked")
    day.row("CHIUSO", "E101", 990, "03", note="the shop is blocked")
    day.row("CHIUSO", "E802", 990, "03")

    # Cards that are not what they should be.
    day.scene("12:40")
    for who, code in (("E106", "54"), ("E206", "54"), ("E305", "41"), ("E405", "43"), ("E505", "34")):
        day.row("TAVERNA", who, 1100, code, note=CARDS[who])
        day.row("GROCER", who, 200, code)
    for who in ("E605", "E808", "E809"):
        day.row("CANTEEN", who, 300, "62", note=CARDS[who].replace("-", " "))
    for who in ("E102", "E703", "E807"):
        day.row("NOODLES", who, 780, "14", card="forged", note="a made-up verification value")
        for _ in range(3):
            day.row("GROCER", who, 780, "14", card="forged", pin="wrong", note="takes no PIN try")
        day.row("NOODLES", who, 780, "14", card="unknown", note="a number that was never issued")
    for who in ("E703", "E807"):
        day.row("NOODLES", who, 780, "00", note="the true card still pays")

    # The answer is lost on the way: the same request again, paid once.
    day.scene("13:10")
    day.row("TAVERNA", "E703", 110, "00", action="retry", note="asked twice, paid once")
    day.row("SPICES", "E807", 110, "00", action="retry", note="asked twice, paid once")
    for who in ("E501", "E502", "E503", "E504"):
        day.row("SPICES", who, 40, "00", action="retry", pin="none", note="asked twice, paid once")
    day.row("TAVERNA", "E703", 0, "00", action="balance", figure=5110)
    day.row("SPICES", "E807", 0, "00", action="balance", figure=5110)
    day.row("BAR", "E104", 500, "57", action="retry", note="refused twice, the same way")

    # Taken back: money and limits return.
    day.scene("13:20")
    for who in ("E703", "E807"):
        day.row("TAVERNA", who, 1400, "00")
        day.row("TAVERNA", who, 1400, "00", action="reverse", note="the fish was off")
        day.row("TAVERNA", who, 0, "00", action="balance", figure=5110)
        day.row("TAVERNA", who, 1400, "00", note="the limit of the day is as before")
        day.row("TAVERNA", who, 1400, "00", action="reverse")
        day.row("TAVERNA", who, 1400, "00", action="reverse", note="taken back once, however often asked")
        day.row("TAVERNA", who, 0, "00", action="balance", figure=5110)
    day.row("BUTCHER", "E205", 1520, "00", action="reverse", note="the wrong cut")
    day.row("BUTCHER", "E205", 1520, "00")

    # Who wants to know.
    day.scene("14:00")
    day.row("CANTEEN", "E901", 0, "00", action="balance", figure=6000, note="a balance may be asked at any hour")
    day.row("CANTEEN", "E101", 0, "55", action="balance", pin="wrong")
    day.row("CANTEEN", "E105", 0, "75", action="balance")
    day.row("CANTEEN", "E104", 0, "00", action="balance", figure=3500)

    # The shops close their batches: both sides must have counted the same.
    day.scene("14:40")
    for shop, (_, _, terminals, _) in SHOPS.items():
        for till in range(len(terminals)):
            day.row(shop, "", 0, "00", action="close", till=till, pin="none")
    return sorted(day.rows, key=lambda row: row.at)


# ------------------------------------------------------------------------------------ the pencil


class Contradiction(Exception):
    """The story does not hold together."""


def follow(rows: list[Row]) -> dict[str, int]:
    """Follow the day on paper; return what each shop is owed. Raises Contradiction."""
    purse = {who: COMPANIES[company][1] for who, (company, _, _) in PEOPLE.items()}
    spent = dict.fromkeys(PEOPLE, 0)
    count = dict.fromkeys(PEOPLE, 0)
    tries = dict.fromkeys(PEOPLE, 3)
    last: dict[tuple[str, str], int] = {}
    owed = dict.fromkeys(SHOPS, 0)
    for row in rows:
        if row.action == "close":
            continue
        who, category = row.employee, SHOPS[row.shop][1]
        rules = COMPANIES[PEOPLE[who][0]][2]
        if row.action == "reverse":
            back = last.pop((row.shop, who), 0)
            purse[who], owed[row.shop] = purse[who] + back, owed[row.shop] - back
            spent[who], count[who] = spent[who] - back, count[who] - bool(back)
            continue
        code = _by_pencil(row, rules, category, tries[who], purse[who], spent[who], count[who])
        if row.expect == "55":
            tries[who] -= 1
        elif row.expect not in ("03", "14", "75") and row.pin in ("right", "asked") and who not in CARDS:
            tries[who] = 3
        if code != row.expect:
            raise Contradiction(
                f"{row.employee} at {row.shop}, {row.at // 3600}:{row.at // 60 % 60:02}: {code}, {row.expect} told"
            )
        if row.action == "balance":
            if code == "00" and purse[who] != row.figure:
                raise Contradiction(f"{who} has {purse[who]} on paper, {row.figure} told")
        elif code in ("00", "10"):
            paid = row.amount if code == "00" else row.figure or 0
            purse[who], owed[row.shop] = purse[who] - paid, owed[row.shop] + paid
            spent[who], count[who] = spent[who] + paid, count[who] + 1
            last[row.shop, who] = paid
    return owed


def _by_pencil(
    row: Row, rules: dict[str, object], category: str, tries: int, purse: int, spent: int, count: int
) -> str:
    """Answer one row as an attentive person would."""
    if SHOPS[row.shop][3] == "blocked":
        return "03"
    if row.card != "own":
        return "14"
    wrong = {"expired": "54", "lost": "41", "stolen": "43", "suspected": "34"}
    wrong |= {"blocked": "62", "closed": "62", "employee-blocked": "62"}
    if row.employee in CARDS:
        return wrong[CARDS[row.employee]]
    if rules.get("state") == "blocked":
        return "57"
    if tries == 0:
        return "75"
    if row.pin == "wrong":
        return "55"
    if row.action == "balance":
        return "00"
    allowed = str(rules["categories"]).split(",") if "categories" in rules else MEALS
    if category not in allowed or "week_days" in rules or "opens" in rules:
        return "57"
    if count >= int(str(rules.get("count", 99))):
        return "65"
    daily = rules["daily"]
    if row.amount > int(str(rules.get("single", 10**9))) or (
        daily is not None and spent + row.amount > int(str(daily))
    ):
        return "61"
    if row.amount > purse:
        return "10" if row.action == "partial" and row.figure == purse else "51"
    return "00"


# ------------------------------------------------------------------------------------ the files


def money(cents: int) -> str:
    """Write an amount."""
    return f"{cents // 100}.{cents % 100:02}"


def purchases(rows: list[Row]) -> str:
    """Write the rows as CSV (RFC 4180, UTF-8, lines ending in LF)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        terminals = SHOPS[row.shop][2]
        at = f"{row.at // 3600:02}:{row.at // 60 % 60:02}:{row.at % 60:02}"
        figure = "" if row.figure is None else money(row.figure)
        amount = money(row.amount) if row.amount else ""
        told = (amount, row.pin, row.expect, row.action, row.card, figure, row.note)
        writer.writerow((at, row.shop, terminals[row.till % len(terminals)], row.employee, *told))
    return text.getvalue()


def network() -> str:
    """Write who is who as YAML."""
    lines = ["# Written by story.py: companies, employees, shops and terminals of the lunch day.", "currency: USD"]
    lines += ["time-zone: lunchtime  # one in which it is between 12:00 and 13:00 now", "companies:"]
    for company, (name, purse, rules) in COMPANIES.items():
        daily = rules["daily"]
        policy = {
            "daily-amount": "none" if daily is None else money(int(str(daily))),
            "daily-count": rules.get("count", "none"),
            "single-amount": money(int(str(rules["single"]))) if "single" in rules else "none",
            "week-days": rules.get("week_days", "1-7"),
            "opens": rules.get("opens", "11:00"),
            "closes": rules.get("closes", "15:00"),
            "categories": rules.get("categories", "meals"),
            "pin-above": money(int(str(rules.get("pin_above", 0)))),
        }
        lines += [f"  - id: {company}", f"    name: {quoted(name)}", f'    purse: "{money(purse)}"']
        lines += [f"    state: {rules.get('state', 'active')}", "    policy:"]
        lines += [f'      {key}: "{value}"' for key, value in policy.items()]
        lines += ["    employees:"]
        for who, (where, given, family) in PEOPLE.items():
            if where == company:
                card = CARDS.get(who, "good")
                lines += [f"      - {{id: {who}, name: {quoted(given)}, surname: {quoted(family)}, card: {card}}}"]
    lines += ["shops:"]
    for shop, (name, category, terminals, state) in SHOPS.items():
        listed = ", ".join(terminals)
        lines += [f"  - id: {shop}", f"    name: {quoted(name)}", f'    category: "{category}"']
        lines += [f"    state: {state}", f"    terminals: [{listed}]"]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """Write text between double quotes, as YAML and JSON do."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main(arguments: list[str]) -> int:
    """Write the files, or compare them with the story."""
    rows = tell()
    owed = follow(rows)
    files = {HERE / "purchases.csv": purchases(rows), HERE / "network.yaml": network()}
    if arguments == ["--check"]:
        stale = [path.name for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
        print(f"differs from the story: {', '.join(stale)}" if stale else "as the story tells")
        return 1 if stale else 0
    for path, text in files.items():
        path.write_text(text, "utf-8")
    answers = sorted({row.expect for row in rows})
    print(f"{len(rows)} rows, answers {' '.join(answers)}; shops are owed {money(sum(owed.values()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
