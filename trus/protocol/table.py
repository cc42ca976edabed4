"""Makes one pattern a line out of the list of verbs, and applies it in both directions.

Keeps no state. A formatted line is checked by the very pattern that the peer will apply, so
that this side never says what it would itself refuse.
Specification: docs/protocol.md, "Lines" and "Verbs".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from trus.protocol import fields, grammar
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.protocol.spec import Cover, FieldSpec, Kind, Need, Phase, Side, VerbSpec
from trus.protocol.verbs import VERBS

#: Sealed plaintext is padded with SP to a multiple of this, so that its length says little.
SEAL_BLOCK_BYTES: Final = 64
#: The plaintext of a seal without fields.
_NOTHING: Final = b" " * SEAL_BLOCK_BYTES

_ANY_LINE: Final = re.compile(
    rb"%b %b(?: %b=%b)*" % (grammar.KIND, grammar.VERB, grammar.NAME, grammar.VALUE),
)
_ANY_HEAD: Final = re.compile(rb"%b %b(?: |\Z)" % (grammar.KIND, grammar.VERB))
_UNKNOWN: Final = re.compile(rf"({grammar.NAME.decode()})={grammar.VALUE.decode('latin-1')}(?: |\Z)")
_LABEL_FIELD: Final = FieldSpec("s", fields.LABEL, "the session")
_DIALOGUE_FIELD: Final = FieldSpec("id", fields.DIALOGUE, "the dialogue")


class _Part:
    """The clear or the sealed fields of a line: names in order, and how values are spelled.

    Octets are matched as Latin-1 text, in which one character is one octet: the patterns
    name every octet that they accept, and what they capture needs no further decoding.
    """

    def __init__(self, specs: Iterable[FieldSpec], before: str, after: str) -> None:
        """Each field stands between `before` and `after`."""
        specs = tuple(specs)
        self.names = tuple(spec.name for spec in specs)
        self._texts = tuple(spec.name for spec in specs if spec.type.text)
        self._starts = tuple(f"{before}{spec.name}=" for spec in specs)
        self._after = after
        self.pattern = "".join(
            ("{}({}){}" if spec.need is Need.MUST else "(?:{}({}){})?").format(
                start, spec.type.pattern.decode("latin-1"), after
            )
            for spec, start in zip(specs, self._starts, strict=True)
        )

    def decode(self, groups: tuple[str | None, ...]) -> dict[str, str]:
        # The last group is the tail of unknown fields, which has no name here.
        found = {name: value for name, value in zip(self.names, groups, strict=False) if value is not None}
        for name in self._texts:
            if name in found:
                found[name] = grammar.decode_value(found[name].encode("latin-1"))
        return found

    def encode(self, values: Mapping[str, str]) -> tuple[str, tuple[str | None, ...]]:
        """Return the octets, and each field's value as the pattern must find it again."""
        for name in self._texts:
            if name in values:
                values = {**values, name: grammar.encode_value(values[name]).decode("latin-1")}
        found = tuple(map(values.get, self.names))
        after = self._after
        parts = [start + value + after for start, value in zip(self._starts, found, strict=True) if value is not None]
        if len(parts) != len(values):
            raise LocalProtocolError("a field that the table does not list here")
        return "".join(parts), found


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
        self._clear = _Part([*named, *spec.clear], " ", "")
        self._sealed = _Part(spec.sealed, "", " ")
        info = spec.kind is Kind.INFO
        field = f"{grammar.NAME.decode()}={grammar.VALUE.decode('latin-1')}"
        tail = f"((?: {field})*)" if info else "()"
        self._clear_pattern = re.compile(self.head + self._clear.pattern + tail)
        tail = f"((?:{field} )*)" if info else "()"
        self._sealed_pattern = re.compile(self._sealed.pattern + tail + " *+")
        self._known = frozenset((*self._clear.names, *self._sealed.names, "s", "id", "seal"))
        self._together = frozenset(spec.together)
        self._may_be_empty = self._sealed_pattern.fullmatch(_NOTHING.decode()) is not None
        self.sealed_names = frozenset(self._sealed.names)

    def parse_clear(self, octets: bytes) -> tuple[dict[str, str], str]:
        """Return the fields (s and id among them) of a line without seal and CR LF.

        The second value is what stood after the known fields of an INFO line. Raises
        RemoteProtocolError (malformed, bad-field).
        """
        match = self._clear_pattern.fullmatch(octets.decode("latin-1"))
        if match is None:
            if _ANY_LINE.fullmatch(octets) is None:
                raise RemoteProtocolError(ErrorCode.MALFORMED)
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, self.head)
        groups = match.groups()
        unknown: str = groups[-1]
        if unknown:
            self._check_unknown(unknown[1:])
        fields = self._clear.decode(groups)
        if self._together:
            self._check_together(fields)
        return fields, unknown

    def parse_sealed(self, plaintext: bytes, unknown: str = "") -> dict[str, str]:
        """Return the fields of a seal's padded plaintext.

        `unknown` is what parse_clear returned of the same line. Raises RemoteProtocolError
        (bad-field).
        """
        if plaintext == _NOTHING and self._may_be_empty:
            return {}
        match = self._sealed_pattern.fullmatch(plaintext.decode("latin-1"))
        if match is None or not plaintext or len(plaintext) % SEAL_BLOCK_BYTES:
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, self.head)
        groups = match.groups()
        if groups[-1]:
            self._check_unknown(groups[-1][:-1] + unknown)
        fields = self._sealed.decode(groups)
        if self._together:
            self._check_together(fields)
        return fields

    def format_clear(self, values: Mapping[str, str]) -> bytes:
        """Return the line up to where seal or CR LF come. Raises LocalProtocolError."""
        text, found = self._clear.encode(values)
        text = self.head + text
        match = self._clear_pattern.fullmatch(text)
        # A value that holds a space must not come back as two fields.
        if match is None or match.groups()[:-1] != found or self._torn(values):
            raise LocalProtocolError(f"a field of {self.head} is missing or of the wrong form")
        return text.encode("latin-1")

    def format_sealed(self, values: Mapping[str, str]) -> bytes:
        """Return the padded plaintext of the seal. Raises LocalProtocolError."""
        if not values and self._may_be_empty:
            return _NOTHING
        text, found = self._sealed.encode(values)
        text = text.ljust(max(1, -(-len(text) // SEAL_BLOCK_BYTES)) * SEAL_BLOCK_BYTES)
        match = self._sealed_pattern.fullmatch(text)
        if match is None or match.groups()[:-1] != found or self._torn(values):
            raise LocalProtocolError(f"a sealed field of {self.head} is missing or of the wrong form")
        return text.encode("latin-1")

    def _torn(self, values: Mapping[str, str]) -> bool:
        """Say whether some but not all of the fields that belong together are there."""
        return bool(self._together) and 0 < len(self._together.intersection(values)) < len(self._together)

    def _check_together(self, values: Mapping[str, str]) -> None:
        if self._torn(values):
            raise RemoteProtocolError(ErrorCode.BAD_FIELD, self.head)

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
        """Return what `side` may say in `phase`, by kind and verb."""
        return {(line.kind, line.verb): line for line in self._lines[phase, side].values()}

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
