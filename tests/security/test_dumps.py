"""What somebody gets who gets a dump: of the database, a backup, the files, the memory, the token. Nothing of value."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from pkcs11 import Attribute, ObjectClass
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.backup.deployment import PASSPHRASE, two_officers
from tests.integration.network import Network, Process, Town, demand
from tests.security.memory import found_in_memory
from tests.security.test_ports import family
from trus.backup.officers import demand_two, open_key, read_certificate
from trus.cards.numbers import compose_number
from trus.cli.backup import Maker
from trus.cli.database_keys import TokenKeySource, file_key
from trus.cli.keystore import open_token
from trus.cli.restoring import extract
from trus.cli.rotate_key import is_done
from trus.cli.softhsm import find_module
from trus.clock import SystemClock, SystemEntropy
from trus.hsm.module import ModuleSettings, acquire
from trus.ledger.engine import open_connection
from trus.settings.loading import load
from trus.settings.model import BackendSettings

#: PINs of 12 digits, which stand nowhere by chance.
PINS = [f"7391052846{number:02d}" for number in range(8)]
SURNAME = "Canarybird"
#: The allocator overwrites what is freed, at once. Without it, whether a freed page was used again by the time of the
#: search is luck; with it, what is found is what a process still holds.
WIPING = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.perturb=165"}
#: How many other purchases a buffer that is used again and again may outlive, at most.
MORE_PURCHASES = 400


class DumpCase(TestCase):
    """A network is used, K_DB is rotated under it, a backup is made, and then everything is turned over."""

    timeout = 240

    def setUp(self) -> None:
        self.network = Network(split=True, environment=WIPING)
        self.addCleanup(self.network.remove)
        self.network.start()
        self.canaries: dict[str, bytes] = {}

    @property
    def backend(self) -> BackendSettings:
        backend = load(self.network.configs[0]).backend
        assert backend is not None
        return backend

    @inlineCallbacks
    def test_dumps(self) -> Generator[Deferred[Any], Any, None]:
        """TR-13, TR-17: no number, stripe, PIN, name or key is in a dump of database, files, backup or memory."""
        yield Deferred.fromCoroutine(self._live_and_be_searched())

    async def _live_and_be_searched(self) -> None:
        town = await self.network.small_town(reactor, employees=16)
        people = ";".join(f"X{number}|{SURNAME}|{SURNAME}" for number in range(4))
        await demand(town.admin, "EMPLOYEES-ADD", company="ACME", people=people)
        home = await self.network.enrolled(reactor, town, "T0000001")
        client = self.network.terminal(reactor, home)
        await client.start()
        for card, pin in zip(town.cards, PINS, strict=False):
            await client.purchase(1250, card["track2"], card["pin"])
            await client.purchase(100, card["track2"], pin)
        unknown = f"{compose_number(999_998).digits}=30127251010000009"
        await client.purchase(100, unknown, PINS[0])
        self._remember(town, unknown)
        await demand(town.admin, "KEY-ROTATE")
        status = await demand(town.admin, "KEY-STATUS")
        # Every other card is used meanwhile: memory is used again, and nothing of the first ones is left.
        turn = 0
        while not is_done(status.rows) or turn < 40:
            card = town.cards[8 + turn % 8]
            turn += 1
            self.assertEqual((await client.purchase(1, card["track2"], card["pin"])).code, "00")
            status = await demand(town.admin, "KEY-STATUS")
        left = self._search_memory()
        while left and turn < MORE_PURCHASES:
            for card in town.cards[8:]:
                turn += 1
                self.assertEqual((await client.purchase(1, card["track2"], card["pin"])).code, "00")
            left = self._search_memory()
        self.assertEqual(left, [])
        archive = self._back_up()
        self._search_files(archive)
        await client.stop()
        await town.admin.close()
        self.network.stop()
        self._search_what_is_exported()
        self._search_the_open_database()
        self._walk_the_token()

    def _remember(self, town: Town, unknown: str) -> None:
        tracks = {f"card {number}": card["track2"] for number, card in enumerate(town.cards[:8])}
        for name, track in {**tracks, "unknown": unknown}.items():
            number, _, rest = track.partition("=")
            self.canaries[f"number of {name}"] = number.encode()
            self.canaries[f"packed number of {name}"] = bytes.fromhex(number)
            self.canaries[f"stripe of {name}"] = rest.encode()
        self.canaries |= {f"PIN {pin}": pin.encode() for pin in PINS}
        self.canaries |= {"surname": SURNAME.encode(), "name": "Zoë".encode(), "greek": "Ωmega".encode()}

    def _keys(self) -> dict[str, bytes]:
        """Return the data keys under every version, as bytes and as digits."""
        found = {}
        with open_token(self.backend) as store:
            source = TokenKeySource(store)
            self.assertEqual(list(source.versions()), [1, 2])
            for version in source.versions():
                keys = source.keys(version)
                for name, key in (("file", keys.file), ("lookup", keys.lookup), ("fields", keys.fields)):
                    found[f"key {name} {version}"] = key
                    found[f"key {name} {version}, digits"] = key.hex().encode()
        return found

    # ------------------------------------------------------------------------------------ memory

    def _search_memory(self) -> list[tuple[str, int, list[str]]]:
        """Search gateway, front and core; return what each still has of what was paid and done."""
        keys = self._keys()
        public = {"a word that is there": b"urn:trus:channel:"}
        left = []
        for process, config in zip(self.network.processes, self.network.configs, strict=True):
            pids = family(process.popen.pid)
            self.assertEqual(len(pids), 2 if config.stem == "backend" else 1)
            for place, pid in enumerate(pids):
                # The core needs the data keys of the database as long as it runs; nobody else has them.
                wanted = self.canaries if place else {**self.canaries, **keys}
                wanted = {name: each for name, each in wanted.items() if name not in ("name", "surname", "greek")}
                try:
                    found = found_in_memory(pid, {**wanted, **public})
                except PermissionError:
                    self.assertNotEqual(os.geteuid(), 0)
                    continue
                self.assertLessEqual(set(public), found)
                if found != set(public):
                    left.append((config.stem, place, sorted(found - set(public))))
        return left

    # ------------------------------------------------------------------------------------- files

    def _back_up(self) -> Path:
        officers = two_officers()
        self.officer_keys = [open_key(key, PASSPHRASE) for key, _ in officers]
        clock = SystemClock()
        pair = demand_two([read_certificate(certificate, clock.now()) for _, certificate in officers])
        target = self.network.folder / "backup.trus"
        Maker(self.network.configs[0], pair, timedelta(days=1), clock, SystemEntropy()).make(target)
        return target

    def _search_files(self, archive: Path) -> None:
        """Search every file while the network runs, the log of the database among them, and what the archive holds."""
        wanted = {**self.canaries, **self._keys()}
        folder = self.network.layout.root
        secret = {"personalisation", "pin", "officer-pin"}
        files = [path for path in self.network.folder.rglob("*") if path.is_file() and not secret & {*path.parts[-2:]}]
        names = {path.name for path in files}
        self.assertLessEqual({"trus.db", "trus.db-wal", "backup.trus", "backend.log", "objects.db"}, names)
        opened = Path(tempfile.mkdtemp(dir=self.network.folder)) / "opened"
        with archive.open("rb") as file:
            extract(file, self.officer_keys, opened)
        files += [path for path in opened.rglob("*") if path.is_file()]
        self.assertEqual(_hits(files, wanted), [])
        made = list((folder / "personalisation").iterdir())
        self.assertGreater(len(_hits(made, wanted)), 16)

    def _search_what_is_exported(self) -> None:
        """Search heads and logs once more when everything has ended: the last head is signed at the end."""
        layout = self.network.layout
        files = [*layout.heads.glob("heads-*.jsonl"), *layout.root.glob("*.log"), layout.database]
        self.assertEqual(len(files), 4)
        self.assertEqual(_hits(files, {**self.canaries, **self._keys()}), [])

    def _search_the_open_database(self) -> None:
        """Search what a dump of the deciphered database holds: names and numbers are ciphered in it once more."""
        path = self.network.layout.database
        with open_token(self.backend) as store:
            key = file_key(path, store)
        connection = open_connection(path, lambda: key, read_only=True)
        dumped = []
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                dumped += [each if isinstance(each, bytes) else str(each).encode() for each in row]
        connection.close()
        self.assertGreater(len(dumped), 1_000)
        self.assertIn(b"ACME", dumped)
        whole = b"\0".join(dumped)
        wanted = {**self.canaries, **self._keys()}
        self.assertEqual([name for name, each in wanted.items() if each in whole], [])

    # ------------------------------------------------------------------------------------- token

    def _walk_the_token(self) -> None:
        """TR-17: ask every object of the token, whoever made it, whether it could ever leave."""
        token = self.backend.token
        assert token.softhsm_conf is not None
        hold = acquire(ModuleSettings(str(find_module(token.module)), str(token.softhsm_conf)))
        try:
            [slot] = [each for each in hold.library.get_tokens() if each.label == token.label]
            session = slot.open(user_pin=token.pin_file.read_text().strip())
            walked = list(_walk(session))
            session.close()
        finally:
            hold.release()
        self.assertGreater(len(walked), 9)
        loose = [label for label, extractable, sensitive, local in walked if extractable or not sensitive or not local]
        self.assertEqual(loose, [])


def _walk(session: Any) -> Iterator[tuple[str, bool, bool, bool]]:
    """Yield label, extractable, sensitive and local of every private and secret key."""
    for each in session.get_objects():
        if each[Attribute.CLASS] in (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY):
            extractable = each[Attribute.EXTRACTABLE] or not each[Attribute.NEVER_EXTRACTABLE]
            sensitive = each[Attribute.SENSITIVE] and each[Attribute.ALWAYS_SENSITIVE]
            yield str(each[Attribute.LABEL]), bool(extractable), bool(sensitive), bool(each[Attribute.LOCAL])


def _hits(files: list[Path], wanted: dict[str, bytes]) -> list[tuple[str, str]]:
    found = []
    for path in files:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue  # a note of the backup, which the core has taken into the ledger meanwhile
        found += [(path.name, name) for name, each in wanted.items() if each in content]
    return found


class CrashCase(SynchronousTestCase):
    """Processes that crash."""

    def test_a_crash_of_any_process_leaves_no_dump(self) -> None:
        """TR-13: gateway, front and core, aborted where dumps are allowed, leave none; another process does."""
        network = Network(split=True)
        self.addCleanup(network.remove)
        network.processes = [Process(config, config.stem, limits=_allow_dumps) for config in network.configs]
        for process in network.processes:
            process.wait_ready()
        folders = (Path(__file__).resolve().parents[2], network.folder, network.layout.root)
        before = {path for folder in folders for path in folder.iterdir()}
        front = network.processes[0].popen.pid
        [core] = [pid for pid in family(front) if pid != front]
        for pid in (core, network.processes[1].popen.pid, front):
            limits = Path(f"/proc/{pid}/limits").read_text()
            [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
            self.assertIn(line.split()[4], ("0", "1"))
            os.kill(pid, signal.SIGABRT)
            _wait_for_end(pid)
        for process in network.processes:
            self.assertLess(process.popen.wait(20), 0)
        after = {path for folder in folders for path in folder.iterdir()}
        self.assertEqual([path for path in after - before if "core" in path.name], [])
        if Path("/proc/sys/kernel/core_pattern").read_text().strip() == "core":
            # The same crash of a process that forbids nothing: this test would have seen a dump.
            code = "import os; os.abort()"
            subprocess.run([sys.executable, "-c", code], cwd=network.folder, check=False, preexec_fn=_allow_dumps)
            self.assertTrue(list(network.folder.glob("core*")))


def _allow_dumps() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.02)
