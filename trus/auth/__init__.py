"""The authorization engine: pure rules over facts, decisions with reasons; knows no wire and no storage.

| module | for |
|---|---|
| model | the frozen facts that a decision is made from, and the decision |
| policy | dated policies: limits, hours, categories, when a PIN is needed |
| decide | the pure function decide(question, facts, now) -> Decision |
| lots | credit that ends: in which order it is spent, and comes back |
| reconcile | a batch compared item by item |
| ports | what the engine's users need of a ledger: one unit of work a batch |
"""
