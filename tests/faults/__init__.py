"""The network in real processes under faults: `script/faults`, and what holds it together.

| module | for |
|---|---|
| steps, hooks, entry | the failpoints of a transaction: their table, how a process dies there, how it is started so |
| till, evidence | a terminal with its cashiers as a process of its own; what they know for sure, in a file |
| proxy | the wires between terminals, gateways and backend: cut, slow, dead, flooded |
| store | where the ledger is kept and how it is read: SQLCipher now |
| tools | strace, libfaketime, a small disk: what the machine lets us do, and why not |
| house | the processes of one deployment: started, killed, stopped, found again |
| injections, disks | the faults: what is done, and what healing is |
| trading, run | rounds of trade, fault, healing, quiet; the judgement after each |
| report | progress, the closing table, JSON, the figures of docs/reliability.md |

The invariants themselves are trus.simulation.invariants: the same judge reads the same kind of papers,
whether the network was simulated or real.
"""
