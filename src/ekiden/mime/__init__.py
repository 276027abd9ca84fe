"""Messages as bytes (RFC 5322, RFC 2045): scanned, never parsed into objects, on the hot path."""
