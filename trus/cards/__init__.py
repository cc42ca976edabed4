"""The cards: numbers, magnetic stripes, verification values and PINs; holds no key and no storage.

Whatever is secret travels in values with a redacted repr, and encryption comes in as a
function, so that the keys stay in their store.

| module | for | source |
|---|---|---|
| numbers | card numbers with a check digit, masking | ISO/IEC 7812-1 |
| tracks | tracks 1 and 2, their raw form with sentinels and LRC | ISO/IEC 7811-2, 7813 |
| names | a person's name in the characters of track 1 | ISO/IEC 7813 |
| verification | the value that tells a genuine stripe from a made-up one | own, one AES block |
| pin | PIN blocks of format 4, PIN references | ISO 9564-1 |
"""
