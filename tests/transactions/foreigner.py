"""A terminal of another maker: written from the specification alone, enrolled, free to say what it likes."""

from __future__ import annotations

from typing import Any, cast

from cryptography import x509
from twisted.python.failure import Failure

from tests.protocol import stranger
from tests.transactions.hearing import Overheard, Said
from tests.transactions.stage import Stage
from trus.simulation.chance import SeededEntropy
from trus.simulation.town import DeviceIdentity


class _SteadyKey:
    """Signs the same octets the same way (RFC 6979)."""

    def __init__(self, identity: DeviceIdentity) -> None:
        self._identity = identity

    def sign(self, payload: bytes, algorithm: object) -> bytes:
        return self._identity.sign(payload)


class _Ends:
    """What a pipe needs of a protocol."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.up = False

    def makeConnection(self, transport: object) -> None:
        """Do nothing."""

    def handshakeCompleted(self) -> None:
        self.up = True

    def dataReceived(self, data: bytes) -> None:
        self.lines += data.split(b"\r\n")[:-1]

    def connectionLost(self, reason: Failure) -> None:
        self.up = False


class Foreigner:
    """One session, and whatever is said in it."""

    def __init__(self, stage: Stage, number: int = 1, *, stan: int = 0) -> None:
        """Speak as the terminal of that number; trace numbers begin after `stan`."""
        self.stage = stage
        self.till = stage.town.tills[number]
        self.stan = stan
        entropy = Overheard(SeededEntropy(3, self.till.name))
        self.draw = entropy.draw
        self.pipe = stage.connect(self.till, entropy.draws)
        self._ends = _Ends()
        self.pipe.attach(cast("Any", self._ends))
        stage.pump()
        self.client = stranger.Client(
            entropy.draw,
            cast("Any", _SteadyKey(self.till.identity)),
            self.pipe.export_keying_material(b"", 32, b""),
            x509.load_der_x509_certificate(stage.authority),
            self.till.identity.chain,
        )
        self._write(self.client.message1())
        self._write(self.client.message3(self._ends.lines.pop()))
        self.greeting = self.client.hear(self._ends.lines.pop())[1]
        self._dialogue = 0

    def _write(self, line: bytes) -> None:
        self.pipe.write(line + b"\r\n")
        self.stage.pump()

    @property
    def up(self) -> bool:
        """Whether the connection stands."""
        return self._ends.up

    def numbers(self, *, stan: int | None = None, date: str = "") -> stranger.Fields:
        """Return a fresh trace number and the date, as fields; `stan` and `date` replace them."""
        self.stan += stan is None
        number = self.stan if stan is None else stan
        return {"stan": f"{number:06d}", "date": date or self.greeting["date"]}

    def rid(self) -> str:
        """Return a fresh rid."""
        return stranger.b64(self.draw(16))

    def pin(self, track2: str, pin: str) -> str:
        """Return the PIN block of a card, for this session."""
        assert self.client.keys is not None
        return stranger.b64(stranger.seal_pin(self.client.keys.pin, pin, track2.partition("=")[0], self.draw(8)))

    def say(self, head: str, clear: stranger.Fields, sealed: stranger.Fields | None = None) -> stranger.Fields:
        """Say a line in a dialogue of its own; return the fields of the last answer, its first two words under ""."""
        self._dialogue += 1
        return self.go_on(head, clear, sealed)

    def go_on(self, head: str, clear: stranger.Fields, sealed: stranger.Fields | None = None) -> stranger.Fields:
        """Say a line in the same dialogue."""
        self._write(self.client.say(head, {"id": f"c{self._dialogue}", **clear}, sealed or {}))
        told: stranger.Fields = {}
        for line in self._ends.lines:
            words, fields = self.client.hear(line)
            told = {"": words, **fields}
        self._ends.lines.clear()
        if told.get("") == "INFO RESULT":
            self._write(self.client.say("INFO COMPLETE", {"id": f"c{self._dialogue}"}, {}))
        return told


def heard(stage: Stage) -> list[Said]:
    """Return every line of a stage after authentication."""
    return [each for each in stage.book.entries if isinstance(each, Said)]
