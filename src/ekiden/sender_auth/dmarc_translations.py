"""Texts about DMARC in English and Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("sender_auth/dmarc_translations")
