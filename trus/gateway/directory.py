"""Serves certificates, revocation lists and OCSP over HTTP, out of what the backend signed.

Believes nothing that a client says and keeps nothing of it: a request is taken apart, checked
against what can exist, and becomes one question of bounded length to a backend. GET alone, but for
OCSP's POST; no body is read beyond a bound, nothing that a client sent comes back.
Sources: RFC 4387 section 2 (certificates and lists), RFC 6960 appendix A.1 and RFC 5019 (OCSP).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, cast
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from zope.interface import implementer

from trus.gateway.lookups import Directory, Question, Reply
from trus.gateway.screening import Screen
from trus.gateway.tally import Tally
from trus.protocol.link import MAX_LOOKUP_BYTES

CERTIFICATE_TYPE: Final = b"application/pkix-cert"
LIST_TYPE: Final = b"application/pkix-crl"
REQUEST_TYPE: Final = b"application/ocsp-request"
RESPONSE_TYPE: Final = b"application/ocsp-response"

#: The longest address: an OCSP request of the longest kind, in base64, every octet of it escaped.
MAX_URI_BYTES: Final = 8192
#: Attributes of RFC 4387 section 2.2 by which certificates are found, and the backend's word for each.
CERTIFICATE_ATTRIBUTES: Final = {
    "certHash": "cert",
    "iHash": "issuer",
    "iAndSHash": "serial",
    "sHash": "subject",
    "sKIDHash": "key",
    "uri": "uri",
    "name": "name",
}
#: Those by which lists are: the issuer's name, the issuer's key.
LIST_ATTRIBUTES: Final = {"iHash": "issuer", "sKIDHash": "key"}
#: Attributes whose value is text; the others are base64 of a SHA-1 without padding.
_TEXTS: Final = frozenset({"uri", "name"})
_SHA1: Final = re.compile(r"[A-Za-z0-9+/]{27}", re.ASCII)
#: A scheme may be left out (RFC 4387 section 2.2), so the key is of what follows it.
_SCHEME: Final = "urn:"
_LIST_PATH: Final = re.compile(r"/crl/([a-z]+(?:-[a-z]+)?(?:/[1-9][0-9]{0,5}/(?:full|delta))?)\.crl", re.ASCII)
_BOUNDARY: Final = b"trus-directory"
_TOO_MANY_REQUESTS: Final = 429  # RFC 6585 section 4
_TOO_LONG: Final = b"HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Unanswerable(Exception):
    """The request is none that is answered; `status` says why and nothing of what was sent."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class BoundedRequest(server.Request):
    """A request whose body is refused before it is read when it is too long, or does not say how long it is."""

    _refused = False

    def gotLength(self, length: int | None) -> None:  # noqa: N802 - Twisted's name
        """Take note of the body's length; None for a chunked one, 0 without a body."""
        channel: Any = self.channel
        self._refused = length is None or length > MAX_LOOKUP_BYTES
        if self._refused:
            channel.transport.write(_TOO_LONG)
            channel.loseConnection()
        super().gotLength(0 if self._refused else length)  # type: ignore[no-untyped-call]

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep a piece of the body, unless it was refused."""
        if not self._refused:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802 - Twisted's name
        """Answer the request, unless it was refused."""
        if not self._refused:
            super().requestReceived(command, path, version)  # type: ignore[no-untyped-call]


@implementer(IResource)
class DirectoryResource:
    """Everything below the port's root."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, directory: Directory, rates: Screen, tally: Tally, clock: IReactorTime) -> None:
        """`rates` bounds the requests of one address."""
        self._directory = directory
        self._rates = rates
        self._tally = tally
        self._clock = clock

    def getChildWithDefault(self, name: bytes, request: IRequest) -> IResource:  # noqa: N802 - Twisted's name
        """Return itself: paths are read whole."""
        return self

    def putChild(self, path: bytes, child: IResource) -> None:  # noqa: N802 - Twisted's name
        """Refuse: there is nothing below."""
        raise NotImplementedError

    def render(self, request: Any) -> int:
        """Answer a request, now or later."""
        host = getattr(request.getClientAddress(), "host", "")
        if not self._is_in_time(host):
            self._tally.note("directory-too-fast", host)
            return self._refuse(request, _TOO_MANY_REQUESTS, retry=True)
        try:
            question, media = read_request(request.method, request.uri, request.requestHeaders, request.content)
        except Unanswerable as refusal:
            self._tally.note("directory-refused", host)
            return self._refuse(request, refusal.status)
        gone: list[bool] = []
        request.notifyFinish().addErrback(lambda _: gone.append(True))
        answered = self._directory.ask(question)
        answered.addCallback(lambda found: None if gone else _answer(request, media, *found))
        return server.NOT_DONE_YET

    def _is_in_time(self, host: str) -> bool:
        if not host or self._rates.admit(host, self._clock.seconds()) is not None:
            return False
        self._rates.leave(host, self._clock.seconds())
        return True

    @staticmethod
    def _refuse(request: Any, status: int, *, retry: bool = False) -> int:
        request.setResponseCode(status)
        if retry:
            request.setHeader(b"retry-after", b"1")
        if status == http.NOT_ALLOWED:
            request.setHeader(b"allow", b"GET, HEAD")
        _finish(request, b"")
        return server.NOT_DONE_YET


def read_request(method: bytes, uri: bytes, headers: Any, content: Any) -> tuple[Question, bytes]:
    """Return the question that a request asks, and the media type of its answer. Raises Unanswerable."""
    if len(uri) > MAX_URI_BYTES:
        raise Unanswerable(http.REQUEST_URI_TOO_LONG)
    path, _, query = uri.partition(b"?")
    if method == b"POST" and path == b"/ocsp":
        if (headers.getRawHeaders(b"content-type") or [b""])[0].partition(b";")[0].strip().lower() != REQUEST_TYPE:
            raise Unanswerable(http.UNSUPPORTED_MEDIA_TYPE)
        return _ocsp(content.read(MAX_LOOKUP_BYTES + 1)), RESPONSE_TYPE
    if method not in (b"GET", b"HEAD"):
        raise Unanswerable(http.NOT_ALLOWED)
    if path.startswith(b"/ocsp/"):
        return _ocsp(_base64(path[len(b"/ocsp/") :])), RESPONSE_TYPE
    if path == b"/certificates/search.cgi":
        return _search("certificate", CERTIFICATE_ATTRIBUTES, query), CERTIFICATE_TYPE
    if path == b"/crls/search.cgi":
        return _search("list", LIST_ATTRIBUTES, query), LIST_TYPE
    found = _LIST_PATH.fullmatch(path.decode("latin-1"))
    if found is None or query:
        raise Unanswerable(http.NOT_FOUND)
    return Question("list", "path", found[1].encode("ascii")), LIST_TYPE


def _ocsp(request: bytes) -> Question:
    if not 0 < len(request) <= MAX_LOOKUP_BYTES:
        raise Unanswerable(http.BAD_REQUEST)
    return Question("ocsp", "request", request)


def _base64(text: bytes) -> bytes:
    """Return the octets of base64 in a path, escaped or not, padded or not."""
    plain = unquote_to_bytes(text)
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        raise Unanswerable(http.BAD_REQUEST) from None


def _search(what: str, attributes: dict[str, str], query: bytes) -> Question:
    """Return the question of a query of exactly one attribute (RFC 4387 section 2)."""
    name, found, escaped = query.decode("latin-1").partition("=")
    by = attributes.get(name)
    if not found or by is None or "&" in escaped:
        raise Unanswerable(http.BAD_REQUEST)
    value = unquote_to_bytes(escaped)
    if name in _TEXTS:
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            raise Unanswerable(http.BAD_REQUEST) from None
        if not 0 < len(text) <= 256:
            raise Unanswerable(http.BAD_REQUEST)
        named = text.removeprefix(_SCHEME) if name == "uri" else text
        # The register's key for a text is its SHA-1 too: no text of a stranger travels further than this.
        return Question(what, by, hashlib.sha1(named.encode("utf-8"), usedforsecurity=False).digest())
    # A form's + means a space, and there is none in base64: both spellings of + are taken.
    digest = value.decode("latin-1").replace(" ", "+")
    if _SHA1.fullmatch(digest) is None:
        raise Unanswerable(http.BAD_REQUEST)
    return Question(what, by, base64.b64decode(digest + "="))


def _answer(request: Any, media: bytes, reply: Reply, seconds: int) -> None:
    if reply.result == "busy":
        request.setResponseCode(http.SERVICE_UNAVAILABLE)
        request.setHeader(b"retry-after", b"1")
        _finish(request, b"")
        return
    # RFC 5019 section 6: caches are told how long; a nonce's answer is for one client alone.
    control = f"public, max-age={seconds}, no-transform, must-revalidate" if seconds else "no-store"
    request.setHeader(b"cache-control", control.encode("ascii"))
    if reply.result == "absent":
        request.setResponseCode(http.NOT_FOUND)
        _finish(request, b"")
        return
    body = reply.bodies[0] if len(reply.bodies) == 1 else _multipart(media, reply.bodies)
    whole = media if len(reply.bodies) == 1 else b'multipart/mixed; boundary="%b"' % _BOUNDARY
    request.setHeader(b"content-type", whole)
    tag = hashlib.sha256(body).hexdigest()[:32].encode("ascii")
    if request.setETag(b'"%b"' % tag) is http.CACHED:
        body = b""
    _finish(request, body)


def _multipart(media: bytes, bodies: Sequence[bytes]) -> bytes:
    """Return several documents in one body (RFC 4387 section 2.4, RFC 2046 section 5.1.3)."""
    parts = [
        b"--%b\r\nContent-Type: %b\r\nContent-Transfer-Encoding: binary\r\n\r\n%b\r\n" % (_BOUNDARY, media, body)
        for body in bodies
    ]
    return b"".join(parts) + b"--%b--\r\n" % _BOUNDARY


def _finish(request: Any, body: bytes) -> None:
    request.setHeader(b"server", b"trus")
    request.setHeader(b"x-content-type-options", b"nosniff")
    if request.code != http.NOT_MODIFIED:
        request.setHeader(b"content-length", str(len(body)).encode("ascii"))
    if request.method != b"HEAD" and body:
        request.write(body)
    request.finish()


class DirectorySite(server.Site):
    """The HTTP of the directory port: short bodies, no log of its own."""

    def __init__(self, resource: DirectoryResource, idle_seconds: float, clock: IReactorTime) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            resource, requestFactory=BoundedRequest, timeout=idle_seconds, reactor=clock, parsePOSTFormSubmission=False
        )

    def log(self, request: Any) -> None:
        """Write no line for each request: the tally counts what matters."""


class _Counted(ProtocolWrapper):
    """One connection, which counts itself out."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the doorkeeper."""
        cast("CountedFactory", self.factory).leave(self.address)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    address: IAddress | None = None


class CountedFactory(WrappingFactory):
    """Tells the doorkeeper of every connection's end."""

    protocol = _Counted
    noisy = False

    def __init__(self, behind: IProtocolFactory, leave: Callable[[IAddress | None], None]) -> None:
        """`leave` hears of every end, with the address of whoever had connected."""
        super().__init__(behind)  # type: ignore[no-untyped-call]
        self.leave = leave

    def buildProtocol(self, addr: IAddress | None) -> ProtocolWrapper:
        """Return the protocol of a connection."""
        built = super().buildProtocol(addr)
        cast("_Counted", built).address = addr
        return built
