"""The wire of trus, without input or output: bytes in, messages and effects out.

| module | what it does |
|---|---|
| errors | whose fault it is, and the fixed codes that a peer may be told |
| grammar, fields | octet patterns of docs/protocol.md, and types of field values |
| spec, verbs, table | how a line is described, the one list of lines, the parser made from it |
| messages | lines to messages and back |
| buffer | bytes to lines, bounded |
| batches | items of a batch and differences about them, to fields and back |
| states | what may be said when: connection, session, dialogue |
| effects | what a handshake asks of its owner; the ports Signer and PeerVerifier |
| handshake | front of proofs, initiator, responder: SIGMA-I, and a driver |
| keyschedule | every key and transcript hash |
| records, session | one direction's seals; sealed lines, dialogues, new keys in place |
| tickets | what a backend remembers in the device's hands |
| link | the envelope between gateway and backend |
| describe | writes the generated parts of docs/protocol.md |

Opens no sockets, reads no clock and draws no entropy but through constructors.
"""
