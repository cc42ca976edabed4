"""Knows the kinds of values that a setting may have: how each is read, checked and written.

Knows no setting by name: trus.settings.model gives each setting its kind. Every refusal
says what is expected, unit and range included.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs

from trus.settings.problems import Misfit, Misfits, show
from trus.settings.values import DatabaseUrl, Duration, Size

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@attrs.frozen
class Kind:
    """A kind of value.

    `expected` completes the sentence "expected ...". `parse` takes the YAML value and the
    folder of the file, and raises Misfit. `write` is its inverse: a YAML scalar or list.
    """

    expected: str
    parse: Callable[[Any, Path], Any]
    write: Callable[[Any, Path], Any]


def _as_is(value: Any, _base: Path) -> Any:
    return value


def _as_text(value: Any, _base: Path) -> str:
    return str(value)


def text(pattern: str, expected: str) -> Kind:
    """Return the kind of strings that `pattern` matches wholly."""
    compiled = re.compile(pattern, re.ASCII)

    def parse(value: object, _base: Path) -> str:
        if not isinstance(value, str) or compiled.fullmatch(value) is None:
            raise Misfit(show(value), expected)
        return value

    return Kind(expected, parse, _as_is)


def whole(minimum: int, maximum: int, what: str = "a whole number") -> Kind:
    """Return the kind of integers from `minimum` to `maximum`."""
    expected = f"{what} from {minimum} to {maximum}"

    def parse(value: object, _base: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise Misfit(show(value), expected)
        return value

    return Kind(expected, parse, _as_is)


def _truth(value: object, _base: Path) -> bool:
    if not isinstance(value, bool):
        raise Misfit(show(value), "true or false")
    return value


def duration(minimum: str, maximum: str) -> Kind:
    """Return the kind of durations from `minimum` to `maximum`."""
    low, high = Duration.parse(minimum), Duration.parse(maximum)
    expected = f"a duration from {minimum} to {maximum}, with its unit (ms, s, m, h, d)"

    def parse(value: object, _base: Path) -> Duration:
        if not isinstance(value, str):
            raise Misfit(show(value), expected)
        try:
            result = Duration.parse(value)
        except ValueError:
            raise Misfit(show(value), expected) from None
        if not low <= result <= high:
            raise Misfit(show(value), expected)
        return result

    return Kind(expected, parse, _as_text)


def size(minimum: str, maximum: str) -> Kind:
    """Return the kind of sizes from `minimum` to `maximum`."""
    low, high = Size.parse(minimum), Size.parse(maximum)
    expected = f"a size from {minimum} to {maximum}, with its unit (B, KiB, MiB, GiB)"

    def parse(value: object, _base: Path) -> Size:
        if not isinstance(value, str):
            raise Misfit(show(value), expected)
        try:
            result = Size.parse(value)
        except ValueError:
            raise Misfit(show(value), expected) from None
        if not low <= result <= high:
            raise Misfit(show(value), expected)
        return result

    return Kind(expected, parse, _as_text)


def _read_address(value: object, _base: Path) -> str:
    if isinstance(value, str):
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            pass
    raise Misfit(show(value), _ADDRESS_EXPECTED)


def _read_path(expected: str) -> Callable[[object, Path], Path]:
    def parse(value: object, base: Path) -> Path:
        if not isinstance(value, str) or not value or "\0" in value:
            raise Misfit(show(value), expected)
        return (base / value).absolute()

    return parse


def _write_path(value: Path | None, base: Path) -> str | None:
    if value is None:
        return None
    try:
        return str(value.absolute().relative_to(base.absolute()))
    except ValueError:
        return str(value)


def _read_network(value: object) -> IpNetwork:
    if not isinstance(value, str):
        raise Misfit(show(value), _NETWORK_EXPECTED)
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        raise Misfit(show(value), _NETWORK_EXPECTED) from None


def _read_networks(value: object, _base: Path) -> tuple[IpNetwork, ...]:
    if not isinstance(value, list):
        raise Misfit(show(value), _NETWORKS_EXPECTED)
    networks: list[IpNetwork] = []
    misfits: list[Misfit] = []
    for index, item in enumerate(value):
        try:
            networks.append(_read_network(item))
        except Misfit as misfit:
            misfits.append(Misfit(misfit.found, misfit.expected, (index,)))
    if misfits:
        raise Misfits(misfits)
    return tuple(networks)


def _write_networks(value: tuple[IpNetwork, ...], _base: Path) -> list[str]:
    return [str(network) for network in value]


def _read_path_or_auto(expected: str) -> Callable[[object, Path], Path | None]:
    return lambda value, base: None if value == "auto" else _read_path(expected)(value, base)


def _write_path_or_auto(value: Path | None, base: Path) -> str | None:
    return "auto" if value is None else _write_path(value, base)


def _read_path_or_none(value: object, base: Path) -> Path | None:
    return None if value == "none" else _read_path(_NONE_EXPECTED)(value, base)


def _write_path_or_none(value: Path | None, base: Path) -> str | None:
    return "none" if value is None else _write_path(value, base)


def _read_database(value: object, base: Path) -> DatabaseUrl:
    if isinstance(value, str):
        try:
            return DatabaseUrl.parse(value, base)
        except ValueError:
            pass
    # The text may bear a password: say what shape it had and no more.
    raise Misfit("another text" if isinstance(value, str) else show(value), _DATABASE_EXPECTED)


def _write_database(value: DatabaseUrl, base: Path) -> str:
    if value.path is not None:
        return f"sqlcipher:{_write_path(value.path, base)}"
    return value.server or ""


_ADDRESS_EXPECTED: Final = "an IP address of this machine, 0.0.0.0 or '::' for all"
_NETWORK_EXPECTED: Final = "an address block such as 192.0.2.0/24 or 2001:db8::/32, host bits zero"
_NETWORKS_EXPECTED: Final = "a list of address blocks such as 192.0.2.0/24 or 2001:db8::/32"
_MODULE_EXPECTED: Final = "auto, or the path of a PKCS#11 library"
_NONE_EXPECTED: Final = "none, or the path of a file"
_AUTO_EXPECTED: Final = "auto, or the path of a file"
_DATABASE_EXPECTED: Final = "sqlcipher:FILE or postgresql+psycopg://USER@HOST/NAME"

TRUTH: Final = Kind("true or false", _truth, _as_is)
PORT: Final = whole(0, 65535, "a port number (0: any free one)")
PEER_PORT: Final = whole(1, 65535, "a port number")
ADDRESS: Final = Kind(_ADDRESS_EXPECTED, _read_address, _as_is)
HOST: Final = text(r"[0-9A-Za-z:._%-]{1,253}", "a host name or an IP address")
NAME: Final = text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "a name of up to 64 letters, digits, '.', '_', '-'")
LABEL: Final = text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", "a token label of up to 32 letters, digits, '.', '_', '-'")
PARAMETERS: Final = text(r"[ -~]{0,1000}", "up to 1,000 printable ASCII characters")
FILE: Final = Kind("the path of a file", _read_path("the path of a file"), _write_path)
#: A file that the program makes by itself.
MADE_FILE: Final = Kind(_NONE_EXPECTED, _read_path_or_none, _write_path_or_none)
FOLDER: Final = Kind("the path of a folder", _read_path("the path of a folder"), _write_path)
NETWORKS: Final = Kind(_NETWORKS_EXPECTED, _read_networks, _write_networks)
MODULE: Final = Kind(_MODULE_EXPECTED, _read_path_or_auto(_MODULE_EXPECTED), _write_path_or_auto)
FILE_OR_AUTO: Final = Kind(_AUTO_EXPECTED, _read_path_or_auto(_AUTO_EXPECTED), _write_path_or_auto)
DATABASE: Final = Kind(_DATABASE_EXPECTED, _read_database, _write_database)
