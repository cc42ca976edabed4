"""The register of requirements: short wording, where each lives, and how far it has come.

Claims nothing by itself: tests.tooling.test_requirements holds every claim against the docstrings
of the tests. When a state changes here, or a test names another id, run

    .venv/bin/python -m tests.tooling.requirements
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class State(StrEnum):
    """How far a requirement has come."""

    DONE = "done"
    FIRST_CUT = "first cut"
    LATER = "later issue"


class Requirement(NamedTuple):
    """One line of the register; `where` names modules or folders, `open` what is missing."""

    id: str
    wording: str
    where: tuple[str, ...]
    state: State
    open: str = ""


_DONE: Final = State.DONE
_FIRST: Final = State.FIRST_CUT
_LATER: Final = State.LATER


def _later(ident: str, wording: str, *where: str) -> Requirement:
    return Requirement(ident, wording, where, _LATER)


DESIGN_CARD: Final = (
    Requirement(
        "DC-1",
        "A twistd plugin runs gateway and backend as linked services.",
        ("twisted/plugins", "trus/tap.py"),
        _DONE,
    ),
    Requirement("DC-2", "The packages of the card; tests run under trial.", ("requirements", "script/test"), _DONE),
    Requirement("DC-3", "The top level of the card.", ("setup.cfg",), _DONE),
    Requirement("DC-4", "The INFO/DATA/COMMAND protocol over two-way TLS.", ("trus/protocol", "trus/net"), _DONE),
    Requirement(
        "DC-5",
        "An authorization engine, a key store over SoftHSM, a console of lines.",
        ("trus/auth", "trus/hsm", "trus/admin"),
        _DONE,
    ),
    Requirement(
        "DC-6",
        "Operators use twistd, terminals TLS, integrators the protocol, admins a console over TLS.",
        ("trus/tap.py", "trus/device", "trus/admin", "trus/cli"),
        _DONE,
    ),
)

PAYMENT_SYSTEM: Final = (
    Requirement(
        "TR-1",
        "Companies register; cards are issued in groups.",
        ("trus/issuing",),
        _FIRST,
        "virtual cards, photographs",
    ),
    Requirement(
        "TR-2", "A purchase by magnetic stripe, answered yes or no.", ("trus/device", "trus/core", "trus/auth"), _DONE
    ),
    _later("TR-3", "A purchase by virtual card: order, confirmation, authorization, answer to both."),
    Requirement(
        "TR-4",
        "Purses are refilled by a company or by the issuer's operator.",
        ("trus/issuing/money.py",),
        _FIRST,
        "refills by a card processor and at intervals",
    ),
    Requirement(
        "TR-5",
        "A stripe card with its data; what a clone can do is limited.",
        ("trus/cards", "trus/auth/rules.py"),
        _DONE,
    ),
    _later("TR-6", "A virtual card: the same data in a phone, with its own certificate."),
    Requirement(
        "TR-7",
        "The standard POS: pinpad, stripe, text screen, PDF invoices.",
        ("trus/cli/pos.py", "trus/cli/screen.py"),
        _FIRST,
        "lights, invoices as PDF to a USB drive",
    ),
    _later("TR-8", "A smartphone POS."),
    _later("TR-9", "A virtual POS."),
    Requirement(
        "TR-10",
        "Keys of a device sit in protected storage.",
        ("trus/device/home.py",),
        _FIRST,
        "the operating system's key store or a secure element",
    ),
    Requirement(
        "TR-11",
        "The backend stores and decides, and is reached through the gateway alone.",
        ("trus/gateway", "trus/backend"),
        _DONE,
    ),
    Requirement(
        "TR-12",
        "The gateway unifies connections and defends.",
        ("trus/gateway/screening.py", "trus/gateway/devices.py"),
        _FIRST,
        "traffic analysis, fingerprints of devices, scans",
    ),
    Requirement(
        "TR-13",
        "A ciphered database that only the backend can read, its key in the token.",
        ("trus/ledger", "trus/hsm/datakeys.py"),
        _DONE,
    ),
    Requirement(
        "TR-14",
        "Two-way TLS with PKCS#12 certificates by role.",
        ("trus/net", "trus/pki/channel.py", "trus/settings/renewal.py"),
        _DONE,
    ),
    Requirement(
        "TR-15",
        "A private PKI with an individual certificate for each device, apart from TR-14.",
        ("trus/pki", "trus/certificates"),
        _DONE,
    ),
    Requirement(
        "TR-16",
        "Device and backend, device and device authenticate each other; messages are ciphered and authentic.",
        ("trus/protocol", "trus/backend/sessions.py"),
        _DONE,
        "between devices it is the protocol alone until there is a virtual card",
    ),
    Requirement(
        "TR-17",
        "Certificates and key pairs lie in the token, not in the database.",
        ("trus/hsm", "trus/hsm/objects.py", "trus/pki/identity.py"),
        _DONE,
    ),
    Requirement(
        "TR-18",
        "A token of any make that follows PKCS#11, or software, also unlocked by a card.",
        ("trus/hsm/pkcs11.py", "trus/hsm/guard.py", "trus/hsm/sealing.py", "trus/cli/softhsm.py"),
        _DONE,
    ),
    Requirement("TR-19", "A text protocol with three kinds of message.", ("trus/protocol",), _DONE),
    Requirement(
        "TR-20",
        "Security tests on a regular basis; PCI DSS as a basis.",
        ("tests/security", "docs/security", "tests/tooling/pci"),
        _FIRST,
        "what docs/security/pci-dss.md calls missing",
    ),
    _later("TR-21", "A website, public and admin, from periodical reports."),
    _later("TR-22", "What the website may order: registration, payments, maintenance."),
    Requirement(
        "TR-23",
        "Admins prove themselves by certificate.",
        ("trus/admin", "trus/pki/channel.py"),
        _FIRST,
        "smart cards",
    ),
    Requirement(
        "TR-24",
        "Reports as CSV, PDF and XML.",
        ("trus/settlement/table.py",),
        _FIRST,
        "PDF, XML, delivery",
    ),
    Requirement(
        "TR-25",
        "The issuer's own records, and what shops are paid.",
        ("trus/issuing/records.py", "trus/settlement"),
        _FIRST,
        "fees, payouts",
    ),
)

UPDATES: Final = (
    _later("UP-1", "The roles of application updates."),
    _later("UP-2", "Every message is data, signature and certificates, verified up to the authority."),
    Requirement(
        "UP-3",
        "Components obtain certificates after human approval; lists of revoked ones; an archive.",
        ("trus/issuing/approvals.py", "trus/pki/steps.py", "trus/pki/revocation.py"),
        _FIRST,
        "the components of the update system itself",
    ),
    _later("UP-4", "A POS is set up with its manufacturer's chain."),
    _later("UP-5", "A POS takes larger versions, signed by its own manufacturer, and nothing else."),
    _later("UP-6", "A manufacturer submits an application and gets a signed report."),
    _later("UP-7", "Approved code reaches the distribution servers and the backend."),
    _later("UP-8", "The POS starts every exchange: begin, end, key versions, new keys."),
    _later("UP-9", "Download in numbered blocks that can be resumed."),
    _later("UP-10", "Interruptions say resume or restart."),
    _later("UP-11", "The POS verifies, switches, reports, and falls back."),
    _later("UP-12", "The network knows which version runs where."),
    _later("UP-13", "Distribution does not slow payments down."),
)

CHEQUES: Final = (
    _later("CK-1", "Value is loaded into a purse, once, by a token for it alone."),
    _later("CK-2", "Off line, a purse answers a signed slip with a signed cheque."),
    _later("CK-3", "On the Internet, the cardholder approves the cheque."),
    _later("CK-4", "Deduction inside the purse is atomic and never negative."),
    _later("CK-5", "A cheque is cashed once, by its payee; double spending is attributed."),
    _later("CK-6", "Several banks."),
)

DECOUPLING: Final = (
    _later("TD-1", "The merchant has no live connection to the processor in a payment."),
    _later("TD-2", "A quote with the merchant's certificate, and a session key made with it."),
    _later("TD-3", "Payment in one pass between customer and processor; a PIN with a modifier."),
    _later("TD-4", "A signed proof or denial with a digest of the quote."),
    _later("TD-5", "The PIN modifier notices clones and survives lost answers."),
    _later("TD-6", "The merchant checks the proof and sends the goods, ciphered."),
    _later("TD-7", "Redelivery and refund requests by a token of the first session."),
    _later("TD-8", "Refunds are signed, in batches, and never doubled."),
    _later("TD-9", "The customer stays anonymous to the merchant.", "trus/protocol"),
    _later("TD-10", "Requests of one account in sequence, of different accounts in parallel."),
)

#: Title and lines of each part, in the order of the page.
PARTS: Final = (
    ("DC: the design card", DESIGN_CARD),
    ("TR: the payment system", PAYMENT_SYSTEM),
    ("UP: application updates on POS devices", UPDATES),
    ("CK: digital cheques off line", CHEQUES),
    ("TD: payments by task decoupling", DECOUPLING),
)
REGISTER: Final = {each.id: each for _, part in PARTS for each in part}
