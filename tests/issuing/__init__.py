"""Tests of the issuer's desk on a real ciphered database, a real private PKI and a real key store."""
