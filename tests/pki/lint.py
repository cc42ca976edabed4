"""What pkilint's RFC 5280 and RFC 6960 profiles find in a document, above the severity 'notice'."""

from __future__ import annotations

import re
from typing import Any

from pkilint import loader, pkix
from pkilint.pkix import certificate, crl, extension, general_name, name, ocsp
from pkilint.validation import ValidationFindingSeverity

#: RFC 8141 section 2, without the optional components.
_URN = re.compile(r"urn:[a-z0-9][a-z0-9-]{0,30}[a-z0-9]:[A-Za-z0-9._~!$&'()*+,;=:@/-]+\Z", re.ASCII)


_judge = general_name.GeneralNameUriSyntaxValidator.validate_value


def _uri_is_one(self: Any, node: Any) -> bool:
    """Know URNs beside web addresses: RFC 5280 section 4.2.1.6 allows any scheme, pkilint's library does not."""
    return _URN.match(str(node.pdu)) is not None or bool(_judge(self, node))


general_name.GeneralNameUriSyntaxValidator.validate_value = _uri_is_one

ATTRIBUTES = name.ATTRIBUTE_TYPE_MAPPINGS
EXTENSIONS = extension.EXTENSION_MAPPINGS


def certificate_findings(der: bytes) -> list[str]:
    """Return what is found in a certificate (DER)."""
    validator = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(ATTRIBUTES, EXTENSIONS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )
    return _findings(validator, loader.load_certificate(der, "certificate"))


def list_findings(der: bytes) -> list[str]:
    """Return what is found in a revocation list (DER)."""
    validator = crl.create_pkix_crl_validator_container(
        [pkix.create_attribute_decoder(ATTRIBUTES), pkix.create_extension_decoder(EXTENSIONS)],
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )
    return _findings(validator, loader.load_crl(der, "list"))


def response_findings(der: bytes) -> list[str]:
    """Return what is found in an OCSP response (DER)."""
    validator = ocsp.create_pkix_ocsp_response_validator_container(
        [
            ocsp.create_response_decoder(),
            pkix.create_attribute_decoder(ATTRIBUTES),
            pkix.create_extension_decoder(EXTENSIONS),
        ],
        [],
    )
    return _findings(validator, loader.load_ocsp_response(der, "response"))


def _findings(validator: Any, document: Any) -> list[str]:
    results = validator.validate(document.root)
    return [
        f"{found.finding.severity.name} {found.finding.code} {found.message or ''} at {result.node.path}"
        for result in results
        for found in result.finding_descriptions
        if found.finding.severity < ValidationFindingSeverity.NOTICE
    ]
