"""The private public-key infrastructure of the network (TR-14, TR-15): two authorities that never mix.

| module | for |
|---|---|
| profiles | the certificate policy as frozen data: who gets what, for how long |
| authority | an authority whose key stays in the token: issues certificates and CRLs |
| enrolment | an activation code and a request become a certificate, once |
| csr | a device's request: proof of possession, and nothing else of it is believed |
| activation | one-time codes by which a device proves that it may be enrolled |
| ports | what the database keeps: activations and states of certificates, never certificates |
| ocsp | the validation authority's answer, stapled by the backend |
| validation | chain, role and register together: may this peer be believed now |
| identity | the service that the core asks |
| lists | revocation lists that follow one another |
| describe | the tables of docs/reference/keys.md |
| channel | the channel authority, the admin authority and their PKCS#12 bundles |
"""
