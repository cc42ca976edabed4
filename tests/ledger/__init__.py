"""Tests of trus.ledger, on SQLCipher files of their own."""
