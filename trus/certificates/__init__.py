"""What a certificate of the network says, and whether it may be believed: for both ends (TR-15, TR-16).

Holds no key and issues nothing: trus.pki issues, trus.net and trus.device believe. It lies
apart from both so that a terminal verifies a peer without holding anything of the issuer.

| module | for |
|---|---|
| oids | the private object identifiers and URNs that certificates carry |
| chains | one chain, one role, one moment: the holder's identity, or a refusal |
| staples | the OCSP answer that the backend carries along with its chain |
"""
