"""Settlement: what the issuer owes each shop for a business date (TR-25, first cut: the table).

| module | for |
|---|---|
| table | the settlement of one date as rows, totals and CSV text |
"""
