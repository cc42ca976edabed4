"""Tests of the symbolic proof: that it speaks of the protocol that the program speaks, and what the prover says."""
