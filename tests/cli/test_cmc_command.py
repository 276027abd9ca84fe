"""``ekiden cmc``: settings of webhooks are saved, looked at and applied."""

from __future__ import annotations

import io
import sys

import pytest
from installation import Installation

URL = "https://hooks.example/event?x=1"


@pytest.fixture
def acme(ekiden: Installation) -> Installation:
    """Without a lab."""
    ekiden.run("account", "create", "acme")
    ekiden.config.write_text(ekiden.config.read_text().replace("[lab]\nenabled = true\n", ""))
    return ekiden


def test_settings_have_effect_once_they_are_applied(acme: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert acme.json("cmc", "event", "show", "--account", "acme") == {
        "account": "acme",
        "saved": None,
        "applied": None,
        "differences": [],
    }
    monkeypatch.setattr(sys, "stdin", io.StringIO("s3cret\n"))
    options = ["--bounces", "--deliveries", "--blocks", "--version", "2", "--timezone", "Europe/Paris"]
    options += ["--format", "json", "--interval", "600", "--max", "10000", "--timeout", "60"]
    options += ["--basic", "user", "--api-key", "k3y"]
    saved = acme.json("cmc", "event", "set", "--account", "acme", "--url", URL, *options)
    assert saved["applied"] is None
    for name in ("at", "by"):
        saved["saved"].pop(name)
    assert saved["saved"] == {
        "url": URL,
        "bounces": True,
        "deliveries": True,
        "blocks": True,
        "version": 2,
        "timezone": "Europe/Paris",
        "format": "json",
        "basic_user": "user",
        "password": True,
        "api_key": True,
        "bearer": False,
        "interval": 600,
        "max": 10_000,
        "timeout": 60,
        "revision": 1,
    }
    status = acme.json("cmc", "status", "--account", "acme")
    assert status["state"] == "changed"
    assert {"kind": "event", "name": "", "field": "password", "applied": None, "saved": None, "secret": True} in (
        status["differences"]
    )
    assert acme.json("callback", "list", "--account", "acme") == []
    applied = acme.json("cmc", "apply", "--account", "acme")
    assert (applied["state"], applied["differences"]) == ("applied", status["differences"])
    assert {row["url"] for row in acme.json("callback", "list", "--account", "acme")} == {URL}
    assert acme.json("cmc", "status", "--account", "acme") == {
        "account": "acme",
        "state": "applied",
        "differences": [],
    }
    # What is not given is as in a new one.
    acme.run("cmc", "event", "set", "--account", "acme", "--url", URL)
    shown = acme.json("cmc", "event", "show", "--account", "acme")
    defaults = {"version": 2, "timezone": "Asia/Tokyo", "format": "form", "interval": 1, "max": 100, "timeout": 30}
    assert {name: shown["saved"][name] for name in defaults} == defaults
    assert (shown["saved"]["password"], shown["applied"]["password"]) == (False, True)
    entries = acme.run("audit", "list", "--json").out
    assert "s3cret" not in entries
    assert "k3y" not in entries


@pytest.mark.parametrize(
    ("lang", "told"),
    [
        ("en", ["the event webhook of the account acme is saved", "being changed", "have effect", "in operation"]),
        ("ja", ["アカウント acme のイベント Webhook を保存しました", "更新中", "設定を反映しました", "運用中"]),
    ],
)
def test_people_read_it(acme: Installation, monkeypatch: pytest.MonkeyPatch, lang: str, told: list[str]) -> None:
    monkeypatch.setenv("EKIDEN_LANG", lang)
    of = ("--account", "acme")
    out = [acme.run("cmc", "event", "set", *of, "--url", URL, "--api-key", "k3y", "--bounces").out]
    out += [acme.run("cmc", *command, *of).out for command in (["status"], ["apply"], ["status"])]
    assert all(text in shown for text, shown in zip(told, out, strict=True)), out
    assert "k3y" not in "".join(out)
    shown = acme.run("cmc", "event", "show", *of).out
    assert "https://hooks.example/event?x=1" in shown


def test_everything_that_is_wrong_is_told_field_by_field(
    acme: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["cmc", "event", "set", "--account", "acme", "--url", "http://127.0.0.1:8025/x", "--version", "1"]
    command += ["--timezone", "Asia/Edo", "--format", "json", "--interval", "0", "--max", "99", "--timeout", "61"]
    command += ["--basic", "us:er", "--api-key", "k ey", "--bearer"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("p\n"))
    english = acme.run(*command)
    assert english.status == 2
    assert english.err.splitlines() == [
        "ekiden: url: callbacks are not sent to 127.0.0.1: loopback",
        "timezone: give a time zone such as Asia/Tokyo",
        "format: give form, or version 2: version 1 has no JSON",
        "basic: give a user name without a colon",
        "api-key: give a key of ASCII characters without blanks",
        "bearer: choose BASIC authentication or Bearer; a request has one Authorization",
        "interval: give a whole number from 1 to 600",
        "max: give a whole number from 100 to 10000",
        "timeout: give a whole number from 1 to 60",
    ]
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    monkeypatch.setattr(sys, "stdin", io.StringIO("p\n"))
    japanese = acme.run(*command).err.splitlines()
    assert len(japanese) == 9
    assert japanese[6] == "interval: 1 から 600 までの整数で指定してください。"
    assert acme.json("cmc", "event", "show", "--account", "acme")["saved"] is None


URLS = [
    ("https://hooks.example/", False, True),
    ("HTTPS://hooks.example/", False, True),
    ("http://hooks.example/", False, False),
    ("ftp://hooks.example/", False, False),
    ("https://user:pass@hooks.example/", False, False),
    ("https://", False, False),
    ("https://10.0.0.1/", False, False),
    ("http://127.0.0.1:8025/hook", True, True),
    ("http://localhost:8025/hook", True, True),
    ("http://[::1]:8025/hook", True, True),
    ("http://hooks.example/", True, False),
    ("http://127.0.0.1.example/", True, False),
]


@pytest.mark.parametrize("lab", [False, True])
def test_endpoints_are_https_but_for_the_lab(acme: Installation, lab: bool) -> None:
    if lab:
        acme.config.write_text(acme.config.read_text() + "[lab]\nenabled = true\n")
    for url, _, taken in (each for each in URLS if each[1] == lab):
        ran = acme.run("cmc", "event", "set", "--account", "acme", "--url", url)
        assert (ran.status, ran.err.count("url:")) == ((0, 0) if taken else (2, 1)), (url, ran.err)


OUT_OF_RANGE = [
    (["--bearer"], "bearer"),
    (["--basic", "u" * 256], "basic"),
    (["--api-key", "ä"], "api-key"),
    (["--api-key", "k" * 256], "api-key"),
    (["--version", "3"], "version"),
    (["--format", "xml"], "format"),
    (["--timezone", "../etc/passwd"], "timezone"),
    (["--interval", "601"], "interval"),
    (["--max", "10001"], "max"),
    (["--timeout", "0"], "timeout"),
]


def test_the_ranges_of_the_contract(acme: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    for options, field in OUT_OF_RANGE:
        monkeypatch.setattr(sys, "stdin", io.StringIO("p\n"))
        ran = acme.run("cmc", "event", "set", "--account", "acme", "--url", URL, *options)
        assert (ran.status, ran.err.splitlines()[0].partition(f"{field}: ")[0]) == (2, "ekiden: "), ran.err
