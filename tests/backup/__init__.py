"""Backups: officers, shares, the sealed file, and what restores from it."""
