"""Zones and rules: from where which resource may be used."""
