"""What can be wrong with network zones and rules, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("networks/translations")
