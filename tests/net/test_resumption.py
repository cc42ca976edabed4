"""No channel is resumed: the revocation list is asked every time."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.net.authority import Authority
from trus.net.contexts import ServerChannel
from trus.values import ChannelRole

AUTHORITY = Authority()
GATEWAY = AUTHORITY.issue(ChannelRole.GATEWAY, hosts=["gateway.test"])
POS = AUTHORITY.issue(ChannelRole.POS)


def stranger() -> ssl.SSLContext:
    """Return a TLS stack that is not ours and resumes whenever a server lets it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pos.pem"
        key = POS.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(key + POS.chain[0].public_bytes(Encoding.PEM))
        context.load_cert_chain(path)
    return context


def converse(server: SSL.Connection, context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLObject:
    """Shake hands in memory, read one greeting (and the tickets before it), and say good-bye."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="gateway.test", session=session)
    server.set_accept_state()
    greeted = False
    for _ in range(10):
        try:
            client.do_handshake()
            client.read(100)
        except ssl.SSLWantReadError:
            pass
        if outgoing.pending:
            server.bio_write(outgoing.read())
        try:
            server.do_handshake()
            if not greeted:
                server.send(b"hello")
                greeted = True
        except SSL.WantReadError:
            pass
        try:
            incoming.write(server.bio_read(1 << 16))
        except SSL.WantReadError:
            if greeted:
                break
    server.shutdown()
    return client


class ResumptionTests(SynchronousTestCase):
    def reused(self, context: SSL.Context, channel: ServerChannel | None = None) -> bool | None:
        """Connect twice with the first connection's session; return whether the second resumed it."""

        def accept() -> SSL.Connection:
            return channel.serverConnectionForTLS(None) if channel else SSL.Connection(context, None)  # type: ignore[arg-type]

        client = stranger()
        first = converse(accept(), client, None)
        return converse(accept(), client, first.session).session_reused

    def test_a_channel_is_never_resumed(self) -> None:
        """Whoever was revoked after its first connection cannot come back by resuming it."""
        channel = ServerChannel(GATEWAY, {ChannelRole.POS})
        self.assertIs(self.reused(channel._context, channel), False)

    def test_the_stranger_would_resume(self) -> None:
        """The same client does resume with a server of default settings: the test above proves something."""
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_privatekey(GATEWAY.key)
        context.use_certificate(GATEWAY.chain[0])
        self.assertIs(self.reused(context), True)
