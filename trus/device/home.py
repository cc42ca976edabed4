"""Lays out the directory that makes a machine one certain terminal.

Opens no connection and knows no card. The individual key is born here and never leaves; it
and the channel's PKCS#12 file are readable by the terminal's user alone. One process at a
time may be this terminal: two would give one identity to two requests.

| file | holds |
|---|---|
| terminal.json | the terminal's name, where its gateway is and by which TLS name it is known |
| key.pem | the individual private key, P-256, PKCS#8 (TR-16) |
| chain.pem | the individual certificate and its issuer; there once enrolled |
| anchor.pem | the individual authority's root, provisioned, never learned on line |
| pos.p12, pos.pass | the channel certificate that all terminals share (TR-14), and its passphrase |
| journal | what was asked and how it ended |
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from trus.certificates.oids import parse_urn
from trus.device.conversation import KeyIdentity
from trus.device.journal import FileJournal
from trus.device.trust import DeviceTrust
from trus.errors import ConfigurationError
from trus.net.contexts import ClientChannel
from trus.net.credentials import ChannelCredentials, from_pkcs12, to_pkcs12
from trus.values import ChannelRole, TerminalId
from trus.wording import ENGLISH, LANGUAGES

_TERMINAL: Final = re.compile(r"[A-Z0-9]{8}", re.ASCII)

SETTINGS: Final = "terminal.json"
KEY: Final = "key.pem"
CHAIN: Final = "chain.pem"
ANCHOR: Final = "anchor.pem"
CHANNEL: Final = "pos.p12"
PASSPHRASE: Final = "pos.pass"  # noqa: S105 - the name of a file
JOURNAL: Final = "journal"
LOCK: Final = "lock"


class TerminalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of terminal.json; `server_name` is the gateway's name in its TLS certificate.

    `language` is that of the screen, one of trus.wording.LANGUAGES.
    """

    terminal: str
    host: str
    port: int
    server_name: str
    language: str = ENGLISH


class DeviceHome:
    """The directory of one terminal."""

    def __init__(self, path: Path, settings: TerminalSettings) -> None:
        """Stand for `path`, which says `settings`; use `load` or `prepare`."""
        self.path = path
        self.settings = settings

    @classmethod
    def load(cls, path: Path) -> DeviceHome:
        """Read a home that was prepared before. Raises ConfigurationError."""
        if not (path / SETTINGS).exists():
            raise ConfigurationError(f"{path} is no terminal's folder: enrol the terminal first")
        try:
            settings = msgspec.json.decode(_read(path / SETTINGS), type=TerminalSettings)
        except msgspec.MsgspecError as problem:
            raise ConfigurationError(f"{path / SETTINGS}: {problem}") from None
        return cls(path, _checked(settings))

    @classmethod
    def prepare(
        cls, path: Path, settings: TerminalSettings, *, anchor: bytes, channel: bytes, passphrase: bytes
    ) -> DeviceHome:
        """Make the directory, or go on with one whose enrolment did not end; the key is born here.

        `anchor` is PEM, `channel` PKCS#12 with its `passphrase`; all are checked before
        anything is written. The key of an earlier attempt is kept, so that a repeated
        enrolment with the same code gives the same certificate. Raises ConfigurationError.
        """
        _checked(settings)
        DeviceTrust.from_pem(anchor)
        from_pkcs12(channel, passphrase)
        home = cls(path, settings)
        if (path / CHAIN).exists():
            raise ConfigurationError(f"{path} holds an enrolled terminal already")
        if (path / SETTINGS).exists() and cls.load(path).settings.terminal != settings.terminal:
            raise ConfigurationError(f"{path} belongs to another terminal")
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (path / KEY).exists():
                key = ec.generate_private_key(ec.SECP256R1())
                write_private(path / KEY, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            write_private(path / ANCHOR, anchor)
            write_private(path / CHANNEL, channel)
            write_private(path / PASSPHRASE, passphrase + b"\n")
            write_private(path / SETTINGS, msgspec.json.format(msgspec.json.encode(settings)) + b"\n")
        except OSError as problem:
            raise ConfigurationError(f"{path} cannot be prepared: {problem.strerror}") from problem
        return home

    @property
    def terminal(self) -> TerminalId:
        """The terminal's name."""
        return TerminalId(self.settings.terminal)

    @property
    def enrolled(self) -> bool:
        """Whether the individual certificate is there."""
        return (self.path / CHAIN).exists()

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Return the individual key. Raises ConfigurationError."""
        try:
            key = load_pem_private_key(_read(self.path / KEY), None)
        except (ValueError, TypeError):
            raise ConfigurationError(f"{self.path / KEY} holds no private key in PEM without a passphrase") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ConfigurationError(f"{self.path / KEY} holds a key of another kind than P-256")
        return key

    def identity(self) -> KeyIdentity:
        """Return the individual certificate with its key. Raises ConfigurationError."""
        if not self.enrolled:
            raise ConfigurationError(f"{self.path} holds no certificate yet: enrol the terminal first")
        try:
            chain = x509.load_pem_x509_certificates(_read(self.path / CHAIN))
        except ValueError:
            raise ConfigurationError(f"{self.path / CHAIN} holds no readable certificate") from None
        return KeyIdentity(self.key(), [each.public_bytes(Encoding.DER) for each in chain])

    @property
    def shop(self) -> str:
        """The shop that the terminal's certificate names, "" when it names none."""
        names = x509.load_der_x509_certificate(self.identity().chain[0])
        try:
            urns = names.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return ""
        for uri in urns.get_values_for_type(x509.UniformResourceIdentifier):
            kind = parse_urn(uri)
            if kind is not None and kind[0] == "shop":
                return kind[1]
        return ""

    def keep_key(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Write a key that was born elsewhere in the place of this home's own. Raises ConfigurationError."""
        try:
            write_private(self.path / KEY, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        except OSError as problem:
            raise ConfigurationError(f"{self.path / KEY} cannot be written: {problem.strerror}") from problem

    def keep_chain(self, chain: tuple[bytes, ...]) -> None:
        """Write the issued certificate (DER, leaf first, no root). Raises ConfigurationError."""
        try:
            certificates = [x509.load_der_x509_certificate(each) for each in chain]
            if not certificates or certificates[0].public_key() != self.key().public_key():
                raise ConfigurationError("the backend issued a certificate for another key")
            write_private(
                self.path / CHAIN, b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
            )
        except ValueError:
            raise ConfigurationError("the backend issued an unreadable certificate") from None
        except OSError as problem:
            raise ConfigurationError(f"{self.path / CHAIN} cannot be written: {problem.strerror}") from problem

    def trust(self) -> DeviceTrust:
        """Return the anchor to believe the backend by. Raises ConfigurationError."""
        return DeviceTrust.from_pem(_read(self.path / ANCHOR))

    def channel(self, name: str = CHANNEL) -> ClientChannel:
        """Return the TLS end that insists on this terminal's gateway; `name` is the bundle's file.

        Raises ConfigurationError.
        """
        return ClientChannel(self.credentials(name), ChannelRole.GATEWAY, self.settings.server_name)

    def credentials(self, name: str = CHANNEL) -> ChannelCredentials:
        """Return what a bundle of the channel holds. Raises ConfigurationError."""
        return from_pkcs12(_read(self.path / name), self._passphrase(), str(self.path / name))

    def keep_channel(self, name: str, credentials: ChannelCredentials) -> None:
        """Write a bundle of the channel under this home's passphrase. Raises ConfigurationError."""
        try:
            write_private(self.path / name, to_pkcs12(credentials, self._passphrase()))
        except OSError as problem:
            raise ConfigurationError(f"{self.path / name} cannot be written: {problem.strerror}") from problem

    def _passphrase(self) -> bytes:
        return _read(self.path / PASSPHRASE).split(b"\n", 1)[0]

    def journal(self) -> FileJournal:
        """Open the journal; hold the lock meanwhile. Raises JournalError."""
        return FileJournal(self.path / JOURNAL)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only process that is this terminal. Raises ConfigurationError."""
        try:
            file = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise ConfigurationError(f"{self.path} cannot be used: {problem.strerror}") from problem
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(f"{self.path} is in use by another process") from None
            yield
        finally:
            os.close(file)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file by `data`, whole or not at all, readable by its owner alone. Raises OSError."""
    fresh = path.with_name(path.name + ".new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(file, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]
        os.fsync(file)
    finally:
        os.close(file)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _checked(settings: TerminalSettings) -> TerminalSettings:
    if _TERMINAL.fullmatch(settings.terminal) is None:
        raise ConfigurationError("a terminal's name is 8 characters, A-Z and 0-9")
    if not 0 < settings.port < 65536:
        raise ConfigurationError("a port is a number from 1 to 65535")
    if not settings.host or not settings.server_name:
        raise ConfigurationError("the gateway needs a host and the name in its certificate")
    if settings.language not in LANGUAGES:
        raise ConfigurationError(f"the language of the screen is one of {', '.join(LANGUAGES)}")
    return settings


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be read: {problem.strerror}") from None
