"""The patterns that lines are matched with, on every Python that trus runs on."""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import trus.admin
import trus.cards
import trus.gateway
import trus.protocol
import trus.settings
from trus.admin.lines import parse_order
from trus.protocol.errors import RemoteProtocolError
from trus.protocol.messages import Phase, Side, parse_console_line, parse_line, peek
from trus.protocol.table import DEVICE_TABLE

#: Packages that read what strangers write.
PACKAGES = (trus.protocol, trus.admin, trus.gateway, trus.cards, trus.settings)
#: What a possessive quantifier may stand behind: one set of characters.
_ONE = (_constants.IN, _constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY)


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Yield every compiled pattern of the packages, the table's own included."""
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(found.name)).items():
                if isinstance(value, re.Pattern):
                    yield f"{found.name}.{name}", value
    for phase in Phase:
        for side in Side:
            for head, line in DEVICE_TABLE.lines(phase, side).items():
                yield f"{head.decode()} clear", line._clear_pattern
                yield f"{head.decode()} sealed", line._sealed_pattern


def groups_that_hold_on(parsed: Any) -> Iterator[Any]:
    """Yield the possessive groups and the atomic groups of a parsed pattern."""
    for op, argument in parsed:
        if op is _constants.ATOMIC_GROUP:
            yield argument
        if op is _constants.POSSESSIVE_REPEAT and (len(argument[2]) != 1 or argument[2][0][0] not in _ONE):
            yield argument
        for below in argument if isinstance(argument, tuple | list) else [argument]:
            for each in below if isinstance(below, list) else [below]:
                if isinstance(each, _parser.SubPattern):
                    yield from groups_that_hold_on(each)


class PatternTests(SynchronousTestCase):
    def test_no_group_is_possessive(self) -> None:
        """TR-19: no pattern relies on possessive groups, which Debian 12's Python 3.11.2 matches wrongly."""
        found = dict(patterns())
        self.assertGreater(len(found), 60)
        parsed = {name: _parser.parse(pattern.pattern, pattern.flags) for name, pattern in found.items()}
        self.assertEqual([name for name, each in parsed.items() if list(groups_that_hold_on(each))], [])

    def test_the_search_finds_them(self) -> None:
        """A possessive group is found wherever it hides; possessive single characters are none."""
        for text in ("(?:ab)?+", "x(?:(ab)*+|c)", "(?:a(?>b|c))*", "(?:a|(?:bc){2,3}+)"):
            self.assertTrue(list(groups_that_hold_on(_parser.parse(text))), text)
        for text in ("a?+[a-z]{1,3}+.*+[^x]++", "(?:ab)*"):
            self.assertEqual(list(groups_that_hold_on(_parser.parse(text))), [], text)

    def test_an_optional_part_that_begins_and_does_not_end(self) -> None:
        """What begins like an optional field and is none is not torn apart."""
        order = parse_order(b'COMMAND COMPANY-ADD id=ACME name="Acme Ltd"')
        assert order is not None
        self.assertEqual((order.command.verb, order.arguments["name"]), ("COMPANY-ADD", "Acme Ltd"))
        self.assertEqual(dict(parse_console_line(b'INFO OK text="a"').fields), {"text": "a"})
        for line in (
            b'INFO OK text="a" b="c',
            b"INFO OK text=a b",
            b'INFO OK text="a\xc3x"',
            b"INFO OK a=1 b=2 c=\xff",
        ):
            self.assertRaises(RemoteProtocolError, parse_console_line, line)
        self.assertEqual(peek(b"INFO NOTICE s=AAAAAAAAAAAAAAA code=busy").session, None)
        notice = b"INFO NOTICE s=AAAAAAAAAAAAAAA code=slow-down"
        self.assertRaises(RemoteProtocolError, parse_line, notice, phase=Phase.OPENING, sender=Side.GATEWAY)

    def test_refused_in_linear_time(self) -> None:
        """Twice the line takes about twice the time, also when only its last octet is wrong."""
        head = b"INFO NOTICE code=slow-down"
        shapes = (b" a=1", b' a="\xc3\xa9"', b" code=x", b' text="a"')
        for shape in shapes:
            took = []
            for times in (300, 1200):
                line = head + shape * times + b" \xff"
                began = time.process_time()
                for _ in range(5):
                    with self.assertRaises(RemoteProtocolError):
                        parse_line(line, phase=Phase.OPENING, sender=Side.GATEWAY)
                took.append(time.process_time() - began)
            self.assertLess(took[1], took[0] * 4 * 4 + 0.05, shape)
