"""The off-line root's token in a folder of its own: made once, opened by two officers together.

Keeps no PIN: the user PIN of the token is two parts, one for each officer, and neither opens it. The
folder is meant to leave the machine; wherever it is mounted, it opens there. Another vendor's
token is opened by its own module and label.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from trus.cli.layout import write_private
from trus.clock import Entropy
from trus.errors import ConfigurationError
from trus.hsm.pkcs11 import Pkcs11Store, TokenSettings, read_pin
from trus.hsm.softhsm import create_token, write_configuration

#: The label of the root's token.
ROOT_TOKEN_LABEL: Final = "trus-root"  # noqa: S105 - a name, not a secret
#: 160 bits a part: nobody guesses the other officer's.
_PART_BYTES: Final = 20


@attrs.frozen
class RootToken:
    """A root's folder."""

    folder: Path
    module: str
    label: str = ROOT_TOKEN_LABEL

    @property
    def parts(self) -> tuple[Path, Path]:
        """The files of both officers' parts, as long as they lie here."""
        return self.folder / "part-1", self.folder / "part-2"

    @property
    def officer_pin_file(self) -> Path:
        """The token's security officer PIN, needed only to set a new user PIN."""
        return self.folder / "officer-pin"

    @property
    def is_here(self) -> bool:
        """Whether the folder holds a token."""
        tokens = self.folder / "tokens"
        return tokens.is_dir() and any(tokens.iterdir())

    def create(self, entropy: Entropy) -> tuple[str, str]:
        """Make the token and its two parts; return the parts. Raises ConfigurationError, KeyStoreUnavailable."""
        if self.is_here:
            raise ConfigurationError(f"{self.folder} holds a token already")
        conf = write_configuration(self.folder)
        first, second = _secret(entropy), _secret(entropy)
        officer_pin = _secret(entropy)
        for path, part in zip(self.parts, (first, second), strict=True):
            write_private(path, part + "\n")
        write_private(self.officer_pin_file, officer_pin + "\n")
        create_token(self.module, conf, self.label, first + second, officer_pin)
        return first, second

    def open(self, parts: Sequence[str]) -> Pkcs11Store:
        """Open the token with both officers' parts, in their order. Raises KeyStoreUnavailable, WrongTokenPin."""
        conf = ""
        if self.is_here:
            # The configuration names an absolute path, and the folder may have moved since.
            conf = str(write_configuration(self.folder))
        return Pkcs11Store(
            TokenSettings(module=self.module, pin="".join(parts), token_label=self.label, softhsm_conf=conf)
        )

    def read_parts(self) -> tuple[str, str] | None:
        """Return both parts where both still lie in the folder, None otherwise. Raises ConfigurationError."""
        first, second = self.parts
        return (read_pin(first), read_pin(second)) if first.exists() and second.exists() else None


def _secret(entropy: Entropy) -> str:
    return base64.b32encode(entropy.draw(_PART_BYTES)).decode("ascii").lower()
