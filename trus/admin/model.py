"""Says what an admin's command, its arguments, the roles and the answer codes are.

Holds shapes only; the table itself is trus.admin.commands.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from trus.admin.arguments import Converter


class AdminRole(StrEnum):
    """What an admin is trusted with; kept in the database, never in the certificate.

    An admin may have several; a command needs one of its roles.
    """

    ADMINISTRATOR = "administrator"
    ISSUER = "issuer"
    SUPPORT = "support"
    AUDITOR = "auditor"


class RefusalCode(StrEnum):
    """The fixed codes of a console answer; those of ISO 8583 field 39 keep their sense."""

    DONE = "00"
    PENDING = "09"
    UNKNOWN_COMMAND = "12"
    AMOUNT = "13"
    NOT_FOUND = "25"
    ARGUMENTS = "30"
    NOT_SUPPORTED = "40"
    INSUFFICIENT_FUNDS = "51"
    STATE = "62"
    ROLE = "63"
    UNAVAILABLE = "91"
    EXISTS = "94"
    SYSTEM = "96"


#: What each code tells the admin.
CODE_MEANINGS: Final[dict[RefusalCode, str]] = {
    RefusalCode.DONE: "carried out",
    RefusalCode.PENDING: "not carried out yet: another admin must approve it",
    RefusalCode.UNKNOWN_COMMAND: "no such command",
    RefusalCode.AMOUNT: "the amount is not one of that currency, or not above zero",
    RefusalCode.NOT_FOUND: "something named in the command does not exist",
    RefusalCode.ARGUMENTS: "the line or an argument does not have the expected form",
    RefusalCode.NOT_SUPPORTED: "this deployment does not do that",
    RefusalCode.INSUFFICIENT_FUNDS: "the account holds less than the command would take",
    RefusalCode.STATE: "the present state does not allow it",
    RefusalCode.ROLE: "your role does not allow it, or you are not an admin any more",
    RefusalCode.UNAVAILABLE: "the database or the token did not answer: nothing was done",
    RefusalCode.EXISTS: "it exists already",
    RefusalCode.SYSTEM: "an internal failure; look whether it was done before you repeat it",
}


class Argument(NamedTuple):
    """One argument: its name, its converter, how it reads in the help."""

    name: str
    convert: Converter
    shape: str
    help: str
    required: bool = True


class Command(NamedTuple):
    """One command. `local` ones are answered by the console without the core.

    A mutating command leaves an event in the audit chain with the admin's name.
    """

    verb: str
    help: str
    roles: frozenset[AdminRole]
    arguments: tuple[Argument, ...] = ()
    mutating: bool = False
    local: bool = False

    @property
    def usage(self) -> str:
        """Return the command as it is typed, optional arguments in brackets."""
        words = [self.verb]
        for argument in self.arguments:
            word = f"{argument.name}={argument.shape}"
            words.append(word if argument.required else f"[{word}]")
        return " ".join(words)
