"""Baseline (a): a bare echo over two hops of two-way TLS, in Twisted, of lines as long as a purchase's.

Does what no payment network could do with less: a generator keeps lines in flight on its
connections, a hop forwards bytes without looking at them, a server answers every line.
Nothing is parsed, sealed, decided or stored. Run as three processes by benchmarks.compare.

With `lines` each line is received and sent as one, as Twisted's LineOnlyReceiver does it; with
`bulk` the hop forwards bytes without looking and the server answers all lines of a read in one
write: nothing that keeps connections apart by their lines can do so little.

    python -m benchmarks.echo server PKI_DIR lines|bulk
    python -m benchmarks.echo hop PKI_DIR lines|bulk PORT
    python -m benchmarks.echo load PKI_DIR PORT CLIENTS DEPTH SECONDS
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.protocols.basic import LineOnlyReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory

from trus.net.contexts import ClientChannel, ServerChannel
from trus.net.credentials import from_pkcs12, load_authorities
from trus.values import ChannelRole

#: Bytes of a sealed purchase with PIN, its answer and its completion, CR LF included.
REQUEST_BYTES = 296
ANSWER_BYTES = 210
COMPLETE_BYTES = 155


def credentials(pki: Path, name: str):  # type: ignore[no-untyped-def]
    """Return a channel's credentials and anchors from a deployment's pki folder."""
    passphrase = (pki / f"{name}.pass").read_bytes().strip()
    return from_pkcs12((pki / f"{name}.p12").read_bytes(), passphrase)


def anchors(pki: Path):  # type: ignore[no-untyped-def]
    """Return the channel authority of a deployment."""
    return load_authorities((pki / "channel-ca.pem").read_bytes())


class Answering(LineOnlyReceiver):
    """Answers every request line with one answer line; completions get none."""

    MAX_LENGTH = 65_536
    _answer = b"A" * (ANSWER_BYTES - 2)

    def lineReceived(self, line: bytes) -> None:
        """Answer a request."""
        if line[:1] == b"R":
            self.sendLine(self._answer)


class Hop(LineOnlyReceiver):
    """Forwards lines between a client and the server."""

    MAX_LENGTH = 65_536

    def __init__(self, onward) -> None:  # type: ignore[no-untyped-def]
        self._onward = onward
        self._other: LineOnlyReceiver | None = None
        self._early: list[bytes] = []

    def connectionMade(self) -> None:
        """Open the way onward."""
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        hop = self

        class Back(LineOnlyReceiver):
            MAX_LENGTH = 65_536

            def connectionMade(self) -> None:
                hop._other = self
                for line in hop._early:
                    self.sendLine(line)

            def lineReceived(self, line: bytes) -> None:
                hop.sendLine(line)

        self._onward(Back())

    def lineReceived(self, line: bytes) -> None:
        """Forward a line, or keep it until the way is open."""
        if self._other is None:
            self._early.append(line)
        else:
            self._other.sendLine(line)


class Pump(Protocol):
    """Forwards bytes between a client and the server, without looking for lines: the least a hop can do."""

    def __init__(self, onward) -> None:  # type: ignore[no-untyped-def]
        self._onward = onward
        self._other: Protocol | None = None
        self._early: list[bytes] = []

    def connectionMade(self) -> None:
        """Open the way onward."""
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        hop = self

        class Back(Protocol):
            def connectionMade(self) -> None:
                hop._other = self
                for data in hop._early:
                    self.transport.write(data)  # type: ignore[union-attr]

            def dataReceived(self, data: bytes) -> None:
                hop.transport.write(data)  # type: ignore[union-attr]

        self._onward(Back())

    def dataReceived(self, data: bytes) -> None:
        """Forward, or keep until the way is open."""
        if self._other is None:
            self._early.append(data)
        else:
            self._other.transport.write(data)  # type: ignore[union-attr]


class Bulk(Protocol):
    """Answers all the requests of one read in one write: the least a server can do."""

    _answer = b"A" * (ANSWER_BYTES - 2) + b"\r\n"

    def __init__(self) -> None:
        self._rest = b""

    def dataReceived(self, data: bytes) -> None:
        """Answer the requests that have arrived."""
        lines = (self._rest + data).split(b"\r\n")
        self._rest = lines.pop()
        requests = sum(1 for line in lines if line[:1] == b"R")
        if requests:
            self.transport.write(self._answer * requests)  # type: ignore[union-attr]


class Load(Protocol):
    """Keeps `depth` lines in flight on one connection and counts the answers."""

    def __init__(self, depth: int, tally: list[int]) -> None:
        self._depth = depth
        self._tally = tally
        self._rest = 0
        self._request = b"R" * (REQUEST_BYTES - 2) + b"\r\n"
        self._pair = b"C" * (COMPLETE_BYTES - 2) + b"\r\n" + self._request

    def connectionMade(self) -> None:
        """Send the first lines."""
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        self.transport.write(self._request * self._depth)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """Count answers and send as many lines again."""
        answers = data.count(b"\n")
        if answers:
            self._tally[0] += answers
            self.transport.write(self._pair * answers)  # type: ignore[union-attr]


def serve(pki: Path, bulk: bool) -> None:
    """Run the echo server; prints its port."""
    channel = ServerChannel(credentials(pki, "backend"), {ChannelRole.GATEWAY}, anchors=anchors(pki))
    _listen(channel, Factory.forProtocol(Bulk if bulk else Answering))


def hop(pki: Path, port: int, bulk: bool) -> None:
    """Run the hop towards the server's port; prints its own."""
    inward = ServerChannel(credentials(pki, "gateway"), {ChannelRole.POS}, anchors=anchors(pki))
    outward = ClientChannel(
        credentials(pki, "gateway-link"), ChannelRole.BACKEND, "backend.trus.internal", anchors=anchors(pki)
    )
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)

    def onward(protocol: Protocol) -> None:
        factory = ClientFactory()
        factory.buildProtocol = lambda addr: protocol  # type: ignore[method-assign,assignment]
        endpoint.connect(TLSMemoryBIOFactory(outward, True, factory))

    factory = Factory()
    factory.buildProtocol = lambda addr: (Pump if bulk else Hop)(onward)  # type: ignore[method-assign,assignment]
    _listen(inward, factory)


def load(pki: Path, port: int, clients: int, depth: int, seconds: float) -> None:
    """Run the load and print one JSON line with the rate and the CPU seconds used."""
    channel = ClientChannel(credentials(pki, "pos"), ChannelRole.GATEWAY, "gateway.trus.internal", anchors=anchors(pki))
    tally = [0]
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    for _ in range(clients):
        factory = ClientFactory()
        factory.buildProtocol = lambda addr: Load(depth, tally)  # type: ignore[method-assign,assignment]
        endpoint.connect(TLSMemoryBIOFactory(channel, True, factory))
    mark: dict[str, float] = {}

    def begin() -> None:
        mark.update(count=tally[0], at=time.perf_counter(), cpu=time.process_time())
        reactor.callLater(seconds, end)  # type: ignore[attr-defined]

    def end() -> None:
        elapsed = time.perf_counter() - mark["at"]
        count = tally[0] - mark["count"]
        print(json.dumps({"rate": count / elapsed, "cpu": time.process_time() - mark["cpu"], "count": count}))
        reactor.stop()  # type: ignore[attr-defined]

    reactor.callLater(2.0, begin)  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]


def _listen(channel: ServerChannel, factory: Factory) -> None:
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    listening = endpoint.listen(TLSMemoryBIOFactory(channel, False, factory))
    listening.addCallback(lambda port: print(port.getHost().port, flush=True))
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    role, where = sys.argv[1], Path(sys.argv[2])
    if role == "server":
        serve(where, sys.argv[3] == "bulk")
    elif role == "hop":
        hop(where, int(sys.argv[4]), sys.argv[3] == "bulk")
    else:
        load(where, int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]))
