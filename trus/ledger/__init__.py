"""The ledger: keeps cards, accounts and every event, and moves money only in entries that sum to zero.

| module | for |
|---|---|
| tables, tables_*, schema | the schema, as SQLAlchemy Core metadata |
| engine | the ciphered database: keyed connections, pragmas, wrong keys noticed |
| dialect | everything that differs between database engines |
| statements | the SQL text of the hot path, compiled once |
| store | the auth engine's Ledger port: units of work, one durable commit a batch |
| writer | the one writing connection: slot, transactions, what an error means |
| unit, facts | one batch: facts in a few statements, events in a few more |
| posting | movements that no terminal asked for: refills, payouts |
| lots, expiring | credit that ends: followed through a batch, posted away when it has ended |
| days | business dates and cut-over |
| lookup | keyed hashes and field encryption |
| chain, heads | the hash chain over events, and its signed heads |
| tree | the tree over each slot's links, from which receipts are proved |
| audit (audit_*, findings) | proves the whole ledger, and names the row that does not hold |
| erasure | takes out what names a person; the chain still proves the rest |
| registry, registry_* | companies, people, shops, cards, identities and reports, for the issuer |
| keyring | which version of K_DB a file opens under |
| rotation, rotation_* | rotates K_DB while payments go on; resumes after a kill |
| retired, backups | what still needs an older version of K_DB |
| compose | opens all of it from explicit arguments |
| migrations | the schema's history (Alembic) |
"""
