"""A person's browser: headless Chromium, Debian's, driven by Playwright, which downloads nothing.

Every host name leads to loopback, so that pages of made-up hosts can be opened and nothing leaves this machine. A
conftest imports ``page``; a test that wants other hosts or settings opens ``browsing`` itself.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

ARGUMENTS = (
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # containers have little of it
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """The program. What is missing is told with the command that installs it."""
    found = shutil.which("chromium")
    if found is None:
        pytest.fail("chromium is missing; run: make clients")
    return found


@asynccontextmanager
async def browsing(hosts: Mapping[str, str] | None = None, **context: Any) -> AsyncIterator[Page]:
    """A page in a browser of its own, until the end of the block.

    ``hosts``: where names lead, as ``{"track.shop.example": "127.0.0.1:8080"}`` (with a port: every port of that
    name leads there); all others lead to 127.0.0.1 and the URL's own port. ``context``: options of Playwright's
    ``new_context``. Certificates are not checked: no authority vouches for names that do not exist.
    """
    rules = [f"MAP {name} {place}" for name, place in (hosts or {}).items()] + ["MAP * 127.0.0.1"]
    arguments = [*ARGUMENTS, f"--host-resolver-rules={', '.join(rules)}"]
    settings: dict[str, Any] = {"ignore_https_errors": True, "locale": "ja-JP"} | context
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), headless=True, args=arguments)
        try:
            yield await browser.new_page(**settings)
        finally:
            await browser.close()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page of a Japanese reader."""
    async with browsing() as opened:
        yield opened
