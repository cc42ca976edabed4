"""Reads the files of one end of two-way TLS into what trus.net builds contexts from.

Opens no socket. Not imported by the package itself, so that whoever only reads settings does
not load TLS.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs
from cryptography import x509

from trus.errors import ConfigurationError
from trus.net.credentials import ChannelCredentials, from_pkcs12, load_authorities, load_crl
from trus.settings.model import TlsSettings

#: A certificate file, list or passphrase is small; more is the wrong file.
MAX_FILE_BYTES: Final = 16 << 20
_CRL_END: Final = b"-----END X509 CRL-----"


@attrs.frozen
class ChannelFiles:
    """What the files of a TlsSettings hold: as trus.net's channels take it."""

    credentials: ChannelCredentials
    anchors: tuple[x509.Certificate, ...]
    crls: tuple[x509.CertificateRevocationList, ...]


def read_file(path: Path, what: str) -> bytes:
    """Return the bytes of a small file. Raises ConfigurationError with one sentence."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigurationError(f"{what} {path} cannot be read: {reason}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigurationError(f"{what} {path} is larger than {MAX_FILE_BYTES} bytes")
    return data


def read_passphrase(path: Path) -> bytes:
    """Return the first line of a passphrase file, without its end. Raises ConfigurationError."""
    line = read_file(path, "the passphrase file").split(b"\n", 1)[0].rstrip(b"\r")
    if not line:
        raise ConfigurationError(f"the passphrase file {path} begins with an empty line")
    return line


def read_crls(path: Path) -> tuple[x509.CertificateRevocationList, ...]:
    """Return the revocation lists of a PEM file, at least one. Raises ConfigurationError."""
    what = f"the revocation list {path}"
    data = read_file(path, "the revocation list")
    parts = [part + _CRL_END for part in data.split(_CRL_END)[:-1]]
    if not parts:
        raise ConfigurationError(f"{what} holds no revocation list in PEM")
    return tuple(load_crl(part.lstrip(), what) for part in parts)


def read_channel(tls: TlsSettings) -> ChannelFiles:
    """Return what the files of `tls` hold.

    Raises ConfigurationError with one sentence that names the file.
    """
    data = read_file(tls.certificate, "the certificate file")
    credentials = from_pkcs12(data, read_passphrase(tls.passphrase_file), f"the certificate file {tls.certificate}")
    anchors = load_authorities(read_file(tls.anchors, "the authorities' file"), f"the authorities' file {tls.anchors}")
    return ChannelFiles(credentials, anchors, read_crls(tls.crl))
