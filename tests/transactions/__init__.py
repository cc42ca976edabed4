"""Every kind of transaction as it is said on the wire, for the specification (docs/transactions.md)."""
