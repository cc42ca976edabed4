"""Writes docs/reference/configuration.md and policy.md from the settings' own classes.

Adds nothing that the classes do not say; a test compares the page with what this writes.
Run `python -m trus.settings.describe FILE` after changing the model.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from trus.settings.kinds import Kind
from trus.settings.loading import sections_of
from trus.settings.model import Settings
from trus.settings.policy import PolicySettings
from trus.settings.sections import Section
from trus.settings.writing import scalar

_HEAD: Final = """\
# The configuration file

One YAML file configures every role: a process is a gateway when the file has a section
`gateway`, a backend when it has a section `backend`, and both when it has both. `trus init`
writes a complete file; `config/` holds commented examples; `trus check-config FILE` names
everything that is wrong with a file at once, `trus doctor --config FILE` looks at what it
names: token, database, certificates, ports.

Rules of the format:

- A setting that is not listed here is refused, and so is a key that stands twice.
- A relative path starts at the folder of the file.
- A duration is a whole number with `ms`, `s`, `m`, `h` or `d`; a size is a whole number with
  `B`, `KiB`, `MiB` or `GiB`. A bare number is refused.
- No secret stands in the file: passphrases and the token's PIN are in files of their own,
  which their owner alone may read.
- A section whose settings all have defaults may be left out.

This page is written from the settings' classes (`python -m trus.settings.describe`).
"""


_POLICY_HEAD: Final = """\
# The certificate policy's file

`pki/policy.yaml` says where a deployment's certificate policy differs from the network's own,
which [keys.md](keys.md) shows. The backend's configuration names it (`backend.identity.policy`); the
backend reads it at its start. `trus check-config` names everything that is wrong with it at once.
The rules of the format are those of [the configuration file](configuration.md).

A number of approvals counts *others*: with 1, whoever orders and one more person must agree.

This page is written from the settings' classes (`python -m trus.settings.describe`).
"""


def describe() -> str:
    """Return the page of the configuration file, in Markdown."""
    return _HEAD + "".join(f"\n{part}\n" for part in _parts(Settings, ""))


def describe_policy() -> str:
    """Return the page of the certificate policy's file, in Markdown."""
    return _POLICY_HEAD + "".join(f"\n{part}\n" for part in _parts(PolicySettings, ""))


def _parts(cls: type[Section], place: str) -> Iterator[str]:
    hints = typing.get_type_hints(cls)
    fields = attrs.fields(cls)
    rows = [_row(field) for field in fields if "kind" in field.metadata]
    if rows:
        head = "| setting | what it is for | expected | default |\n|---|---|---|---|"
        yield "\n".join([head, *rows])
    for field in fields:
        below = sections_of(hints[field.name])
        if below is None or "kind" in field.metadata:
            continue
        listed = typing.get_origin(hints[field.name]) is tuple
        path = f"{place}.{field.name}" if place else field.name
        shown = f"{path}[]" if listed else path
        doc = below.__doc__ or ""
        here = field.metadata["doc"]
        need = "Required." if field.default is attrs.NOTHING else "May be left out."
        yield f"## `{shown}`\n\n{here} {need}\n\n{_flow(doc)}"
        yield from _parts(below, shown)


def _row(field: attrs.Attribute[Any]) -> str:
    kind: Kind = field.metadata["kind"]
    if field.default is attrs.NOTHING:
        default = "required"
    else:
        written = kind.write(field.default, Path())
        default = "none" if written is None else f"`{scalar(written)}`"
    return f"| `{field.name}` | {field.metadata['doc']} | {kind.expected} | {default} |"


def _flow(doc: str) -> str:
    return " ".join(doc.split())


PAGES: Final = {"configuration.md": describe, "policy.md": describe_policy}

if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(PAGES[page.name](), encoding="utf-8")
