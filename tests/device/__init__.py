"""What a shop can rely on when it uses a terminal of trus."""
