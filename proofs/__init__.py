"""Proves that the sealed session keeps what docs/protocol.md promises, for any number of sessions.

Runs no part of trus: this is the protocol once more, as rules of logic in which an attacker owns
the network, and a theorem prover that looks for a way to break them. See docs/security/proof.md.

| module | what it holds |
|---|---|
| terms | terms and clauses, and the form in which a prover reads them |
| words | messages, fields, labels and tags; a test holds them to the code |
| primitives | the cryptographic functions, and what an attacker can do with them |
| schedule | transcripts, keys, proofs: trus.protocol.keyschedule as terms |
| network | who is there: honest and dishonest devices, the backend, the certificates |
| initiator, responder | the handshake in its four modes, rule by rule |
| records | sealed lines and new keys in place |
| claims | what must not happen, and what must be possible |
| weakenings | the protocol with one part missing, and what breaks then |
| spass | runs the prover and reads its answer |
| report | writes the tables of docs/security/proof.md |
"""
