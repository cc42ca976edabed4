"""What the console takes for an argument, and what it refuses."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from trus.admin import arguments
from trus.admin.arguments import ArgumentRefused, Converter


class ArgumentTests(SynchronousTestCase):
    """Each type of argument, at its edges."""

    def accepted(self, convert: Converter, cases: dict[str, str]) -> None:
        self.assertEqual({text: convert(text) for text in cases}, cases)

    def refused(self, convert: Converter, cases: list[str]) -> None:
        for text in cases:
            error = self.assertRaises(ArgumentRefused, convert, text)
            if len(text) > 4:
                self.assertNotIn(text, str(error), "a refusal never repeats what was typed")

    def test_identifiers(self) -> None:
        """An id is capitals and digits; small letters are taken as capitals; nothing else is mended."""
        convert = arguments.identifier(1, 15)
        self.accepted(convert, {"ACME": "ACME", "acme9": "ACME9", "A" * 15: "A" * 15})
        self.refused(convert, ["", "A" * 16, "A B", "Ä", "١٢", "A\n", "A-B", "ſ", "ı"])
        self.refused(arguments.identifier(8, 8), ["ABCDEFG", "ABCDEFGHI"])

    def test_names(self) -> None:
        """Names of every script are kept in NFC; control, direction and invisible characters are refused."""
        self.accepted(
            arguments.person_name,
            {
                "Łukasz": "Łukasz",
                "Nguye\u0302\u0303n": "Nguyễn",
                "O'Brien-Smith": "O'Brien-Smith",
                "ناصر‌الدین": "ناصر‌الدین",
                "क्ष": "क्ष",
                "王": "王",
                "د. أحمد": "د. أحمد",
                "7-Eleven": "7-Eleven",
            },
        )
        self.refused(
            arguments.person_name,
            ["", " Anna", "Anna ", "An  na", "a\tb", "a\u202eb", "a\u2066b", "a\ufeffb", "a\ud800b", "a\ue000b",
             "a\u0378b", "a\u2028b", "a\u00a0b", "a" * 65, "é" * 65, "a" + "\u0301\u0302\u0303\u0304\u0305\u0306",
             "---", "\U000e0041anna", "\x00", "\x7f"],
        )  # fmt: skip

    def test_people(self) -> None:
        """Several employees are ID|NAME|SURNAME with ; between, each part checked, at most a hundred."""
        self.accepted(arguments.people, {"e1|Anna|Kowalska; E2 | Björn | Åse ;": "E1|Anna|Kowalska;E2|Björn|Åse"})
        self.refused(
            arguments.people,
            ["", ";", "E1|Anna", "E1|Anna|Kowalska|x", "E-1|Anna|Kowalska", "E1||Kowalska"],
        )
        self.refused(arguments.people, [";".join(f"E{n}|A|B" for n in range(101))])
        self.refused(arguments.plain_name, ["a|bcd", "a;bcd"])

    def test_amounts(self) -> None:
        """An amount is decimal ASCII without sign, exponent or separators."""
        self.accepted(arguments.amount, {"0": "0", "12.50": "12.50", "999999999999.999": "999999999999.999"})
        self.refused(
            arguments.amount,
            ["", "-1", "+1", "1e9", "1,5", "1_0", "01", ".5", "5.", "1.2345", "١٢", "1\n", "1000000000000"],
        )
        self.accepted(arguments.amount_or_none, {"None": "none", "1.00": "1.00"})

    def test_dates_hours_and_zones(self) -> None:
        """Dates exist, hours are on the clock, time zones are IANA names that the machine knows."""
        self.accepted(arguments.calendar_date, {"2026-11-20": "2026-11-20", "2028-02-29": "2028-02-29"})
        self.refused(arguments.calendar_date, ["2026-02-29", "2026-1-1", "20261120", "٢٠٢٦-١١-٢٠", "2026-13-01"])
        self.accepted(arguments.hour, {"00:00": "00:00", "24:00": "24:00", "23:59": "23:59"})
        self.refused(arguments.hour, ["24:01", "7:00", "12:60", "12.00"])
        self.accepted(arguments.time_zone, {"UTC": "UTC", "Europe/Madrid": "Europe/Madrid"})
        self.refused(arguments.time_zone, ["", "../etc/passwd", "/etc/localtime", "Europe/Nowhere", "Asia", "a" * 41])
        self.accepted(arguments.week_days, {"1-5": "1,2,3,4,5", "7,1": "1,7", "3": "3", "1-2,2-3": "1,2,3"})
        self.refused(arguments.week_days, ["", "0", "8", "5-1", "1-", "1;2"])

    def test_codes_and_numbers(self) -> None:
        """Codes have their digits, numbers their range, words their list."""
        self.accepted(arguments.merchant_categories, {"5812,5811,5812": "5811,5812", "Meals": "meals"})
        self.refused(arguments.merchant_categories, ["", "58", "5899,", "5899;5898"])
        self.accepted(arguments.merchant_category, {"5811": "5811"})
        self.refused(arguments.merchant_category, ["581", "58111", "581x", "٥٨١١"])
        self.accepted(arguments.whole_number(1, 500), {"1": "1", "500": "500", "007": "7"})
        self.refused(arguments.whole_number(1, 500), ["0", "501", "-1", "1.0", "", "1_0", "٣"])
        self.accepted(arguments.whole_number_or_none(0, 5), {"none": "none", "0": "0"})
        self.accepted(arguments.currency, {"usd": "USD", "EUR": "EUR"})
        self.refused(arguments.currency, ["US", "XXX", "DOLLAR"])
        self.accepted(arguments.choice("lost", "retired"), {"LOST": "lost"})
        self.refused(arguments.choice("lost", "retired"), ["stolen", ""])
        self.accepted(arguments.choices("a", "b"), {"B,A,b": "a,b"})
        self.refused(arguments.choices("a", "b"), ["", "a,c"])
        self.accepted(arguments.digits(12), {"632500000042": "632500000042"})
        self.refused(arguments.digits(12), ["63250000004", "6325000000422", "63250000004x"])

    def test_names_of_machines(self) -> None:
        """Admin names, serial numbers, references, page marks and command names have narrow forms."""
        self.accepted(arguments.admin_name, {"alice": "alice", "a.b-c_1": "a.b-c_1"})
        self.refused(arguments.admin_name, ["", "Alice", "-alice", "a" * 33, "alice smith", "alïce"])
        self.accepted(arguments.serial, {"00:AB:cd": "abcd", "1f": "1f"})
        self.refused(arguments.serial, ["", "0", "xyz", "a" * 41])
        self.accepted(arguments.card_expiry, {"2911": "2911", "0012": "0012"})
        self.refused(arguments.card_expiry, ["", "2913", "2900", "29-11", "٢٩١١"])
        self.accepted(arguments.reference, {"INV 2026/11": "INV 2026/11"})
        self.refused(arguments.reference, ["", " x", "x ", "x" * 36, "naïve", "a\tb", 'a"b'])
        self.accepted(arguments.page_mark, {"E-1.x_": "E-1.x_"})
        self.refused(arguments.page_mark, ["", "a b", "x" * 41])
        self.accepted(arguments.verb, {"company-add": "COMPANY-ADD"})
        self.refused(arguments.verb, ["", "1ABC", "COMPANY ADD", "É"])

    @settings(max_examples=300, deadline=None)
    @given(st.text(max_size=80))
    def test_a_name_that_is_accepted_is_safe_to_show(self, text: str) -> None:
        """Whatever is accepted as a name is NFC, bounded, and free of control and direction characters."""
        try:
            value = arguments.person_name(text)
        except ArgumentRefused:
            return
        self.assertEqual(value, unicodedata.normalize("NFC", value))
        self.assertLessEqual(len(value.encode()), arguments.MAX_NAME_BYTES)
        self.assertFalse({unicodedata.category(each) for each in value} & {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
        self.assertFalse(set(value) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"))
        self.assertEqual(arguments.person_name(value), value)
