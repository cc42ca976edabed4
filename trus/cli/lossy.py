"""A way to the gateway that loses an answer on demand, as networks do.

For replays alone: it sits below TLS, so that terminal and network are the real ones and only
the wire between them is cut. Reads nothing of what passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import implementer


class _Wire(ProtocolWrapper):
    """Passes bytes on until the next ones from the far end are to be lost."""

    factory: Any  #: the _Wires that made it

    def dataReceived(self, data: bytes) -> None:
        """Pass bytes on, or lose them and the connection with them."""
        if self.factory.endpoint.lose_next:
            self.factory.endpoint.lose_next = False
            self.factory.endpoint.lost += 1
            abort: Callable[[], None] = getattr(self.transport, "abortConnection", self.loseConnection)
            abort()
        else:
            ProtocolWrapper.dataReceived(self, data)


class _Wires(WrappingFactory[Any]):
    """Wraps the connections of one endpoint."""

    protocol = _Wire
    noisy = False

    def __init__(self, wrapped: Any, endpoint: LossyEndpoint) -> None:
        super().__init__(wrapped)  # type: ignore[no-untyped-call]
        self.endpoint = endpoint


@implementer(IStreamClientEndpoint)
class LossyEndpoint:
    """An endpoint whose connection breaks when the next bytes arrive, once `lose_next` is set."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        """Reach whatever `endpoint` reaches."""
        self._endpoint = endpoint
        self.lose_next = False
        self.lost = 0

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - Twisted's name
        """Connect; fires and fails as the endpoint beneath."""
        return self._endpoint.connect(_Wires(protocolFactory, self))
