"""POST /identity/token: what it gives, and how it refuses (contract §1.3)."""

from __future__ import annotations

import gzip
import logging
from urllib.parse import urlencode

import jwt
import pytest
from ibm_cloud import Cloud, Reply

from ekiden.access.accounts import suspend_account
from ekiden.access.credentials import create_api_key

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT = "urn:ibm:params:oauth:grant-type:apikey"


async def ask(cloud: Cloud, headers: dict[str, str] | None = None, **fields: str) -> Reply:
    body = urlencode({"grant_type": GRANT, **fields}).encode()
    return await cloud.request("POST", "/identity/token", body, {**FORM, **(headers or {})}, token="")


async def test_a_token(cloud: Cloud) -> None:
    reply = await ask(cloud, apikey=cloud.key, response_type="cloud_iam")
    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    told = reply.json
    assert told["token_type"] == "Bearer"
    assert told["refresh_token"] == "not_supported"
    assert told["expires_in"] == 3600
    claims = jwt.decode(told["access_token"], options={"verify_signature": False})
    assert claims["exp"] == told["expiration"] == claims["iat"] + 3600
    assert claims["account"] == {"valid": True, "bss": cloud.account.uid}
    assert {"iam_id", "id", "sub", "iss", "grant_type", "scope"} <= set(claims)
    packed = gzip.compress(urlencode({"grant_type": GRANT, "apikey": cloud.key}).encode())
    headers = {**FORM, "Content-Encoding": "gzip"}
    assert (await cloud.request("POST", "/identity/token", packed, headers, token="")).status == 200


async def test_a_token_may_be_narrowed(cloud: Cloud) -> None:
    narrowed = (await ask(cloud, apikey=cloud.key, scope="read ibm")).json["access_token"]
    path = f"/v1/instances/{cloud.instance}/smtp/config"
    assert (await cloud.request("GET", path, token=narrowed)).status == 200
    assert (await cloud.request("DELETE", f"{path}/x", token=narrowed)).status == 403


REFUSED: list[tuple[dict[str, str], int, str]] = [
    ({"apikey": "nobody's"}, 400, "BXNIM0415E"),
    ({}, 400, "BXNIM0109E"),
    ({"apikey": "x", "grant_type": "password"}, 400, "BXNIM0109E"),
    ({str(number): "x" for number in range(30)}, 400, "bad_request"),
]


async def test_refusals_have_a_shape_of_their_own(cloud: Cloud) -> None:
    for fields, status, code in REFUSED:
        reply = await ask(cloud, **fields)
        assert (reply.status, reply.json["errorCode"]) == (status, code), fields
        assert reply.json["errorMessage"]
        assert reply.json["context"]["requestId"] == reply.headers["x-global-transaction-id"]


async def test_other_requests(cloud: Cloud) -> None:
    for method, path, body, headers, status in (
        ("GET", "/identity/token", None, {}, 405),
        ("POST", "/identity/nothing", None, {}, 404),
        ("POST", "/identity/token", b"{}", {"Content-Type": "application/json"}, 415),
        ("POST", "/identity/token", b"\xff", FORM, 400),
    ):
        reply = await cloud.request(method, path, body, headers, token="")
        assert reply.status == status
        assert set(reply.json) == {"errorCode", "errorMessage", "context"}


async def test_from_another_network(cloud: Cloud) -> None:
    made = await create_api_key(cloud.store, cloud.account.id, "far", 0, networks=["192.0.2.0/24"])
    reply = await ask(cloud, apikey=made.key)
    assert reply.json["errorCode"] == "BXNIM0415E"


async def test_a_suspended_account(cloud: Cloud) -> None:
    await suspend_account(cloud.store, cloud.account.name, 1)
    assert (await ask(cloud, apikey=cloud.key)).status == 403


async def test_the_key_is_nowhere_to_be_read(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "ekiden")
    good = await ask(cloud, apikey=cloud.key)
    bad = await ask(cloud, apikey="ek_secret_that_is_wrong")
    assert "ek_secret" not in caplog.text + bad.body.decode()
    assert cloud.key not in caplog.text + good.body.decode() + repr(cloud)
    assert good.json["access_token"] not in caplog.text
