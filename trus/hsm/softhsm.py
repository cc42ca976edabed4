"""Makes a SoftHSM token in a folder of its own, without root and without its command line tool.

Makes no key. The PINs travel through PKCS#11 calls (C_InitToken, C_InitPIN) and never over a
command line, where every user of the machine could read them. Operators of other modules
initialise their tokens with the vendor's means.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pkcs11 import exceptions as faults

from trus.errors import ConfigurationError, KeyStoreUnavailable
from trus.hsm import module as modules
from trus.hsm.native import RefusedByModule

#: The token label field of CK_TOKEN_INFO, in bytes, padded with blanks.
_LABEL_BYTES: Final = 32
_CONFIGURATION: Final = """\
# SoftHSM reads this file when SOFTHSM2_CONF names it.
directories.tokendir = {tokens}
objectstore.backend = file
log.level = ERROR
slots.removable = false
"""


def write_configuration(directory: Path, tokens: Path | None = None) -> Path:
    """Write DIR/softhsm2.conf and make DIR/tokens, for the owner alone; return the file's path.

    `tokens`, when given, is the absolute path that the file shall name instead of DIR/tokens: where
    the folder will be when it is moved later.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (directory / "tokens").mkdir(mode=0o700, exist_ok=True)
    path = directory / "softhsm2.conf"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_CONFIGURATION.format(tokens=tokens or directory / "tokens"))
    return path


def create_token(module: str, conf: Path, label: str, pin: str, security_officer_pin: str) -> None:
    """Initialise a new token `label` in the first free slot, with a user PIN.

    Raises ConfigurationError for an impossible label, KeyStoreUnavailable when the module refuses.
    """
    padded = label.encode("utf-8")
    if not 1 <= len(padded) <= _LABEL_BYTES:
        raise ConfigurationError(f"a token's label has 1 to {_LABEL_BYTES} bytes")
    hold = modules.acquire(modules.ModuleSettings(module, str(conf)))
    try:
        # The last slot of SoftHSM always holds a token that was not initialised yet.
        slot = hold.library.get_slots()[-1].slot_id
        hold.native.init_token(slot, security_officer_pin.encode("utf-8"), padded.ljust(_LABEL_BYTES))
        token = next(each for each in hold.library.get_tokens() if each.label == label)
        session = token.open(rw=True, so_pin=security_officer_pin)
        try:
            session.init_pin(pin)
        finally:
            session.close()
    except faults.PKCS11Error as error:
        raise modules.translate(error, label, "being initialised") from error
    except RefusedByModule as error:
        raise KeyStoreUnavailable(f"the PKCS#11 module refused to initialise a token ({error})") from error
    except (IndexError, StopIteration) as error:
        raise KeyStoreUnavailable(f"the PKCS#11 module {module} offers no slot for a new token") from error
    finally:
        hold.release()
