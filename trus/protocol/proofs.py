"""What initiator and responder of a handshake share: sealed proofs, chains, refusals.

Decides nothing about whom to trust: a signature here proves the possession of a key, the
owner's verifier says whose key it is.
Specification: docs/protocol.md, "The handshake".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from trus.clock import Clock, Entropy
from trus.protocol import grammar
from trus.protocol.buffer import MAX_OPENING_LINE_BYTES
from trus.protocol.effects import Effect, Mode, NeedSignature, Refused, Send, Terms
from trus.protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from trus.protocol.fields import format_octets, parse_octets
from trus.protocol.keyschedule import HandshakeKeys, same, signature_payload, transcript
from trus.protocol.messages import Kind, Phase, Side, parse_line
from trus.protocol.states import OutOfOrder, SessionOrder, SessionState
from trus.protocol.table import DEVICE_TABLE, Line, head_of

MAX_CHAIN_CERTIFICATES: Final = 4
#: The one word of the field birth: the backend makes the pair. A device that makes its own leaves it out.
BIRTH_BACKEND: Final = "backend"


class Waiting(StrEnum):
    """What a handshake waits for."""

    START = "start"
    LINE = "line"
    SIGNATURE = "signature"
    VERIFICATION = "verification"
    STANDING = "standing"
    ENROLMENT = "enrolment"
    NOTHING = "nothing"


class Opened(NamedTuple):
    """A handshake line taken apart: the octets under the seal's protection, and its fields."""

    clear: bytes
    fields: Mapping[str, str]
    sealed: Mapping[str, str]


def refused(reason: str) -> RemoteProtocolError:
    """Return the one error that a peer sees of every failed authentication."""
    return RemoteProtocolError(ErrorCode.REFUSED, reason)


def format_chain(chain: Sequence[bytes]) -> str:
    """Return certificates (DER, leaf first) as the field chain. Raises LocalProtocolError."""
    if not 0 < len(chain) <= MAX_CHAIN_CERTIFICATES:
        raise LocalProtocolError("a chain has one to four certificates")
    return ",".join(format_octets(certificate) for certificate in chain)


def parse_chain(text: str) -> tuple[bytes, ...]:
    """Return the DER certificates of a field chain. Raises RemoteProtocolError (bad-field)."""
    return tuple(parse_octets(part) for part in text.split(","))


def credential_digest(*items: bytes) -> bytes:
    """Return the hash that stands in the transcript for what a side showed of itself."""
    return transcript("credential", *items)


def check_possession(certificate: bytes, payload: bytes, signature: bytes) -> None:
    """Check that the key of a DER certificate signed `payload`.

    Raises RemoteProtocolError (refused) unless it is an ECDSA P-256 SHA-256 signature of it.
    """
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise refused("certificate") from None
    _check_signature(key, payload, signature)


def check_request(csr: bytes, payload: bytes, signature: bytes) -> None:
    """Check that the key of a DER PKCS#10 request signed it and `payload`.

    Raises RemoteProtocolError (refused).
    """
    try:
        request = x509.load_der_x509_csr(csr)
        key = request.public_key()
        proven = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise refused("request") from None
    if not proven:
        raise refused("request")
    _check_signature(key, payload, signature)


def _check_signature(key: object, payload: bytes, signature: bytes) -> None:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise refused("algorithm")
    try:
        key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise refused("signature") from None


class Handshake(ABC):
    """What both sides of a handshake do alike.

    Its owner carries out the effects that each call returns, in order. Bytes of a peer never
    raise: they end in the effect Refused. Once it is over, nothing has any effect: an answer
    from a token may come after the peer has given up. Any other call that does not fit the
    state is the owner's mistake and raises LocalProtocolError.
    """

    side: Side

    def __init__(self, mode: Mode | None, label: str, clock: Clock, entropy: Entropy) -> None:
        """Begin idle."""
        self.label = label
        self.mode = mode
        self._clock = clock
        self._entropy = entropy
        self._order = SessionOrder()
        self._waiting = Waiting.LINE
        self._keys = HandshakeKeys(None)
        self._transcript = b""
        self._credential = b""

    @property
    def waiting(self) -> Waiting:
        """What has to come before this handshake goes on."""
        return self._waiting

    # ------------------------------------------------------------------ ending

    def receive(self, line: bytes) -> list[Effect]:
        """Take a line (without CR LF) of this session's label; never raises for bad bytes."""
        if self._waiting is Waiting.NOTHING:
            return []
        try:
            if head_of(line) in (b"INFO ERROR", b"INFO BYE"):
                return self._peer_gave_up(line)
            found = DEVICE_TABLE.find(Phase.OPENING, self.side.other, line)
            if self._waiting is not Waiting.LINE:
                raise RemoteProtocolError(ErrorCode.OUT_OF_ORDER, found.head)
            self._order.said(self.side.other, found.head)
            return self._take(found, line)
        except OutOfOrder as late:
            return self.refuse(late.code, "order")
        except RemoteProtocolError as error:
            return self.refuse(error.code, error.detail or "line")

    def refuse(self, code: ErrorCode, reason: str) -> list[Effect]:
        """End it: the check failed, the key did not answer, the time is over.

        Returns INFO ERROR with `code` to send, and Refused with both; nothing once over.
        """
        if self._waiting is Waiting.NOTHING:
            return []
        self._finish()
        if not self.label:
            return [Send(f"INFO ERROR code={code}\r\n".encode()), Refused(code, reason)]
        return [Send(f"INFO ERROR s={self.label} code={code}\r\n".encode()), Refused(code, reason)]

    def _peer_gave_up(self, line: bytes) -> list[Effect]:
        message = parse_line(line, phase=Phase.OPENING, sender=self.side.other)
        if message.session not in (None, self.label):
            raise RemoteProtocolError(ErrorCode.UNKNOWN_SESSION)
        self._finish()
        try:
            code = ErrorCode(message.fields.get("code", ""))
        except ValueError:
            code = ErrorCode.REFUSED
        return [Refused(code, "peer")]

    def _finish(self) -> None:
        self._waiting = Waiting.NOTHING
        self._order.state = SessionState.ENDED
        self._keys = HandshakeKeys(None)

    @abstractmethod
    def _take(self, found: Line, line: bytes) -> list[Effect]:
        """Act on a line that the table knows and the order allows."""

    def _expects(self, waiting: Waiting) -> bool:
        """Say whether an owner's answer still matters: the peer may have given up meanwhile.

        Raises LocalProtocolError for an answer that nobody asked for.
        """
        if self._waiting is Waiting.NOTHING:
            return False
        if self._waiting is not waiting:
            raise LocalProtocolError(f"the handshake waits for {self._waiting}, not for {waiting}")
        return True

    # ------------------------------------------------------------- sealed lines

    def _open_proof(self, found: Line, line: bytes) -> Opened:
        """Check and decrypt message 2 or 3 of the peer."""
        clear, mark, text = line.rpartition(grammar.SEAL_MARK)
        if not mark:
            raise RemoteProtocolError(ErrorCode.UNSEALED)
        fields, unknown = found.parse_clear(clear)
        if fields["s"] != self.label:
            raise RemoteProtocolError(ErrorCode.UNKNOWN_SESSION)
        sealed = grammar.decode_base64url(text)
        self._before_proof(clear, fields)
        aead, nonce = self._keys.cipher(self.side.other, self._transcript)
        try:
            plaintext = aead.decrypt(nonce, sealed, clear)
        except InvalidTag:
            raise refused("tag") from None
        return Opened(clear, fields, found.parse_sealed(plaintext, unknown))

    @abstractmethod
    def _before_proof(self, clear: bytes, fields: Mapping[str, str]) -> None:
        """Agree on keys and move the transcript to where the proof hangs on it."""

    def _check_proof(self, opened: Opened, signature: bytes) -> None:
        """Check the peer's MAC over its credential, already set."""
        expected = self._keys.proof(self.side.other, self._transcript, self._credential, signature)
        if not same(parse_octets(opened.sealed["mac"]), expected):
            raise refused("mac")

    def _peer_payload(self) -> bytes:
        """Return what the peer has to have signed."""
        return signature_payload(self.side.other, self._transcript, self._credential)

    def _ask_signature(self) -> list[Effect]:
        self._waiting = Waiting.SIGNATURE
        return [NeedSignature(signature_payload(self.side, self._transcript, self._credential))]

    def _seal_proof(self, clear: bytes, sealed: dict[str, str], signature: bytes) -> bytes:
        """Return message 2 or 3 without CR LF; the MAC is added here.

        Raises LocalProtocolError when it is longer than a line may be before authentication.
        """
        if signature:
            sealed["signature"] = format_octets(signature)
        proof = self._keys.proof(self.side, self._transcript, self._credential, signature)
        sealed["mac"] = format_octets(proof)
        found = DEVICE_TABLE.named(Phase.OPENING, self.side, Kind.DATA, "AUTHENTICATE")
        aead, nonce = self._keys.cipher(self.side, self._transcript)
        ciphertext = aead.encrypt(nonce, found.format_sealed(sealed), clear)
        line = clear + grammar.SEAL_MARK + grammar.encode_base64url(ciphertext)
        check_length(line + b"\r\n")
        return line

    def _say(self, kind: Kind, verb: str) -> None:
        """Note that this side says a line, which the order must allow."""
        self._order.said(self.side, f"{kind} {verb}")


def check_length(line: bytes) -> None:
    """Raise LocalProtocolError for a line (CR LF included) that the other end's buffer would not take yet."""
    if len(line) > MAX_OPENING_LINE_BYTES:
        raise LocalProtocolError("certificates make a line longer than the limit before authentication")


def terms_fields(terms: Terms) -> dict[str, str]:
    """Return `terms` as fields of INFO AUTHENTICATED."""
    fields = {"dialogues": str(terms.max_dialogues), "idle": str(terms.idle_seconds)}
    if terms.business_date:
        fields["date"] = terms.business_date
        fields["pin"] = "always" if terms.pin_always else "policy"
    if terms.currency:
        fields["currency"] = terms.currency
    if terms.epoch:
        fields["epoch"] = str(terms.epoch)
    if terms.advice_key:
        fields["advice-key"] = format_octets(terms.advice_key)
    return fields


def terms_of(fields: Mapping[str, str]) -> Terms:
    """Return the terms that INFO AUTHENTICATED says."""
    return Terms(
        fields.get("date", ""),
        fields.get("currency", ""),
        fields.get("pin", "always") != "policy",
        int(fields["dialogues"]),
        int(fields["idle"]),
        int(fields.get("epoch", "0")),
        parse_octets(fields["advice-key"]) if "advice-key" in fields else b"",
    )
