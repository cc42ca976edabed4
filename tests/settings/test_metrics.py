"""The file of metrics: its format, its writing, and what a real network says in it."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.network import PROJECT, Network
from tests.pki.registers import SetClock
from trus.clock import SystemClock
from trus.settings.metrics import INTERVAL_SECONDS, METRICS, MetricsFile, Sample, exposition

#: A line of Prometheus's text exposition format, version 0.0.4.
VALUE: Final = re.compile(
    r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-][0-9]+)?)\n'
)
LABEL: Final = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"')


def read(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the values of a file by name and labels' values; a line that is none of the format fails."""
    found = {}
    for line in text.splitlines(keepends=True):
        if line.startswith("# "):
            _, word, name, _ = line.split(" ", 3)
            assert word in ("HELP", "TYPE"), line
            assert name in METRICS, line
            continue
        match = VALUE.fullmatch(line)
        assert match is not None, line
        found[match[1], tuple(value for _, value in LABEL.findall(match[2] or ""))] = float(match[3])
    return found


class FormatTests(SynchronousTestCase):
    """What is written, and when."""

    def setUp(self) -> None:
        self.clock = SetClock(SystemClock().now())
        self.notes: list[str] = []
        self.path = Path(self.mktemp()).absolute() / "trus.prom"
        self.file = MetricsFile(self.path, self.clock, lambda: self.samples, lambda _, text: self.notes.append(text))
        self.samples = [Sample("trus_part_well", {"part": "token"}, 1.0)]

    def test_labels(self) -> None:
        """Quotes, backslashes and line ends in a label cannot forge a value."""
        hostile = 'a"} 1\ntrus_part_well{part="b\\'
        text = exposition([Sample("trus_part_well", {"part": hostile}, 0.0)])
        self.assertEqual(text.count("\n"), 3)
        self.assertEqual(list(read(text).values()), [0.0])

    def test_when(self) -> None:
        """The file is written at once, then each quarter of a minute, whole, and holds the moment."""
        self.file.keep()
        first = self.path.read_bytes()
        self.samples = [Sample("trus_part_well", {"part": "token"}, 0.0)]
        self.clock.advance(timedelta(seconds=INTERVAL_SECONDS - 1))
        self.file.keep()
        self.assertEqual(self.path.read_bytes(), first)
        self.clock.advance(timedelta(seconds=1))
        self.file.keep()
        values = read(self.path.read_text())
        self.assertEqual(values["trus_part_well", ("token",)], 0.0)
        self.assertEqual(values["trus_written_seconds", ()], int(self.clock.now().timestamp()))
        self.assertEqual([path.name for path in self.path.parent.iterdir()], ["trus.prom"])

    def test_a_folder_that_cannot_be_written(self) -> None:
        """The operator is told once, and nothing else stops."""
        self.path.parent.write_bytes(b"a file where the folder should be")
        for _ in range(3):
            self.file.write()
        self.assertEqual(len(self.notes), 1)


class NetworkTests(SynchronousTestCase):
    """A gateway and a backend in processes of their own."""

    def test_expiry_is_seen_ahead(self) -> None:
        """TR-15: every certificate and list of a running network is in the files with the moment of its end."""
        network = Network(split=True)
        self.addCleanup(network.remove)
        backend, gateway = network.configs
        backend.write_text(backend.read_text("utf-8") + "  metrics: metrics/backend.prom\n")
        gateway.write_text(gateway.read_text("utf-8") + "  metrics: metrics/gateway.prom\n")
        network.start()
        folder = network.layout.root / "metrics"
        deadline = time.monotonic() + 60
        while not all((folder / f"{name}.prom").exists() for name in ("backend", "gateway")):
            self.assertLess(time.monotonic(), deadline, network.logs())
            time.sleep(0.1)
        core = read((folder / "backend.prom").read_text("utf-8"))
        door = read((folder / "gateway.prom").read_text("utf-8"))
        root = x509.load_pem_x509_certificate(network.layout.anchor.read_bytes())
        self.assertEqual(
            core["trus_end_seconds", ("individual root", "certificate")], root.not_valid_after_utc.timestamp()
        )
        wanted = {
            *(("individual root", what) for what in ("certificate", "revocation list")),
            ("individual authority", "issuing 1"),
            *((where, what) for where in ("link port", "console") for what in ("certificate", "authority")),
            *(("channel bundles", stem) for stem in ("pos", "card", "website")),
        }
        ends = {labels for name, labels in core if name == "trus_end_seconds"}
        self.assertEqual(wanted - ends, set())
        now = SystemClock().now().timestamp()
        for (name, labels), value in (*core.items(), *door.items()):
            if name == "trus_end_seconds":
                self.assertGreater(value, now, labels)
        self.assertEqual(core["trus_part_well", ("token",)], 1.0)
        self.assertEqual(core["trus_part_well", ("channel certificates",)], 1.0)
        crl = x509.load_pem_x509_crl((network.layout.pki / "channel.crl").read_bytes())
        for where in ("device port", "link to backends"):
            self.assertEqual(door["trus_signed_seconds", (where, "revocation list")], crl.last_update_utc.timestamp())
            self.assertIn(("trus_end_seconds", (where, "certificate")), door)

    def test_the_page(self) -> None:
        """Each metric stands on the operator's page with its name, and no other does."""
        page = (PROJECT / "docs" / "operations.md").read_text("utf-8")
        self.assertEqual(set(re.findall(r"`(trus_[a-z_]+)", page)), set(METRICS))
