"""The root of Ekiden's errors. Each package derives one base of its own from it."""

from __future__ import annotations


class EkidenError(Exception):
    """Anything Ekiden can explain to a person. ``str(error)`` is a sentence for them, in English."""


class UsageProblem(EkidenError):
    """A command was called in a way that cannot be right: its exit status is 2."""
