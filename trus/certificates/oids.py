"""Names the private extended key usages, policies and URNs that certificates of the network carry.

Reads no certificate. The arc is a UUID drawn once, in the pieces of Microsoft's branch for that,
so that nobody else holds it and nobody had to register. The branch 2.25 of Rec. ITU-T X.667, where
a UUID is one number, would not do: RFC 5280 appendix B obliges nobody to read numbers of 2^28 and
above, and widespread readers do not. Numbers once given are never given another meaning.
"""

from __future__ import annotations

import re
from typing import Final

from cryptography.x509 import ObjectIdentifier

from trus.values import ChannelRole, DeviceRole

#: {141a5e31-48c9-4734-8cb5-e5dc46beeda4} below 1.2.840.113556.1.8000.2554: five numbers of 16 bits, two of 24.
ARC: Final = "1.2.840.113556.1.8000.2554.5146.24113.18633.18228.36021.15064134.12512676"

#: Certificate policies: .1.1 individual authority, .1.2 channel authority, .1.3 admin authority.
INDIVIDUAL_POLICY: Final = ObjectIdentifier(f"{ARC}.1.1")
CHANNEL_POLICY: Final = ObjectIdentifier(f"{ARC}.1.2")
ADMIN_POLICY: Final = ObjectIdentifier(f"{ARC}.1.3")

#: Extended key usages of individual certificates (the sealed session).
DEVICE_USAGE: Final[dict[DeviceRole, ObjectIdentifier]] = {
    DeviceRole.POS: ObjectIdentifier(f"{ARC}.2.1"),
    DeviceRole.CARD: ObjectIdentifier(f"{ARC}.2.2"),
    DeviceRole.BACKEND: ObjectIdentifier(f"{ARC}.2.3"),
}

#: Extended key usages of channel certificates (TLS).
CHANNEL_USAGE: Final[dict[ChannelRole, ObjectIdentifier]] = {
    ChannelRole.POS: ObjectIdentifier(f"{ARC}.3.1"),
    ChannelRole.CARD: ObjectIdentifier(f"{ARC}.3.2"),
    ChannelRole.GATEWAY: ObjectIdentifier(f"{ARC}.3.3"),
    ChannelRole.BACKEND: ObjectIdentifier(f"{ARC}.3.4"),
    ChannelRole.WEBSITE: ObjectIdentifier(f"{ARC}.3.5"),
    ChannelRole.ADMIN: ObjectIdentifier(f"{ARC}.3.6"),
}

#: What a name inside a URN may hold; the same characters as TerminalId, and a hyphen or dot.
_URN: Final = re.compile(r"urn:trus:([a-z]{1,12}):([A-Za-z0-9][A-Za-z0-9.-]{0,63})\Z")


def urn(kind: str, name: str) -> str:
    """Return `urn:trus:KIND:NAME`. Raises ValueError when the name holds other characters."""
    text = f"urn:trus:{kind}:{name}"
    if _URN.match(text) is None:
        raise ValueError(f"not a name for a certificate of kind {kind}")
    return text


def parse_urn(text: str) -> tuple[str, str] | None:
    """Return (kind, name) of a URN of the network, None for anything else."""
    match = _URN.match(text)
    return None if match is None else (match[1], match[2])


def channel_urn(role: ChannelRole) -> str:
    """Return the URI subject alternative name of a channel certificate."""
    return urn("channel", role.value)
