"""What somebody with a stolen part of the network cannot do."""
