"""How slowly a content may come in, told without waiting for it."""

from __future__ import annotations

import pytest

from ekiden.listeners.smtp_config import SmtpConfig
from ekiden.listeners.smtp_pace import ContentPace

BEGAN, BEFORE = 1000.0, 5000


@pytest.mark.parametrize(
    ("seconds", "octets", "min_rate", "slow"),
    [
        (0.0, 0, 256, False),
        (60.0, 0, 256, False),  # the first minute is everybody's
        (61.0, 256 * 61, 256, False),
        (61.0, 256 * 61 - 1, 256, True),
        (600.0, 0, 0, False),
        (600.0, 256 * 600, 256, False),
        (600.1, 1 << 30, 256, True),
        (600.1, 1 << 30, 0, True),
    ],
)
def test_a_content_has_to_keep_its_rate_and_its_time(
    seconds: float, octets: int, min_rate: int, slow: bool
) -> None:
    config = SmtpConfig(data_timeout=600.0, min_rate=min_rate)
    assert ContentPace(BEGAN, BEFORE).too_slow(BEGAN + seconds, BEFORE + octets, config) is slow
