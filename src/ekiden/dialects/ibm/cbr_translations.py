"""What context-based restrictions say when a request cannot be answered, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("dialects/ibm/cbr_translations")
