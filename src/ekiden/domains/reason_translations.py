"""Why a domain is not verified, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("domains/reason_translations")
