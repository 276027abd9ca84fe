"""Defaults that an RFC has an opinion about: nobody who leaves the configuration alone breaks a rule."""

from __future__ import annotations

from itertools import accumulate, chain, pairwise, repeat, takewhile

import pytest

from ekiden.delivery.config import DeliveryConfig
from ekiden.listeners.smtp_config import SmtpConfig

MINUTE, DAY = 60.0, 86_400.0


@pytest.mark.parametrize(
    ("section", "seconds", "least"),
    [
        ("4.5.3.2.1 greeting", DeliveryConfig().greeting_timeout, 5 * MINUTE),
        ("4.5.3.2.2 MAIL", DeliveryConfig().command_timeout, 5 * MINUTE),
        ("4.5.3.2.3 RCPT", DeliveryConfig().command_timeout, 5 * MINUTE),
        ("4.5.3.2.4 DATA", DeliveryConfig().command_timeout, 2 * MINUTE),
        ("4.5.3.2.5 each block of content", DeliveryConfig().data_timeout, 3 * MINUTE),
        ("4.5.3.2.6 end of content", DeliveryConfig().data_timeout, 10 * MINUTE),
        ("4.5.3.2.7 server", SmtpConfig().command_timeout, 5 * MINUTE),
    ],
)
def test_time_outs_are_as_long_as_the_rfc_wants(section: str, seconds: float, least: float) -> None:
    """RFC 5321 §4.5.3.2."""
    assert seconds >= least, section


def test_mail_is_tried_long_enough() -> None:
    """RFC 5321 §4.5.4.1: the give-up time is at least 4 to 5 days, and there are two attempts in the first hour."""
    config = DeliveryConfig()
    assert config.expire_after >= 4 * DAY
    waits = chain(config.retry, repeat(config.retry[-1]))
    attempts = list(takewhile(lambda at: at < config.expire_after, chain([0.0], accumulate(waits))))
    assert len([at for at in attempts if at < 60 * MINUTE]) >= 2
    # After the first hour not more often than every half hour, however long it lasts.
    later = [at for at in attempts if at >= 60 * MINUTE]
    assert all(after - before >= 30 * MINUTE for before, after in pairwise(later))


def test_sizes_and_counts_are_at_least_those_of_the_rfc() -> None:
    """RFC 5321 §4.5.3.1.7 and .8."""
    assert SmtpConfig().max_size >= 64 * 1024
    assert SmtpConfig().max_recipients >= 100
