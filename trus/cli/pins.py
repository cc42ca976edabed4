"""Finds the token's PIN: in its file, or in the file that a second token's key opens (TR-18).

Keeps the PIN in memory as long as its file does not change, so that a token that was away can be opened
again while the card lies in a safe. Shows no PIN, and takes none from the environment or a command line.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable

from trus.cli.softhsm import find_module
from trus.errors import ConfigurationError
from trus.hsm.sealing import SealingCard, decode_seal, is_sealed
from trus.hsm.session import TokenSettings, parse_pin, read_pin, read_pin_file
from trus.settings.model import PinSealSettings
from trus.settings.model import TokenSettings as ConfiguredToken

#: Asks a person for the PIN of the token of this label.
Ask = Callable[[str], str]


def ask_on_terminal(label: str) -> str:
    """Ask on this process's terminal, without showing what is typed. Raises ConfigurationError without one."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise ConfigurationError(
            f"the PIN of the token {label!r} is asked for on the terminal, and there is none: "
            "start with twistd -n, or set pin_sealed_by.pin_file"
        ) from None
    return getpass.getpass(f"PIN of the token {label!r}: ")


def card_settings(card: PinSealSettings, ask: Ask = ask_on_terminal) -> TokenSettings:
    """Return how to open the second token; asks for its PIN where no file holds it. Raises ConfigurationError."""
    return TokenSettings(
        module=str(find_module(card.module)),
        pin=ask(card.label) if card.pin_file is None else read_pin(card.pin_file),
        token_label=card.label,
        softhsm_conf="" if card.softhsm_conf is None else str(card.softhsm_conf),
        parameters=card.parameters,
    )


class PinSource:
    """Where one token's PIN comes from."""

    def __init__(self, token: ConfiguredToken, ask: Ask = ask_on_terminal) -> None:
        """`ask(label)` asks a person for the second token's PIN, where no file holds it."""
        self._token = token
        self._ask = ask
        self._content = b""
        self._pin = ""

    def __repr__(self) -> str:
        """Name the token, and nothing else."""
        return f"<PinSource of token {self._token.label!r}, redacted>"

    def pin(self) -> str:
        """Return the PIN, read anew when its file has changed.

        Raises ConfigurationError, and KeyStoreError when the second token does not open the seal.
        """
        path = self._token.pin_file
        content = read_pin_file(path)
        if self._pin and content == self._content:
            return self._pin
        card = self._token.pin_sealed_by
        if card is None:
            if is_sealed(content):
                raise ConfigurationError(f"{path} holds a sealed PIN: pin_sealed_by must say which token opens it")
            pin = parse_pin(content, path)
        else:
            if not is_sealed(content):
                raise ConfigurationError(f"{path} holds a PIN that is not sealed: run trus token seal-pin")
            seal = decode_seal(content)
            with SealingCard(card_settings(card, self._ask)) as opened:
                pin = opened.unseal(seal, self._token.label)
        self._content, self._pin = content, pin
        return pin
