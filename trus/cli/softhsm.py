"""Finds the PKCS#11 library that a new deployment uses when its operator names none.

Loads nothing and installs nothing: script/bootstrap puts SoftHSM into the project's own folder
when the machine has none. Run as a program, it prints the path and proves that it can be loaded.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from trus.errors import ConfigurationError

#: Names the library to use; wins over every path below.
MODULE_VARIABLE: Final = "TRUS_PKCS11_MODULE"

#: The checkout that this file belongs to; meaningless, and harmless, in an installed copy.
PROJECT: Final = Path(__file__).resolve().parents[2]

#: Where distributions put SoftHSM, relative to a root folder (Debian, Ubuntu; Fedora; others).
_PATTERNS: Final = (
    "usr/lib/softhsm/libsofthsm2.so",
    "usr/lib/*/softhsm/libsofthsm2.so",
    "usr/lib64/softhsm/libsofthsm2.so",
    "usr/lib64/pkcs11/libsofthsm2.so",
    "usr/local/lib/softhsm/libsofthsm2.so",
)


def find_module(
    configured: str | Path | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    system: Path = Path("/"),
    project: Path = PROJECT,
) -> Path:
    """Return the absolute path of the PKCS#11 library to use.

    The first of these that is given decides, and must then exist: the configured path, the
    environment's TRUS_PKCS11_MODULE. Otherwise SoftHSM of the system, then the copy that
    script/bootstrap unpacked into the project's .tools/softhsm. Raises ConfigurationError with
    one sentence that says what to do.
    """
    for origin, value in (("the configured", configured), (MODULE_VARIABLE, environment.get(MODULE_VARIABLE))):
        if value:
            path = Path(value)
            if not path.is_file():
                raise ConfigurationError(f"{origin} PKCS#11 library {path} does not exist")
            return path.absolute()
    for root in (system, project / ".tools" / "softhsm"):
        for pattern in _PATTERNS:
            for path in sorted(root.glob(pattern)):
                if path.is_file():
                    return path.absolute()
    raise ConfigurationError(f"no PKCS#11 library was found: run script/bootstrap or set {MODULE_VARIABLE}")


def main() -> int:
    """Print the library's path; return 1, with the reason on standard error, when there is none."""
    try:
        module = find_module()
        ctypes.CDLL(str(module)).C_GetFunctionList  # noqa: B018 - looking the symbol up is the proof
    except (ConfigurationError, OSError, AttributeError) as problem:
        print(f"trus: {problem}", file=sys.stderr)
        return 1
    print(module)
    return 0


if __name__ == "__main__":
    sys.exit(main())
