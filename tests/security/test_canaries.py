"""Nothing secret lies where it should not: a whole network is used, and then searched while it runs."""

from __future__ import annotations

import stat
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.trial.unittest import TestCase

from tests.integration.network import Network, Town, demand
from tests.security.test_ports import family
from trus.cards.numbers import compose_number
from trus.cli.layout import passphrase_of
from trus.clock import SystemClock, SystemEntropy
from trus.device.enrolment import NotEnrolled, enrol
from trus.device.home import DeviceHome, TerminalSettings
from trus.pki.channel import GATEWAY_HOST

#: PINs of 12 digits, which stand nowhere by chance.
WRONG_PIN: Final = "739105284617"
SURNAME: Final = "Canarybird"
#: The page in memory on which the core shows its front what it is at: a number and a time, no name.
_PULSE: Final = "/memfd:trus-pulse"
#: A code of right form that was never handed out, and one with a wrong check symbol.
FALSE_CODE: Final = "CANARYX-CANARYX-CANARYX"


class CanaryTests(TestCase):
    """One day of a network in three processes: gateway, front and core."""

    timeout = 120

    def setUp(self) -> None:
        self.network = Network(split=True)
        self.addCleanup(self.network.remove)
        self.network.start()
        self.canaries: dict[str, bytes] = {}
        self.cards: list[dict[str, str]] = []
        self.own_files: dict[str, set[Path]] = {}

    @inlineCallbacks
    def test_a_day_leaves_no_secret_behind(self) -> Generator[Deferred[Any], Any, None]:
        """TR-13: no number, stripe, PIN, name, code or passphrase is in any file, command line or environment."""
        yield Deferred.fromCoroutine(self._day())

    async def _day(self) -> None:
        town = await self.network.small_town(reactor)
        people = f"X1|{SURNAME}|{SURNAME};X2|Zoë|{SURNAME}"
        await demand(town.admin, "EMPLOYEES-ADD", company="ACME", people=people)
        await demand(town.admin, "CARD-ISSUE", company="ACME")
        home = await self.network.enrolled(reactor, town, "T0000001")
        self.remember("code of the next terminal", (await self._code(town)).encode())
        client = self.network.terminal(reactor, home)
        await client.start()
        first, second = town.cards
        await client.purchase(1250, first["track2"], first["pin"])
        for pin in (WRONG_PIN, WRONG_PIN, WRONG_PIN, WRONG_PIN):
            await client.purchase(100, second["track2"], pin)
        unknown = f"{compose_number(999_999).digits}=30127251010000001"
        await client.purchase(100, unknown, WRONG_PIN)
        await client.balance(first["track2"], first["pin"])
        lost = await client.purchase(300, first["track2"], first["pin"])
        assert lost.reference is not None
        await client.reverse(lost.reference)
        await demand(town.admin, "TRANSACTIONS", limit="50")
        await demand(town.admin, "EMPLOYEES", company="ACME")
        await demand(town.admin, "CARDS", company="ACME")
        await self._try_a_false_code(home)
        self._remember_all(town, unknown)
        # While everything is open: the write-ahead log and its index are there, terminals are connected.
        self._search_files()
        self._search_processes()
        self._no_stray_files()
        self._private_files()
        await client.stop()
        await town.admin.close()
        self.network.stop()
        self._search_files()

    # --------------------------------------------------------------------------- what is sought

    def remember(self, what: str, secret: bytes, *own: Path) -> None:
        """Seek a secret from now on, but for the files whose purpose is to hold it."""
        self.canaries[what] = secret
        self.own_files[what] = set(own)

    async def _code(self, town: Town) -> str:
        reply = await demand(town.admin, "TERMINAL-ADD", id="T0000002", shop="BISTRO")
        return reply.rows[0]["activation-code"]

    async def _try_a_false_code(self, enrolled: DeviceHome) -> None:
        pki = self.network.layout.pki
        home = DeviceHome.prepare(
            self.network.folder / "terminals" / "T0000002",
            TerminalSettings("T0000002", "127.0.0.1", self.network.devices_port, GATEWAY_HOST),
            anchor=(pki / "individual-ca.pem").read_bytes(),
            channel=(pki / "pos.p12").read_bytes(),
            passphrase=(pki / "pos.pass").read_bytes().strip(),
        )
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.network.devices_port)
        try:
            await enrol(
                home, FALSE_CODE, endpoint=endpoint, reactor=reactor, clock=SystemClock(), entropy=SystemEntropy()
            )
        except NotEnrolled:
            self.remember("a false code", FALSE_CODE.encode())
        else:
            self.fail("a false code opened an enrolment")

    def _remember_all(self, town: Town, unknown: str) -> None:
        self.cards = town.cards
        layout = self.network.layout
        for name, track in {**{card["card"]: card["track2"] for card in town.cards}, "unknown": unknown}.items():
            number, _, rest = track.partition("=")
            self.remember(f"number of {name}", number.encode())
            self.remember(f"number of {name}, packed", bytes.fromhex(number))
            self.remember(f"number of {name}, UTF-16", number.encode("utf-16-le"))
            self.remember(f"stripe of {name}", rest.encode())
        self.remember("a PIN", WRONG_PIN.encode())
        self.remember("a PIN, packed", bytes.fromhex(WRONG_PIN))
        self.remember("a surname", SURNAME.encode())
        self.remember("a surname, as on the stripe", SURNAME.upper().encode())
        self.remember("a name", "Zoë".encode())
        self.remember("the token's PIN", layout.pin_file.read_bytes().strip(), layout.pin_file)
        officer = layout.officer_pin_file
        self.remember("the officer's PIN", officer.read_bytes().strip(), officer)
        for file in [*layout.pki.glob("*.p12"), *layout.admins.glob("*.p12")]:
            secret = passphrase_of(file)
            copies = self.network.folder.glob("terminals/*/pos.pass") if file.stem == "pos" else ()
            self.remember(f"passphrase of {file.stem}", secret.read_bytes().strip(), secret, *copies)

    # --------------------------------------------------------------------------- where

    def _found_in(self, content: bytes) -> list[str]:
        return [what for what, secret in self.canaries.items() if secret in content]

    def _search_files(self) -> None:
        """Search every file of deployment and terminals but the personalisation files."""
        files = [
            path
            for path in self.network.folder.rglob("*")
            if path.is_file() and path.parent != self.network.layout.root / "personalisation"
        ]
        names = {path.name for path in files}
        self.assertLessEqual({"trus.db", "journal", "backend.log", "gateway.log"}, names)
        self.assertGreater(len(self.canaries), 25)
        leaks = [
            (path.name, what)
            for path in files
            for what in self._found_in(path.read_bytes())
            if path not in self.own_files[what]
        ]
        self.assertEqual(leaks, [])
        # The search does find what is there: where cards are made, their numbers are.
        made = b"".join(path.read_bytes() for path in (self.network.layout.root / "personalisation").iterdir())
        found = set(self._found_in(made))
        numbers = {f"{what} of {card['card']}" for card in self.cards for what in ("number", "stripe")}
        self.assertEqual(found, {"a surname", "a surname, as on the stripe", "a name", *numbers})

    def _processes(self) -> list[int]:
        found = [pid for process in self.network.processes for pid in family(process.popen.pid)]
        self.assertEqual(len(found), 3)
        return found

    def _search_processes(self) -> None:
        """Search what every user of the machine can read of a process, and what its own user can."""
        for pid in self._processes():
            for what in ("cmdline", "environ"):
                self.assertEqual(self._found_in(_look(pid, what)), [], what)

    def _no_stray_files(self) -> None:
        """No process writes to a file outside the deployment's folder, nor to one that has no name any more."""
        stray = []
        for pid in self._processes():
            for descriptor, target in _open_files(pid):
                writable = int(_look(pid, f"fdinfo/{descriptor}").split(b"flags:")[1].split()[0], 8) & 3
                if writable and not target.startswith((str(self.network.folder), "/dev/", _PULSE)):
                    stray.append(target)
                if target.endswith(" (deleted)") and not target.startswith(_PULSE):
                    stray.append(target)
        self.assertEqual(stray, [])

    def _private_files(self) -> None:
        """Nobody but the owner can enter the folders of deployment and terminals, or open what is secret in them."""
        layout = self.network.layout
        folders = [layout.root, layout.token, layout.pki, layout.admins, layout.database.parent, layout.heads]
        folders += [layout.root / "personalisation", *self.network.folder.glob("terminals/*")]
        files = [path for folder in folders if folder != layout.root for path in folder.rglob("*") if path.is_file()]
        self.assertGreater(len(files), 40)
        open_to_others = [path for path in (*folders, *files) if stat.S_IMODE(path.stat().st_mode) & 0o077]
        self.assertEqual(open_to_others, [])


def _look(pid: int, what: str) -> bytes:
    """Return a file of /proc about a process; the core's is closed even to its own user, root excepted."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except PermissionError:
        return b""


def _open_files(pid: int) -> list[tuple[str, str]]:
    """Return descriptor and path of every file that a process holds open."""
    try:
        found = [(link.name, str(link.readlink())) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except PermissionError:
        return []
    return [(name, target) for name, target in found if target.startswith("/")]
