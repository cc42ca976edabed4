"""What a scene of the specification is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tests.transactions.stage import Stage

#: Plays on an empty stage: what it makes terminals, cardholders and the operator do is the scene.
Act = Callable[[Stage], None]


@attrs.frozen
class Scene:
    """A scene: its name in page and vectors, its title, and whether the vectors show its seals too."""

    name: str
    title: str
    act: Act
    sealed: bool = False


class Script:
    """Scenes in the order in which the page shows them."""

    def __init__(self) -> None:
        self.scenes: list[Scene] = []

    def scene(self, name: str, title: str, *, sealed: bool = False) -> Callable[[Act], Act]:
        """Put a function into the list; title and remarks are what the page says."""

        def note(act: Act) -> Act:
            self.scenes.append(Scene(name, title, act, sealed))
            return act

        return note
