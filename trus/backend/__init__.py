"""The backend's front: links from gateways, sealed sessions, dispatch to the core.

| module | for |
|---|---|
| port | what the front asks of a core, wherever that runs |
| batching | gathers requests of a reactor turn into batches |
| corelink | the core as a process of its own behind a socket pair |
| dispatch | messages of the wire to requests of the core, outcomes to fields |
| batchlists | the items of a batch that a terminal lists, and where the ledger differs |
| certificates | renewals and look-ups inside a session |
| receipts | questions for proofs inside a session |
| sessions | handshakes and sealed sessions of one device connection |
| pinwaits | requests whose cardholders are asked for the PIN, for a minute |
| surroundings | what a device connection stands on |
| standing | ends the live sessions of whoever is revoked, suspended or blocked |
| lookups | the directory's questions that gateways hand on |
| linkserver | a gateway's link: its connections, its flow |
| adminstream | TLS of an admin, ended here, tunnelled through the link |
| service | all of it as one Twisted service |

Holds no key of the private PKI, no database and no rule: these live in the core.
"""
