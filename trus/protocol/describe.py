"""Writes the parts of docs/protocol.md that the program already knows: rules, tables, diagrams.

Invents nothing: every row comes from the list of verbs, the transition tables, the types of
fields or a named constant, so that the specification cannot drift. Run
`python -m trus.protocol.describe docs/protocol.md` to bring the page up to date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from trus.protocol import buffer, fields, handshake, link, records, session, states, table, tickets
from trus.protocol.errors import MEANINGS, ErrorCode, LocalProtocolError
from trus.protocol.spec import Cover, FieldSpec, Kind, Need, Side, VerbSpec
from trus.protocol.verbs import VERBS
from trus.values import NEVER_FINAL, ResponseCode

_BLOCK: Final = re.compile(
    r"(<!-- generated: (?P<name>[a-z0-9-]+) -->\n)(?P<body>.*?)(<!-- end of generated: (?P=name) -->\n)", re.DOTALL
)
#: What each response code means to who reads an answer (ISO 8583 field 39).
CODE_MEANINGS: Final[dict[ResponseCode, str]] = {
    ResponseCode.APPROVED: "approved",
    ResponseCode.INVALID_MERCHANT: "invalid merchant",
    ResponseCode.DO_NOT_HONOUR: "do not honour",
    ResponseCode.PARTIAL_APPROVAL: "approved for a part of the amount",
    ResponseCode.INVALID_TRANSACTION: "invalid transaction",
    ResponseCode.INVALID_AMOUNT: "invalid amount",
    ResponseCode.INVALID_CARD: "invalid card number, or wrong verification value",
    ResponseCode.RECORD_NOT_FOUND: "unable to locate the record",
    ResponseCode.FORMAT_ERROR: "format error",
    ResponseCode.SUSPECTED_FRAUD: "suspected fraud",
    ResponseCode.NOT_SUPPORTED: "function not supported",
    ResponseCode.LOST_CARD: "lost card",
    ResponseCode.STOLEN_CARD: "stolen card",
    ResponseCode.INSUFFICIENT_FUNDS: "insufficient funds",
    ResponseCode.EXPIRED_CARD: "expired card",
    ResponseCode.WRONG_PIN: "wrong PIN",
    ResponseCode.NOT_PERMITTED_TO_CARDHOLDER: "not permitted to the cardholder",
    ResponseCode.NOT_PERMITTED_TO_TERMINAL: "not permitted to the terminal",
    ResponseCode.OVER_AMOUNT_LIMIT: "over the amount limit",
    ResponseCode.RESTRICTED_CARD: "restricted card",
    ResponseCode.SECURITY_VIOLATION: "security violation",
    ResponseCode.OVER_COUNT_LIMIT: "over the count limit",
    ResponseCode.LATE_RESPONSE: "late: the request had already been taken back",
    ResponseCode.PIN_TRIES_EXCEEDED: "PIN tries exceeded",
    ResponseCode.CRYPTOGRAPHIC_FAILURE: "cryptographic failure",
    ResponseCode.CUT_OVER: "cut-over in progress",
    ResponseCode.ISSUER_UNAVAILABLE: "issuer not available",
    ResponseCode.CANNOT_ROUTE: "cannot route",
    ResponseCode.DUPLICATE: "the identity was used for another request",
    ResponseCode.OUT_OF_BALANCE: "the totals of the batch differ; it is open still",
    ResponseCode.SYSTEM_ERROR: "system error",
}
_FROM: Final[dict[Side, str]] = {Side.INITIATOR: "initiator", Side.RESPONDER: "responder", Side.GATEWAY: "gateway"}
_NEED: Final[dict[Need, str]] = {Need.MUST: "yes", Need.MAY: "may", Need.NEVER: "no"}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)


def _who(spec: VerbSpec) -> str:
    return ", ".join(_FROM[side] for side in spec.by)


def _when(spec: VerbSpec) -> str:
    parts = []
    for word, cover in (("before", spec.opening), ("after", spec.after)):
        if cover is not None:
            parts.append(f"{word}: {cover}")
    return "; ".join(parts)


def rule_name(spec: VerbSpec) -> str:
    """Return the ABNF rule of a line's clear part, such as "command-process"."""
    name = f"{spec.kind}-{spec.verb}".lower()
    twins = [other for other in VERBS if other.head == spec.head]
    return name if len(twins) == 1 else f"{name}-{spec.by[0]}"


def abnf_types() -> str:
    """Return one ABNF rule for each type of field."""
    return "".join(f"{kind.name:<11}= {kind.abnf}\n" for kind in fields.TYPES)


def _abnf_field(field: FieldSpec, before: str, after: str) -> str:
    body = f'{before}%s"{field.name}=" {field.type.name}{after}'
    return body if field.need is Need.MUST else f"[ {body} ]"


def abnf_verbs() -> str:
    """Return the ABNF rules of every line: NAME for the clear part, NAME-sealed for the plaintext."""
    rules = []
    for spec in VERBS:
        name = rule_name(spec)
        named = [FieldSpec("s", fields.LABEL, "", spec.session), FieldSpec("id", fields.DIALOGUE, "", spec.dialogue)]
        clear = [_abnf_field(field, "SP ", "") for field in (*named, *spec.clear) if field.need is not Need.NEVER]
        tail = ["*( SP unknown )"] if spec.kind is Kind.INFO else []
        rules.append(_abnf_rule(name, [f'%s"{spec.head}"', *clear, *tail]))
        if Cover.SEALED in (spec.opening, spec.after):
            sealed = [_abnf_field(field, "", " SP") for field in spec.sealed]
            tail = ["*( unknown SP )"] if spec.kind is Kind.INFO else []
            rules.append(_abnf_rule(f"{name}-sealed", [*sealed, *tail, "*SP"]))
    return "".join(rules)


def _abnf_rule(name: str, elements: Sequence[str]) -> str:
    lines = [f"{name} = {elements[0]}"]
    for element in elements[1:]:
        if len(lines[-1]) + len(element) + 1 > 96:
            lines.append("    " + element)
        else:
            lines[-1] += " " + element
    return "\n".join(lines) + "\n"


def types() -> str:
    """Return the table of types of fields."""
    return _table(("type", "meaning"), ((f"`{kind.name}`", kind.meaning) for kind in fields.TYPES))


def verbs() -> str:
    """Return the overview of all lines."""
    rows = (
        (
            f"[`{spec.head}`](#{rule_name(spec)})",
            _who(spec),
            _when(spec),
            _NEED[spec.session],
            _NEED[spec.dialogue],
            str(spec.since),
            spec.meaning,
        )
        for spec in VERBS
    )
    return _table(("line", "from", "authenticated, and how covered", "s", "id", "since", "meaning"), rows)


def verb_fields() -> str:
    """Return a section for each line with its fields."""
    parts = []
    for spec in VERBS:
        title = f"#### {spec.head} (from the {_who(spec)})"
        parts.append(f'<a id="{rule_name(spec)}"></a>\n\n{title}\n\n{spec.meaning}\n\n')
        rows = [
            (f"`{field.name}`", where, _NEED[field.need], f"`{field.type.name}`", str(field.since), field.meaning)
            for where, members in (("clear", spec.clear), ("sealed", spec.sealed))
            for field in members
        ]
        columns = ("field", "where", "required", "type", "since", "meaning")
        parts.append(_table(columns, rows) if rows else "No fields.\n")
        if spec.together:
            names = ", ".join(f"`{name}`" for name in spec.together[:-1]) + f" and `{spec.together[-1]}`"
            parts.append(f"\n{names} are both there or both absent.\n")
        parts.append("\n")
    return "".join(parts)


def _diagram(transitions: Iterable[tuple[str, str, str]], first: str, last: str) -> str:
    merged: dict[tuple[str, str], list[str]] = {}
    for before, label, after in transitions:
        merged.setdefault((before, after), []).append(label)

    def node(state: str) -> str:
        return state.replace("-", "_")

    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {node(first)}"]
    lines += [f"    {node(a)} --> {node(b)}: {'<br>'.join(labels)}" for (a, b), labels in merged.items()]
    lines += [f"    {node(last)} --> [*]", "```"]
    return "\n".join(lines) + "\n"


def _said(side: Side, head: str) -> str:
    return f"{_FROM[side]} {head}"


def session_states() -> str:
    """Return the diagram of a session."""
    moves = [(str(a), _said(side, head), str(b)) for (a, side, head), b in states.SESSION.items()]
    return _diagram(moves, states.SessionState.IDLE, states.SessionState.ENDED)


def dialogue_states() -> str:
    """Return the diagram of a dialogue."""
    moves = [(str(a), _said(side, head), str(b)) for (a, side, head), b in states.DIALOGUE.items()]
    return _diagram(moves, states.DialogueState.NEW, states.DialogueState.CLOSED)


def connection_states() -> str:
    """Return the diagram of a device's connection at the gateway."""
    moves = [(str(a), str(event), str(b)) for (a, event), b in states.CONNECTION.items()]
    return _diagram(moves, states.ConnectionState.ACCEPTED, states.ConnectionState.CLOSED)


def error_codes() -> str:
    """Return the catalogue of INFO ERROR."""
    return _table(("code", "meaning"), ((f"`{code}`", MEANINGS[code]) for code in ErrorCode))


def response_codes() -> str:
    """Return the response codes."""
    rows = (
        (f"`{code}`", CODE_MEANINGS[code], "no: reverse" if code in NEVER_FINAL else "yes") for code in ResponseCode
    )
    return _table(("code", "meaning", "final"), rows)


def limits() -> str:
    """Return every limit and time-out with its value."""
    rows = (
        ("longest line before authentication", f"{buffer.MAX_OPENING_LINE_BYTES} octets, CR LF included"),
        ("longest line after authentication", f"{buffer.MAX_SEALED_LINE_BYTES} octets, CR LF included"),
        ("longest line of the link", f"{link.MAX_LINK_LINE_BYTES} octets, CR LF included"),
        ("chunk of an unopened stream on the link", f"{link.MAX_STREAM_CHUNK_BYTES} octets"),
        ("lines of a device before its first session is authenticated", f"{states.MAX_OPENING_LINES}"),
        ("sessions of one connection", f"{states.MAX_SESSIONS}"),
        ("dialogues open at once, of each side of a session", f"{states.MAX_DIALOGUES}, or as `dialogues` says"),
        ("padding of sealed fields", f"multiple of {table.SEAL_BLOCK_BYTES} octets, at least one"),
        ("records under one key before rekey", f"{records.MAX_RECORDS}"),
        ("records under one key at most", f"{records.LAST_RECORD}"),
        ("age of keys before rekey", f"{session.MAX_KEY_AGE_SECONDS} s"),
        ("age of keys past which the responder hears only COMMAND REKEY", f"{session.OVERDUE_SECONDS} s"),
        ("lifetime of a ticket", f"{tickets.TICKET_LIFETIME_SECONDS} s"),
        ("chain of resumptions, from its full handshake", f"{tickets.CHAIN_LIFETIME_SECONDS} s"),
        ("handshake, from message 1 to message 4", f"{handshake.HANDSHAKE_TIMEOUT_SECONDS} s"),
        ("answer to a request, then the device repeats it", f"{handshake.REPEAT_AFTER_SECONDS} s"),
        ("final answer to a request, then the device reverses it", f"{handshake.ANSWER_TIMEOUT_SECONDS} s"),
        ("wait for a PIN", f"{handshake.PIN_TIMEOUT_SECONDS} s"),
        ("silence of a session, then ECHO or end", "as `idle` says"),
    )
    return _table(("limit", "value"), rows)


BLOCKS: Final[dict[str, Callable[[], str]]] = {
    "abnf-types": lambda: f"```abnf\n{abnf_types()}```\n",
    "abnf-verbs": lambda: f"```abnf\n{abnf_verbs()}```\n",
    "types": types,
    "verbs": verbs,
    "verb-fields": verb_fields,
    "session-states": session_states,
    "dialogue-states": dialogue_states,
    "connection-states": connection_states,
    "error-codes": error_codes,
    "response-codes": response_codes,
    "limits": limits,
}


def renew(page: str, blocks: dict[str, Callable[[], str]] = BLOCKS) -> str:
    """Return `page` with every generated block of these names made anew.

    Blocks of other names stay as they are. Raises LocalProtocolError when the page lacks one.
    """
    found = {match["name"] for match in _BLOCK.finditer(page)}
    missing = sorted(set(blocks) - found)
    if missing:
        raise LocalProtocolError(f"the page lacks the generated blocks {', '.join(missing)}")

    def fill(match: re.Match[str]) -> str:
        make = blocks.get(match["name"])
        return match[0] if make is None else f"{match[1]}\n{make()}\n{match[4]}"

    return _BLOCK.sub(fill, page)


def main(arguments: Sequence[str]) -> int:
    """Renew the page that the one argument names; say whether it changed."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m trus.protocol.describe PAGE\n")
        return 2
    path = Path(arguments[0])
    before = path.read_text(encoding="utf-8")
    after = renew(before)
    path.write_text(after, encoding="utf-8")
    sys.stdout.write(f"{path}: {'renewed' if after != before else 'up to date'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
