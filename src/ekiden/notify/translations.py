"""What is said about endpoints and destinations, in Japanese (the English stands where it is said)."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("notify/translations")
