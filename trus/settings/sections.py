"""Says how a section of the configuration and its settings are declared.

Declares none: trus.settings.model does, and what is beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from trus.settings.kinds import Kind
from trus.settings.problems import Misfit


def setting(kind: Kind, doc: str, default: Any = attrs.NOTHING, *, spell: bool = False) -> Any:
    """Declare a setting: its kind, what it is for, and its default when it may be left out.

    `spell` has a written file spell it out even where it has its default.
    """
    return attrs.field(default=default, metadata={"kind": kind, "doc": doc, "spell": spell})


def section(doc: str, default: Any = attrs.NOTHING) -> Any:
    """Declare a section, or a list of sections."""
    return attrs.field(default=default, metadata={"doc": doc})


@attrs.frozen(kw_only=True)
class Section:
    """Base of all sections."""

    def misfits(self) -> Iterator[Misfit]:
        """Yield what is wrong between the settings of this section."""
        return iter(())
