"""A message whose server takes fewer recipients at a time than it was given (RFC 5321 §4.5.3.1.10)."""

from __future__ import annotations

from collections.abc import Sequence

from ekiden.core.diagnosis import Diagnosis, Verdict

Groups = tuple[list[int], list[list[int]]]
"""Places in a transaction: those whose verdicts count, and groups for transactions of their own, at once."""


def regrouped(verdicts: Sequence[Verdict], *, together: bool) -> Groups | None:
    """``None``: all of them count. ``together``: the message was refused for all of them in one reply."""
    number = len(verdicts)
    if number > 1 and any(verdict.delivered for verdict in verdicts):
        postponed = [at for at, verdict in enumerate(verdicts) if _too_many(verdict)]
        kept = [at for at, verdict in enumerate(verdicts) if not _too_many(verdict)]
        return (kept, [postponed]) if postponed else None
    if together and all(map(_too_many, verdicts)):
        # For their number alone: two halves may do.
        return [], [list(range(number // 2)), list(range(number // 2, number))]
    return None


def _too_many(verdict: Verdict) -> bool:
    """It says no word about its recipient: there were too many before it, in this message or hour."""
    return verdict.diagnosis is Diagnosis.RECIPIENTS
