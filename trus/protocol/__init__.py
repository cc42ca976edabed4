"""The wire of trus, without input or output: bytes in, messages and effects out.

| module | what it does |
|---|---|
| errors | whose fault it is, and the fixed codes that a peer may be told |
| grammar, fields | octet patterns of docs/protocol.md, and types of field values |
| verbs, table | the one declarative table of lines, and the parser made from it |
| messages | lines to messages and back |
| buffer | bytes to lines, bounded |
| states | what may be said when: connection, session, dialogue |
| effects, handshake, keyschedule | SIGMA-I handshake as effects for its owner |
| session, rekey, tickets | sealed lines, resumption in place, tickets |
| link | the envelope between gateway and backend |
| describe | writes the generated parts of docs/protocol.md |

Opens no sockets, reads no clock and draws no entropy but through constructors.
"""
