"""``ekiden sign``: a request that somebody sends by hand."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import Any

import pytest
from installation import Installation

from support.naver_client import make_signature

SECRET = "s" * 40


@pytest.fixture
def keyed(ekiden: Installation) -> tuple[Installation, Any]:
    """An installation with an access key."""
    ekiden.run("account", "create", "acme")
    (ekiden.config.parent / "instance.key").write_text("00" * 32 + "\n", "ascii")
    return ekiden, ekiden.json("credential", "access-key", "create", "acme")


def test_it_signs_with_a_key_of_the_installation(keyed: tuple[Installation, Any]) -> None:
    ekiden, key = keyed
    target = "/api/v1/address-book/recipient-groups?groupName=20%EB%8C%80"
    made = ekiden.json("sign", "naver", "get", target.replace("%EB%8C%80", "대"), "--access-key", key["access_key"])
    headers = made["headers"]
    at = headers["x-ncp-apigw-timestamp"]
    assert (made["method"], made["target"], made["curl"]) == ("GET", target, None)
    assert headers["x-ncp-iam-access-key"] == key["access_key"]
    assert headers["x-ncp-apigw-signature-v2"] == make_signature(
        "GET", target, at, key["access_key"], key["secret"]
    )
    shown = ekiden.run("sign", "naver", "GET", "/api/v1/config", "--access-key", key["access_key"])
    assert [line.partition(": ")[0] for line in shown.out.splitlines()] == list(headers)
    assert key["secret"] not in shown.out


def test_a_url_makes_a_command_for_curl(ekiden: Installation) -> None:
    url = "http://127.0.0.1:8080/api/v1/mails?x=it's"
    args = ("--access-key", "EK1", "--secret-key", SECRET, "--data", '{"title":"it\'s"}')
    made = ekiden.json("sign", "naver", "POST", url, *args)
    at = made["headers"]["x-ncp-apigw-timestamp"]
    assert made["headers"]["x-ncp-apigw-signature-v2"] == make_signature(
        "POST", "/api/v1/mails?x=it's", at, "EK1", SECRET
    )
    words = shlex.split(made["curl"])
    assert words[:4] == ["curl", "-X", "POST", url]
    assert words[-4:] == ["-H", "Content-Type: application/json", "-d", '{"title":"it\'s"}']
    assert [words[at + 1] for at, word in enumerate(words[:-4]) if word == "-H"] == [
        f"{name}: {value}" for name, value in made["headers"].items()
    ]


def test_the_secret_may_come_by_a_pipe() -> None:
    command = [sys.executable, "-m", "ekiden", "sign", "naver", "GET", "/api/v1/config", "--access-key", "EK1"]
    done = subprocess.run(
        [*command, "--secret-key", "-"], input=f"{SECRET}\n".encode(), capture_output=True, check=True
    )
    found = dict(line.split(": ") for line in done.stdout.decode().splitlines())
    at = found["x-ncp-apigw-timestamp"]
    assert found["x-ncp-apigw-signature-v2"] == make_signature("GET", "/api/v1/config", at, "EK1", SECRET)


@pytest.mark.parametrize(
    ("args", "status", "why"),
    [
        (("infobip", "GET", "/x"), 2, "choose one of naver"),
        (("naver", "G T", "/x"), 2, "is not a method such as GET"),
        (("naver", "GET", "api/v1"), 2, "neither a path such as /api/v1/mails nor a URL"),
        (("naver", "GET", "ftp://host/x"), 2, "neither a path"),
        (("naver", "GET", "http://[x/"), 2, "neither a path"),
        (("naver", "GET", "/x"), 1, "there is no access key 'EK1' here"),
    ],
)
def test_what_cannot_be_signed(
    keyed: tuple[Installation, Any], args: tuple[str, ...], status: int, why: str
) -> None:
    ran = keyed[0].run("sign", *args, "--access-key", "EK1")
    assert (ran.status, why in " ".join(ran.err.split())) == (status, True), ran.err
