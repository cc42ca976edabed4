"""The terminal's side of the network: journal first, then ask, and reverse what got no answer.

| module | what it does |
|---|---|
| orders | what a cashier asks for and what the cashier is told, as frozen values |
| journal, records | the terminal's memory across power cuts: who asked, under which identity, how it ended, the batch |
| terminal, effects | the state machine without input or output: requests, retries, reversals, time-outs |
| requests, book | one request's phases; all of them with their records in the journal |
| signing | signing off and on, each order said until it is answered |
| blocks | PIN blocks under the keys of a session |
| wire | the terminal's requests as lines of the protocol, and answers back |
| conversation | lines of one connection to a sealed session with the backend, and back |
| connection | bytes of one TLS connection to its conversation, and back |
| trust | the individual authority's anchor and what it says of a chain |
| home | the directory that holds a terminal's key, certificates and journal |
| client | the Twisted adapter: TerminalClient |
| enrolment | a new terminal obtains its certificate with a one-time activation code |
| pinpad | what was read and entered: refused when it is none, and the PIN sealed |

Holds nothing of the issuer's: no key store, no ledger, no rule.
"""
