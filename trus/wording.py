"""The words that cashiers and cardholders read, in their languages, from the catalogue beside this file.

Knows no card and no amount: a text follows from the response code alone, so that a terminal can say it in the
language of its shop whatever the backend speaks. A language or a code that is missing falls back to
English, and a code that nobody knows to a decline.

    python -m trus.wording docs/reference/messages.md
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import yaml

LANGUAGES: Final = ("en", "es", "fr")
ENGLISH: Final = "en"
#: A terminal's display shows two lines of 20 characters, a cardholder's screen more.
DISPLAY_LINES: Final = 2
DISPLAY_CHARACTERS: Final = 20
CARDHOLDER_CHARACTERS: Final = 120

_FILE: Final = Path(__file__).with_name("messages.yaml")
_DECLINED: Final = "05"
_NAMES: Final = {"en": "English", "es": "Spanish", "fr": "French"}


class Wording(NamedTuple):
    """What is read of one response code in one language."""

    cashier: str
    cardholder: str


class Catalogue(NamedTuple):
    """All words: of codes, of lines that say more than their code, of the screen; each by language."""

    codes: dict[str, dict[str, Wording]]
    lines: dict[str, dict[str, str]]
    words: dict[str, dict[str, str]]


@cache
def catalogue() -> Catalogue:
    """Return the catalogue, read once."""
    read = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    codes = {
        code: {language: Wording(*texts) for language, texts in each.items()} for code, each in read["codes"].items()
    }
    return Catalogue(codes, read["lines"], read["words"])


def wording(code: str, language: str = ENGLISH) -> Wording:
    """Return what cashier and cardholder read of a response code (ISO 8583 field 39)."""
    codes = catalogue().codes
    texts = codes.get(code) or codes[_DECLINED]
    return texts.get(language) or texts[ENGLISH]


def line(code: str, said: str, language: str) -> str:
    """Return the cashier's line for an answer of which the backend `said` an English one.

    A line that the catalogue does not know, as of a later backend, stays as it was said.
    """
    if language == ENGLISH or not said:
        return said
    for each in catalogue().lines.values():
        if each[ENGLISH] == said:
            return each.get(language, said)
    known = catalogue().codes.get(code)
    return wording(code, language).cashier if known is not None and known[ENGLISH].cashier == said else said


def word(name: str, language: str) -> str:
    """Return a word of the screen. Raises KeyError for a name that there is not."""
    texts = catalogue().words[name]
    return texts.get(language) or texts[ENGLISH]


def page() -> str:
    """Return docs/reference/messages.md."""
    words = catalogue()
    parts = [_HEAD]
    for language in LANGUAGES:
        parts.append(
            f"\n## {_NAMES[language]} (`{language}`)\n\n| Code | Cashier reads | Cardholder reads |\n"
            "| --- | --- | --- |\n"
        )
        parts += [
            f"| {code} | {each[language].cashier} | {each[language].cardholder} |\n"
            for code, each in words.codes.items()
        ]
    for title, table in (("Lines that say more than their code", words.lines), ("Words of the screen", words.words)):
        parts.append(f"\n## {title}\n\n| | {' | '.join(_NAMES.values())} |\n| --- |{' --- |' * len(LANGUAGES)}\n")
        parts += [
            f"| `{name}` | {' | '.join(each[language] for language in LANGUAGES)} |\n" for name, each in table.items()
        ]
    return "".join(parts)


_HEAD: Final = """\
# Messages

What the cashier and the cardholder read for each response code, in each language. The catalogue is
`trus/messages.yaml`; this page is written from it (`python -m trus.wording docs/reference/messages.md`), and a test
compares the two. What the codes mean: [Response codes and rules](response-codes.md).

A terminal says them in the language of its shop: `trus pos --language fr ...` for once, or `"language": "fr"` in its
`terminal.json` for good. Support sees both texts with `EXPLAIN rrn=... language=fr`. The backend's own line (`text`) is
English; a terminal goes by the code. The cashier's line fits two lines of 20 characters, the cardholder's text has at
most 120; all keep to ISO/IEC 8859-1.
"""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
