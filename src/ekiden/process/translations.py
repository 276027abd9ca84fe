"""What the server says to the person who starts it, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("process/translations")
