"""Proves what docs/protocol.md promises."""
