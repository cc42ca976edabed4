"""Backups that two officers open together: one sealed file with database, token, key store, settings and heads.

| module | for |
|---|---|
| officers | an officer's key and certificate; who may be one |
| shares | the archive's key, split so that both officers' keys are needed |
| archive | the sealed file: header, chunks, end; docs/reference/backup-format.md |
| manifest | what is in it, and what it belongs to |

Knows neither ledger nor token: trus.cli gathers and restores.
"""
