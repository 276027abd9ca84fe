"""Ekiden: a self-hosted e-mail platform."""
