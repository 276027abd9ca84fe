"""Requests to mail many: kept at once, made into messages by and by, confirmed, counted, shown."""
