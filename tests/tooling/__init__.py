"""Tests of the house rules: what no single package can promise for itself."""
