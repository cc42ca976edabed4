"""The second PKCS#11 implementation of the tests: NSS's softokn, with a fresh token for each test.

Run as a program, it prints the library's path and proves that it can be started; script/bootstrap
--dev fetches it where the machine has none.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from trus.cli.softhsm import PROJECT
from trus.errors import ConfigurationError, KeyStoreUnavailable
from trus.hsm.module import ModuleSettings, acquire
from trus.hsm.pkcs11 import Pkcs11Store, TokenSettings

PIN: Final = "hungry-otter-42"
LABEL: Final = "trus"
#: Where Debian's libnss3 has it, relative to a root folder: newer releases, then older ones.
_PATTERNS: Final = ("usr/lib/*/libsoftokn3.so", "usr/lib/*/nss/libsoftokn3.so", "usr/lib64/libsoftokn3.so")
#: What it links to; loaded from beside it when the machine's loader would not find them.
_BESIDE: Final = ("libnspr4.so", "libplc4.so", "libplds4.so", "libnssutil3.so", "libsqlite3.so.0")


def find_softokn(system: Path = Path("/"), project: Path = PROJECT) -> Path:
    """Return the library of the machine or of the project's .tools/nss. Raises ConfigurationError."""
    for root in (system, project / ".tools" / "nss"):
        for pattern in _PATTERNS:
            for path in sorted(root.glob(pattern)):
                _load_beside(path)
                return path.absolute()
    raise ConfigurationError("no libsoftokn3.so was found: run script/bootstrap --dev")


def _load_beside(path: Path) -> None:
    folders = (path.parent, path.parent.parent)
    for name in _BESIDE:
        for folder in folders:
            if (folder / name).exists():
                ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
                break


def parameters(folder: Path, label: str = LABEL) -> str:
    """Return the text that softokn takes its configuration from: keys in `folder`, the token named `label`."""
    return f"configdir='sql:{folder}' certPrefix='' keyPrefix='' secmod='' flags= dbTokenDescription='{label}'"


def make_token(folder: Path, label: str = LABEL, pin: str = PIN) -> TokenSettings:
    """Initialise a token in an empty private folder: its security officer has no PIN before the first one is set."""
    folder.mkdir(mode=0o700)
    module, text = str(find_softokn()), parameters(folder, label)
    hold = acquire(ModuleSettings(module, "", text))
    try:
        [token] = [each for each in hold.library.get_tokens() if each.label == label]
        session = token.open(rw=True, so_pin="")
        session.init_pin(pin)
        session.close()
    finally:
        hold.release()
    return TokenSettings(module=module, pin=pin, token_label=label, parameters=text)


def fresh_softokn_token(case: SynchronousTestCase) -> TokenSettings:
    """Initialise a token in a folder of this test's own and return how to open it."""
    return make_token(Path(case.mktemp()).absolute())


def fresh_softokn_store(case: SynchronousTestCase) -> Pkcs11Store:
    """Return an open store on a token of this test's own; it is closed when the test ends."""
    store = Pkcs11Store(fresh_softokn_token(case))
    case.addCleanup(store.close)
    return store


def main() -> int:
    """Print the library's path; return 1, with the reason on standard error, when it cannot be started."""
    try:
        module = find_softokn()
        acquire(ModuleSettings(str(module), "", "flags=noModDB,noCertDB")).release()
    except (ConfigurationError, KeyStoreUnavailable, OSError) as problem:
        print(f"trus: {problem}", file=sys.stderr)
        return 1
    print(module)
    return 0


if __name__ == "__main__":
    sys.exit(main())
