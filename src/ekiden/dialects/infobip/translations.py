"""What this dialect's errors say, in Japanese. Clients ask for it with ``Accept-Language: ja``.

The fixed texts of the envelopes are Infobip's and are not translated (``errors``).
"""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts("dialects/infobip/translations")
