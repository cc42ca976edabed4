"""What a shop holds of an answer, and how anybody proves with a public key that the journal holds it.

Needs neither token nor database nor network, so that whoever doubts the network can run it: the ledger
writes by these encodings, terminals keep what they were given, `trus verify-receipt` checks. Byte for byte
in docs/protocol.md, "Receipts"; what they are worth in docs/explanation/receipts.md.

| module | for |
|---|---|
| links | the statement of one answer, its code, and the link of the hash chain that covers it |
| merkle | the tree over the links of a slot: roots, paths, consistency (RFC 9162, section 2.1) |
| documents | signed heads: what they say, who signed them |
| proofs | from a receipt to a signed head, and from an older head to a newer one |
| verdicts | what a receipt, a proof and a few heads amount to, in one word and in sentences |
"""
