"""What the pages say, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("landing/translations")
