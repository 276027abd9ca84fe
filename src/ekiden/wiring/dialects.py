"""The dialects that there are, a line each. All else about them follows from their values (``web.dialect``)."""

from __future__ import annotations

from typing import Any, Final

from ekiden.dialects.cmc.dialect import CMC
from ekiden.dialects.ibm.dialect import IBM
from ekiden.dialects.infobip.dialect import INFOBIP
from ekiden.dialects.naver.dialect import NAVER
from ekiden.web.dialect import Dialect

DIALECTS: Final[tuple[Dialect[Any], ...]] = (
    CMC,
    IBM,
    INFOBIP,
    NAVER,
)
