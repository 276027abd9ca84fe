"""The outbox: one engine for every callback of every dialect, and reports that are fetched once."""
