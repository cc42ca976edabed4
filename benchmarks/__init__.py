"""Measures trus against bare baselines on the same machine, in the same run; see docs/performance.md."""
