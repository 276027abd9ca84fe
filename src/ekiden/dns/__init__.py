"""The resolver: its cache, its servers, and the share of look-ups that each account has."""
