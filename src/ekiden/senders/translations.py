"""What projects, SMTP configurations, their users and tokens say to people, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("senders/translations")
