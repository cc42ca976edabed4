"""Requirements 6, 7 and 8 of PCI DSS v4.0.1: software, access by need, who is who."""

from __future__ import annotations

from typing import Final

from tests.tooling.pci.model import Line, by_people, met, not_here

_POLICIES: Final = "The operator's own policies, known to those whom they concern."
_ROLES: Final = "The operator names who does what; the console's roles are a start."
_NO_WEB: Final = "There is no web application and no payment page in this version."
_NO_PASSWORDS: Final = "Nobody has a password: admins prove themselves by certificate, devices as well."
_HANDLERS: Final = "tests.issuing.test_handlers.RoleTests"
_FACTOR: Final = (
    "The console asks for a certificate whose key lies in a file under a passphrase. It cannot demand a second "
    "factor, and its client does not use a smart card yet."
)

SOFTWARE: Final = (
    by_people("6.1.1", "Policies for secure software", _POLICIES, page="reporting.md"),
    by_people("6.1.2", "Roles for secure software", _ROLES, page="reporting.md"),
    met(
        "6.2.1",
        "Software is developed securely",
        "Each defence of the threat model names its test; style, types and import directions are checked as well.",
        "tests.security.test_docs.ProofTests.test_every_line_has_a_proof",
        "tests.tooling.test_house.OutsideWorldTests.test_token",
    ),
    by_people("6.2.2", "Developers are trained once a year", "The operator's developers, if it has any."),
    Line(
        "6.2.3",
        "Changes are reviewed before release",
        missing="The project keeps no record of who reviewed which change.",
    ),
    Line(
        "6.2.3.1",
        "Manual reviews are by another person, and approved",
        missing="As for 6.2.3: no record shows it.",
    ),
    met(
        "6.2.4",
        "Common attacks are engineered against",
        "Grammars and linear parsers, no SQL from input, no markup from names, fuzzing of every parser, equal work.",
        "tests.protocol.test_fuzz.FuzzTests.test_any_bytes",
        "tests.protocol.test_fuzz.LinearTimeTests.test_hard_lines",
        "tests.security.test_names.NameTests.test_markup",
        "tests.core.test_pipeline_faults.Token.test_equal_work",
    ),
    by_people(
        "6.3.1",
        "Weaknesses are identified and ranked",
        "Follow the project's reports and those of what it stands on.",
        page="reporting.md",
    ),
    met(
        "6.3.2",
        "An inventory of software and its parts",
        "Every dependency has its reason and its locked version with hashes.",
        "tests.tooling.test_dependencies.ReasonTests.test_every_dependency_has_its_reason",
        "tests.tooling.test_dependencies.LockTests.test_hashes",
    ),
    by_people(
        "6.3.3", "Critical patches within a month", "Of trus, of its parts and of the host.", page="../dependencies.md"
    ),
    not_here("6.4.1", "Public web applications are reviewed or guarded", _NO_WEB),
    not_here("6.4.2", "Public web applications stand behind a filter", _NO_WEB),
    not_here("6.4.3", "Scripts of payment pages are managed", _NO_WEB),
    by_people("6.5.1", "Changes to production follow a procedure", "Record, test, approve, and know the way back."),
    Line(
        "6.5.2",
        "After a great change the requirements still hold",
        "`trus check-config`, `trus doctor` and `trus audit` say what does not hold.",
        ("tests.cli.test_doctor.DoctorTests.test_healthy",),
        "Run them after each change.",
        page="../operations.md",
    ),
    Line(
        "6.5.3",
        "Development and production are apart",
        "`trus init` makes a deployment of its own in a minute, with keys of its own.",
        ("tests.cli.test_init.ProvisionTests.test_the_deployment_works",),
        "Try things in another deployment than the one that pays.",
        page="../tutorial/first-lunch.md",
    ),
    by_people(
        "6.5.4",
        "Developers and operators have different rights",
        "People and their log-ins.",
        page="../reference/console.md",
    ),
    Line(
        "6.5.5",
        "No live numbers outside production",
        "Examples and tests draw their cards from a private range, under keys of their own.",
        ("tests.issuing.test_cards.MakingTests.test_a_foreign_iin_is_refused",),
        "Restore no backup into a test's place.",
        ("backend.cards.iin",),
        "../how-to/back-up-and-restore.md",
    ),
    met(
        "6.5.6",
        "Test data leaves before production",
        "A new deployment holds no company, shop, card or terminal, and one admin.",
        "tests.cli.test_init.ProvisionTests.test_admins_can_log_in",
    ),
)

ACCESS: Final = (
    by_people("7.1.1", "Policies for access", _POLICIES, page="../reference/console.md"),
    by_people("7.1.2", "Roles for access", _ROLES, page="../reference/console.md"),
    met(
        "7.2.1",
        "A model of access by need",
        "Roles; each command names those that may give it.",
        f"{_HANDLERS}.test_every_command_with_every_role",
        "tests.admin.test_lines.TableTests.test_roles_limit_what_changes",
    ),
    Line(
        "7.2.2",
        "Access follows work, with the least rights",
        "An admin has the roles given to the certificate and no others.",
        (f"{_HANDLERS}.test_who_is_no_admin",),
        "Give as few roles as the work needs.",
        page="../reference/console.md",
    ),
    Line(
        "7.2.3",
        "Rights are approved by somebody",
        "`ADMIN-ADD` and `ADMIN-ROLES` can wait for another admin; both names are in the chain.",
        ("tests.issuing.test_approvals.OrderTests.test_both_are_in_the_chain",),
        "Put both under approval.",
        ("policy:approvals.commands[].name",),
        "../reference/policy.md",
    ),
    by_people(
        "7.2.4", "Rights are reviewed every six months", "`ADMINS` lists them all.", page="../reference/console.md"
    ),
    Line(
        "7.2.5",
        "System accounts have the least rights",
        "The unit file gives the service a user of its own and takes the rest away; files are its owner's alone.",
        ("tests.cli.test_init.ProvisionTests.test_everything_is_its_owners_alone",),
        "Install it so.",
        page="../how-to/run-under-systemd.md",
    ),
    by_people("7.2.5.1", "System accounts are reviewed", "As the operator's risk analysis says."),
    met(
        "7.2.6",
        "Queries of stored data go through programs, by role",
        "The ledger opens under the token's key alone; the console answers by role and never with a number.",
        "tests.ledger.test_engine.CipheredCase.test_wrong_key",
        "tests.issuing.test_cards.IssueTests.test_the_console_never_shows_a_number_or_pin",
    ),
    met(
        "7.3.1",
        "A system controls access",
        "Every order is judged in the core, whatever the front has let through.",
        f"{_HANDLERS}.test_the_front_is_not_believed",
    ),
    met(
        "7.3.2",
        "Rights by role and function are enforced",
        "One table of commands with roles, checked for each order.",
        f"{_HANDLERS}.test_every_command_with_every_role",
    ),
    met(
        "7.3.3",
        "Deny unless allowed",
        "Who has no role, or no row for the certificate shown, is refused and on record.",
        f"{_HANDLERS}.test_who_is_no_admin",
        f"{_HANDLERS}.test_a_denied_order_is_on_record",
    ),
)

PEOPLE: Final = (
    by_people("8.1.1", "Policies for identification", _POLICIES, page="../reference/console.md"),
    by_people("8.1.2", "Roles for identification", _ROLES, page="../reference/console.md"),
    met(
        "8.2.1",
        "Everybody has an identity of their own",
        "One name, one certificate, one admin; each device has its own certificate.",
        "tests.issuing.test_operation.OperationTests.test_names_and_certificates_are_unique",
    ),
    by_people("8.2.2", "Shared accounts are exceptions", "Give no certificate to two people."),
    not_here("8.2.3", "Service providers: a factor for each customer", "Nobody enters a customer's premises by trus."),
    met(
        "8.2.4",
        "Identities are added, changed and removed with approval",
        "By orders that are events of the chain, and that can wait for another admin.",
        f"{_HANDLERS}.test_every_change_names_its_admin_in_the_chain",
        "tests.issuing.test_approvals.OrderTests.test_an_order_waits_for_another_admin",
    ),
    Line(
        "8.2.5",
        "Who leaves is out at once",
        "`ADMIN-BLOCK` holds from the next order on; the certificate goes on the list.",
        (
            "tests.issuing.test_operation.OperationTests.test_a_new_admin",
            "tests.cli.test_certificates.CertificatesTests.test_a_channel_certificate_is_revoked",
        ),
        "Order both.",
        page="../reference/console.md",
    ),
    Line(
        "8.2.6",
        "Identities unused for 90 days are disabled",
        missing="Nothing blocks an admin who was not seen for 90 days, and nothing lists them by their last visit.",
    ),
    by_people(
        "8.2.7",
        "Third parties' access is limited and watched",
        "Block their admins while they are not at work.",
        "gateway.admin.allow",
        page="../how-to/limit-the-front-door.md",
    ),
    Line(
        "8.2.8",
        "After 15 idle minutes people prove themselves again",
        "The console logs an admin out.",
        ("tests.admin.test_server.ServerTests.test_silence_logs_an_admin_out",),
        "Leave it at 15 minutes or less.",
        ("backend.admin.idle_timeout",),
    ),
    met(
        "8.3.1",
        "At least one factor",
        "A private key, proven in a TLS handshake in which the server proves itself as well.",
        "tests.admin.test_server.ServerTests.test_an_admin_is_known_by_the_certificate",
    ),
    met(
        "8.3.2",
        "Factors are unreadable stored and under way",
        "Private keys never travel; bundles are AES-256 under a passphrase; activation codes are kept as keyed hashes.",
        "tests.pki.test_channel.OpenSslTests.test_openssl_opens_the_bundle_with_its_passphrase_alone",
        "tests.issuing.test_shops.TerminalTests.test_the_code_is_kept_nowhere",
    ),
    by_people("8.3.3", "People are identified before a factor is changed", "Before a certificate is made anew."),
    not_here(
        "8.3.4", "Lock-out after ten wrong tries", f"{_NO_PASSWORDS} Activation codes lock after 5, PINs after 3."
    ),
    not_here("8.3.5", "First passwords are unique and changed", _NO_PASSWORDS),
    Line(
        "8.3.6",
        "Passwords have 12 characters",
        "Passphrases of bundles are drawn with 160 bits; officers' have at least 12 characters.",
        ("tests.backup.test_archive.OfficerTests.test_unfit",),
        "Whoever chooses a passphrase of their own keeps to it.",
        page="../how-to/back-up-and-restore.md",
    ),
    not_here("8.3.7", "No reuse of the last four passwords", _NO_PASSWORDS),
    by_people("8.3.8", "People are told how to keep their factors", "Of keys, passphrases and PINs."),
    not_here("8.3.9", "Passwords as the only factor change every 90 days", _NO_PASSWORDS),
    not_here("8.3.10", "Service providers: customers' passwords", _NO_PASSWORDS),
    not_here("8.3.10.1", "Service providers: customers' passwords change", _NO_PASSWORDS),
    met(
        "8.3.11",
        "Tokens and certificates belong to one person",
        "A certificate names one admin; its serial number stands in the register beside the name.",
        "tests.issuing.test_operation.OperationTests.test_names_and_certificates_are_unique",
    ),
    Line("8.4.1", "Two factors for administration", missing=_FACTOR),
    Line("8.4.2", "Two factors for every access", missing=_FACTOR),
    Line("8.4.3", "Two factors from outside", missing=_FACTOR),
    Line("8.5.1", "Two-factor systems cannot be replayed or passed by", missing="As for 8.4.1: there is none yet."),
    by_people(
        "8.6.1",
        "System accounts log in as an exception",
        "Give the service's user no shell.",
        page="../how-to/run-under-systemd.md",
    ),
    met(
        "8.6.2",
        "No passwords in files of settings or scripts",
        "Settings name files; a secret file that others may read stops the start; no option takes a secret.",
        "tests.cli.test_init.ProvisionTests.test_no_secret_is_in_the_settings",
        "tests.cli.test_pos.Secrets.test_no_option_takes_one",
        "tests.settings.test_files.FilesTests.test_secrets_that_others_may_read",
    ),
    Line(
        "8.6.3",
        "Passwords of system accounts are guarded and changed",
        "The token's PIN is one line in a private file, or sealed to a card.",
        ("tests.cli.test_token.SealedPinTests.test_without_the_card_there_is_no_pin",),
        "Change it when somebody who knew it has left.",
        ("backend.token.pin_file",),
        "../how-to/seal-the-pin.md",
    ),
)
