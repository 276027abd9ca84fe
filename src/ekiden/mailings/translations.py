"""What requests to mail many say when they are refused, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("mailings/translations")
