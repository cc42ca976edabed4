"""The edge of the network: everything enters here, and nothing of value stays.

| module | what it does |
|---|---|
| screening | decides who may come near, from the source address alone |
| frontdoor | applies these decisions before a byte is read |
| fingerprint | names a device's TLS program by its ClientHello |
| riders | what a link may do with a connection that it carries |
| devices | a device's connection: channel, lines, deadlines |
| admins | an admin's connection: bytes of a TLS stream that stays unopened |
| links | one link to a backend: many connections inside one |
| router | finds a connection's way to its backend |
| lookups, directory | certificates, lists and OCSP over HTTP, out of what the backend signed |
| tally | counts what happens often, logs it seldom |
| pool | keeps a link to every backend, and chooses one for a new connection |
| service | composes them from settings |

Holds no key of the individual authority, no card data, no money: it forwards sealed lines
byte for byte, so that losing it loses nothing. Imports neither rules, ledger, PKI nor keys.
"""
