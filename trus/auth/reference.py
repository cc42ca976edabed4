"""Writes the tables of docs/reference/response-codes.md from the rules and texts themselves.

Reads and writes no file: the documentation holds what these functions return, and a test
compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trus.auth.linked import LINKED, LinkedRule
from trus.auth.rules import AFTER_PIN, BEFORE_PIN, LIMITS, PIN, Effect
from trus.auth.texts import CATALOGUE
from trus.values import ResponseCode


def code_table() -> str:
    """Return a row for every response code: meaning, cashier's line, what the terminal does."""
    rows = [
        (code.value, words.meaning, words.cashier, words.next_step.value)
        for code, words in sorted(CATALOGUE.items(), key=lambda item: item[0].value)
    ]
    return _table(("Code", "Meaning", "Cashier reads", "Terminal"), rows)


def rule_table() -> str:
    """Return a row for every rule, in the order in which they are asked."""
    rows: list[tuple[str, ...]] = []
    for stage, rules in (("before the PIN", BEFORE_PIN), ("the PIN", PIN), ("after the PIN", AFTER_PIN)):
        for rule in rules:
            code = "asks for the PIN" if rule.effect is Effect.WANT_PIN else rule.code.value
            rows.append((str(len(rows) + 1), f"`{rule.name}`", code, stage, rule.reason))
    rows.extend(
        (str(number), f"`{limit.name}`", limit.code.value, "the amount", limit.reason)
        for number, limit in enumerate(LIMITS, len(rows) + 1)
    )
    return _table(("#", "Rule", "Code", "Stage", "It applies when"), rows)


def linked_table(rules: Sequence[LinkedRule]) -> str:
    """Return a row for every rule of requests about an earlier one, in the order in which they are asked."""
    rows = [(str(number), f"`{rule.name}`", rule.code.value, rule.reason) for number, rule in enumerate(rules, 1)]
    return _table(("#", "Rule", "Code", "It applies when"), rows)


def codes_of_rules() -> frozenset[ResponseCode]:
    """Return the codes that some rule gives."""
    linked = {rule.code for rules in LINKED.values() for rule in rules}
    return frozenset(rule.code for rule in (*BEFORE_PIN, *PIN, *AFTER_PIN)) | {limit.code for limit in LIMITS} | linked


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
