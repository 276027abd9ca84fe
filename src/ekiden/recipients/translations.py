"""What can be wrong with a change to suppressions, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("recipients/translations")
