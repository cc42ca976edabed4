"""The private public-key infrastructure of the network (TR-14, TR-15): two authorities that never mix.

| module | for |
|---|---|
| profiles | the kinds of certificates as frozen data: what each says, for how long |
| policy | what a deployment may change of them, and every figure around them |
| authority | an authority whose key stays in the token: issues certificates and CRLs |
| generations | issuing authorities below a root whose key is elsewhere, old and new |
| ceremony, transcript | what two officers do with the off-line root, and its record |
| examination, steps, weakkeys | the checks before a certificate is issued, each with a name and reasons |
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
