"""The sentences of ``ekiden doctor`` in Japanese; the English ones stand in the checks."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("doctor/translations")
