"""What the commands say, in Japanese; what only ``trace``, ``doctor``, ``init`` or ``demo`` prints is with them."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("cli/translations")
