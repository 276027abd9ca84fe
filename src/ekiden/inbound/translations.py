"""What changes to what is received say when they are refused, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("inbound/translations")
