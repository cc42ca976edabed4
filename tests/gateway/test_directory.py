"""The directory port: what it asks of a backend, what it keeps, and what it never lets through."""

from __future__ import annotations

import base64
import hashlib
import urllib.parse
from io import BytesIO

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from trus.gateway.directory import (
    CERTIFICATE_ATTRIBUTES,
    LIST_ATTRIBUTES,
    MAX_URI_BYTES,
    Unanswerable,
    read_request,
)
from trus.gateway.lookups import BUSY, AnswerCache, Directory, LinkQuestions, Question, Reply
from trus.pki.directory import KeyKind, common_name_digest, uri_digest
from trus.protocol.link import MAX_LOOKUP_BYTES, Found, FoundPart, Lookup

SHA1 = hashlib.sha1(b"x").digest()
KEY = base64.b64encode(SHA1).decode().rstrip("=")


def read(method: str, uri: str, body: bytes = b"", media: str = "application/ocsp-request") -> Question:
    headers = Headers({b"content-type": [media.encode()]})
    return read_request(method.encode(), uri.encode(), headers, BytesIO(body))[0]


class RequestTests(SynchronousTestCase):
    """From an HTTP request to a question of bounded length, or to a fixed code."""

    def status(self, method: str, uri: str, body: bytes = b"", media: str = "application/ocsp-request") -> int:
        return self.assertRaises(Unanswerable, read, method, uri, body, media).status

    def test_every_attribute(self) -> None:
        """RFC 4387: each attribute becomes a key of 20 octets, and means what the backend's directory means."""
        escaped = urllib.parse.quote(KEY, safe="")
        for name, by in CERTIFICATE_ATTRIBUTES.items():
            self.assertIn(by, set(KeyKind))
            if name not in ("uri", "name"):
                wanted = Question("certificate", by, SHA1)
                self.assertEqual(read("GET", f"/certificates/search.cgi?{name}={escaped}"), wanted)
        for name, by in LIST_ATTRIBUTES.items():
            self.assertEqual(read("GET", f"/crls/search.cgi?{name}={escaped}"), Question("list", by, SHA1))
        for uri in ("urn%3Atrus%3Apos%3AT1", "trus:pos:T1"):
            found = read("GET", f"/certificates/search.cgi?uri={uri}")
            self.assertEqual(found.value, uri_digest("urn:trus:pos:T1"))
        self.assertEqual(read("GET", "/certificates/search.cgi?name=T1").value, common_name_digest("T1"))

    def test_a_plus_in_base64(self) -> None:
        """A + that a client left unescaped is the + of base64 and not a space."""
        digest = b"\xfb" * 20
        key = base64.b64encode(digest).decode().rstrip("=")
        self.assertIn("+", key)
        for spelled in (key, urllib.parse.quote(key, safe=""), key.replace("+", "%20")):
            self.assertEqual(read("GET", f"/certificates/search.cgi?sHash={spelled}").value, digest)

    def test_ocsp_by_both_methods(self) -> None:
        """RFC 6960 appendix A.1: base64 in the path, escaped or not, padded or not; octets in the body."""
        request = b"\xff\xfe\xfd0" * 5
        text = base64.b64encode(request).decode()
        wanted = Question("ocsp", "request", request)
        for spelled in (text, text.rstrip("="), urllib.parse.quote(text, safe="")):
            self.assertEqual(read("GET", f"/ocsp/{spelled}"), wanted)
        self.assertEqual(read("POST", "/ocsp", request), wanted)
        self.assertEqual(read("POST", "/ocsp", request, "Application/OCSP-Request; x=y"), wanted)

    def test_what_is_refused(self) -> None:
        """TR-12: whatever cannot be meant is refused before a backend hears of it."""
        wanted = {
            ("GET", "/"): 404,
            ("GET", "/crl/../x.crl"): 404,
            ("GET", "/crl/individual/0/full.crl"): 404,
            ("GET", "/crl/individual/1/base.crl"): 404,
            ("GET", "/crl/individual/1/full.crl?a=b"): 404,
            ("GET", "/ocsp"): 404,
            ("GET", "/ocsp/"): 400,
            ("GET", "/ocsp/%00"): 400,
            ("GET", "/certificates/search.cgi"): 400,
            ("GET", f"/certificates/search.cgi?sHash={KEY}x"): 400,
            ("GET", f"/certificates/search.cgi?sHash={KEY}="): 400,
            ("GET", f"/certificates/search.cgi?sHash={KEY}&iHash={KEY}"): 400,
            ("GET", f"/certificates/search.cgi?SHASH={KEY}"): 400,
            ("GET", f"/crls/search.cgi?sHash={KEY}"): 400,
            ("GET", "/certificates/search.cgi?name="): 400,
            ("GET", "/certificates/search.cgi?name=" + "x" * 257): 400,
            ("GET", "/certificates/search.cgi?name=%ff"): 400,
            ("GET", "/" + "x" * MAX_URI_BYTES): 414,
            ("PUT", "/ocsp"): 405,
            ("POST", "/crl/channel.crl"): 405,
        }
        for (method, uri), status in wanted.items():
            self.assertEqual(self.status(method, uri), status, uri[:60])
        self.assertEqual(self.status("POST", "/ocsp", b"x" * (MAX_LOOKUP_BYTES + 1)), 400)
        self.assertEqual(self.status("POST", "/ocsp", b"x", "text/plain"), 415)


class LinkStub:
    """A link whose lines are kept."""

    def __init__(self) -> None:
        self.sent: list[Lookup] = []
        self.questions = LinkQuestions(self.sent.append)


class DirectoryTests(SynchronousTestCase):
    """Questions on their way to a backend, and answers on their way back."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.link = LinkStub()
        self.links = [self.link]
        self.directory = Directory(
            lambda: self.links, self.clock, max_open=2, deadline_seconds=10.0, cache_bytes=10_000
        )
        self.question = Question("list", "path", b"channel")

    def answer(self, *bodies: bytes, seconds: int = 60) -> None:
        """Answer the last question as a backend does."""
        number = self.link.sent[-1].number
        for body in bodies:
            self.link.questions.part(FoundPart(number, body))
        result = "found" if bodies else "absent"
        self.link.questions.done(Found(number, result, tuple(map(len, bodies)), seconds))

    def ask(self, question: Question | None = None) -> Deferred[tuple[Reply, int]]:
        return self.directory.ask(question or self.question)

    def test_an_answer_is_kept_as_long_as_the_backend_allows(self) -> None:
        """The same question goes to the backend once a minute, and never later than it said."""
        first = self.ask()
        self.answer(b"crl")
        self.assertEqual(self.successResultOf(first), (Reply("found", (b"crl",), 60), 60))
        self.clock.advance(59.0)
        self.assertEqual(self.successResultOf(self.ask())[1], 1)
        self.clock.advance(1.0)
        self.assertNoResult(self.ask())
        self.assertEqual(len(self.link.sent), 2)

    def test_what_may_not_be_kept_is_not(self) -> None:
        """An OCSP answer with a nonce is given to the one who asked, and the next one asks anew."""
        nonced = Question("ocsp", "request", b"nonce")
        first = self.ask(nonced)
        self.answer(b"response", seconds=0)
        self.assertEqual(self.successResultOf(first), (Reply("found", (b"response",), 0), 0))
        self.assertNoResult(self.ask(nonced))

    def test_several_documents(self) -> None:
        """Documents that come one after the other are told apart by their sizes."""
        asked = self.ask()
        self.answer(b"one", b"three")
        self.assertEqual(self.successResultOf(asked)[0].bodies, (b"one", b"three"))

    def test_the_same_question_twice(self) -> None:
        """Two clients with one question cost one look-up, and both are answered."""
        first, second = self.ask(), self.ask()
        self.assertEqual(len(self.link.sent), 1)
        self.answer(b"crl")
        self.assertEqual(self.successResultOf(first), self.successResultOf(second))

    def test_too_many_questions(self) -> None:
        """TR-12: beyond a bound nothing more is asked: the client is told to come back."""
        for number in range(2):
            self.assertNoResult(self.ask(Question("list", "path", b"%d" % number)))
        self.assertEqual(self.successResultOf(self.ask()), (BUSY, 0))
        self.assertEqual(len(self.link.sent), 2)

    def test_a_backend_that_does_not_answer(self) -> None:
        """After the deadline the client is told to come back, and an answer that comes later harms nobody."""
        asked = self.ask()
        self.clock.advance(10.0)
        self.assertEqual(self.successResultOf(asked), (BUSY, 0))
        self.answer(b"late")
        self.assertEqual((self.directory.open_questions, len(self.link.questions)), (0, 0))

    def test_a_lost_link(self) -> None:
        """Whoever waits for a link that is lost is told at once, and the next one finds no backend."""
        asked = self.ask()
        self.link.questions.lost()
        self.assertEqual(self.successResultOf(asked), (BUSY, 0))
        self.links.clear()
        self.assertEqual(self.successResultOf(self.ask()), (BUSY, 0))

    def test_an_answer_that_does_not_add_up(self) -> None:
        """Sizes that do not fit the pieces make no answer: nothing is guessed, nothing kept."""
        for sizes, result in (((2,), "found"), ((4,), "found"), ((), "found"), ((3,), "absent")):
            asked = self.ask()
            number = self.link.sent[-1].number
            self.link.questions.part(FoundPart(number, b"crl"))
            self.link.questions.done(Found(number, result, sizes, 60))
            self.assertEqual(self.successResultOf(asked), (BUSY, 0), (sizes, result))

    def test_the_emptier_link_is_asked(self) -> None:
        """With two backends the one with fewer open questions is asked."""
        other = LinkStub()
        self.links.append(other)
        self.ask(Question("list", "path", b"a"))
        self.ask(Question("list", "path", b"b"))
        self.assertEqual((len(self.link.sent), len(other.sent)), (1, 1))


class CacheTests(SynchronousTestCase):
    """Memory is bounded, whoever asks for what."""

    def test_bytes_are_bounded(self) -> None:
        """What was used longest ago goes first, and what is larger than all of it is never kept."""
        cache = AnswerCache(1_500)
        questions = [Question("list", "path", b"%d" % number) for number in range(3)]
        for question in questions[:2]:
            cache.put(question, Reply("found", (b"x" * 300,), 60), 0.0)
        self.assertIsNotNone(cache.get(questions[0], 1.0))
        cache.put(questions[2], Reply("found", (b"x" * 300,), 60), 1.0)
        self.assertEqual([cache.get(each, 1.0) is not None for each in questions], [True, False, True])
        cache.put(questions[1], Reply("found", (b"x" * 1_500,), 60), 1.0)
        self.assertIsNone(cache.get(questions[1], 1.0))
        self.assertLessEqual(cache.octets, 1_500)
        for question in questions:
            cache.get(question, 100.0)
        self.assertEqual(cache.octets, 0)
