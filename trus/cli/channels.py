"""Keeps the channel bundles of a deployment: hands them to devices, replaces them, ends what was replaced.

Opens no connection. A bundle that is replaced stays good for a set time, so that every device can fetch the
next one inside its sealed session meanwhile; after that the core puts the former certificate on its
authority's revocation list. What waits for its end is in pki/retiring.json; nothing else is written there.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from trus.cli.layout import passphrase_of
from trus.cli.lists import RevocationLists
from trus.clock import Clock, Entropy
from trus.core.messages_directory import ChannelGiven
from trus.errors import ConfigurationError
from trus.net.credentials import ChannelCredentials, from_pkcs12, to_pkcs12
from trus.pki.channel import ADMIN, ADMIN_SERVER_BUNDLE, CHANNEL, CHANNEL_BUNDLES, BundlePlan
from trus.settings.channels import read_file, read_passphrase
from trus.values import DeviceRole

RETIRING: Final = "retiring.json"
#: The plan of each bundle of a deployment, and the authority that issues it.
PLANS: Final = {
    **{plan.stem: (plan, CHANNEL) for plan in CHANNEL_BUNDLES},
    ADMIN_SERVER_BUNDLE.stem: (ADMIN_SERVER_BUNDLE, ADMIN),
}
#: The bundles that devices ask for.
_OF_DEVICES: Final = {DeviceRole.POS: "pos", DeviceRole.CARD: "card"}
#: Bundles that no role of a deployment opens by itself, so that nobody else sees them end.
HANDED_OUT: Final = ("pos", "card", "website")
_PASSPHRASE_BYTES: Final = 20
_LOOK_EVERY_SECONDS: Final = 10.0


class Retiring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate that was replaced: its bundle, authority, serial number (hexadecimal), last moment (UTC)."""

    stem: str
    authority: str
    serial: str
    until: datetime


_LIST: Final = msgspec.json.Decoder(list[Retiring])


def read_retiring(pki: Path) -> list[Retiring]:
    """Return the certificates that wait for their end. Raises ConfigurationError for a file that cannot be read."""
    try:
        return _LIST.decode((pki / RETIRING).read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError):
        raise ConfigurationError(f"{pki / RETIRING} cannot be read") from None


def replace_private(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all, readable by its owner alone. Raises ConfigurationError."""
    fresh = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror})") from None


class ChannelBundles:
    """The PKCS#12 files of the channel, in the deployment's folder of certificates."""

    def __init__(self, pki: Path, entropy: Entropy) -> None:
        self._pki = pki
        self._entropy = entropy

    def path(self, stem: str) -> Path:
        """Return the file of a bundle."""
        return self._pki / f"{stem}.p12"

    def read(self, stem: str) -> ChannelCredentials:
        """Return what a bundle holds. Raises ConfigurationError."""
        path = self.path(stem)
        return from_pkcs12(read_file(path, "the bundle"), read_passphrase(passphrase_of(path)), f"the bundle {path}")

    def replace(self, stem: str, p12: bytes, former: x509.Certificate, until: datetime) -> None:
        """Put a new PKCS#12 file, under the same passphrase, in a bundle's place; the former is good until a moment.

        Killed in between, the former stays in its place and is not retired: what is in use never is. Raises
        ConfigurationError.
        """
        kept = [
            each
            for each in read_retiring(self._pki)
            if each.until > until or each.serial != f"{former.serial_number:x}"
        ]
        entry = Retiring(stem, PLANS[stem][1], f"{former.serial_number:x}", until)
        replace_private(self._pki / RETIRING, msgspec.json.format(msgspec.json.encode([*kept, entry])) + b"\n")
        replace_private(self.path(stem), p12)

    def give(self, role: DeviceRole, have: bytes) -> ChannelGiven | None:
        """Return the bundle of a device's kind under a passphrase of its own; None when the device has it.

        `have` is the SHA-256 of the certificate that the device holds. None also where no bundle is kept here.
        """
        stem = _OF_DEVICES.get(role)
        if stem is None or not self.path(stem).exists():
            return None
        held = self.read(stem)
        if held.chain[0].fingerprint(hashes.SHA256()) == have:
            return None
        passphrase = base64.b32encode(self._entropy.draw(_PASSPHRASE_BYTES)).decode("ascii").lower()
        return ChannelGiven(to_pkcs12(held, passphrase.encode("ascii")), passphrase)


class Retirement:
    """Puts certificates that were replaced on their authority's list once their time is over."""

    def __init__(
        self, bundles: ChannelBundles, pki: Path, lists: RevocationLists, clock: Clock, note: Callable[[str, str], None]
    ) -> None:
        self._bundles = bundles
        self._pki = pki
        self._lists = lists
        self._clock = clock
        self._note = note
        self._next_look = clock.monotonic()
        self._told = ""

    def keep(self) -> None:
        """Look what is over, when it is time to; what cannot be done is told once. Raises KeyStoreUnavailable."""
        now = self._clock.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_SECONDS
        try:
            for each in read_retiring(self._pki):
                if each.until <= self._clock.now():
                    self._end(each)
            self._told = ""
        except ConfigurationError as problem:
            if str(problem) != self._told:
                self._told = str(problem)
                self._note("error", f"a certificate that was replaced cannot be revoked: {problem}")

    def _end(self, each: Retiring) -> None:
        serial = int(each.serial, 16)
        if self._bundles.read(each.stem).chain[0].serial_number == serial or self._lists.holds(each.authority, serial):
            return
        self._lists.revoke(each.authority, serial)
        self._note("warn", f"the former certificate of {each.stem} ({each.serial}) is revoked: its time was over")


class BundleEnd(NamedTuple):
    """When a bundle's certificate ends, and from when on an operator should renew it (aware, UTC)."""

    stem: str
    until: datetime
    renew_from: datetime


def ends_of(bundles: ChannelBundles, stems: Sequence[str] = HANDED_OUT) -> list[BundleEnd]:
    """Return when the bundles that are kept here end. Raises ConfigurationError for one that cannot be read."""
    found = []
    for stem in stems:
        if bundles.path(stem).exists():
            until = bundles.read(stem).chain[0].not_valid_after_utc
            plan: BundlePlan = PLANS[stem][0]
            found.append(BundleEnd(stem, until, until - plan.profile.renewal))
    return found


def say_ends(ends: Sequence[BundleEnd], now: datetime) -> str:
    """Return "ok", or a sentence about the bundles that end soon or have ended."""
    late = [each for each in ends if each.renew_from <= now]
    if not late:
        return "ok"
    told = ", ".join(f"{each.stem} on {each.until:%Y-%m-%d}" for each in late)
    return f"ends: {told}; trus certificates renew NAME makes the next one"
