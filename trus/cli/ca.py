"""`trus ca`: the ceremonies of the individual authority, which two officers hold.

Opens the root's token only for a ceremony and with both officers' parts of its PIN, asked at a prompt
or read from files, never from the command line. Every ceremony leaves a transcript that says who was
there and what was made, signed at the end. docs/how-to/ca-ceremony.md goes through each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from rich.console import Console
from rich.table import Table

from trus.certificates.chains import load_anchors, serial_text
from trus.cli.ca_place import (
    Place,
    issuer_of,
    keep_issuing,
    keep_list,
    open_root,
    pem,
    read_file,
    read_list,
    root_token,
)
from trus.cli.certificates import parse_serial
from trus.cli.keystore import open_token
from trus.cli.layout import write_private
from trus.cli.roottoken import ROOT_TOKEN_LABEL
from trus.clock import Clock, SystemClock, SystemEntropy
from trus.errors import ConfigurationError, TrusError
from trus.hsm.pkcs11 import Pkcs11Store
from trus.pki.authority import ca_label
from trus.pki.ceremony import ROOT, read_request
from trus.pki.generations import Generations
from trus.pki.identity import INDIVIDUAL
from trus.pki.transcript import MAX_TRANSCRIPT_BYTES, told, verify

_PATH: Final = click.Path(path_type=Path)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _told(command: _Command) -> _Command:
    """Turn what an operator can mend into one sentence."""

    def run(*arguments: Any, **named: Any) -> Any:
        try:
            return command(*arguments, **named)
        except TrusError as problem:
            raise click.ClickException(str(problem)) from None

    run.__doc__, run.__name__ = command.__doc__, command.__name__
    return run  # type: ignore[return-value]


def _options(*added: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    def add(command: _Command) -> _Command:
        for each in reversed(added):
            command = each(command)
        return command

    return add


_config = click.option("--config", type=_PATH, help="The deployment's trus.yaml.")
_pki = click.option(
    "--pki", type=_PATH, help="Folder of certificates and transcripts.  [default: pki/ beside --config]"
)
_officer = click.option("--officer", "officers", multiple=True, help="Who attends, twice.  [default: a prompt]")
_at_root = _options(
    click.option("--root", type=_PATH, help="The root token's folder.  [default: root-token/ beside pki/]"),
    click.option("--part-file", "parts", type=_PATH, multiple=True, help="A part of the root's PIN, twice, in order."),
    click.option("--module", default="", help="PKCS#11 library of the root's token.  [default: SoftHSM, found]"),
    click.option("--label", default=ROOT_TOKEN_LABEL, show_default=True, help="The root token's label."),
)


@click.group("ca", short_help="Hold a ceremony of the root, look at its transcripts.")
def ca_group() -> None:
    """Hold the ceremonies of the individual authority: two officers, a transcript, a signature."""


@ca_group.command("init-root")
@click.option("--network", required=True, help="Name of the network.")
@click.option("--request", type=_PATH, help="Request of the first issuing authority.")
@_pki
@_officer
@_at_root
@_told
def init_root_command(
    network: str,
    request: Path | None,
    pki: Path | None,
    officers: tuple[str, ...],
    root: Path | None,
    parts: tuple[Path, ...],
    module: str,
    label: str,
) -> None:
    """Make a new root in a new token, and its list; `trus init` does the same for a new deployment.

    The token's PIN is made in two parts, in files beside it: take one each, and leave none.
    """
    place = Place.of(None, pki)
    token = root_token(place, root, module, label)
    officiant = place.officiant(officers, network)
    place.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (place.layout.anchor, place.layout.revocation_list(ROOT)):
        if path.exists():
            raise ConfigurationError(f"{path} exists already")
    made = token.create(officiant.entropy)
    store = token.open(made)
    try:
        deed = officiant.init_root(store, store, b"" if request is None else read_file(request))
    finally:
        store.close()
    write_private(place.layout.anchor, pem(deed.root))
    keep_list(place, deed)
    click.echo(f"root            {place.layout.anchor}")
    click.echo(f"its token       {token.folder}: part-1 and part-2 go to two people")
    if deed.issuing is not None:
        click.echo(f"issuing         {keep_issuing(place, deed.issuing)}")
    place.keep("init-root", deed)


@ca_group.command("new-issuing")
@click.option("--out", type=_PATH, required=True, help="Where to write the request, PEM.")
@_config
@_pki
@_officer
@_told
def new_issuing_command(out: Path, config: Path | None, pki: Path | None, officers: tuple[str, ...]) -> None:
    """Make the key of the next issuing authority in the operating token, and its request for the root.

    Nothing changes yet: sign-issuing and rollover follow.
    """
    place = Place.of(config, pki)
    officiant = place.officiant(officers)
    with open_token(place.backend) as store:
        deed = officiant.new_issuing(store, store)
    parsed, name = read_request(deed.request)
    write_private(out, parsed.public_bytes(Encoding.PEM))
    click.echo(f"request         {out}: {name}")
    place.keep("new-issuing", deed)


@ca_group.command("sign-issuing")
@click.argument("request", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="Where to write the certificate, PEM.")
@_config
@_pki
@_officer
@_at_root
@_told
def sign_issuing_command(
    request: Path,
    out: Path,
    config: Path | None,
    pki: Path | None,
    officers: tuple[str, ...],
    root: Path | None,
    parts: tuple[Path, ...],
    module: str,
    label: str,
) -> None:
    """Sign the certificate of an issuing authority with the root. REQUEST comes from new-issuing."""
    place = Place.of(config, pki)
    officiant = place.officiant(officers)
    _, name = read_request(read_file(request))
    click.echo(f"request         {name}")
    with open_root(root_token(place, root, module, label), officiant.officers, parts) as store:
        deed = officiant.sign_issuing(store, store, read_file(request))
    if deed.issuing is not None:
        write_private(out, pem(deed.issuing))
        click.echo(f"certificate     {out}: until {deed.issuing.not_valid_after_utc:%Y-%m-%d}")
    place.keep("sign-issuing", deed)


@ca_group.command("crl")
@click.option("--revoke", "serials", multiple=True, help="Serial number of an issuing authority to revoke.")
@_config
@_pki
@_officer
@_at_root
@_told
def crl_command(
    serials: tuple[str, ...],
    config: Path | None,
    pki: Path | None,
    officers: tuple[str, ...],
    root: Path | None,
    parts: tuple[Path, ...],
    module: str,
    label: str,
) -> None:
    """Sign the root's list of revoked issuing authorities anew, in its place."""
    place = Place.of(config, pki)
    officiant = place.officiant(officers)
    path = place.layout.revocation_list(ROOT)
    current = read_list(path) if path.exists() else None
    revoked = [parse_serial(serial) for serial in serials]
    with open_root(root_token(place, root, module, label), officiant.officers, parts) as store:
        deed = officiant.sign_list(store, store, current, revoked)
    click.echo(f"list            {keep_list(place, deed)}")
    place.keep("crl", deed)


@ca_group.command("rollover")
@click.argument("certificate", type=_PATH)
@_config
@_pki
@_officer
@_told
def rollover_command(certificate: Path, config: Path | None, pki: Path | None, officers: tuple[str, ...]) -> None:
    """Take in the CERTIFICATE of the next issuing authority, which issues from now on; a running backend takes it up.

    What the former one issued stays valid, and is answered for, until it has ended.
    """
    place = Place.of(config, pki)
    officiant = place.officiant(officers)
    [issuing, *others] = load_anchors(read_file(certificate), str(certificate))
    if others:
        raise ConfigurationError(f"{certificate} holds more than one certificate")
    root = issuer_of(issuing, place.roots())
    with open_token(place.backend) as store:
        deed = officiant.roll_over(store, store, issuing, root)
    click.echo(f"issuing         {keep_issuing(place, issuing)}; a running backend takes it up within seconds")
    place.keep("rollover", deed)


@ca_group.command("list")
@_config
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@_told
def list_command(config: Path | None, as_json: bool) -> None:
    """Show the root and its issuing authorities, as the operating token has them."""
    place = Place.of(config, None)
    with open_token(place.backend) as store:
        rows = list(_rows(place, store, SystemClock()))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


def _rows(place: Place, store: Pkcs11Store, clock: Clock) -> Iterator[dict[str, str]]:
    generations = Generations(store, store, INDIVIDUAL, clock, SystemEntropy())
    path = place.layout.revocation_list(ROOT)
    listed = read_list(path) if path.exists() else None
    for root in generations.roots:
        own = any(each.certificate == root for each in generations.all)
        yield _row("root", "", root, "its key is in this token" if own else "off line")
    for each in generations.all:
        if not each.issuers:
            continue
        state = "issues" if each is generations.current else "answers for what it issued"
        serial = each.certificate.serial_number
        if listed is not None and listed.get_revoked_certificate_by_serial_number(serial) is not None:
            state = "revoked"
        yield _row("issuing", str(each.version), each.certificate, state)
    newest = generations.current.version
    for handle in store.handles():
        if handle.label == ca_label(INDIVIDUAL) and handle.version > newest:
            waits = {"what": "issuing", "generation": str(handle.version), "state": "waits for its certificate"}
            yield {**dict.fromkeys(_COLUMNS, ""), **waits}


_COLUMNS: Final = ("what", "generation", "subject", "serial", "until", "state")


def _row(what: str, generation: str, certificate: x509.Certificate, state: str) -> dict[str, str]:
    subject = certificate.subject.rfc4514_string()
    until = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    return dict(zip(_COLUMNS, (what, generation, subject, serial_text(certificate), until, state), strict=True))


@ca_group.command("verify-transcript")
@click.argument("file", type=_PATH)
@_config
@_pki
@_told
def verify_command(file: Path, config: Path | None, pki: Path | None) -> None:
    """Check that the transcript FILE was signed under this network's root and not changed since."""
    place = Place.of(config, pki)
    text = read_file(file)
    if len(text) > MAX_TRANSCRIPT_BYTES:
        raise ConfigurationError(f"{file} is too long for a transcript")
    signer = verify(text, place.roots(), place.issuing())
    said = told(text)
    click.echo(f"{said.ceremony} of {said.begun}, attended by {' and '.join(said.officers)}")
    click.echo(f"signed by {signer.subject.rfc4514_string()}; SHA-256 {said.digest}")
