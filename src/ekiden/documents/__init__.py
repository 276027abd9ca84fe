"""The JSON documents that Ekiden prints: one struct for each, which says what its members mean."""
