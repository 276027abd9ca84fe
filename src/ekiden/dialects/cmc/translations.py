"""What this dialect's errors say, in Japanese. Clients ask for it with ``Accept-Language: ja``."""

from __future__ import annotations

from typing import Final

from ekiden.core.texts import Texts

TEXTS: Final = Texts("dialects/cmc/translations")
