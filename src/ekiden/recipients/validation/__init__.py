"""Whether an address is worth sending to."""
