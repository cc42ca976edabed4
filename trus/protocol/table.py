"""Makes one pattern a line out of the list of verbs, and applies it in both directions.

Keeps no state. A formatted line is checked by the very pattern that the peer will apply, so
that this side never says what it would itself refuse.
Specification: docs/protocol.md, "Lines" and "Verbs".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Final

from trus.protocol import fields, grammar
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.protocol.spec import Cover, FieldSpec, Kind, Need, Phase, Side, VerbSpec
from trus.protocol.verbs import VERBS

#: Sealed plaintext is padded with SP to a multiple of this, so that its length says little.
SEAL_BLOCK_BYTES: Final = 64
#: The plaintext of a seal without fields.
_NOTHING: Final = b" " * SEAL_BLOCK_BYTES

#: Forms that a part remembers: a few are used, and a peer must not be able to make more and more.
_MOST_FORMS: Final = 32
#: The longest text whose spelling is kept: what cashiers read is one of a few short sentences.
_SHORT_CHARACTERS: Final = 64

_ANY_LINE: Final = re.compile(
    rb"%b %b(?: %b=%b)*" % (grammar.KIND, grammar.VERB, grammar.NAME, grammar.VALUE),
)
_ANY_HEAD: Final = re.compile(rb"%b %b(?: |\Z)" % (grammar.KIND, grammar.VERB))
_UNKNOWN: Final = re.compile(rf"({grammar.NAME.decode()})={grammar.VALUE.decode('latin-1')}(?: |\Z)")
_LABEL_FIELD: Final = FieldSpec("s", fields.LABEL, "the session")
_DIALOGUE_FIELD: Final = FieldSpec("id", fields.DIALOGUE, "the dialogue")


def _spell(text: str) -> str:
    return grammar.encode_value(text).decode("latin-1")


_spell_short: Final = lru_cache(maxsize=256)(_spell)


def _spelled(text: str) -> str:
    """Return a text as it stands on the wire. Raises LocalProtocolError."""
    return _spell_short(text) if len(text) <= _SHORT_CHARACTERS else _spell(text)


class _Form:
    """One choice of a part's fields, all of them present: a template to write it, a pattern to read it.

    Most lines of a verb have the same fields as the line before. Read by this pattern, which has no
    alternatives, they take half the time; and what the pattern takes is taken by the part's own in the
    same way, since every field begins with its name and no value runs into the next field.
    """

    __slots__ = ("_names", "_pattern", "_pick", "_template", "_texts")

    def __init__(self, names: tuple[str, ...], texts: tuple[str, ...], template: str, pattern: str) -> None:
        """`names` are the fields in the table's order, `texts` those among them that may be quoted."""
        self._names = names
        self._texts = texts
        self._template = template
        self._pattern = re.compile(pattern)
        self._pick: Callable[[Mapping[str, str]], tuple[str, ...]]
        if len(names) > 1:
            self._pick = itemgetter(*names)
        else:
            self._pick = lambda values: tuple(values[name] for name in names)

    def read(self, text: str) -> dict[str, str] | None:
        """Return the fields of a text that has exactly this form, None of any other."""
        match = self._pattern.fullmatch(text)
        if match is None:
            return None
        found = dict(zip(self._names, match.groups(), strict=True))
        for name in self._texts:
            found[name] = grammar.decode_value(found[name].encode("latin-1"))
        return found

    def write(self, values: Mapping[str, str]) -> str | None:
        """Return the text of these fields, None when a value has not the form that the peer will demand."""
        if self._texts:
            values = {**values, **{name: _spelled(values[name]) for name in self._texts}}
        found = self._pick(values)
        text = self._template % found
        match = self._pattern.fullmatch(text)
        # A value that holds a space must not come back as two fields.
        return text if match is not None and match.groups() == found else None


class _Part:
    """The clear or the sealed fields of a line: names in order, and how values are spelled.

    Octets are matched as Latin-1 text, in which one character is one octet: the patterns
    name every octet that they accept, and what they capture needs no further decoding.
    """

    def __init__(
        self, specs: Iterable[FieldSpec], before: str, after: str, begin: str, end: str, together: frozenset[str]
    ) -> None:
        """Each field stands between `before` and `after`, all of them between `begin` and `end`.

        Of the fields `together` all are there, or none.
        """
        self._specs = {spec.name: spec for spec in specs}
        self._together = together
        self._begin, self._end = begin, end
        self._before, self._after = before, after
        self.names = tuple(self._specs)
        self._must = frozenset(name for name, spec in self._specs.items() if spec.need is Need.MUST)
        self._texts = tuple(name for name, spec in self._specs.items() if spec.type.text)
        self.pattern = begin + "".join(
            self._spelling(spec) if spec.need is Need.MUST else f"(?:{self._spelling(spec)})?"
            for spec in self._specs.values()
        )
        self._forms: dict[tuple[str, ...], _Form] = {}
        #: The form that the last line had.
        self._usual = self._make_form(tuple(name for name in self.names if name in self._must))

    def _spelling(self, spec: FieldSpec) -> str:
        return f"{self._before}{spec.name}=({spec.type.pattern.decode('latin-1')}){self._after}"

    def _make_form(self, names: tuple[str, ...]) -> _Form:
        return _Form(
            names,
            tuple(name for name in self._texts if name in names),
            self._begin + "".join(f"{self._before}{name}=%s{self._after}" for name in names),
            self._begin + "".join(self._spelling(self._specs[name]) for name in names) + self._end,
        )

    def read_usual(self, text: str) -> dict[str, str] | None:
        """Return the fields of a text that has the form of the one before it, None of any other."""
        return self._usual.read(text)

    def decode(self, groups: tuple[str | None, ...]) -> dict[str, str]:
        """Return the fields that the part's own pattern found; the next text probably has the same."""
        # The last group is the tail of unknown fields, which has no name here.
        found = {name: value for name, value in zip(self.names, groups, strict=False) if value is not None}
        names = tuple(found)
        form = self._forms.get(names)
        if form is None and len(self._forms) < _MOST_FORMS:
            form = self._forms[names] = self._make_form(names)
        if form is not None:
            self._usual = form
        for name in self._texts:
            if name in found:
                found[name] = grammar.decode_value(found[name].encode("latin-1"))
        return found

    def encode(self, values: Mapping[str, str]) -> str | None:
        """Return the text of these fields, None for a missing or wrongly spelled one.

        Raises LocalProtocolError for a field that the table does not list.
        """
        given = tuple(values)
        form = self._forms.get(given)
        if form is None:
            if not self._specs.keys() >= values.keys():
                raise LocalProtocolError("a field that the table does not list here")
            if not values.keys() >= self._must or self.torn(values):
                return None
            form = self._make_form(tuple(name for name in self.names if name in values))
            if len(self._forms) < _MOST_FORMS:
                self._forms[given] = form
        return form.write(values)

    def torn(self, names: Collection[str]) -> bool:
        """Say whether some but not all of the fields that belong together are there."""
        return bool(self._together) and 0 < len(self._together.intersection(names)) < len(self._together)


class Line:
    """One line of the list, compiled: its clear part and its sealed part."""

    def __init__(self, spec: VerbSpec) -> None:
        """Compile the two patterns of `spec`."""
        self.spec = spec
        self.kind: Kind = spec.kind
        self.verb = spec.verb
        self.head = spec.head
        named = [
            field._replace(need=need)
            for field, need in ((_LABEL_FIELD, spec.session), (_DIALOGUE_FIELD, spec.dialogue))
            if need is not Need.NEVER
        ]
        together = frozenset(spec.together)
        self._clear = _Part([*named, *spec.clear], " ", "", self.head, "", together)
        self._sealed = _Part(spec.sealed, "", " ", "", " *+", together)
        info = spec.kind is Kind.INFO
        field = f"{grammar.NAME.decode()}={grammar.VALUE.decode('latin-1')}"
        tail = f"((?: {field})*)" if info else "()"
        self._clear_pattern = re.compile(self._clear.pattern + tail)
        tail = f"((?:{field} )*)" if info else "()"
        self._sealed_pattern = re.compile(self._sealed.pattern + tail + " *+")
        self._known = frozenset((*self._clear.names, *self._sealed.names, "s", "id", "seal"))
        self._may_be_empty = self._sealed_pattern.fullmatch(_NOTHING.decode()) is not None
        self.sealed_names = frozenset(self._sealed.names)

    def parse_clear(self, octets: bytes) -> tuple[dict[str, str], str]:
        """Return the fields (s and id among them) of a line without seal and CR LF.

        The second value is what stood after the known fields of an INFO line. Raises
        RemoteProtocolError (malformed, bad-field).
        """
        text = octets.decode("latin-1")
        usual = self._clear.read_usual(text)
        return self._parse_clear(text) if usual is None else (usual, "")

    def _parse_clear(self, text: str) -> tuple[dict[str, str], str]:
        """Do what parse_clear does for a line of any form."""
        match = self._clear_pattern.fullmatch(text)
        if match is None:
            if _ANY_LINE.fullmatch(text.encode("latin-1")) is None:
                raise RemoteProtocolError(ErrorCode.MALFORMED)
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, self.head)
        groups = match.groups()
        unknown: str = groups[-1]
        if unknown:
            self._check_unknown(unknown[1:])
        return self._whole(self._clear, groups), unknown

    def parse_sealed(self, plaintext: bytes, unknown: str = "") -> dict[str, str]:
        """Return the fields of a seal's padded plaintext.

        `unknown` is what parse_clear returned of the same line. Raises RemoteProtocolError
        (bad-field).
        """
        if plaintext == _NOTHING and self._may_be_empty:
            return {}
        if not plaintext or len(plaintext) % SEAL_BLOCK_BYTES:
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, self.head)
        text = plaintext.decode("latin-1")
        usual = self._sealed.read_usual(text)
        return self._parse_sealed(text, unknown) if usual is None else usual

    def _parse_sealed(self, text: str, unknown: str) -> dict[str, str]:
        """Do what parse_sealed does for a seal of any form."""
        match = self._sealed_pattern.fullmatch(text)
        if match is None:
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, self.head)
        groups = match.groups()
        if groups[-1]:
            self._check_unknown(groups[-1][:-1] + unknown)
        return self._whole(self._sealed, groups)

    def format_clear(self, values: Mapping[str, str]) -> bytes:
        """Return the line up to where seal or CR LF come. Raises LocalProtocolError."""
        text = self._clear.encode(values)
        if text is None:
            raise LocalProtocolError(f"a field of {self.head} is missing or of the wrong form")
        return text.encode("latin-1")

    def format_sealed(self, values: Mapping[str, str]) -> bytes:
        """Return the padded plaintext of the seal. Raises LocalProtocolError."""
        if not values and self._may_be_empty:
            return _NOTHING
        text = self._sealed.encode(values)
        if text is None:
            raise LocalProtocolError(f"a sealed field of {self.head} is missing or of the wrong form")
        octets = text.encode("latin-1")
        return octets.ljust(max(1, -(-len(octets) // SEAL_BLOCK_BYTES)) * SEAL_BLOCK_BYTES)

    def _whole(self, part: _Part, groups: tuple[str | None, ...]) -> dict[str, str]:
        """Return the fields found, those that belong together complete. Raises RemoteProtocolError."""
        if part.torn([name for name, value in zip(part.names, groups, strict=False) if value is not None]):
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, self.head)
        return part.decode(groups)

    def _check_unknown(self, text: str) -> None:
        """Refuse an unknown field of an INFO line that stands twice or bears a known name."""
        names = [match[1] for match in _UNKNOWN.finditer(text)]
        if len(set(names)) != len(names) or not self._known.isdisjoint(names):
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, self.head)


def head_of(octets: bytes) -> bytes:
    """Return the first two words of a line, such as b"COMMAND PROCESS"."""
    end = octets.find(b" ", octets.find(b" ") + 1)
    return octets if end < 0 else octets[:end]


class VerbTable:
    """The compiled lines, found by phase, sender and the line's first two words."""

    def __init__(self, specs: Iterable[VerbSpec]) -> None:
        """Compile every line of `specs`."""
        self.specs = tuple(specs)
        self._lines: dict[tuple[Phase, Side], dict[bytes, Line]] = {
            (phase, side): {} for phase in Phase for side in Side
        }
        for spec in self.specs:
            line = Line(spec)
            for side in spec.by:
                for phase, cover in ((Phase.OPENING, spec.opening), (Phase.SEALED, spec.after)):
                    if cover is not None:
                        self._lines[phase, side][spec.head.encode("ascii")] = line

    def lines(self, phase: Phase, side: Side) -> Mapping[bytes, Line]:
        """Return what `side` may say in `phase`, by the line's first two words."""
        return self._lines[phase, side]

    def find(self, phase: Phase, side: Side, octets: bytes) -> Line:
        """Return the line that `octets` begin like.

        Raises RemoteProtocolError: malformed, unknown-verb, or out-of-order for a verb that
        this side may say in the other phase only.
        """
        head = head_of(octets)
        line = self._lines[phase, side].get(head)
        if line is not None:
            return line
        if _ANY_HEAD.match(octets) is None:
            raise RemoteProtocolError(ErrorCode.MALFORMED)
        if any(head in self._lines[other, side] for other in Phase):
            raise RemoteProtocolError(ErrorCode.OUT_OF_ORDER, "phase")
        raise RemoteProtocolError(ErrorCode.UNKNOWN_VERB)

    def spoken(self, phase: Phase, side: Side) -> dict[tuple[str, str], Line]:
        """Return what `side` may say in `phase`, by kind and verb.

        The kind is its word: to hash a member of an enumeration is a call in Python.
        """
        return {(line.kind.value, line.verb): line for line in self._lines[phase, side].values()}

    def named(self, phase: Phase, side: Side, kind: Kind, verb: str) -> Line:
        """Return the line that this side wants to say. Raises LocalProtocolError."""
        try:
            return self._lines[phase, side][f"{kind} {verb}".encode()]
        except (KeyError, UnicodeEncodeError):
            raise LocalProtocolError(f"{side} does not say {kind} {verb} here") from None


def cover_of(line: Line, phase: Phase) -> Cover | None:
    """Return how a line is covered in `phase`, None when it is not said then."""
    return line.spec.opening if phase is Phase.OPENING else line.spec.after


#: The device protocol, version 1.
DEVICE_TABLE: Final = VerbTable(VERBS)
