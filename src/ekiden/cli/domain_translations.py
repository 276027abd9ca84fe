"""What ``ekiden domain`` says, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("cli/domain_translations")
