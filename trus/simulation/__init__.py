"""The whole network in one process on a fake clock, under every fault, from one seed.

| module | for |
|---|---|
| chance, clockwork | draws and events: everything that can differ between two runs |
| wires, network | connections that are slow, cut, stuck or dead; places, partitions |
| town | who lives there: keys, certificates, cards and the first ledger, made once a process |
| storage, memory, journals | disks: what a crash, a power cut and a failing sync leave; a ledger without a file |
| keys, house, backend | the token, the real core on it, the machine that runs front and core |
| gateways, meddling | the real gateway; a dishonest one |
| tills | terminals with their cashiers |
| orders, orders_linked, orders_network | what cashiers order, one class a kind of transaction |
| thieves | a criminal with an enrolled terminal |
| operators | the admin |
| nemesis | which fault, when, where |
| papers, watching | what people know for sure; what is noticed from outside |
| work | how many purchases a second |
| proofs | receipts, verified as a shop does |
| invariants, run | what must hold; one run from seed to judgement |

The rules of the simulated world are docs/reference/simulation.md.
"""
