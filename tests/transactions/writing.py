"""Plays every scene and writes it down: docs/transactions.md for people, docs/vectors/transactions.json for programs.

`python -m tests.protocol.transcripts` renews both; a test compares them with what is played anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from tests.protocol import stranger
from tests.protocol.observer import _cut
from tests.transactions import acts, misdeeds
from tests.transactions.codes import matrix
from tests.transactions.founding import POLICIES, TERMINALS, town
from tests.transactions.hearing import Remark, Said, Session
from tests.transactions.script import Scene
from tests.transactions.stage import Stage
from trus.protocol.describe import renew

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "transactions.md"
VECTORS: Final = ROOT / "docs" / "vectors" / "transactions.json"
#: Every scene, in the order of the page.
SCENES: Final[Sequence[Scene]] = (*acts.SCRIPT.scenes, *misdeeds.SCRIPT.scenes)


@attrs.frozen
class Played:
    """A scene that was played."""

    scene: Scene
    entries: Sequence[Said | Remark]
    sessions: Sequence[Session]

    @property
    def said(self) -> list[Said]:
        """Every line after authentication."""
        return [each for each in self.entries if isinstance(each, Said)]


def play(scene: Scene) -> Played:
    """Play a scene on a stage of its own."""
    folder = Path(tempfile.mkdtemp(prefix="trus-scene-"))
    try:
        stage = Stage(folder / "stage")
        try:
            scene.act(stage)
        finally:
            stage.close()
    finally:
        shutil.rmtree(folder)
    return Played(scene, stage.book.entries, stage.book.sessions)


# ------------------------------------------------------------------------------------ for people


def as_markdown(played: Played) -> str:
    """Return a scene as the page shows it: without the session's name and the seal, long values cut."""
    shown = [f"#### {played.scene.title}\n", "```"]
    session = 0
    for entry in played.entries:
        if isinstance(entry, Remark):
            shown.append(f"# {entry.text}")
            continue
        if entry.session.number != session:
            session = entry.session.number
            shown.append(f"# -- session {session + 1}: {entry.session.terminal}, mode {entry.session.mode}")
        clear = entry.clear.replace(f" s={entry.session.label}", "")
        shown.append(f"{'<' if entry.side == 'initiator' else '>'} {_cut(clear)}")
        sealed = (entry.plaintext or "").rstrip(" ")
        if sealed:
            shown.append(f"      {_cut(sealed)}")
    return "\n".join([*shown, "```"]) + "\n"


def page(before: str, plays: Sequence[Played]) -> str:
    """Return the page with every transcript made anew."""
    blocks = {f"scene-{each.scene.name}": partial(as_markdown, each) for each in plays}
    return renew(before, {**blocks, "code-matrix": matrix})


# ---------------------------------------------------------------------------------- for programs


def vectors(plays: Sequence[Played]) -> str:
    """Return every scene as JSON; what it means is said in docs/transactions.md, "Vectors"."""
    whole = {
        "specification": "docs/transactions.md; octets are hexadecimal, lines are without CR LF",
        "terminals": [{"terminal": name, "shop": shop, "mcc": "5812"} for name, shop in TERMINALS],
        "cards": [
            {"holder": each.employee, "company": each.company, "track2": each.track2, "pin": each.pin}
            for each in town().cards
        ],
        "companies": sorted(POLICIES),
        "scenes": [scene_json(each) for each in plays],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def scene_json(played: Played) -> dict[str, Any]:
    """Return one scene."""
    whole = b"".join(each.line.encode() + b"\r\n" for each in played.said)
    return {
        "name": played.scene.name,
        "title": played.scene.title,
        "sessions": [_session_json(each) for each in played.sessions],
        "steps": [_step_json(each, played.scene.sealed) for each in played.entries],
        "digest": hashlib.sha256(whole).hexdigest(),
    }


def _session_json(session: Session) -> dict[str, Any]:
    values = session.talk.values
    greeting = next(each for each in session.talk.steps if each.line.startswith(b"INFO AUTHENTICATED"))
    assert greeting.plaintext is not None
    names = ["initiator key", "initiator iv", "responder key", "responder iv", "pin key"]
    names += [f"rekeyed {name}" for name in names[:4] if f"rekeyed {name}" in values]
    told = stranger.read_fields(greeting.plaintext.decode())
    return {
        "terminal": session.terminal,
        "mode": session.mode,
        "s": session.label,
        "authenticated": {name: value for name, value in told.items() if name != "ticket"},
        **{name: values[name] for name in names},
    }


def _step_json(entry: Said | Remark, sealed: bool) -> dict[str, Any]:
    if isinstance(entry, Remark):
        return {"remark": entry.text}
    step: dict[str, Any] = {"session": entry.session.number, "from": entry.side, "clear": entry.clear}
    if entry.plaintext is not None:
        step["sealed"] = entry.plaintext.rstrip(" ")
        step["padded"] = len(entry.plaintext.encode())
    step.update(_pin_json(entry))
    if sealed:
        step["line"] = entry.line
    return step


def _pin_json(entry: Said) -> dict[str, Any]:
    """Return what the PIN blocks of a line hold: PIN and fill of each that opens."""
    held = {}
    said = entry.fields if entry.side == "initiator" else {}
    blocks = {name: value for name, value in said.items() if name in ("pin", "new-pin", "block")}
    for name, block in blocks.items():
        key = bytes.fromhex(entry.session.talk.values["pin key"])
        number = _track_of(entry).partition("=")[0]
        pin, fill = stranger.open_pin(key, stranger.unb64(block), number)
        if pin.isdigit():
            held[name] = {"pin": pin, "fill": fill.hex()}
    return {"pins": held} if held else {}


def _track_of(entry: Said) -> str:
    """Return the stripe that the dialogue of a line began with."""
    mark = f" id={entry.fields['id']} ".encode()
    steps = (each for each in entry.session.talk.steps if each.plaintext and mark in each.line)
    return stranger.read_fields((next(steps).plaintext or b"").decode()).get("track2", "0")


def main() -> None:
    """Renew the page and the vectors."""
    plays = [play(scene) for scene in SCENES]
    VECTORS.write_text(vectors(plays), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), plays), encoding="utf-8")


if __name__ == "__main__":
    main()
