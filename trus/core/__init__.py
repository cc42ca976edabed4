"""The core: takes a batch of requests, verifies, decides, commits, answers; no reactor, no threads, no network."""
