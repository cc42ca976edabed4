"""What an operator can rely on, proven on real parts."""
