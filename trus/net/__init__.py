"""Adapts the network's wire to Twisted: TLS channels, listening, lines.

Decides nothing about payments and holds no protocol state: contexts come from data, clocks and
endpoints through constructors.

- trus.net.credentials: a channel's key and certificates, from PKCS#12 or PEM;
- trus.net.contexts: two-way TLS 1.3 with enforced roles, for servers and clients;
- trus.net.peers: who is at the other end, and what binds to the connection;
- trus.net.lines: lines with caps, back-pressure and deadlines;
- trus.net.listening: listening that fails loudly, and start-up that says why.
"""
