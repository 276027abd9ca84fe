"""What composing a message says to people, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("mime/translations")
