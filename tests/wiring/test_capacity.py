"""Bounds that follow from what the system gives."""

from __future__ import annotations

import msgspec
import pytest

from ekiden.config.model import Config, WorkersConfig
from ekiden.wiring.capacity import divide, fit, memory_of_worker, reserve


def test_what_fits_stays_as_it_was_configured() -> None:
    config = Config()
    assert fit(config, 65_536) == (config, {})


@pytest.mark.parametrize("descriptors", [32, 128, 256, 1024, 4096])
def test_all_kinds_together_leave_the_reserve(descriptors: int) -> None:
    fitted, less = fit(Config(), descriptors)
    callbacks = fitted.callbacks.endpoints * fitted.callbacks.concurrency
    http = fitted.http.max_connections + fitted.http.reserve
    taken = fitted.smtp.max_connections + fitted.delivery.max_connections + callbacks + http
    assert taken <= max(5, descriptors - reserve(descriptors))
    for number in (fitted.smtp.max_connections, fitted.delivery.max_connections, callbacks, http):
        assert number >= 1
    assert less["callbacks"][0] == 2048
    assert all(given < wanted for wanted, given in less.values())


def test_what_one_kind_does_not_want_goes_to_the_others() -> None:
    assert divide(110, {"smtp": 1000, "http": 1000, "delivery": 1000, "callbacks": 1000}) == {
        "smtp": 40,
        "http": 30,
        "delivery": 30,
        "callbacks": 10,
    }
    assert divide(110, {"smtp": 1000, "http": 2, "delivery": 3, "callbacks": 5}) == {
        "smtp": 100,
        "http": 2,
        "delivery": 3,
        "callbacks": 5,
    }
    assert divide(1, {"smtp": 9, "http": 9, "delivery": 9, "callbacks": 9}) == dict.fromkeys(
        ("smtp", "http", "delivery", "callbacks"), 1
    )


def test_the_budget_of_memory_is_what_is_configured_or_what_the_machine_has() -> None:
    config = msgspec.structs.replace(Config(), workers=WorkersConfig(memory=123_456))
    assert memory_of_worker(config, 7) == 123_456
    assert memory_of_worker(Config(), 10_000) == 64 << 20
