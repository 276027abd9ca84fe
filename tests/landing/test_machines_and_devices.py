"""What a request tells of its sender: a person or a machine, and on what device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.clock import MINUTE, SECOND
from ekiden.recipients.devices import Device, device_of
from ekiden.recipients.machines import judge

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (CHROME, Device("PC", "Windows 10")),
        ("Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko", Device("PC", "Windows 7")),
        ("Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17126; Pro)", Device("PC", "Windows 10")),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
            Device("PC", "macOS 10.15.7"),
        ),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:128.0) Gecko/20100101", Device("PC", "macOS 10.15")),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
            Device("Phone", "iOS 18.5", "iPhone"),
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15",
            Device("Tablet", "iPadOS 17.4", "iPad"),
        ),
        ("Mozilla/5.0 (iPad; U; CPU OS 4_3 like Mac OS X; en-us)", Device("Tablet", "iOS 4.3", "iPad")),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UD1A.230803.041; wv) AppleWebKit/537.36 Mobile",
            Device("Phone", "Android 14", "Pixel 8"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/142.0.0.0 Mobile Safari/537.36",
            Device("Phone", "Android 10"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36",
            Device("Tablet", "Android 13", "SM-X906C"),
        ),
        ("Mozilla/5.0 (Android 15; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0", Device("Phone", "Android 15")),
        (
            "Mozilla/5.0 (Linux; U; Android 4.0.4; ja-jp; SC-06D Build/IMM76D) Mobile Safari/534.30",
            Device("Phone", "Android 4.0.4", "SC-06D"),
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Device("PC", "Linux")),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36", Device("PC", "ChromeOS")),
        ("Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950)", Device("Phone", "Windows Phone")),
        ("", Device()),
        ("curl/8.5.0", Device()),
    ],
)
def test_devices(agent: str, device: Device) -> None:
    assert device_of(agent) == device


@given(st.text(max_size=600))
def test_any_text_is_some_device(agent: str) -> None:
    found = device_of(agent)
    assert found.type in ("", "PC", "Phone", "Tablet")
    assert len(found.name) <= 600


@given(st.text("AndroidiPhoneOS ;()_0123456789XMac./", max_size=300))
def test_texts_that_look_like_one(agent: str) -> None:
    assert isinstance(device_of(f"Mozilla/5.0 (Linux; Android {agent}"), Device)


@pytest.mark.parametrize(
    ("method", "headers", "since", "machine", "why"),
    [
        ("GET", {"user-agent": CHROME}, MINUTE, False, ""),
        ("GET", {"user-agent": CHROME}, SECOND, True, "too-soon"),
        ("HEAD", {"user-agent": CHROME}, MINUTE, True, "head"),
        ("GET", {"user-agent": CHROME, "sec-purpose": "prefetch;prerender"}, MINUTE, True, "prefetch"),
        ("GET", {"user-agent": CHROME, "purpose": "prefetch"}, MINUTE, True, "prefetch"),
        ("GET", {"user-agent": CHROME, "x-purpose": "preview"}, MINUTE, True, "prefetch"),
        ("GET", {"user-agent": CHROME, "x-moz": "prefetch"}, MINUTE, True, "prefetch"),
        ("GET", {}, MINUTE, True, "no-user-agent"),
        ("GET", {"user-agent": "Mozilla/5.0"}, MINUTE, True, "apple-mail-privacy"),
        ("GET", {"user-agent": GMAIL}, MINUTE, False, ""),
        ("GET", {"user-agent": GMAIL}, 0, True, "too-soon"),
        ("GET", {"user-agent": YAHOO}, MINUTE, False, ""),
        (
            "GET",
            {"user-agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
            MINUTE,
            True,
            "user-agent",
        ),
        ("GET", {"user-agent": "Mozilla/5.0 (compatible; bingbot/2.0)"}, MINUTE, True, "user-agent"),
        ("GET", {"user-agent": "curl/8.5.0"}, MINUTE, True, "user-agent"),
        ("GET", {"user-agent": "Python/3.11 aiohttp/3.9"}, MINUTE, True, "user-agent"),
        ("GET", {"user-agent": "Mozilla/5.0 BarracudaCentral"}, MINUTE, True, "user-agent"),
        ("GET", {"user-agent": "Mozilla/5.0 (Linux; Android 13; CUBOT NOTE 20) Mobile"}, MINUTE, False, ""),
    ],
)
def test_machines(method: str, headers: dict[str, str], since: int, machine: bool, why: str) -> None:
    found = judge(method, headers, since)
    assert (found.machine, found.why) == (machine, why)


def test_who_hides_the_device_of_a_person() -> None:
    assert not judge("GET", {"user-agent": CHROME}, MINUTE).hidden
    for agent in (GMAIL, YAHOO, "Mozilla/5.0"):
        assert judge("GET", {"user-agent": agent}, MINUTE).hidden
