"""Contents made fit for every server on their way, before they are signed (``mime.reencode``)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ekiden.intake.errors import Busy
from ekiden.limits.workshop import Workshop
from ekiden.mime.reencode import Reencoded, has_long_line, reencode

if TYPE_CHECKING:
    from ekiden.core.submission import Submission
    from ekiden.intake.config import IntakeConfig
    from ekiden.mime.repair import Repaired

_AT_ONCE = 16_384
"""Octets of a content that is encoded anew at once; a larger one in a thread."""


class Fitting:
    """One per door. ``workshop`` is the worker's own."""

    def __init__(self, config: IntakeConfig, workshop: Workshop | None = None) -> None:
        self._config = config
        self._workshop = workshop or Workshop()

    async def encoded(self, submission: Submission, *, signed: bool, smtputf8: bool) -> Reencoded | None:
        """The content as any server takes it; ``None``: it is so already, or cannot be helped. Raises ``Busy``."""
        content = submission.content
        if submission.shared is not None:
            return None  # composed here: in short lines of ASCII
        eight_bit = self._config.seven_bit and signed and not smtputf8 and not content.isascii()
        lines = self._config.short_lines and has_long_line(content)
        if not eight_bit and not lines:
            return None
        work = partial(reencode, content, lines=self._config.short_lines, eight_bit=eight_bit)
        if len(content) <= _AT_ONCE:
            found = work()
        else:
            try:
                found = await self._workshop.run(submission.account_id, work)
            except TimeoutError:
                raise Busy from None
        return found if found.content is not content else None


def changes(repaired: Repaired | None, encoded: Reencoded | None) -> dict[str, Any]:
    """For the trace: which fields were repaired, and why something has another encoding."""
    told: dict[str, Any] = {}
    if repaired is not None:
        told["repaired"] = list(repaired.what)
    if encoded is not None:
        told["encoded"] = [*(["long lines"] if encoded.lines else []), *(["8bit"] if encoded.eight_bit else [])]
    return told
