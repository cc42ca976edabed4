"""Requirements 10 and 11 of PCI DSS v4.0.1: what is on record, and what is tested."""

from __future__ import annotations

from typing import Final

from tests.tooling.pci.model import Line, by_people, met, not_here

_POLICIES: Final = "The operator's own policies, known to those whom they concern."
_ROLES: Final = "The operator names who does what."
_SCANS: Final = "Scans of hosts and ports, inside and outside; trus opens the ports of its file alone."
_PENETRATION: Final = "By people who are independent of those who run it; the threat model says where to begin."
_HANDLERS: Final = "tests.issuing.test_handlers.RoleTests"
_TAMPER: Final = "tests.ledger.test_audit.TamperCase"

RECORD: Final = (
    by_people("10.1.1", "Policies for records", _POLICIES, page="../operations.md"),
    by_people("10.1.2", "Roles for records", _ROLES, page="../reference/console.md"),
    met(
        "10.2.1",
        "Records are on, everywhere",
        "What changes something is an event of the chain or it is not done; a refused batch is answered 96.",
        f"{_HANDLERS}.test_every_change_names_its_admin_in_the_chain",
        "tests.core.test_pipeline_faults.Storage.test_full_disk",
    ),
    Line(
        "10.2.1.1",
        "Each person's access to card data",
        "Nobody sees a number by the console; each issue of cards is an event with the admin's name.",
        (f"{_HANDLERS}.test_every_change_names_its_admin_in_the_chain",),
        "Have the system record who opens personalisation files.",
        page="../how-to/issue-cards.md",
    ),
    Line(
        "10.2.1.2",
        "Every act of administration",
        "Every order that changes something, with name, time and figures.",
        (f"{_HANDLERS}.test_every_change_names_its_admin_in_the_chain",),
        missing="Orders that only look are not on record.",
    ),
    Line(
        "10.2.1.3",
        "Access to the records",
        missing="Nobody's reading of the chain (`ORDERS`, `trus audit`) is on record.",
    ),
    Line(
        "10.2.1.4",
        "Refused access",
        "A denied order is an event; a refused handshake is a line of the log with its word and address.",
        (f"{_HANDLERS}.test_a_denied_order_is_on_record", "tests.gateway.test_docs.OperationsPageTests.test_refusals"),
        "Keep the log.",
        page="../operations.md",
    ),
    met(
        "10.2.1.5",
        "Changes to identities and rights",
        "`ADMIN-ADD`, `ADMIN-ROLES`, `ADMIN-BLOCK`, activations, revocations: events with the name.",
        f"{_HANDLERS}.test_every_change_names_its_admin_in_the_chain",
        "tests.issuing.test_certificates.DirectoryTests.test_every_change_is_told_and_on_record",
    ),
    Line(
        "10.2.1.6",
        "Records are begun, stopped or paused",
        "The chain cannot be paused; a gap, or a removed event, is found.",
        (f"{_TAMPER}.test_event_removed", f"{_TAMPER}.test_last_event_removed"),
        "Have the system record when the service starts and stops.",
        page="../how-to/run-under-systemd.md",
    ),
    met(
        "10.2.1.7",
        "Objects of the system are made or deleted",
        "Versions of K_DB, ceremonies and restorations are events.",
        "tests.issuing.test_keys.KeysCase.test_rotation",
        "tests.cli.test_ca.CeremonyTests.test_ceremonies_are_in_the_audit_chain",
    ),
    met(
        "10.2.2",
        "Who, what, when, whether, whence, about what",
        "Actor, rule and figures, time, result, refused requests' address, holder or terminal.",
        "tests.ledger.test_chain.ChainCase.test_all_columns_are_covered",
        "tests.pki.test_examination.AuditTests.test_refusals_are_on_record",
    ),
    Line(
        "10.3.1",
        "Records are read by need",
        "`ORDERS` is for administrators and auditors; the ledger opens under the token's key alone.",
        (f"{_HANDLERS}.test_every_command_with_every_role",),
        "The log is readable by the service's user.",
        page="../how-to/run-under-systemd.md",
    ),
    met(
        "10.3.2",
        "Records cannot be altered",
        "Each event is linked to the one before it; heads are signed in the token. What was altered is named.",
        f"{_TAMPER}.test_every_column",
        "tests.ledger.test_audit_heads.HeadsTamperCase.test_signature",
    ),
    Line(
        "10.3.3",
        "Records are copied elsewhere promptly",
        "A signed head is exported every minute in which something happened.",
        ("tests.ledger.test_chain.HeadsCase.test_export",),
        "Copy heads and logs to another machine.",
        ("backend.database.heads",),
        "../how-to/back-up-and-restore.md",
    ),
    met(
        "10.3.4",
        "A change of records raises an alarm",
        "`trus audit` names the row that does not hold and ends with an exit code that a timer can watch.",
        "tests.ledger.test_audit_command.AuditCommandCase.test_finding",
    ),
    by_people(
        "10.4.1", "Records are reviewed every day", "Log, `ORDERS`, `HEALTH`, `trus audit`.", page="../operations.md"
    ),
    by_people(
        "10.4.1.1", "Reviews are automatic", "A collector of logs reads standard output.", page="../operations.md"
    ),
    by_people("10.4.2", "Other records are reviewed now and then", "Of hosts and networks."),
    by_people("10.4.2.1", "How often is a matter of risk", "The operator's risk analysis."),
    by_people("10.4.3", "What is found is followed up", "The operator's people."),
    Line(
        "10.5.1",
        "Twelve months, three at hand",
        "Events are never removed; a person's erasure leaves them in place.",
        ("tests.ledger.test_audit.SoundCase.test_erasure",),
        "Keep logs and exported heads as long.",
        ("backend.database.heads",),
        "../operations.md",
    ),
    by_people("10.6.1", "Clocks are synchronized", "NTP on every machine."),
    by_people("10.6.2", "One trusted source of time", "The host's time service."),
    by_people("10.6.3", "Settings of time are guarded", "The host's rights."),
    by_people("10.7.1", "Service providers: failures are noticed", "As 10.7.2."),
    Line(
        "10.7.2",
        "Failures of controls are noticed",
        "`HEALTH`, `trus doctor` and metrics say when token, ledger, lists or certificates are not well; the log "
        "warns ahead.",
        (
            "tests.settings.test_metrics.NetworkTests.test_expiry_is_seen_ahead",
            "tests.issuing.test_operation.OperationTests.test_health",
            "tests.settings.test_renewal.RenewalTests.test_late_list",
            "tests.integration.test_token.TokenTroubleTests.test_a_token_that_is_taken_away_and_brought_back",
        ),
        "Watch them.",
        ("backend.metrics", "gateway.metrics"),
        "../operations.md",
    ),
    by_people(
        "10.7.3", "Failures are answered", "Each kind has its line in the operator's page.", page="../operations.md"
    ),
)

TESTS: Final = (
    by_people("11.1.1", "Policies for tests", _POLICIES),
    by_people("11.1.2", "Roles for tests", _ROLES),
    by_people("11.2.1", "Wireless access points are looked for", "At the operator's sites."),
    by_people("11.2.2", "An inventory of allowed access points", "At the operator's sites."),
    by_people("11.3.1", "Scans inside, every three months", _SCANS),
    by_people("11.3.1.1", "Lesser findings by their risk", _SCANS),
    by_people("11.3.1.2", "Scans with log-in", _SCANS),
    by_people("11.3.1.3", "Scans inside after great changes", _SCANS),
    by_people("11.3.2", "Scans outside, by an approved vendor", _SCANS),
    by_people("11.3.2.1", "Scans outside after great changes", _SCANS),
    by_people("11.4.1", "A method of penetration tests", _PENETRATION, page="index.md"),
    by_people("11.4.2", "Tests from inside, every year", _PENETRATION, page="index.md"),
    by_people("11.4.3", "Tests from outside, every year", _PENETRATION, page="index.md"),
    by_people("11.4.4", "What is found is mended and tested again", _PENETRATION, page="reporting.md"),
    Line(
        "11.4.5",
        "Tests of the separation of networks",
        "Which certificate enters which port, and that the core has no network, is tested with every change.",
        (
            "tests.security.test_ports.PortMatrixTests.test_matrix",
            "tests.security.test_ports.PortMatrixTests.test_core_has_no_network",
        ),
        "Test the networks around it once a year.",
        page="../how-to/run-roles-apart.md",
    ),
    by_people("11.4.6", "Service providers: such tests every six months", "As 11.4.5."),
    not_here("11.4.7", "Multi-tenant providers help customers test", "A deployment serves one issuer."),
    Line(
        "11.5.1",
        "Intrusions are detected",
        "Refused sources, handshakes and lines are counted, told by words and limited by source.",
        (
            "tests.gateway.test_floods.ConnectionFloodTests.test_log_stays_small",
            "tests.gateway.test_floods.ConnectionFloodTests.test_rate_of_one_source",
        ),
        "A detector on the networks, which reads these words.",
        ("gateway.screening.handshakes_per_second",),
        "../how-to/limit-the-front-door.md",
        missing="Traffic is not analysed for patterns yet.",
    ),
    by_people("11.5.1.1", "Service providers: covert channels", "The detector of 11.5.1."),
    Line(
        "11.5.2",
        "Changes of files are noticed",
        "The ledger, heads and wrapped objects notice any change by themselves.",
        (
            "tests.ledger.test_engine.OpeningCase.test_damaged_page",
            "tests.cli.test_token.ObjectCommandTests.test_check_names_what_was_changed",
        ),
        "A watch over programs and settings.",
    ),
    not_here("11.6.1", "Changes of payment pages are noticed", "There is no payment page in this version."),
)
