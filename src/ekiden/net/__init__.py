"""The network as the pure rooms see it: connections, TLS, PROXY protocol, clock, destinations that are allowed."""
