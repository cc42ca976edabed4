"""Tests of the admin's console: its table, its lines, its session, its server and its client."""
