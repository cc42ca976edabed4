"""Is somebody who stole the channel certificate of all terminals: begins handshakes and ends none.

    python -m tests.security.thief PORT CERTIFICATE.p12 PASSPHRASE-FILE SECONDS

Says, at the end, how many connections and how many first messages it made.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives.serialization import pkcs12
from OpenSSL import SSL

_LINES = 40


def first_message() -> bytes:
    """Return message 1 of a handshake that will never be finished, and noise that ends it at once."""
    label = os.urandom(12).hex()[:16].encode()
    share = b"A" * 41 + b"BA"  # a valid share; nobody knows its secret
    return (
        b"COMMAND AUTHENTICATE s=%b to=backend versions=1 suites=1 mode=full share=%b nonce=%b\r\n"
        b"DATA AUTHENTICATE s=%b seal=%b\r\n" % (label, share, b"A" * 22, label, b"A" * 64)
    )


def main(port: int, bundle: Path, passphrase: Path, seconds: float) -> None:
    """Flood the device port; the machine's own processes come first, as they would on machines of their own."""
    os.nice(10)
    key, certificate, _ = pkcs12.load_key_and_certificates(bundle.read_bytes(), passphrase.read_bytes().strip())
    if key is None or certificate is None:
        raise SystemExit("the bundle is empty")
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    context.use_privatekey(key)  # type: ignore[arg-type]
    context.use_certificate(certificate)
    connections = messages = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.create_connection(("127.0.0.1", port), 5) as plain:
            plain.settimeout(None)
            caller = SSL.Connection(context, plain)
            caller.set_connect_state()
            try:
                caller.do_handshake()
                connections += 1
                for _ in range(_LINES):
                    caller.sendall(first_message())
                    messages += 1
                caller.recv(4096)
            except (SSL.Error, OSError):
                continue  # cut off, as it should be
    print(connections, messages)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
