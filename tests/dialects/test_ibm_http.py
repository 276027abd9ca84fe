"""What IBM's client does not send: broken bodies, unknown routes, other accounts, other languages."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import uuid
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibm_cloud import ADMIN, Cloud, Reply, running_cloud

from ekiden.access.accounts import create_account, suspend_account
from ekiden.access.audit import list_entries
from ekiden.access.credentials import bound_credential, create_api_key, revoke_credential
from ekiden.core.texts import Texts
from ekiden.dialects.ibm.routes import OPERATIONS
from ekiden.dialects.ibm.translations import TEXTS
from ekiden.domains.evidence import File
from ekiden.lab import Lab
from ekiden.senders.translations import TEXTS as SMTP_TEXTS
from ekiden.store.api import Store
from support.structured_logs import told

JSON = {"Content-Type": "application/json"}


def is_envelope(reply: Reply, status: int, code: str = "") -> Any:
    """The error shape of contract §2.5; returns its first error, which is the one that IBM's clients show."""
    assert reply.status == status, reply.body
    body = reply.json
    assert set(body) == {"trace", "errors", "status_code"}
    assert body["status_code"] == status
    assert body["trace"] == reply.headers["x-global-transaction-id"] == reply.headers["x-correlation-id"]
    error, *others = body["errors"]
    assert all({"code", "message"} <= set(other) for other in others)
    assert error["message"]
    assert not code or error["code"] == code
    return error


BOMB = gzip.compress(b" " * 50_000_000)
WRONG: list[tuple[str, str, bytes | None, dict[str, str], int, str]] = [
    ("POST", "smtp/config", b"{", JSON, 400, "bad_request"),
    ("POST", "smtp/config", b"\xff\xfe", JSON, 400, "bad_request"),
    ("POST", "smtp/config", b"[" * 60_000, JSON, 400, "bad_request"),
    ("POST", "smtp/config", b"[]", JSON, 400, "bad_request"),
    ("POST", "smtp/config", None, {}, 400, "bad_request"),
    ("POST", "smtp/config", b'{"name": "n"}', JSON, 400, "bad_request"),
    ("POST", "smtp/config", b'{"name": 1, "domain": "x.example"}', JSON, 400, "bad_request"),
    ("POST", "smtp/config", b'{"name": null, "domain": "x.example"}', JSON, 400, "bad_request"),
    ("POST", "smtp/config", b'{"name": "a\\u0000", "domain": "x.example"}', JSON, 400, "bad_request"),
    ("POST", "smtp/config", b'{"name": "n", "domain": "[192.0.2.1]"}', JSON, 400, "bad_request"),
    ("POST", "smtp/config", b"name=n", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ("POST", "smtp/config", b"{}", {}, 415, "unsupported_media_type"),
    ("POST", "smtp/config", b"{}", {**JSON, "Content-Encoding": "br"}, 415, "unsupported_media_type"),
    ("POST", "smtp/config", b"{}", {**JSON, "Content-Encoding": "gzip"}, 400, "bad_request"),
    (
        "POST",
        "smtp/config",
        gzip.compress(b"{}")[:-9],
        {**JSON, "Content-Encoding": "gzip"},
        400,
        "bad_request",
    ),
    ("POST", "smtp/config", b" " * 1_100_000, JSON, 413, "payload_too_large"),
    (
        "POST",
        "smtp/config",
        BOMB,
        {**JSON, "Content-Encoding": "gzip"},
        413,
        "payload_too_large",
    ),
    ("GET", "smtp/config?limit=0", None, {}, 400, "bad_request"),
    ("GET", "smtp/config?limit=101", None, {}, 400, "bad_request"),
    ("GET", "smtp/config?limit=x", None, {}, 400, "bad_request"),
    ("GET", "smtp/config?offset=-1", None, {}, 400, "bad_request"),
    ("GET", "smtp/config?search=" + "x" * 101, None, {}, 400, "bad_request"),
    ("GET", "smtp/config?search=%00", None, {}, 400, "bad_request"),
    ("GET", "smtp/config/nothing", None, {}, 404, "not_found"),
    ("GET", f"smtp/config/{uuid.uuid4()}", None, {}, 404, "not_found"),
    ("GET", f"smtp/config/{uuid.uuid4()}/users", None, {}, 404, "not_found"),
    ("PATCH", f"smtp/config/{uuid.uuid4()}/verify", None, {}, 400, "bad_request"),
    ("PATCH", f"smtp/config/{uuid.uuid4()}/verify?type=spf", None, {}, 404, "not_found"),
    ("GET", "nothing", None, {}, 404, "not_found"),
    ("GET", "smtp/config/a%2Fb/c/d", None, {}, 404, "not_found"),
    ("PUT", "smtp/config", b"{}", JSON, 405, "method_not_allowed"),
    ("DELETE", "metrics", None, {}, 405, "method_not_allowed"),
    ("GET", "metrics", None, {}, 400, "bad_request"),
    ("GET", "notifications/nothing", None, {}, 404, "not_found"),
    ("GET", "notifications/0000000000000", None, {}, 404, "not_found"),
]


@pytest.mark.parametrize("base", ["/v1/instances/", "/event-notifications/v1/instances/"])
async def test_every_error_has_the_envelope(cloud: Cloud, base: str) -> None:
    token = await cloud.token()
    for method, path, body, headers, status, code in WRONG:
        reply = await cloud.request(method, f"{base}{cloud.instance}/{path}", body, headers, token=token)
        assert (reply.status, path) == (status, path), reply.body
        is_envelope(reply, status, code)
        if status == 405:
            assert reply.headers["allow"]


async def test_gzip(cloud: Cloud) -> None:
    path = f"/v1/instances/{cloud.instance}/smtp/config"
    body = gzip.compress(b'{"name": "n", "domain": "x.example"}')
    assert (await cloud.request("POST", path, body, {**JSON, "Content-Encoding": "gzip"})).status == 201


async def test_the_password_of_a_user_is_kept_by_no_cache(cloud: Cloud) -> None:
    path = f"/v1/instances/{cloud.instance}/smtp/config"
    made = await cloud.request("POST", path, b'{"name": "n", "domain": "x.example"}', JSON)
    user = await cloud.request("POST", f"{path}/{made.json['id']}/users", b"{}", JSON)
    assert (user.status, user.headers["cache-control"]) == (201, "no-store")
    assert len(user.json["password"]) >= 20


async def test_a_client_that_goes_away_is_no_error_of_ours(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    token = await cloud.token()
    _, writer = await asyncio.open_connection("127.0.0.1", cloud.port)
    head = (
        f"POST /v1/instances/{cloud.instance}/smtp/config HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    writer.write(head.encode())
    await writer.drain()
    await asyncio.sleep(0.2)
    writer.close()
    assert (await cloud.request("GET", "/regions", token="")).status == 200
    assert "failed" not in caplog.text


async def test_ids_come_back(cloud: Cloud) -> None:
    path = f"/v1/instances/{cloud.instance}/smtp/config"
    token = await cloud.token()
    reply = await cloud.request("GET", path, headers={"X-Correlation-Id": "my id-1"}, token=token)
    assert reply.headers["x-correlation-id"] == reply.headers["x-global-transaction-id"] == "my id-1"
    reply = await cloud.request("GET", path, headers={"Transaction-Id": "tx-1"}, token=token)
    assert reply.headers["transaction-id"] == "tx-1"
    reply = await cloud.request("GET", path, headers={"X-Correlation-Id": "<script>"}, token=token)
    assert uuid.UUID(reply.headers["x-correlation-id"])
    error = is_envelope(await cloud.request("GET", path, headers={"X-Correlation-Id": "e"}, token=""), 401)
    assert error["code"] == "unauthorized"


async def test_errors_in_japanese(cloud: Cloud) -> None:
    path = f"/v1/instances/{cloud.instance}/smtp/config/x"
    reply = await cloud.request("GET", path, headers={"Accept-Language": "ja-JP,ja;q=0.9"})
    assert is_envelope(reply, 404)["message"] == "SMTP 構成 'x' はありません"
    reply = await cloud.request("GET", path, headers={"Accept-Language": "ja"}, token="")
    assert "トークン" in is_envelope(reply, 401)["message"]


async def test_other_accounts_see_nothing(cloud: Cloud) -> None:
    other = await create_account(cloud.store, "other", 0)
    key = (await create_api_key(cloud.store, other.id, "k", 0)).key
    token = await cloud.token(key)
    path = f"/v1/instances/{cloud.instance}/smtp/config"
    is_envelope(await cloud.request("GET", path, token=token), 404, "not_found")
    is_envelope(await cloud.request("GET", f"/v1/instances/{uuid.uuid4()}/smtp/config"), 404, "not_found")
    bare = cloud.instance.replace("-", "").upper()
    assert (await cloud.request("GET", f"/v1/instances/{bare}/smtp/config")).status == 200


async def test_scopes(cloud: Cloud) -> None:
    path = f"/v1/instances/{cloud.instance}/smtp/config"
    body = b'{"name": "n", "domain": "x.example"}'
    reader = await create_api_key(cloud.store, cloud.account.id, "r", 0, scopes=["read"])
    sender = await create_api_key(cloud.store, cloud.account.id, "s", 0, scopes=["send"])
    token = await cloud.token(reader.key)
    assert (await cloud.request("GET", path, token=token)).status == 200
    assert "'manage'" in is_envelope(await cloud.request("POST", path, body, JSON, token=token), 403)["message"]
    token = await cloud.token(sender.key)
    is_envelope(await cloud.request("GET", path, token=token), 403, "forbidden")


NEEDED = "a bearer token is needed: POST /identity/token gives one"
BAD_TOKEN = "the token is not valid, or has expired, or its API key was revoked"
STRANGERS = (
    ("", NEEDED, "Bearer", ""),
    ("Bearer", NEEDED, "Bearer", "(bearer)"),
    ("Basic YTpi", NEEDED, "Bearer", "(unknown)"),
    ("Bearer a.b.c", BAD_TOKEN, 'Bearer error="invalid_token"', "(bearer)"),
    ("Bearer " + "x" * 9_000, BAD_TOKEN, 'Bearer error="invalid_token"', "(bearer)"),
    ("x" * 9_000, BAD_TOKEN, 'Bearer error="invalid_token"', "(unknown)"),
)


async def test_strangers_and_what_is_told_of_them(cloud: Cloud) -> None:
    path = f"/v1/instances/{cloud.instance}/smtp/config"
    for authorization, message, challenge, login in STRANGERS:
        with told(requests="off", refused="off") as lines:
            reply = await cloud.request("GET", path, headers={"Authorization": authorization}, token="")
        is_envelope(reply, 401, "unauthorized")
        assert (reply.json["errors"][0]["message"], reply.headers["www-authenticate"]) == (message, challenge)
        assert [(line["why"], line["login"]) for line in lines] == ([("bad_credentials", login)] if login else [])


async def test_a_token_of_a_key_for_other_networks(cloud: Cloud) -> None:
    made = await create_api_key(cloud.store, cloud.account.id, "k", 0)
    token = await cloud.token(made.key)
    await bound_credential(cloud.store, made.credential.id, 1, scopes=[], networks=["192.0.2.0/24"])
    with told(requests="off", refused="off") as lines:
        reply = await cloud.request("GET", f"/v1/instances/{cloud.instance}/smtp/config", token=token)
    is_envelope(reply, 403, "forbidden")
    assert reply.json["errors"][0]["message"] == "the API key may not be used from this address"
    assert [(line["why"], line["login"]) for line in lines] == [("network", "(bearer)")]


async def test_a_token_dies_with_its_key_and_sleeps_with_its_account(cloud: Cloud) -> None:
    path = f"/v1/instances/{cloud.instance}/smtp/config"
    made = await create_api_key(cloud.store, cloud.account.id, "k", 0)
    token, kept = await cloud.token(made.key), await cloud.token()
    assert (await cloud.request("GET", path, token=token)).status == 200
    await revoke_credential(cloud.store, made.credential.id, 1)
    reply = await cloud.request("GET", path, token=token)
    is_envelope(reply, 401, "unauthorized")
    assert "invalid_token" in reply.headers["www-authenticate"]
    await suspend_account(cloud.store, cloud.account.name, 1)
    is_envelope(await cloud.request("GET", path, token=kept), 403, "forbidden")


async def test_rules_protect_the_api_itself(cloud: Cloud) -> None:
    path = f"/v1/instances/{cloud.instance}/smtp/config"
    token = await cloud.token()
    zone = (
        await cloud.request(
            "POST",
            "/v1/zones",
            json.dumps(
                {
                    "name": "elsewhere",
                    "account_id": cloud.account.uid,
                    "addresses": [{"type": "subnet", "value": "192.0.2.0/24"}],
                }
            ).encode(),
            JSON,
            token=token,
        )
    ).json
    rule = {
        "contexts": [{"attributes": [{"name": "networkZoneId", "value": zone["id"]}]}],
        "resources": [
            {
                "attributes": [
                    {"name": "accountId", "value": cloud.account.uid},
                    {"name": "serviceName", "value": "event-notifications"},
                    {"name": "serviceInstance", "value": cloud.instance},
                ]
            }
        ],
        "operations": {
            "api_types": [
                {"api_type_id": "crn:v1:bluemix:public:context-based-restrictions::::api-type:control-plane"}
            ]
        },
    }
    assert (await cloud.request("GET", path, token=token)).status == 200
    made = await cloud.request("POST", "/v1/rules", json.dumps(rule).encode(), JSON, token=token)
    assert made.status == 201, made.body
    is_envelope(await cloud.request("GET", path, token=token), 403, "forbidden")
    assert (await cloud.request("DELETE", f"/v1/rules/{made.json['id']}", token=token)).status == 204
    assert (await cloud.request("GET", path, token=token)).status == 200


async def test_regions_are_public(cloud: Cloud) -> None:
    reply = await cloud.request("GET", "/regions", token="")
    assert reply.status == 200
    assert reply.json == {
        "regions": [
            {
                "name": "jp-tok",
                "smtp_endpoints": {"public": "smtp.sender.example", "private": "private.smtp.sender.example"},
                "ports": [587, 465],
                "outgoing_addresses": ["192.0.2.10"],
            }
        ]
    }


ANSWERS = {
    "nature": "transactional",
    "website": "https://www.example.com",
    "usage": "receipts",
    "subscribers": "customers",
    "bounces": "removed",
    "unsubscribing": "a link",
    "rate": "measured",
    "cleaning": True,
    "contacts": "postmaster@example.com",
    "reply_to": True,
    "consent": True,
    "unsubscribe_link": True,
    "html": True,
}


async def test_the_questionnaire_and_the_records(cloud: Cloud) -> None:
    base = f"/v1/instances/{cloud.instance}/smtp/config"
    token = await cloud.token()
    made = (await cloud.request("POST", base, b'{"name": "n", "domain": "x.example"}', JSON, token=token)).json
    path = f"{base}/{made['id']}/questionnaire"
    empty = (await cloud.request("GET", path, token=token)).json
    assert empty == {
        "domain": "x.example",
        "answers": {},
        "attachments": [],
        "en_authorization": {"verification": "PENDING", "reason": ""},
    }
    is_envelope(await cloud.request("PUT", path, b'{"nature": "x"}', JSON, token=token), 400)
    kept = await cloud.request("PUT", path, json.dumps(ANSWERS).encode(), JSON, token=token)
    assert kept.status == 200, kept.body
    assert kept.json["answers"]["contacts"] == ["postmaster@example.com"]
    # What the support case has besides (the seed): a category, a watch list, attachments.
    case = {"category": "Event Notifications / other", "watch_list": ["boss@example.com", "law@example.com"]}
    kept = await cloud.request("PUT", path, json.dumps(ANSWERS | case).encode(), JSON, token=token)
    assert {name: kept.json["answers"][name] for name in case} == case
    many = {"watch_list": [f"w{number}@example.com" for number in range(21)]}
    is_envelope(await cloud.request("PUT", path, json.dumps(ANSWERS | many).encode(), JSON, token=token), 400)
    domain = await cloud.services.domains.get(cloud.account.id, "x.example")
    await cloud.services.domains.answer(domain.id, ANSWERS, ADMIN, [File("報告.pdf", b"%PDF")])
    told = (await cloud.request("GET", path, token=token)).json["attachments"]
    assert told == [{"name": "報告.pdf", "media_type": "application/pdf", "size": 4}]
    await cloud.services.domains.refuse(domain.id, "too little is said", ADMIN)
    told = (await cloud.request("GET", path, token=token)).json["en_authorization"]
    assert told == {"verification": "FAILED", "reason": "too little is said"}

    await cloud.request("PATCH", f"{base}/{made['id']}/verify?type=spf,dkim", token=token)
    shown = (await cloud.request("GET", f"{base}/{made['id']}/records", token=token)).json
    by_kind = {item["kind"]: item for item in shown["records"]}
    assert {"spf", "dkim", "ed25519"} <= set(by_kind)
    assert by_kind["dkim"]["reason"] == "missing"
    assert by_kind["dkim"]["message"]


_WILD = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_BODIES = st.dictionaries(st.sampled_from(["name", "domain", "description", "subnets", "x"]), _VALUES, max_size=4)


@settings(max_examples=60)
@given(data=st.data())
async def test_nothing_that_is_sent_makes_a_500(cloud: Cloud, data: st.DataObject) -> None:
    """Any body and any query, at any operation."""
    token = await cloud.token()
    operation = data.draw(st.sampled_from(OPERATIONS))
    path = re.sub(r"\{[^}]*\}", lambda _: quote(data.draw(_WILD) or "x", safe=""), operation.path)
    names = st.sampled_from(["limit", "offset", "search", "type", "gte", "lte", "username_to_clone", "email_to"])
    query = data.draw(st.dictionaries(names, _WILD | st.just("2026-01-01T00:00:00Z"), max_size=4))
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    body = json.dumps(data.draw(_BODIES)).encode()
    url = f"/v1/instances/{cloud.instance}{path}" + (f"?{text}" if text else "")
    reply = await cloud.request(operation.method, url, body, JSON, token=token)
    assert reply.status < 500, (url, body, reply.body)
    if reply.status >= 400:
        is_envelope(reply, reply.status)


@pytest.mark.parametrize("texts", [TEXTS, SMTP_TEXTS])
def test_translations_name_the_same_values(texts: Texts) -> None:
    for english, japanese in texts.japanese.items():
        assert sorted(re.findall(r"\{\w+", english)) == sorted(re.findall(r"\{\w+", japanese)), english


@pytest.mark.parametrize(
    ("proxy_from", "source", "scheme"),
    [((), "127.0.0.1", "http"), (("192.0.2.0/24",), "127.0.0.1", "http"), (("127.0.0.0/8",), "10.9.8.7", "https")],
)
async def test_only_a_proxy_of_the_configuration_says_where_a_request_comes_from(
    store: Store, proxy_from: tuple[str, ...], source: str, scheme: str
) -> None:
    forwarded = {"X-Forwarded-For": "10.9.8.7", "X-Forwarded-Proto": "https"}
    async with Lab(catalogue={}) as lab, running_cloud(store, lab, proxy_from=proxy_from) as cloud:
        path = f"/v1/instances/{cloud.instance}/smtp/config"
        made = await cloud.request("POST", path, b'{"name":"a","domain":"a.example"}', JSON | forwarded)
        assert made.status == 201
        entry, *_ = await list_entries(store, cloud.account.id)
        assert (entry.action, entry.source) == ("smtp_configuration.create", source)
        listed = (await cloud.request("GET", path, headers=forwarded)).json
        assert listed["first"]["href"].startswith(f"{scheme}://")
