"""Stripes are written and read as ISO/IEC 7813 says, and refused without being repeated."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.cards.secrets import shown, shown_by_failure
from trus.cards.errors import CardDataRefused
from trus.cards.names import MAX_NAME_CHARACTERS, NO_NAME, is_track_name, track_name
from trus.cards.numbers import CardNumber, compose_number
from trus.cards.tracks import (
    SERVICE_CODE,
    RawTrack,
    StripeData,
    TrackOne,
    encode_track_one,
    encode_track_two,
    parse_track_one,
    parse_track_two,
    raw_track_one,
    raw_track_two,
    read_track_one,
    read_track_two,
)
from trus.values import TrackTwo

stripes = st.builds(
    StripeData,
    st.integers(0, 9_999_999).map(compose_number),
    st.builds("{:02d}{:02d}".format, st.integers(0, 99), st.integers(1, 12)),
    st.from_regex(r"[0-9]{3}\Z", fullmatch=True),
    st.from_regex(r"[0-9]{0,13}\Z", fullmatch=True),
)
KNOWN = TrackTwo("4000340000000506=2512111123400001230")


class TrackTwoForm(SynchronousTestCase):
    def test_known_answer(self) -> None:
        """A published track 2 is read into its number, expiry, service code and discretionary data."""
        data = parse_track_two(KNOWN)
        self.assertEqual(
            (data.number.digits, data.expiry, data.service_code, data.discretionary),
            ("4000340000000506", "2512", "111", "123400001230"),
        )
        self.assertEqual(encode_track_two(data), KNOWN)

    def test_round_trip(self) -> None:
        """What is written on track 2 is read from it again, within 40 characters on the stripe."""

        @given(stripes)
        def holds(data: StripeData) -> None:
            track = encode_track_two(data)
            self.assertEqual(parse_track_two(track), data)
            raw = raw_track_two(track)
            self.assertLessEqual(len(raw.text), 40)
            self.assertEqual(read_track_two(raw), track)
            self.assertEqual(read_track_two(RawTrack(raw.text[:-1])), track)

        holds()

    def test_service_code(self) -> None:
        """TR-5: cards are for a closed network, authorized on line by the issuer, for goods and services with PIN."""
        self.assertEqual(SERVICE_CODE, "725")

    def test_redundancy_character(self) -> None:
        """The LRC makes every bit column of the stripe even (ISO/IEC 7811-2)."""
        for text in ("9999000100000052=3012725101", "1=", KNOWN.text):
            total = 0
            for character in raw_track_two(TrackTwo(text)).text:
                total ^= ord(character) - 0x30
            self.assertEqual(total, 0)

    def test_misread(self) -> None:
        """A stripe of which one digit was misread is noticed by its LRC."""
        raw = raw_track_two(KNOWN).text
        for place in range(1, len(KNOWN.text)):
            wrong = raw[:place] + chr(ord(raw[place]) ^ 1) + raw[place + 1 :]
            self.assertRaises(CardDataRefused, read_track_two, RawTrack(wrong))
        for text in ("", ";", "?", "x", raw[1:], raw[:-2], raw + "0", "%" + raw[1:]):
            self.assertRaises(CardDataRefused, read_track_two, RawTrack(text))

    def test_malformed(self) -> None:
        """Whatever is not a track 2 is refused, whatever it is."""
        good = "9999000100000052=3012725101"
        for text in (
            "",
            "=",
            "1234567=3012725",
            "9" * 20 + "=3012725",
            good.replace("=", "D"),
            good.replace("3012", "3013"),
            good.replace("3012", "3000"),
            good + "=",
            good + "\n",
            good + "0" * 11,
            "9999000100000052==725",
            "٩٩٩٩٠٠٠١٠٠٠٠٠٠٥٢=3012725",
        ):
            self.assertRaises(CardDataRefused, parse_track_two, TrackTwo(text))

    def test_anything_at_all(self) -> None:
        """Any text is either a track or refused with a fixed word."""

        @given(st.text(max_size=60) | st.from_regex(r"[0-9=]{0,45}", fullmatch=True))
        def holds(text: str) -> None:
            try:
                data = parse_track_two(TrackTwo(text))
            except CardDataRefused as refused:
                self.assertEqual(refused.reason, "track2")
            else:
                self.assertEqual(encode_track_two(data).text, text)

        holds()

    def test_too_long_to_write(self) -> None:
        """Data that a track has no room for is not cut."""
        data = StripeData(CardNumber("9" * 19), "3012", SERVICE_CODE, "1" * 11)
        self.assertRaises(CardDataRefused, encode_track_two, data)


class TrackOneForm(SynchronousTestCase):
    def test_round_trip(self) -> None:
        """What is written on track 1 is read from it again, within 79 characters on the stripe."""

        @given(stripes, st.text(max_size=30), st.text(max_size=30))
        def holds(data: StripeData, surname: str, given_name: str) -> None:
            name = track_name(surname, given_name)
            track = encode_track_one(data, name)
            self.assertEqual(parse_track_one(track), (data, name))
            raw = raw_track_one(track)
            self.assertLessEqual(len(raw.text), 79)
            self.assertEqual(read_track_one(raw), track)
            self.assertEqual(read_track_one(RawTrack(raw.text[:-1])), track)

        holds()

    def test_known_form(self) -> None:
        """Track 1 has format code B, carets between its fields, and the same data as track 2."""
        data = StripeData(compose_number(5), "3012", SERVICE_CODE, "1010000001")
        self.assertEqual(encode_track_one(data, "DOE/JANE").text, "B9999000100000052^DOE/JANE^30127251010000001")

    def test_malformed(self) -> None:
        """A wrong format code, a name with foreign characters and a missing field are refused."""
        good = "B9999000100000052^DOE/JANE^30127251010000001"
        for text in (
            "",
            good[1:],
            "A" + good[1:],
            good.replace("DOE", "doe"),
            good.replace("DOE", "D?E"),
            good.replace("DOE/JANE", "D"),
            good.replace("DOE/JANE", "D" * 27),
            good.replace("^30", "^3"),
            good + "0" * 40,
        ):
            self.assertRaises(CardDataRefused, parse_track_one, TrackOne(text))
        self.assertRaises(CardDataRefused, read_track_one, RawTrack("%B1?x"))


class Names(SynchronousTestCase):
    def test_scripts(self) -> None:
        """TR-5: names from many scripts are written in the characters that track 1 has."""
        for surname, given_name, expected in (
            ("Doe", "Jane", "DOE/JANE"),
            ("Łukasiewicz", "Żaneta", "LUKASIEWICZ/ZANETA"),
            ("O'Brien-Smith", "Seán", "OBRIEN-SMITH/SEAN"),
            ("Ильин", "Пётр", "ILIN/PETR"),
            ("李", "明", "LI/MING"),
            ("김", "철수", "GIM/CHEOLSU"),
            ("ტატიშვილი", "ნინო", "TATISHVILI/NINO"),
            ("Straße", "Ægir", "STRASSE/AEGIR"),
            ("", "Suharto", "SUHARTO/"),
            ("Suharto", "", "SUHARTO/"),
            ("", "", NO_NAME),
            ("  de   la  Cruz ", "Ana\tMaría", "DE LA CRUZ/ANA MARIA"),
        ):
            self.assertEqual(track_name(surname, given_name), expected)

    def test_decomposed(self) -> None:
        """A name typed with combining accents is written like the composed one."""
        composed, decomposed = (unicodedata.normalize(form, "Žižková") for form in ("NFC", "NFD"))
        self.assertEqual(track_name(composed, "É"), track_name(decomposed, "É"))

    def test_long_names(self) -> None:
        """A long name keeps its surname as far as 26 characters go, and at least an initial."""
        self.assertEqual(track_name("Wolfeschlegelsteinhausen", "Hubert"), "WOLFESCHLEGELSTEINHAUSEN/H")
        self.assertEqual(track_name("W" * 40, "Hubert"), "W" * 24 + "/H")
        self.assertEqual(track_name("W" * 40, ""), "W" * 25 + "/")

    def test_always_writable(self) -> None:
        """Any name at all becomes 2 to 26 characters that a stripe can carry."""

        @given(st.text(max_size=60), st.text(max_size=60))
        def holds(surname: str, given_name: str) -> None:
            name = track_name(surname, given_name)
            self.assertTrue(is_track_name(name), name)
            self.assertLessEqual(len(name), MAX_NAME_CHARACTERS)
            self.assertEqual(name.count("/"), 1)

        holds()


class Secrecy(SynchronousTestCase):
    def test_reprs(self) -> None:
        """TR-5: no form of a stripe shows its number or verification value in a log."""
        data = StripeData(compose_number(5), "3012", SERVICE_CODE, "1017654321")
        one, two = encode_track_one(data, "DOE/JANE"), encode_track_two(data)
        for value in (data, data.number, one, two, raw_track_one(one), raw_track_two(two), [two], {"track": two}):
            for secret in (data.number.digits, "7654321", "DOE"):
                self.assertNotIn(secret, shown(value))

    def test_refusals(self) -> None:
        """A refused track is not in the error, nor in the values of its traceback."""
        digits = compose_number(5).digits
        data = StripeData(CardNumber(digits), "3013", SERVICE_CODE, "")
        for work in (
            lambda: parse_track_two(TrackTwo(digits + "=3013725")),
            lambda: parse_track_one(TrackOne(f"B{digits}^DOE/JANE^3013725")),
            lambda: encode_track_two(data),
            lambda: encode_track_one(data, "DOE/JANE"),
            lambda: read_track_two(RawTrack(f";{digits}=3012725?!")),
            lambda: read_track_one(RawTrack(f"%B{digits}^DOE/JANE^3012725?!")),
        ):
            self.assertNotIn(digits, shown_by_failure(work, CardDataRefused))
