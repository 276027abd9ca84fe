"""Sending domains: the records they publish, the checks of them, and the keys they sign with."""
