"""Plain values that every room shares: ids, addresses, states, submissions, events, errors, clock. No I/O."""
