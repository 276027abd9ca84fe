"""Customers Mail Cloud: sending, what became of it, and news of it; versions 1 and 2."""
