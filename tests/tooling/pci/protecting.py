"""Requirements 2, 3 and 4 of PCI DSS v4.0.1: secure settings, stored data, data under way."""

from __future__ import annotations

from typing import Final

from tests.tooling.pci.model import Line, by_people, met, not_here

_WIRELESS: Final = "No part of trus is or configures a wireless network."
_POLICIES: Final = "The operator's own policies, known to those whom they concern."
_ROLES: Final = "The operator names who does what; the console's roles are a start."
_PORTS: Final = "tests.security.test_ports.PortMatrixTests"
_INIT: Final = "tests.cli.test_init.ProvisionTests"
_BACKUP: Final = "tests.backup.test_restoring.BackupCase"
_TOKEN: Final = "tests.hsm.test_implementations.TokenTests"

SETTINGS: Final = (
    by_people("2.1.1", "Policies for secure settings", _POLICIES, page="../operations.md"),
    by_people("2.1.2", "Roles for secure settings", _ROLES, page="../reference/console.md"),
    Line(
        "2.2.1",
        "A standard of secure settings for every component",
        "`trus check-config` names everything that is wrong with a file, open secrets included; `trus doctor` looks "
        "at what the file names.",
        (
            "tests.cli.test_doctor.CheckConfigTests.test_all_problems",
            "tests.settings.test_files.FilesTests.test_secrets_that_others_may_read",
        ),
        "The host, its packages and its unit file.",
        page="../how-to/run-under-systemd.md",
    ),
    met(
        "2.2.2",
        "No vendor's default accounts or passwords",
        "There is none: every PIN, passphrase and key is drawn for the deployment.",
        "tests.pki.test_channel.BundleTests.test_every_bundle_has_a_key_and_a_passphrase_of_its_own",
        f"{_INIT}.test_no_secret_is_in_the_settings",
    ),
    Line(
        "2.2.3",
        "Functions of different security apart",
        "Gateway and backend are roles that run on two machines; the core is a process without network.",
        (f"{_PORTS}.test_core_has_no_network",),
        "Give each role its own machine.",
        page="../how-to/run-roles-apart.md",
    ),
    met(
        "2.2.4",
        "Only what is needed runs",
        "A deployment listens on the ports of its file and on no other; directory and admin port can be left out.",
        f"{_PORTS}.test_nothing_else_listens",
    ),
    Line(
        "2.2.5",
        "Insecure services are justified and guarded",
        "The directory speaks plain HTTP: what it gives out is public and signed, and it takes nothing in.",
        ("tests.integration.test_directory.DirectoryTests.test_what_is_refused",),
        "Narrow it, or leave the section out.",
        ("gateway.directory.allow",),
        "../reference/directory.md",
    ),
    Line(
        "2.2.6",
        "Security parameters against misuse",
        "Settings have a type, a unit and a range; a file with one wrong value does not start.",
        ("tests.settings.test_loading.RefusedFilesTests.test_all_at_once",),
        "The host's own parameters.",
        page="../reference/configuration.md",
    ),
    met(
        "2.2.7",
        "Administration from afar is encrypted",
        "The console is TLS 1.3 both ways, with an authority of its own, unopened by the gateway.",
        f"{_PORTS}.test_matrix",
        f"{_PORTS}.test_older_tls",
    ),
    not_here("2.3.1", "Wireless: defaults changed", _WIRELESS),
    not_here("2.3.2", "Wireless: keys changed", _WIRELESS),
)

_PERSONALISATION: Final = (
    "The personalisation file holds number, stripe and PIN in the clear, for its owner alone, until the operator has "
    "taken it to the personaliser and deleted it. It is not ciphered to the personaliser's key yet."
)

STORED: Final = (
    by_people("3.1.1", "Policies for stored data", _POLICIES, page="../operations.md"),
    by_people("3.1.2", "Roles for stored data", _ROLES, page="../reference/console.md"),
    Line(
        "3.2.1",
        "Keep as little as possible, for as long as needed",
        "Stripe and PIN are never stored by the core; a person can be erased and the ledger stays provable.",
        ("tests.ledger.test_audit.SoundCase.test_erasure",),
        "Delete personalisation files once they are used; say how long records are kept.",
        page="../how-to/issue-cards.md",
        missing="Erasure by age is not automatic, and no console command orders it.",
    ),
    met(
        "3.3.1",
        "No authentication data after authorization",
        "Neither database, logs, terminals' journals nor crash dumps hold any after a day of payments.",
        "tests.security.test_canaries.CanaryTests.test_a_day_leaves_no_secret_behind",
        "tests.security.test_dumps.DumpCase.test_dumps",
    ),
    met(
        "3.3.1.1",
        "No full track",
        "A stripe is read, checked and dropped; the ledger has no place for it, the terminal's journal neither.",
        "tests.security.test_canaries.CanaryTests.test_a_day_leaves_no_secret_behind",
        "tests.core.test_pipeline_faults.Secrecy.test_tracebacks",
    ),
    met(
        "3.3.1.2",
        "No verification code",
        "It is computed anew by the token at each purchase and compared; nothing keeps it.",
        "tests.cards.test_verification.Verification.test_secrecy",
    ),
    met(
        "3.3.1.3",
        "No PIN and no PIN block",
        "What is kept of a PIN is an AES block under a key that cannot decrypt.",
        f"{_TOKEN}.test_the_token_will_not_show_a_key",
        "tests.security.test_dumps.DumpCase.test_dumps",
    ),
    met(
        "3.3.2",
        "Authentication data before authorization is encrypted",
        "Before the answer it exists in memory alone, sealed to the backend where a sale was off-line, and under the"
        " session's seal on the way.",
        "tests.protocol.test_session.LineTests.test_nothing_secret_on_the_wire",
    ),
    Line(
        "3.3.3",
        "Issuers: stored authentication data is needed and encrypted",
        "The issuer keeps none in the ledger.",
        ("tests.ledger.test_engine.CipheredCase.test_canaries_deciphered",),
        "Fetch personalisation files by a trusted way, then delete them.",
        page="../how-to/issue-cards.md",
        missing=_PERSONALISATION,
    ),
    met(
        "3.4.1",
        "Numbers are masked where they are shown",
        "Screens, receipts and the console show the last four digits or a reference, for every role.",
        "tests.cards.test_numbers.Numbers.test_masking",
        "tests.issuing.test_cards.IssueTests.test_the_console_never_shows_a_number_or_pin",
    ),
    met(
        "3.4.2",
        "Numbers cannot be copied over remote access",
        "No command of the console answers with a number, so there is none to copy.",
        "tests.issuing.test_cards.IssueTests.test_the_console_never_shows_a_number_or_pin",
    ),
    Line(
        "3.5.1",
        "Numbers are unreadable wherever stored",
        "In the ledger, its log, backups and crash dumps: AES-GCM in the column, under a key of the token's K_DB.",
        (
            "tests.ledger.test_engine.CipheredCase.test_canaries_deciphered",
            f"{_BACKUP}.test_nothing_in_the_clear",
        ),
        missing=_PERSONALISATION,
    ),
    met(
        "3.5.1.1",
        "Hashes of numbers are keyed",
        "Cards are found by HMAC-SHA256 under a derived key of its own; a change of K_DB makes all anew.",
        "tests.ledger.test_engine.CipheredCase.test_canaries_deciphered",
        "tests.hsm.test_implementations.DataKeyTests.test_data_keys_are_stable_and_separate",
    ),
    met(
        "3.5.1.2",
        "Not disk encryption alone",
        "Columns are ciphered again inside the ciphered file.",
        "tests.ledger.test_engine.CipheredCase.test_canaries_deciphered",
    ),
    met(
        "3.5.1.3",
        "Disk encryption: access apart from the system's log-in",
        "The file's key comes from the token, whose PIN is no log-in of the system.",
        "tests.ledger.test_engine.CipheredCase.test_wrong_key",
        "tests.cli.test_doctor.DoctorTests.test_pin_that_is_wrong",
    ),
    Line(
        "3.6.1",
        "Keys are guarded against disclosure and misuse",
        "They are made in the token, not extractable, each for one use.",
        (
            f"{_TOKEN}.test_the_token_will_not_show_a_key",
            f"{_INIT}.test_every_key_is_in_the_token_and_stays_there",
        ),
        "The token's PIN, on a card or with few people.",
        ("backend.token.pin_file", "backend.token.pin_sealed_by"),
        "../how-to/seal-the-pin.md",
    ),
    met(
        "3.6.1.1",
        "Service providers: the architecture of keys is described",
        "Every key, its use and its place are listed, and a test compares the list with the program.",
        "tests.pki.test_pages.KeysPageTests.test_it_names_every_key_and_label",
    ),
    Line(
        "3.6.1.2",
        "Keys are in a secure device, or encrypted by a key as strong",
        "Raw in a PKCS#11 token; devices' pairs wrapped under a token key (RFC 5649); backups under two shares.",
        (
            "tests.hsm.test_implementations.TokenTests.test_the_wrapping_is_rfc_5649",
            "tests.backup.test_archive.ShareTests.test_both_are_needed",
        ),
        "Choose the token: SoftHSM is software, and its folder with its PIN is the keys.",
        ("backend.token.module",),
        "../reference/hsm-matrix.md",
    ),
    Line(
        "3.6.1.3",
        "Fewest people reach clear keys",
        "Nobody does: no command shows one, and a backup opens with two officers only.",
        ("tests.backup.test_archive.ShareTests.test_one_share_tells_nothing",),
        "Name two officers.",
        page="../how-to/back-up-and-restore.md",
    ),
    met(
        "3.6.1.4",
        "Keys are in the fewest places",
        "The token, and backups of it; the root in a token of its own.",
        f"{_INIT}.test_the_root_is_in_a_token_of_its_own",
        f"{_INIT}.test_every_key_is_in_the_token_and_stays_there",
    ),
    met(
        "3.7.1",
        "Strong keys are generated",
        "By the token: AES-256, P-256, HMAC-256; weak keys of devices are refused.",
        "tests.hsm.test_keystore.TokenContractTests.test_every_key_is_locked_up",
        "tests.pki.test_examination.StepTests.test_keys_that_everybody_knows",
    ),
    met(
        "3.7.2",
        "Keys are distributed securely",
        "Working keys are not distributed; a device's pair goes out once, under a passphrase in a sealed session.",
        "tests.integration.test_births.BirthTests.test_a_terminal_pays_with_a_pair_of_the_backends",
    ),
    Line(
        "3.7.3",
        "Keys are stored securely",
        "In the token, or wrapped by it.",
        ("tests.hsm.test_implementations.TokenTests.test_a_pair_leaves_nothing_in_the_token",),
        "The officers' keys and the root's token, under lock.",
        page="../how-to/ca-ceremony.md",
    ),
    Line(
        "3.7.4",
        "Keys change at the end of their time",
        "K_DB while payments go on, carried on after a kill at any moment; certificates of devices by themselves.",
        (
            "tests.cli.test_rotate_key.OnlineCase.test_payments_go_on",
            "tests.integration.test_renewal.RenewalTests.test_the_command",
        ),
        "Change K_DB once a year.",
        page="../how-to/rotate-the-database-key.md",
        missing="K_PIN and K_CARD have versions, but no command changes them for cards already issued.",
    ),
    Line(
        "3.7.5",
        "Keys are retired, replaced or destroyed",
        "The old K_DB is destroyed when nothing needs it, and not before; an issuing authority is revoked by the root.",
        (
            "tests.issuing.test_keys.KeysCase.test_destruction",
            "tests.cli.test_ca.CeremonyTests.test_a_revoked_issuing_authority",
        ),
        "Order it when a key may have been seen.",
        page="../how-to/rotate-the-database-key.md",
    ),
    Line(
        "3.7.6",
        "Keys handled by hand: split knowledge, dual control",
        "The root's PIN has two parts for two officers; backups two shares; console orders wait for a second admin.",
        (
            "tests.cli.test_ca.CeremonyTests.test_two_officers_or_nothing",
            "tests.issuing.test_approvals.OrderTests.test_an_order_waits_for_another_admin",
        ),
        "Put key orders under approval.",
        ("policy:approvals.commands[].name",),
        "../how-to/ca-ceremony.md",
    ),
    met(
        "3.7.7",
        "Keys are not replaced by unauthorized ones",
        "A token with other keys of the same names is refused; foreign objects are not used.",
        "tests.hsm.test_guard.RemovedTokenTests.test_another_token_in_its_place_is_refused",
        f"{_TOKEN}.test_foreign_objects_are_left_alone",
    ),
    by_people("3.7.8", "Custodians acknowledge their duties", "In writing.", page="../how-to/ca-ceremony.md"),
    not_here(
        "3.7.9",
        "Service providers: guidance for customers who share keys",
        "No key is shared with companies or shops; a terminal's own key is born in it.",
    ),
)

TRANSIT: Final = (
    by_people("4.1.1", "Policies for data under way", _POLICIES, page="../protocol.md"),
    by_people("4.1.2", "Roles for data under way", _ROLES, page="../reference/console.md"),
    met(
        "4.2.1",
        "Numbers are strongly encrypted on open networks",
        "TLS 1.3 alone, both sides proven against lists of revocation, and a sealed session from end to end inside it.",
        f"{_PORTS}.test_older_tls",
        f"{_PORTS}.test_matrix",
        "tests.protocol.test_session.LineTests.test_nothing_secret_on_the_wire",
    ),
    met(
        "4.2.1.1",
        "An inventory of trusted keys and certificates",
        "The register lists every individual certificate by serial, device, shop, state and date; "
        "`trus certificates list` those of the channel.",
        "tests.issuing.test_certificates.DirectoryTests.test_searching",
        "tests.integration.test_channel_rotation.ChannelRotationTests.test_overlap",
    ),
    not_here("4.2.1.2", "Wireless networks", _WIRELESS),
    met(
        "4.2.2",
        "No numbers in messages between people",
        "The program sends none, and no answer of the console holds one that could be.",
        "tests.issuing.test_cards.IssueTests.test_the_console_never_shows_a_number_or_pin",
    ),
)
