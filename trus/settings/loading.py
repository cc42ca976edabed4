"""Turns a configuration file into Settings, or into the list of everything wrong with it.

Opens no other file than the one named (trus.settings.files looks at those that it names)
and fills in nothing that the model does not state as a default.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import attrs
from cattrs import (
    BaseValidationError,
    ClassValidationError,
    Converter,
    ForbiddenExtraKeysError,
    IterableValidationError,
)
from cattrs.gen import make_dict_structure_fn, override

from trus.settings.kinds import Kind
from trus.settings.model import Settings
from trus.settings.problems import Misfit, Misfits, Problem, SettingsInvalid, join_path, show
from trus.settings.reading import MAX_FILE_BYTES, Document, read_document
from trus.settings.sections import Section

_Steps = tuple[str | int, ...]


_Root = TypeVar("_Root", bound=Section)


def load(path: str | Path) -> Settings:
    """Return the settings of the YAML file at `path`; relative paths in it start at its folder.

    Raises SettingsInvalid (a ConfigurationError) with every problem found.
    """
    return load_as(Settings, path)


def load_as(root: type[_Root], path: str | Path) -> _Root:
    """Return the YAML file at `path` as the section `root`; see `load`. Raises SettingsInvalid."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsInvalid(path, [Problem("", f"no readable file ({reason})", "a YAML file")]) from None
    if len(raw) > MAX_FILE_BYTES:
        raise SettingsInvalid(path, [Problem("", "a larger file", f"at most {MAX_FILE_BYTES} bytes")])
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise SettingsInvalid(path, [Problem("", "bytes that are not UTF-8", "UTF-8 text")]) from None
    return parse_as(root, text, path)


def parse(text: str, path: Path) -> Settings:
    """Return the settings that `text` says, as if it stood in the file `path`.

    Raises SettingsInvalid with every problem found.
    """
    return parse_as(Settings, text, path)


def parse_as(root: type[_Root], text: str, path: Path) -> _Root:
    """Return what `text` says as the section `root`; see `parse`. Raises SettingsInvalid."""
    document = read_document(text)
    problems = list(document.problems)
    settings: _Root | None = None
    if isinstance(document.value, dict):
        converter = _make_converter(path.parent.absolute())
        try:
            settings = converter.structure(document.value, root)
        except BaseValidationError as error:
            problems += [_as_problem(root, document, steps, cause) for steps, cause in _leaves(error, ())]
        except (Misfit, Misfits) as error:
            problems += [_as_problem(root, document, misfit.below, misfit) for misfit in _single(error)]
    if problems or settings is None:
        raise SettingsInvalid(path, sorted(problems, key=lambda problem: problem.line))
    return settings


def sections_of(annotation: Any) -> type[Section] | None:
    """Return the section class that an annotation names: itself, optional or in a tuple."""
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    return None


def _make_converter(base: Path) -> Converter:
    converter = Converter(detailed_validation=True, forbid_extra_keys=True)

    def hook_of(kind: Kind) -> Callable[[Any, Any], Any]:
        return lambda value, _type: kind.parse(value, base)

    def make(cls: type[Section]) -> Callable[[Any, Any], Any]:
        hints = typing.get_type_hints(cls)
        overrides: dict[str, Any] = {}
        for field in attrs.fields(cls):
            kind = field.metadata.get("kind")
            if kind is not None:
                overrides[field.name] = override(struct_hook=hook_of(kind))
            else:
                overrides[field.name] = override(struct_hook=section_hook(hints[field.name]))
        structure = make_dict_structure_fn(
            cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True, **overrides
        )

        def checked(value: Any, annotation: Any) -> Any:
            if not isinstance(value, dict):
                raise Misfit(show(value), "a mapping of settings")
            result = structure(value, annotation)
            misfits = list(result.misfits())
            if misfits:
                raise Misfits(misfits)
            return result

        return checked

    def section_hook(annotation: Any) -> Callable[[Any, Any], Any]:
        """Structure a section that is required or optional, or a list of sections."""
        cls = sections_of(annotation)
        if cls is None:
            raise TypeError(f"{annotation} is neither a setting nor a section")
        if typing.get_origin(annotation) is not tuple:
            return lambda value, _type: converter.structure(value, cls)
        listed = list[cls]  # type: ignore[valid-type]

        def structure_list(value: Any, _type: Any) -> tuple[Any, ...]:
            if not isinstance(value, list):
                raise Misfit(show(value), "a list")
            return tuple(converter.structure(value, listed))

        return structure_list

    converter.register_structure_hook_factory(lambda cls: isinstance(cls, type) and issubclass(cls, Section), make)
    return converter


def _leaves(error: BaseException, steps: _Steps) -> Iterator[tuple[_Steps, BaseException]]:
    """Yield the innermost causes with the way that leads to each."""
    if isinstance(error, ClassValidationError):
        with_notes, without = error.group_exceptions()
        for cause, note in with_notes:
            yield from _leaves(cause, (*steps, note.name))
        for cause in without:
            yield from _leaves(cause, steps)
    elif isinstance(error, IterableValidationError):
        with_notes_, without = error.group_exceptions()
        for cause, place in with_notes_:
            yield from _leaves(cause, (*steps, place.index))
        for cause in without:
            yield from _leaves(cause, steps)
    elif isinstance(error, ForbiddenExtraKeysError):
        for key in sorted(error.extra_fields):
            yield (*steps, key), error
    elif isinstance(error, (Misfit, Misfits)):
        for misfit in _single(error):
            yield (*steps, *misfit.below), misfit
    else:
        yield steps, error


def _single(error: Misfit | Misfits) -> tuple[Misfit, ...]:
    return error.misfits if isinstance(error, Misfits) else (error,)


def _as_problem(root: type[Section], document: Document, steps: _Steps, cause: BaseException) -> Problem:
    path, line = join_path(steps), document.line_of(steps)
    if isinstance(cause, Misfit):
        return Problem(path, cause.found, cause.expected, line)
    if isinstance(cause, ForbiddenExtraKeysError):
        known = ", ".join(field.name for field in attrs.fields(cause.cl))
        return Problem(path, "an unknown setting", f"one of {known}", line)
    if isinstance(cause, KeyError):
        return Problem(path, "nothing", _expected_at(root, steps), line)
    raise cause


def _expected_at(root: type[Section], steps: _Steps) -> str:
    """Return what the model expects at a place that a file leaves out."""
    cls = root
    for step in steps:
        if isinstance(step, int):
            continue
        field = attrs.fields_dict(cls)[step]
        kind = field.metadata.get("kind")
        if kind is not None:
            return str(kind.expected)
        below = sections_of(typing.get_type_hints(cls)[step])
        if below is None:
            break
        cls = below
    return "a mapping of settings"
