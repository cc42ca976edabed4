"""Says where a ceremony of the individual authority is held, who holds it, and how its root is opened.

Makes no key and signs nothing (trus.cli.ceremonies does). Asks for officers' names and parts of the
PIN at a prompt where no option and no file gives them; a part is never an argument.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from trus.certificates.chains import load_anchors
from trus.cli.ceremonies import Deed, Officiant, keep_transcript
from trus.cli.layout import Layout
from trus.cli.policy import load_policy, policy_of
from trus.cli.roottoken import RootToken
from trus.cli.softhsm import find_module
from trus.clock import SystemClock, SystemEntropy
from trus.errors import ConfigurationError
from trus.hsm.pkcs11 import Pkcs11Store, read_pin
from trus.pki.ceremony import ROOT
from trus.pki.policy import CEREMONY_OFFICERS, DEFAULT_POLICY
from trus.pki.transcript import told
from trus.settings.loading import load
from trus.settings.model import BackendSettings, Settings


@attrs.frozen
class Place:
    """Where a ceremony is held: the folder of certificates and transcripts, and whatever is configured."""

    pki: Path
    settings: Settings | None = None

    @classmethod
    def of(cls, config: Path | None, pki: Path | None) -> Place:
        """Return the place that the options name. Raises ConfigurationError."""
        settings = None if config is None else load(config)
        if pki is None:
            if config is None:
                raise ConfigurationError(
                    "say where: --config FILE of the deployment, or --pki DIR on the root's machine"
                )
            pki = Layout(config.absolute().parent).pki
        return cls(pki.absolute(), settings)

    @property
    def backend(self) -> BackendSettings:
        """The backend's settings. Raises ConfigurationError where there are none."""
        if self.settings is None or self.settings.backend is None:
            raise ConfigurationError("that needs the deployment's configuration, --config FILE with a backend")
        return self.settings.backend

    @property
    def layout(self) -> Layout:
        """The deployment around the folder."""
        return Layout(self.pki.parent)

    def roots(self) -> tuple[x509.Certificate, ...]:
        """Return the roots that are trusted here. Raises ConfigurationError."""
        path = self.layout.anchor if self.settings is None else self.backend.identity.anchor
        return load_anchors(read_file(path))

    def issuing(self) -> list[x509.Certificate]:
        """Return the issuing authorities whose certificates lie here, oldest first."""
        path = self.layout.issuing
        return list(load_anchors(path.read_bytes(), str(path))) if path.exists() else []

    def officiant(self, officers: Sequence[str], network: str = "") -> Officiant:
        """Return who performs the ceremony; officers who were not named are asked for."""
        if self.settings is not None:
            network, policy = self.settings.network.name, policy_of(self.backend)
        else:
            file = self.layout.policy
            policy = load_policy(file) if file.exists() else DEFAULT_POLICY
            network = network or self._network()
        return Officiant(network, policy, ask_officers(officers), SystemClock(), SystemEntropy())

    def _network(self) -> str:
        [name] = self.roots()[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(name.value).removesuffix(" individual root")

    def keep(self, ceremony: str, deed: Deed) -> None:
        """Write the transcript, and say where."""
        path = keep_transcript(self.layout.ceremonies, ceremony, deed.transcript)
        click.echo(f"transcript      {path}")
        click.echo(f"its SHA-256     {told(deed.transcript).digest}")


def ask_officers(named: Sequence[str]) -> tuple[str, ...]:
    """Return the officers' names, asking at the prompt for those that are missing."""
    names = list(named)
    while len(names) < CEREMONY_OFFICERS:
        names.append(click.prompt(f"Officer {len(names) + 1}, your name"))
    return tuple(names)


@contextmanager
def open_root(token: RootToken, officers: Sequence[str], files: Sequence[Path]) -> Iterator[Pkcs11Store]:
    """Open the root's token with both parts of its PIN: from files, from beside it, or asked for.

    Raises KeyStoreUnavailable, WrongTokenPin, ConfigurationError.
    """
    parts: Sequence[str] | None
    if files:
        parts = [read_pin(file) for file in files]
    else:
        parts = token.read_parts()
        if parts is not None:
            click.echo(f"warning: both parts of the PIN lie beside the token in {token.folder}", err=True)
        else:
            parts = [_ask(f"{name}, your part of the root's PIN: ") for name in officers]
    store = token.open(parts)
    try:
        yield store
    finally:
        store.close()


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    return getpass.getpass(prompt)


def root_token(place: Place, root: Path | None, module: str, label: str) -> RootToken:
    """Return the root's token that the options name. Raises ConfigurationError."""
    configured = None if place.settings is None else place.backend.token.module
    folder = place.layout.root_token if root is None else root
    return RootToken(folder.absolute(), str(find_module(module or configured)), label)


def read_file(path: Path) -> bytes:
    """Return a file's content. Raises ConfigurationError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror})") from None


def read_list(path: Path) -> x509.CertificateRevocationList:
    """Return the revocation list of a PEM file. Raises ConfigurationError."""
    try:
        return x509.load_pem_x509_crl(read_file(path))
    except ValueError:
        raise ConfigurationError(f"{path} holds no readable revocation list") from None


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file as a whole, readable by its owner alone; whoever reads it sees the one or the other."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def pem(part: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """Return a certificate or a list in PEM."""
    return part.public_bytes(Encoding.PEM)


def keep_list(place: Place, deed: Deed) -> Path:
    """Put the root's list that a ceremony signed in its place; return its file."""
    path = place.layout.revocation_list(ROOT)
    if deed.revocation_list is not None:
        replace_file(path, pem(deed.revocation_list))
    return path


def keep_issuing(place: Place, issuing: x509.Certificate) -> Path:
    """Add an issuing authority's certificate to those that lie here, once; return their file."""
    path, known = place.layout.issuing, place.issuing()
    if issuing not in known:
        replace_file(path, b"".join(map(pem, (*known, issuing))))
    return path


def issuer_of(certificate: x509.Certificate, roots: Sequence[x509.Certificate]) -> x509.Certificate:
    """Return the root that a certificate names as its issuer. Raises ConfigurationError."""
    for root in roots:
        if root.subject == certificate.issuer:
            return root
    raise ConfigurationError("no root that is trusted here issued that certificate")
