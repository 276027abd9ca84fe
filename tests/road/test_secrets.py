"""Nothing secret can be read where people look: logs, traces, lists, metrics, exports, the database itself."""

from __future__ import annotations

import base64
import os
import tomllib
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ibm_cloud_sdk_core.authenticators import IAMAuthenticator
from ibm_eventnotifications.event_notifications_v1 import EventNotificationsV1

from support.commands import run_command
from support.demo_process import ENVIRONMENT

PASSWORD = "a console password nobody chose 4711"


def create_secrets(demo: Any) -> dict[str, str]:
    """One of every kind, used once where it can be used."""
    account = demo.account
    name = uuid.uuid4().hex[:12]
    secrets = {"the password": account["password"], "the API key": account["api_key"], "IAM": account["iam_apikey"]}
    key = demo.run("credential", "api-key", "create", account["name"], f"key {name}")
    secrets["another API key"] = key["api_key"]
    access = demo.run("credential", "access-key", "create", account["name"], f"access {name}")
    secrets["the secret of an access key"] = access["secret"]
    command = ["user", "add", f"{name}@people.example", "--account", account["name"], "--role", "owner", "--ask"]
    done = run_command([*command, "--config", demo.facts["config"]], ENVIRONMENT, PASSWORD.encode() + b"\n")
    assert done.returncode == 0, done.stderr
    secrets["a console user's password"] = PASSWORD
    authenticator = IAMAuthenticator(account["iam_apikey"], url=demo.facts["http"])
    cloud = EventNotificationsV1(authenticator=authenticator)
    cloud.set_service_url(demo.facts["http"] + "/event-notifications")
    demo.run("domain", "add", f"{name}.lab.test", "--account", account["name"], "--vouch")
    made = cloud.create_smtp_configuration(account["instance_id"], name, f"{name}.lab.test").get_result()
    user = cloud.create_smtp_user(account["instance_id"], made["id"]).get_result()
    secrets["an SMTP user's password"] = user["password"]
    secrets["a token"] = authenticator.token_manager.get_token()
    secrets["the secret key of the demo"] = account["naver"]["secret_key"]
    secrets["the instance key"] = (Path(demo.facts["config"]).parent / "instance.key").read_text().strip()
    # Used, and misused, so that they come by whatever writes logs and errors.
    for username, password in (("App", key["api_key"]), (account["username"], account["password"])):
        with demo.connect() as client:
            client.login(username, password)
            demo.send(client, [f"{uuid.uuid4().hex}@accept.lab.test"], b"From: me@demo.lab.test\r\n\r\nx\r\n")
    with demo.connect() as client:
        client.ehlo()
        for username in (user["username"], "App", "nobody"):
            line = base64.b64encode(f"\0{username}\0{user['password']}".encode()).decode()
            assert client.docmd("AUTH PLAIN", line)[0] in (454, 535)
    with demo.connect() as client:
        client.ehlo()
        client.docmd(f"AUTH PLAIN {access['secret']}")
        client.docmd(f"MAIL FROM:<{user['password']}>")
        client.docmd(key["api_key"])
    # Whoever mixes up the two halves of an access key shows the secret one.
    for keys in ((access["access_key"], access["secret"]), (access["secret"], access["access_key"])):
        signed = demo.run(
            "sign", "naver", "GET", "/api/v1/config", "--access-key", keys[0], "--secret-key", keys[1]
        )
        request = urllib.request.Request(demo.facts["naver"] + "/config", headers=signed["headers"])
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(request) as reply:
            reply.read()
    with pytest.raises(Exception, match=r".*") as caught:
        IAMAuthenticator(key["api_key"] + "x", url=demo.facts["http"]).token_manager.get_token()
    assert key["api_key"] not in str(caught.value)
    return secrets


def shown(demo: Any) -> dict[str, bytes]:
    """Everything that people look at."""
    found = {}
    for arguments in (
        ("account", "list"),
        ("account", "show", demo.account["name"]),
        ("credential", "list"),
        ("credential", "api-key", "list"),
        ("credential", "access-key", "list"),
        ("credential", "password", "list"),
        ("user", "list"),
        ("audit", "list"),
        ("queue", "list"),
        ("trace", "--refused"),
        ("domain", "list"),
        ("project", "list"),
        ("doctor",),
    ):
        for more in ((), ("--json",)):
            done = run_command([*arguments, *more, "--config", demo.facts["config"]], ENVIRONMENT)
            assert b"Traceback" not in done.stderr, done.stderr
            assert done.returncode == 0 or arguments == ("doctor",), done.stderr
            found[" ".join((*arguments, *more))] = done.stdout + done.stderr
    import urllib.request

    with urllib.request.urlopen(demo.facts["http"] + "/metrics") as response:
        found["metrics"] = response.read()
    return found


def written(demo: Any) -> dict[str, bytes]:
    """The log and the database."""
    found = {"log": Path(demo.facts["log"]).read_bytes()}
    folder = Path(demo.facts["config"]).parent
    url = tomllib.loads(Path(demo.facts["config"]).read_text("utf-8"))["store"]["url"]
    if url.startswith("sqlite"):
        for path in folder.glob("ekiden.db*"):
            found[path.name] = path.read_bytes()
    else:
        found["database"] = dump(folder)
    return found


def dump(folder: Path) -> bytes:
    """Every file of the database's directory: more than a dump would hold."""
    data = folder / "postgresql" / "data"
    parts = []
    for directory, _, names in os.walk(data):
        for name in names:
            try:
                parts.append((Path(directory) / name).read_bytes())
            except OSError:
                continue  # PostgreSQL removes files of its own at any time
    assert sum(map(len, parts)) > 1_000_000
    return b"".join(parts)


def readings(secret: str) -> dict[str, bytes]:
    """How it could be written down."""
    raw = secret.encode()
    encoded = base64.b64encode(raw).rstrip(b"=")
    return {"as it is": raw, "base64": encoded[: len(encoded) - 1], "hex": raw.hex().encode()}


def test_no_secret_can_be_read_anywhere(demo: Any) -> None:
    secrets = create_secrets(demo)
    found = shown(demo) | written(demo)
    assert b"demo.lab.test" in b"".join(found.values()), "these are the places"
    for kind, secret in secrets.items():
        assert len(secret) >= 20, kind
        for how, reading in readings(secret).items():
            for place, text in found.items():
                assert reading not in text, f"{kind} {how} in {place}"


def test_private_keys_are_not_in_the_database(demo: Any) -> None:
    """PKCS #8 of an RSA-2048 key begins with these octets, and those of an Ed25519 key with the others."""
    found = written(demo)
    for marker in (
        b"\x30\x82\x04\xbd\x02\x01\x00\x30\x0d\x06\x09",
        b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70",
    ):
        for place, text in found.items():
            for reading in (marker, marker.hex().encode(), base64.b64encode(marker)[:14]):
                assert reading not in text, place
    assert b"PRIVATE KEY" not in b"".join(found.values())
