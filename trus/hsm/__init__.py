"""The key store: names keys, uses them, never shows them (TR-17, TR-18).

| module | for |
|---|---|
| ports | what the rest of trus may ask of a key store: batch-shaped, handles only |
| naming | how label, version and purpose become the names of PKCS#11 objects |
| module | loads a PKCS#11 module once for the process; says its errors in one sentence each |
| pkcs11 | the port on any PKCS#11 module |
| softhsm | makes a SoftHSM token in a folder of its own |
| memory | the port in memory for unit tests; production settings refuse it |
| signing | a private key object of `cryptography` whose key stays in the store |
| datakeys | data keys derived from K_DB inside the token |
"""
