"""The one table of what an admin may order: arguments, roles, whether it changes anything, help.

Carries nothing out and reads no storage: the console checks lines against the table, the
core checks again before it acts (trus.issuing.handlers), and the documentation's tables are
written from it (trus.admin.describe). A command that is not here does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from trus.admin import arguments as kinds
from trus.admin.arguments import ArgumentRefused, Converter
from trus.admin.commands_approvals import APPROVAL_COMMANDS, ENROLMENT_COMMANDS
from trus.admin.commands_certificates import CERTIFICATE_COMMANDS, REASON
from trus.admin.commands_keys import KEY_COMMANDS
from trus.admin.commands_receipts import RECEIPT_COMMANDS
from trus.admin.model import AdminRole, Argument, Command, RefusalCode
from trus.errors import CommandRefused
from trus.wording import LANGUAGES

#: The events that TRANSACTIONS shows.
TRANSACTION_KINDS: Final = (
    *("purchase", "refund", "void", "hold", "completion", "release", "expiry"),
    *("balance", "pin-change", "reversal", "close-batch", "refill", "funding", "credit-expiry", "alarm"),
)

_ADMIN = AdminRole.ADMINISTRATOR
_ISSUER = AdminRole.ISSUER
_SUPPORT = AdminRole.SUPPORT
_AUDITOR = AdminRole.AUDITOR

_EVERYONE: Final = frozenset(AdminRole)
_ADMINISTRATORS: Final = frozenset({_ADMIN})
_ISSUERS: Final = frozenset({_ADMIN, _ISSUER})
_CARD_CARE: Final = frozenset({_ADMIN, _ISSUER, _SUPPORT})


def _required(name: str, convert: Converter, shape: str, text: str) -> Argument:
    return Argument(name, convert, shape, text)


def _optional(name: str, convert: Converter, shape: str, text: str) -> Argument:
    return Argument(name, convert, shape, text, required=False)


_COMPANY_ID = kinds.identifier(1, 15)
_TERMINAL_ID = kinds.identifier(8, 8)
_CARD_REF = kinds.identifier(12, 12)
_COMPANY = _required("company", _COMPANY_ID, "COMPANY", "the company's id")
_SOME_COMPANY = _optional("company", _COMPANY_ID, "COMPANY", "only of this company")
_EMPLOYEE = _required("employee", _COMPANY_ID, "EMPLOYEE", "the employee's id within the company")
_SOME_EMPLOYEE = _optional("employee", _COMPANY_ID, "EMPLOYEE", "only this employee of the company")
_SHOP = _required("shop", _COMPANY_ID, "SHOP", "the shop's id")
_SOME_SHOP = _optional("shop", _COMPANY_ID, "SHOP", "only of this shop")
_TERMINAL = _required("terminal", _TERMINAL_ID, "TERMINAL", "the terminal's id, 8 characters")
_SOME_TERMINAL = _optional("terminal", _TERMINAL_ID, "TERMINAL", "only of this terminal")
_CARD = _required("card", _CARD_REF, "CARD", "the card's reference, 12 characters; never its number")
_SOME_CARD = _optional("card", _CARD_REF, "CARD", "only of this card")
_ADMIN_NAME = _required("admin", kinds.admin_name, "NAME", "the name in the admin's certificate")
_ROLES = _required("roles", kinds.choices(*AdminRole), "ROLE,ROLE", "some of administrator, issuer, support, auditor")
_AMOUNT = _required("amount", kinds.amount, "AMOUNT", "such as 12.50, with the currency's decimals")
_REFERENCE = _optional(
    "reference", kinds.reference, "TEXT", "your reference of the payment: the same one is never booked twice"
)
_CURRENCY = _optional("currency", kinds.currency, "CODE", "ISO 4217, USD unless told")
_LIMIT = _optional("limit", kinds.whole_number(1, 500), "N", "rows at most, 50 unless told")
_AFTER = _optional("after", kinds.page_mark, "MARK", "go on after the mark that the last page ended with")
_PAGE = (_LIMIT, _AFTER)


def _state_command(verb: str, text: str, roles: frozenset[AdminRole], argument: Argument, *more: Argument) -> Command:
    ordered = sorted((*more, argument), key=lambda each: not each.required)
    return Command(verb, text, roles, tuple(ordered), mutating=True)


_TABLE: Final[tuple[Command, ...]] = (
    Command(
        "HELP",
        "Lists the commands, or explains one.",
        _EVERYONE,
        (_optional("command", kinds.verb, "COMMAND", "explain this one"),),
        local=True,
    ),
    Command("WHOAMI", "Says who you are and what you may do.", _EVERYONE),
    Command("QUIT", "Ends the console.", _EVERYONE, local=True),
    # ------------------------------------------------------------------ companies and people
    Command(
        "COMPANY-ADD",
        "Registers a company, with its prepaid account and a policy for meals.",
        _ISSUERS,
        (
            _required("id", _COMPANY_ID, "COMPANY", "1 to 15 letters and digits"),
            _required("name", kinds.person_name, "NAME", "its name"),
            _optional("time-zone", kinds.time_zone, "ZONE", "IANA name, UTC unless told"),
            _CURRENCY,
        ),
        mutating=True,
    ),
    Command("COMPANIES", "Lists the companies.", _EVERYONE, _PAGE),
    _state_command("COMPANY-BLOCK", "Stops all cards of a company.", _ISSUERS, _COMPANY),
    _state_command("COMPANY-UNBLOCK", "Lets a company's cards pay again.", _ISSUERS, _COMPANY),
    Command(
        "EMPLOYEE-ADD",
        "Registers an employee, with a purse of zero.",
        _ISSUERS,
        (
            _COMPANY,
            _required("id", _COMPANY_ID, "EMPLOYEE", "1 to 15 letters and digits, unique in the company"),
            _required("name", kinds.plain_name, "NAME", "given name"),
            _required("surname", kinds.plain_name, "SURNAME", "family name"),
        ),
        mutating=True,
    ),
    Command(
        "EMPLOYEES-ADD",
        "Registers up to 100 employees, all or none.",
        _ISSUERS,
        (_COMPANY, _required("people", kinds.people, "ID|NAME|SURNAME;...", "one record a person")),
        mutating=True,
    ),
    Command("EMPLOYEES", "Lists the employees of a company.", _EVERYONE, (_COMPANY, *_PAGE)),
    _state_command("EMPLOYEE-BLOCK", "Stops all cards of an employee.", _CARD_CARE, _EMPLOYEE, _COMPANY),
    _state_command("EMPLOYEE-UNBLOCK", "Lets an employee's cards pay again.", _ISSUERS, _EMPLOYEE, _COMPANY),
    # ------------------------------------------------------------------- shops and terminals
    Command(
        "SHOP-ADD",
        "Registers a shop, with its account.",
        _ISSUERS,
        (
            _required("id", _COMPANY_ID, "SHOP", "1 to 15 letters and digits"),
            _required("name", kinds.person_name, "NAME", "its name"),
            _required("mcc", kinds.merchant_category, "MCC", "merchant category code of ISO 18245, 4 digits"),
            _CURRENCY,
        ),
        mutating=True,
    ),
    Command("SHOPS", "Lists the shops.", _EVERYONE, _PAGE),
    Command(
        "SHOP-PLACE",
        "Says where a shop is, for policies that look at distances.",
        _ISSUERS,
        (_SHOP, _required("place", kinds.place, "LAT,LON|none", "degrees, such as 48.8566,2.3522")),
        mutating=True,
    ),
    _state_command("SHOP-BLOCK", "Stops all terminals of a shop.", _ISSUERS, _SHOP),
    _state_command("SHOP-UNBLOCK", "Lets a shop's terminals sell again.", _ISSUERS, _SHOP),
    Command(
        "TERMINAL-ADD",
        "Registers a terminal and shows its activation code, once.",
        _ISSUERS,
        (
            _required("id", _TERMINAL_ID, "TERMINAL", "8 letters and digits (ISO 8583 field 41)"),
            _SHOP,
            _optional("model", kinds.model, "MODEL", "its model, which its certificate will name"),
        ),
        mutating=True,
    ),
    Command(
        "TERMINAL-CODE",
        "Makes a new activation code for a terminal and shows it, once; the old code is void.",
        _ISSUERS,
        (_TERMINAL,),
        mutating=True,
    ),
    Command("TERMINALS", "Lists the terminals.", _EVERYONE, (_SOME_SHOP, *_PAGE)),
    _state_command("TERMINAL-BLOCK", "Stops a terminal for a while.", _CARD_CARE, _TERMINAL),
    _state_command("TERMINAL-UNBLOCK", "Lets a blocked terminal sell again.", _ISSUERS, _TERMINAL),
    _state_command(
        "REVOKE",
        "Closes a terminal for ever: its certificates are revoked, its live session ends within seconds.",
        _ADMINISTRATORS,
        _TERMINAL,
        REASON,
    ),
    *CERTIFICATE_COMMANDS,
    *ENROLMENT_COMMANDS,
    # ---------------------------------------------------------------------------- cards
    Command(
        "CARD-ISSUE",
        "Issues a card for one employee, or for each employee of a company who has none, and writes the"
        " personalisation file on the backend's host.",
        _ISSUERS,
        (
            _COMPANY,
            _SOME_EMPLOYEE,
            _optional("validity", kinds.whole_number(1, 120), "MONTHS", "months, 36 unless told"),
            _optional(
                "expiry",
                kinds.card_expiry,
                "YYMM",
                "last month of validity, instead of validity; a past one makes cards that are answered 54, for tests",
            ),
        ),
        mutating=True,
    ),
    Command(
        "CARDS",
        "Lists cards by reference.",
        _EVERYONE,
        (_SOME_COMPANY, _SOME_EMPLOYEE, *_PAGE),
    ),
    _state_command("CARD-BLOCK", "Stops a card for a while.", _CARD_CARE, _CARD),
    _state_command("CARD-UNBLOCK", "Lets a blocked or suspected card pay again.", _CARD_CARE, _CARD),
    _state_command("CARD-LOST", "Stops a lost card for ever (answers 41).", _CARD_CARE, _CARD),
    _state_command("CARD-STOLEN", "Stops a stolen card for ever (answers 43).", _CARD_CARE, _CARD),
    _state_command("CARD-SUSPECT", "Stops a card that may have been copied (answers 34).", _CARD_CARE, _CARD),
    _state_command("CARD-CLOSE", "Ends a card for ever.", _ISSUERS, _CARD),
    _state_command("CARD-TRIES", "Gives a card its PIN tries back.", _CARD_CARE, _CARD),
    # ---------------------------------------------------------------------------- money
    Command(
        "COMPANY-FUND",
        "Books money that a company has paid to the issuer into its prepaid account.",
        _ISSUERS,
        (_COMPANY, _AMOUNT, _REFERENCE),
        mutating=True,
    ),
    Command(
        "REFILL",
        "Moves an amount from the company's prepaid account to one employee's purse, or to each active one.",
        _ISSUERS,
        (
            _COMPANY,
            _AMOUNT,
            _SOME_EMPLOYEE,
            _optional(
                "purse", _COMPANY_ID, "PURSE", "into the purse of this name, opened when missing; MAIN unless told"
            ),
            _optional("expires", kinds.calendar_date, "DATE", "last business date on which it can be spent"),
            _REFERENCE,
        ),
        mutating=True,
    ),
    Command(
        "BALANCES",
        "Shows the accounts of the network, or the purses of a company: what each holds, and what of it ends when.",
        _EVERYONE,
        (_SOME_COMPANY, *_PAGE),
    ),
    # ---------------------------------------------------------------------------- policies
    Command(
        "POLICY-SET",
        "Sets what a company's cards may do from a date on; what is not named stays as it was.",
        _ISSUERS,
        (
            _COMPANY,
            _required("valid-from", kinds.calendar_date, "DATE", "local date, YYYY-MM-DD, inclusive"),
            _optional("daily-amount", kinds.amount_or_none, "AMOUNT|none", "most a card may spend in a day"),
            _optional("daily-count", kinds.whole_number_or_none(0, 9999), "N|none", "most purchases in a day"),
            _optional("single-amount", kinds.amount_or_none, "AMOUNT|none", "most for one purchase"),
            _optional("week-days", kinds.week_days, "DAYS", "such as 1-5, Monday is 1"),
            _optional("opens", kinds.hour, "HH:MM", "first minute, local time"),
            _optional("closes", kinds.hour, "HH:MM", "first minute after; before opens for a window over midnight"),
            _optional("categories", kinds.merchant_categories, "MCC,MCC|meals", "where cards may pay"),
            _optional("pin-above", kinds.amount, "AMOUNT", "a PIN is needed above it; 0 with its decimals: always"),
            _optional("weekly-amount", kinds.amount_or_none, "AMOUNT|none", "most a card may spend in an ISO week"),
            _optional("weekly-count", kinds.whole_number_or_none(0, 9999), "N|none", "most purchases in an ISO week"),
            _optional("monthly-amount", kinds.amount_or_none, "AMOUNT|none", "most a card may spend in a month"),
            _optional("monthly-count", kinds.whole_number_or_none(0, 9999), "N|none", "most purchases in a month"),
            _optional(
                "shop-limits",
                kinds.shop_limits,
                "SHOP:AMOUNT/N;...|none",
                "most in a day at a shop, * for each that is not named, such as *:20.00/2;BISTRO:none/1",
            ),
            _optional("holidays", kinds.dates_or_none, "DATE,DATE|none", "local dates on which nothing is paid for"),
            _optional(
                "purses",
                kinds.purses,
                "NAME:MCC,MCC;...|none",
                "the purses that pay, in this order, and for which shops; MAIN is the one that everybody has",
            ),
            _optional(
                "split-purses", kinds.choice("yes", "no"), "yes|no", "whether several purses may share a purchase"
            ),
            _optional(
                "velocity-count", kinds.whole_number_or_none(0, 9999), "N|none", "most requests of a card in a while"
            ),
            _optional("velocity-minutes", kinds.whole_number(1, 1440), "N", "how long that is, 60 unless told"),
            _optional(
                "travel-speed",
                kinds.whole_number_or_none(1, 9999),
                "KM/H|none",
                "fastest that a card may move between two shops that have a place",
            ),
            _optional(
                "stripe-reads",
                kinds.choice("off", "note", "refuse"),
                "off|note|refuse",
                "what becomes of a stripe that was not read in its order",
            ),
            _optional("floor-limit", kinds.amount_or_none, "AMOUNT|none", "most a terminal may sell off-line at once"),
        ),
        mutating=True,
    ),
    Command("POLICY-SHOW", "Shows the policies of a company, newest first.", _EVERYONE, (_COMPANY,)),
    # ---------------------------------------------------------------------------- records
    Command(
        "TRANSACTIONS",
        "Lists transactions, newest first.",
        _EVERYONE,
        (
            _SOME_COMPANY,
            _SOME_EMPLOYEE,
            _SOME_CARD,
            _SOME_SHOP,
            _SOME_TERMINAL,
            _optional("date", kinds.calendar_date, "DATE", "only of this business date"),
            _optional("code", kinds.digits(2), "NN", "only with this code"),
            _optional("kind", kinds.choice(*TRANSACTION_KINDS), "KIND", "one of " + ", ".join(TRANSACTION_KINDS)),
            *_PAGE,
        ),
    ),
    Command(
        "EXPLAIN",
        "Says why a transaction was answered as it was.",
        _EVERYONE,
        (
            _required("rrn", kinds.digits(12), "RRN", "retrieval reference number, 12 digits (ISO 8583 field 37)"),
            _optional(
                "language", kinds.choice(*LANGUAGES), "CODE", "of what cashier and cardholder read, en unless told"
            ),
        ),
    ),
    Command(
        "ORDERS",
        "Lists what admins ordered, newest first; denied orders too. Orders that move money are in TRANSACTIONS.",
        frozenset({_ADMIN, _AUDITOR}),
        (
            _optional("admin", kinds.admin_name, "NAME", "only of this admin"),
            _optional("date", kinds.calendar_date, "DATE", "only of this business date"),
            *_PAGE,
        ),
    ),
    Command(
        "SETTLEMENT",
        "Shows what each shop is owed for a business date: count, gross, reversals, net.",
        _EVERYONE,
        (_required("date", kinds.calendar_date, "DATE", "business date"), _SOME_SHOP),
    ),
    # ------------------------------------------------------------------------ dual control
    *APPROVAL_COMMANDS,
    # ---------------------------------------------------------------------------- operation
    Command("DAY", "Shows the open business date.", _EVERYONE),
    Command("DAY-ADVANCE", "Closes the business date and opens the next (cut-over).", _ADMINISTRATORS, mutating=True),
    Command("HEALTH", "Shows how token, database and ledger are.", _EVERYONE),
    Command("ADMINS", "Lists the admins and their roles.", frozenset({_ADMIN, _AUDITOR})),
    Command(
        "ADMIN-ADD",
        "Gives roles to the holder of an admin certificate.",
        _ADMINISTRATORS,
        (
            _ADMIN_NAME,
            _required("serial", kinds.serial, "SERIAL", "the certificate's serial number in hexadecimal"),
            _ROLES,
        ),
        mutating=True,
    ),
    Command(
        "ADMIN-RENEW",
        "Renews the certificate that you came with; the former one is accepted for a while yet.",
        _EVERYONE,
        (
            _optional(
                "overlap", kinds.whole_number(0, 365), "DAYS", "how long the former one is accepted, 30 unless told"
            ),
        ),
        mutating=True,
    ),
    Command("ADMIN-ROLES", "Changes what an admin may do.", _ADMINISTRATORS, (_ADMIN_NAME, _ROLES), mutating=True),
    _state_command("ADMIN-BLOCK", "Takes an admin's rights away.", _ADMINISTRATORS, _ADMIN_NAME),
    _state_command("ADMIN-UNBLOCK", "Gives an admin's rights back.", _ADMINISTRATORS, _ADMIN_NAME),
    *KEY_COMMANDS,
    *RECEIPT_COMMANDS,
)

#: Every command by its verb, in the order of the help.
COMMANDS: Final[Mapping[str, Command]] = {command.verb: command for command in _TABLE}


def find_command(verb: str) -> Command:
    """Return the command called `verb`, whatever its case. Raises CommandRefused (12)."""
    command = COMMANDS.get(verb.upper()) if verb.isascii() else None
    if command is None:
        raise CommandRefused(RefusalCode.UNKNOWN_COMMAND, "No such command. HELP lists them.")
    return command


def check_arguments(command: Command, given: Mapping[str, str]) -> dict[str, str]:
    """Return the arguments in canonical form, in the order of the table.

    Raises CommandRefused (30) for a missing, unknown or unfit one; the text names the
    argument of our own table and never repeats what was typed.
    """
    known = {argument.name for argument in command.arguments}
    if any(name not in known for name in given):
        raise CommandRefused(
            RefusalCode.ARGUMENTS, f"{command.verb} has no such argument. HELP {command.verb} explains."
        )
    checked: dict[str, str] = {}
    for argument in command.arguments:
        text = given.get(argument.name)
        if text is None or (text == "" and not argument.required):
            if argument.required:
                raise CommandRefused(
                    RefusalCode.ARGUMENTS, f"{argument.name} is missing: {argument.help}. Usage: {command.usage}"
                )
            continue
        try:
            checked[argument.name] = argument.convert(text)
        except ArgumentRefused as refused:
            raise CommandRefused(RefusalCode.ARGUMENTS, f"{argument.name}: {refused}.") from None
    return checked


def commands_for(roles: Iterable[AdminRole]) -> list[Command]:
    """Return the commands that the holder of some roles may give, in the order of the help."""
    held = frozenset(roles)
    return [command for command in COMMANDS.values() if command.roles & held]
