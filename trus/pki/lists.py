"""Keeps the revocation lists of the TLS authorities alive: signs each anew well before its end.

An expired list refuses every client, so a list is renewed when half of its time is gone. What
was revoked stays revoked: a new list holds everything that the last one held, and its number
grows (RFC 5280 section 5). Reads and writes no file by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from trus.errors import ConfigurationError
from trus.pki.authority import Authority, RevokedSerial
from trus.pki.profiles import CRL_VALIDITY


def read_list(authority: Authority, pem: bytes) -> x509.CertificateRevocationList:
    """Return the list that a PEM file holds. Raises ConfigurationError unless the authority signed it."""
    what = f"the revocation list of the {authority.label} authority"
    try:
        current = x509.load_pem_x509_crl(pem)
        signed = current.is_signature_valid(authority.signer.public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{what} cannot be read") from None
    if not signed:
        raise ConfigurationError(f"{what} was not signed by that authority")
    return current


def is_due(current: x509.CertificateRevocationList, now: datetime, validity: timedelta = CRL_VALIDITY) -> bool:
    """Return whether a list has less than half of its time left, or no end at all."""
    end = current.next_update_utc
    return end is None or end - now < validity / 2


def next_list(
    authority: Authority,
    current: x509.CertificateRevocationList,
    added: Sequence[RevokedSerial] = (),
    validity: timedelta = CRL_VALIDITY,
) -> x509.CertificateRevocationList:
    """Return the list that follows `current`: all of its entries, those added, the next number.

    It is believed for `validity`. A serial number that is already on the list keeps its first moment.
    Raises KeyStoreUnavailable.
    """
    entries = {entry.serial_number: RevokedSerial(entry.serial_number, entry.revocation_date_utc) for entry in current}
    for each in added:
        entries.setdefault(each.serial, each)
    try:
        number = current.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        number = 0
    return authority.revocation_list(list(entries.values()), number + 1, validity)
