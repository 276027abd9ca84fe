"""What this room says to people, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("access/translations")
