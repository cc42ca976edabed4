"""Measures the key store with 1,000, 10,000 and 100,000 devices: start-up, issue, look-up, revoke.

All on the real parts: a SoftHSM token, the file of wrapped objects, the SQLCipher ledger with its audit
chain. The stores are filled with certificates of real size in bulk; what is measured are single
operations of the kind that the core does, each durable before the next. `raw` keeps the certificates as
token objects instead, as the first version did, for comparison.

    python -m benchmarks.keystore [--devices N ...] [--raw N ...] [--record FILE]
"""

from __future__ import annotations

import argparse
import gc
import platform
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from trus.cli.keystore import objects_path, open_token
from trus.cli.layout import InitOptions, Layout
from trus.cli.provisioning import provision
from trus.clock import SystemClock, SystemEntropy
from trus.hsm.datakeys import DataKeys
from trus.hsm.division import DividedObjectStore
from trus.hsm.objects import WrappedObjectStore
from trus.hsm.pkcs11 import Pkcs11Store
from trus.hsm.ports import ObjectStore
from trus.issuing.identities import RegistryIdentities, _register
from trus.ledger.compose import FIELD_KEY_LABEL, FILE_KEY_LABEL, LOOKUP_KEY_LABEL, open_ledger
from trus.ledger.registry import Registry
from trus.ledger.store import SqlLedger
from trus.pki.authority import Authority, individual_names
from trus.pki.enrolment import record_of
from trus.pki.identity import INDIVIDUAL, IdentityService
from trus.pki.profiles import DEVICE_PROFILES
from trus.settings.loading import load
from trus.settings.model import BackendSettings
from trus.values import DeviceRole, PeerIdentity

SAMPLES: Final = 200
LOOKUPS: Final = 5_000
_CHUNK: Final = 500
_ROLE: Final = DeviceRole.POS


class AllActive(RegistryIdentities):
    """The registry's identities, of terminals whose shop and till nobody registered."""

    def blocked(self, holders: Sequence[tuple[DeviceRole, str]]) -> frozenset[tuple[DeviceRole, str]]:
        """Block nobody."""
        return frozenset()

    def shop_of(self, role: DeviceRole, name: str) -> str | None:
        """Have every terminal stand where its activation says."""
        return "SHOP1"

    def issued_since(self, since: object, shop: str = "") -> int:
        """Count nothing against a quota: thousands are issued within the hour here."""
        return 0


class Opened:
    """What a core opens of a deployment, as far as devices' certificates need it."""

    def __init__(self, backend: BackendSettings, layout: Layout, *, raw: bool) -> None:
        clock, entropy = SystemClock(), SystemEntropy()
        self.keys: Pkcs11Store = open_token(backend)
        self.wrapped = WrappedObjectStore.open(self.keys, objects_path(backend), entropy)
        self.objects: ObjectStore = self.keys if raw else DividedObjectStore(self.keys, self.wrapped)
        data = DataKeys(self.keys)
        self.ledger: SqlLedger = open_ledger(
            layout.database,
            db_key=data.derive(FILE_KEY_LABEL),
            lookup_key=data.derive(LOOKUP_KEY_LABEL),
            field_keys={data.version: data.derive(FIELD_KEY_LABEL)},
            clock=clock,
            entropy=entropy,
        )
        self.registry = Registry(self.ledger)
        self.identities = AllActive(self.registry, clock)
        self.service = IdentityService(
            name=backend.identity.name,
            keys=self.keys,
            objects=self.objects,
            data_keys=data,
            activations=self.identities,
            register=self.identities,
            clock=clock,
            entropy=entropy,
            escrow=self.wrapped,
        )
        self.authority = Authority(self.keys, self.keys, INDIVIDUAL, clock, entropy)

    def close(self) -> None:
        """Close everything, in order."""
        self.ledger.close()
        self.wrapped.close()
        self.keys.close()


class Bench:
    """One deployment, filled and measured."""

    def __init__(self, folder: Path, *, raw: bool) -> None:
        provision(folder, InitOptions(), SystemClock(), SystemEntropy())
        self.layout = Layout(folder)
        backend = load(self.layout.config).backend
        if backend is None:
            raise SystemExit("the deployment has no backend")
        self.backend = backend
        self.raw = raw
        self.serials: list[tuple[str, str]] = []
        self.enrolled = 0
        self.opened = self.open()

    def open(self) -> Opened:
        """Open the deployment as a start does."""
        return Opened(self.backend, self.layout, raw=self.raw)

    def close(self) -> None:
        """Close it."""
        self.opened.close()

    def fill(self, devices: int) -> None:
        """Bring the number of registered devices to `devices`."""
        opened = self.opened
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        model = opened.authority.issue(key, DEVICE_PROFILES[_ROLE], individual_names(_ROLE, "T0000000", "SHOP1", "M1"))
        der = model.public_bytes(Encoding.DER)
        while len(self.serials) < devices:
            batch: dict[str, bytes] = {}
            with opened.registry.changing(SystemClock().now()) as change:
                for number in range(len(self.serials), min(devices, len(self.serials) + _CHUNK)):
                    serial = f"{random.getrandbits(159):040x}"
                    handle = f"{_ROLE.value}/T{number:07d}/{serial}"
                    peer = PeerIdentity(_ROLE, f"T{number:07d}", serial, "SHOP1", "M1")
                    _register(change, record_of(model, peer, handle, number.to_bytes(32, "big")))
                    batch[handle] = der
                    self.serials.append((serial, handle))
            if self.raw:
                for handle, certificate in batch.items():
                    opened.objects.put_certificate(handle, certificate)
            else:
                opened.wrapped.put_certificates(batch)
            progress(f"{len(self.serials):,} devices")

    # -------------------------------------------------------------------------- measures

    def start_up(self) -> list[float]:
        """Time closing aside: open token, objects, ledger and identity, several times."""
        times = []
        for _ in range(5):
            self.opened.close()
            began = time.perf_counter()
            self.opened = self.open()
            times.append(time.perf_counter() - began)
        return times

    def start_after_crash(self) -> list[float]:
        """Time the object file alone, opened with the index of a crash: as old as it may be."""
        times = []
        for _ in range(3):
            self.opened.wrapped.close()
            index = objects_path(self.backend).with_name("objects.db.index")
            index.unlink()
            began = time.perf_counter()
            self.opened.wrapped = WrappedObjectStore.open(self.opened.keys, objects_path(self.backend), SystemEntropy())
            times.append(time.perf_counter() - began)
        self.opened.close()
        self.opened = self.open()
        return times

    def issue(self) -> list[float]:
        """Time whole enrolments: code, proof, signature, certificate kept, register and audit durable."""
        times = []
        for _ in range(SAMPLES):
            self.enrolled += 1
            name = f"N{self.enrolled:07d}"
            code = self.opened.service.open_activation(_ROLE, name, shop="SHOP1", model="M1")
            request = _request(name)
            began = time.perf_counter()
            self.opened.service.enrol(_ROLE, name, code, request)
            times.append(time.perf_counter() - began)
        return times

    def look_up(self) -> list[float]:
        """Time the key store's look-up of one device's certificate by its handle."""
        chosen = random.choices(self.serials, k=LOOKUPS)  # noqa: S311 - a sample
        return _times(lambda pair: self.opened.objects.certificate(pair[1]), chosen)

    def look_up_all(self) -> list[float]:
        """Time register and key store together: from a serial number to state and certificate."""

        def both(pair: tuple[str, str]) -> object:
            record = self.opened.identities.certificates([pair[0]])[pair[0]]
            return record, self.opened.objects.certificate(record.handle)

        return _times(both, random.choices(self.serials, k=1000))  # noqa: S311 - a sample

    def revoke(self) -> list[float]:
        """Time revocations: the register's state and the audit's event durable."""
        chosen = random.sample(self.serials, SAMPLES)
        times = _times(lambda pair: self.opened.service.revoke(pair[0], "bench"), chosen)
        gone = {serial for serial, _ in chosen}
        self.serials = [pair for pair in self.serials if pair[0] not in gone]
        return times

    def pairs(self) -> tuple[list[float], list[float]]:
        """Time making a pair in the token and keeping it, and opening it."""
        labels = [f"pair/bench/{len(self.serials)}/{number}" for number in range(SAMPLES)]
        made = _times(self.opened.wrapped.make_pair, labels)
        return made, _times(self.opened.wrapped.take_pair, labels)


def _request(name: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _times(call: Callable[..., object], items: Sequence[object]) -> list[float]:
    times = []
    for item in items:
        began = time.perf_counter()
        call(item)
        times.append(time.perf_counter() - began)
    return times


def progress(text: str) -> None:
    """Say how far it is."""
    print(f"\r  {text:<40}", end="", file=sys.stderr, flush=True)


# ----------------------------------------------------------------------------------- report

Row = tuple[str, list[float]]


def measure(folder: Path, sizes: Sequence[int], *, raw: bool) -> list[tuple[int, list[Row], int]]:
    """Return for each size the measures and the object file's length."""
    bench = Bench(folder, raw=raw)
    results = []
    try:
        for size in sizes:
            bench.fill(size)
            gc.collect()
            rows: list[Row] = [("start-up", bench.start_up())]
            if not raw:
                rows.append(("opening the objects without their index", bench.start_after_crash()))
            rows += [
                ("issue", bench.issue()),
                ("look-up, key store", bench.look_up()),
                ("look-up, register and key store", bench.look_up_all()),
                ("revoke", bench.revoke()),
            ]
            if not raw:
                made, taken = bench.pairs()
                rows += [("make a pair and keep it", made), ("open a kept pair", taken)]
            results.append((size, rows, objects_path(bench.backend).stat().st_size))
            progress(f"{size:,} devices measured")
    finally:
        bench.close()
    return results


def table(results: list[tuple[int, list[Row], int]]) -> str:
    """Return a table in Markdown: medians, 99th percentiles and the worst, in milliseconds."""
    lines = ["| devices | operation | median ms | p99 ms | worst ms |", "|---|---|---|---|---|"]
    for size, rows, _ in results:
        for name, times in rows:
            ordered = sorted(times)
            p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
            figures = [statistics.median(ordered), p99, ordered[-1]]
            lines.append(f"| {size:,} | {name} | " + " | ".join(f"{each * 1000:.3f}" for each in figures) + " |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, record; return 1 when a look-up at the largest size takes 5 ms or more in the median."""
    parser = argparse.ArgumentParser(prog="script/bench-keystore")
    parser.add_argument("--devices", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--raw", type=int, nargs="*", default=[1_000])
    parser.add_argument("--record", type=Path, help="write the figures between the marks of this page")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="trus-bench-keystore-") as scratch:
        wrapped = measure(Path(scratch) / "wrapped", options.devices, raw=False)
        raw = measure(Path(scratch) / "raw", options.raw, raw=True) if options.raw else []
    print(file=sys.stderr)
    machine = (
        f"{platform.machine()}, Python {platform.python_version()}, {timedelta(seconds=int(time.monotonic() - began))}"
    )
    sizes = ", ".join(f"{length / 1e6:.1f} MB with {size:,}" for size, _, length in wrapped)
    text = f"Measured on {machine}.\n\n{table(wrapped)}\n\nThe file of wrapped objects: {sizes}.\n"
    if raw:
        text += f"\nThe same with raw token objects, as the first version kept them:\n\n{table(raw)}\n"
    print(text)
    if options.record is not None:
        page = options.record.read_text(encoding="utf-8")
        marks = r"(<!-- figures: begin -->\n).*?(<!-- figures: end -->)"
        page = re.sub(marks, lambda found: found[1] + text + found[2], page, flags=re.DOTALL)
        options.record.write_text(page, encoding="utf-8")
    looked_up = [times for name, times in wrapped[-1][1] if name.startswith("look-up")]
    return int(any(statistics.median(times) >= 0.005 for times in looked_up))


if __name__ == "__main__":
    sys.exit(main())
