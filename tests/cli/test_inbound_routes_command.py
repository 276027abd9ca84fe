"""``ekiden cmc inbound``, ``inbound domain``, ``list`` and ``show``, and ``trace`` of what came in."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from installation import Installation
from sqlalchemy import select, update

from ekiden.core.events import Event, EventType
from ekiden.core.ids import format_id
from ekiden.core.notices import News, Route
from ekiden.core.report import Kind
from ekiden.inbound.reader import NUMBERS
from ekiden.store import tables as t
from ekiden.store.records import Noted, ReceivedMail, Understood
from support.queue_rows import Rows

OF = ("--account", "acme")
URL = "http://127.0.0.1:8099/in"
CONTENT = b"From: a@example.net\r\nSubject: =?UTF-8?B?5Lu25ZCN?=\r\n\r\nbody\r\n"


@pytest.fixture
def acme(ekiden: Installation) -> Installation:
    ekiden.run("account", "create", "acme")
    return ekiden


def type_in(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(line + "\n"))


def add(acme: Installation, *options: str, name: str = "info") -> Any:
    return acme.json("cmc", "inbound", "add", name, *OF, "--url", URL, "--when", "To=^info@", *options)


def test_a_webhook_is_saved_applied_paused_and_removed(acme: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, "passw0rd")
    options = ("--when", "Subject=^a=b", "--format", "json", "--basic", "user", "--api-key", "K1")
    times = ("--retry-interval", "30", "--retry-days", "10", "--timeout", "5")
    made = add(acme, *options, *times)
    assert made["applied"] is None
    assert {
        key: made["saved"][key] for key in ("url", "format", "basic_user", "password", "api_key", "paused")
    } == {
        "url": URL,
        "format": "json",
        "basic_user": "user",
        "password": True,
        "api_key": True,
        "paused": False,
    }
    assert made["saved"]["conditions"] == [
        {"header": "To", "pattern": "^info@"},
        {"header": "Subject", "pattern": "^a=b"},
    ]
    assert [made["saved"][key] for key in ("retry_interval", "retry_days", "timeout")] == [30, 10, 5]
    assert acme.json("cmc", "status", *OF)["state"] == "changed"
    assert "not applied yet" in acme.run("cmc", "inbound", "list", *OF).out
    acme.json("cmc", "apply", *OF)
    shown = acme.run("cmc", "inbound", "list", "info", *OF).out
    assert "To=^info@  Subject=^a=b" in shown
    assert "in operation" in shown

    paused = acme.json("cmc", "inbound", "pause", "info", *OF)
    assert [(each["field"], each["applied"], each["saved"]) for each in paused["differences"]] == [
        ("paused", False, True)
    ]
    said = acme.run("cmc", "inbound", "pause", "info", *OF).out.splitlines()
    assert said[1].startswith("It has effect after: ekiden cmc apply")
    assert acme.json("cmc", "inbound", "list", *OF)[0]["applied"]["paused"] is False
    acme.json("cmc", "apply", *OF)
    assert acme.json("cmc", "inbound", "list", *OF)[0]["applied"]["paused"] is True
    # Its secrets are kept with it.
    resumed = acme.json("cmc", "inbound", "resume", "info", *OF)
    assert (resumed["saved"]["password"], resumed["saved"]["api_key"]) == (True, True)

    type_in(monkeypatch, "correct horse battery")
    acme.json("user", "add", "ann@acme.example", *OF, "--role", "owner", "--ask")
    remove = ("cmc", "inbound", "remove", "info", "--user", "ann@acme.example", *OF)
    type_in(monkeypatch, "wrong")
    refused = acme.run(*remove)
    assert (refused.status, refused.err) == (1, "ekiden: the login or the password is wrong\n")
    type_in(monkeypatch, "correct horse battery")
    gone = acme.json(*remove)
    assert (gone["saved"], gone["applied"]["url"]) == (None, URL)
    assert "is removed by cmc apply" in acme.run("cmc", "inbound", "list", *OF).out
    acme.json("cmc", "apply", *OF)
    assert acme.json("cmc", "inbound", "list", *OF) == []
    assert "no inbound webhook" in acme.run("cmc", "inbound", "list", *OF).err


def test_who_may_remove_it(acme: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    add(acme)
    acme.run("account", "create", "other")
    for login, account, role in (
        ("ann@acme.example", "acme", "owner"),
        ("vic@acme.example", "acme", "viewer"),
        ("bob@other.example", "other", "owner"),
    ):
        type_in(monkeypatch, "correct horse battery")
        acme.run("user", "add", login, "--account", account, "--role", role, "--ask")
    for login, says in (
        ("bob@other.example", "the login or the password is wrong"),
        ("vic@acme.example", "the role viewer may not remove it"),
        ("nobody@acme.example", "the login or the password is wrong"),
    ):
        type_in(monkeypatch, "correct horse battery")
        assert says in acme.run("cmc", "inbound", "remove", "info", "--user", login, *OF).err
    type_in(monkeypatch, "correct horse battery")
    gone = acme.json("cmc", "inbound", "remove", "info", "--user", "ann@acme.example", *OF)
    assert (gone["saved"], gone["applied"]) == (None, None)  # it never had effect
    type_in(monkeypatch, "correct horse battery")
    again = acme.run("cmc", "inbound", "remove", "info", "--user", "ann@acme.example", *OF)
    assert (again.status, again.err) == (1, "ekiden: there is no inbound webhook 'info'\n")


@pytest.mark.parametrize("language", ["en", "ja"])
def test_all_that_is_wrong_is_told_at_once(
    acme: Installation, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("EKIDEN_LANG", language)
    bad = ("--url", "ftp://x", "--when", "Subject=(a)\\1", "--format", "xml", "--retry-interval", "9")
    refused = acme.run("cmc", "inbound", "add", "x ", *OF, *bad, "--retry-days", "11", "--timeout", "61")
    assert refused.status == 2
    lines = refused.err.removeprefix("ekiden: ").splitlines()
    assert [line.split(":")[0].strip() for line in lines] == [
        *("name", "url", "when", "format", "retry-interval", "retry-days", "timeout")
    ]
    assert any(("cannot refer back" if language == "en" else "後方参照を使えません") in line for line in lines)
    assert acme.run("cmc", "inbound", "add", "x", *OF, "--url", URL, "--when", "To").status == 2
    assert acme.json("cmc", "inbound", "list", *OF) == []
    add(acme)
    taken = acme.run("cmc", "inbound", "add", "info", *OF, "--url", URL, "--when", "To=.")
    assert taken.status == 1
    assert acme.json("cmc", "inbound", "add", "info", *OF, "--url", URL, "--when", "To=.", "--replace")["saved"][
        "conditions"
    ] == [{"header": "To", "pattern": "."}]


def test_domains(acme: Installation) -> None:
    acme.run("account", "create", "other")
    made = acme.json("inbound", "domain", "add", "Shop.example", *OF)
    assert (made["name"], made["account"]) == ("shop.example", "acme")
    refused = acme.run("inbound", "domain", "add", "shop.example", "--account", "other")
    assert (refused.status, refused.err) == (1, "ekiden: mail for shop.example is received already\n")
    own = acme.run("inbound", "domain", "add", "mail.test.example", *OF)
    assert "is a domain of the installation's own" in own.err
    assert [item["name"] for item in acme.json("inbound", "domain", "list")] == ["shop.example"]
    assert acme.json("inbound", "domain", "list", "--account", "other") == []
    acme.json("inbound", "domain", "remove", "shop.example", *OF)
    assert "mail is received for no domain" in acme.run("inbound", "domain", "list").err
    actions = [entry["action"] for entry in acme.json("audit", "list", *OF)]
    assert actions[:2] == ["inbound_domain.remove", "inbound_domain.add"]


async def two_mails(rows: Rows) -> tuple[str, str]:
    """One that a route took, and that its application refused; one that nobody has read."""
    store, now = rows.store, rows.now
    account = await rows.account()
    me = rows.worker

    def mail(id: int, attempts: int) -> ReceivedMail:
        recipients = ("info@shop.example", "x@shop.example")
        known = '{"spf":{"result":"pass","reason":"mechanism","identity":"mailfrom","domain":"example.net"},'
        known += '"dkim":[{"result":"fail","reason":"body","domain":"example.net"}],'
        known += '"dmarc":{"result":"pass","reason":"aligned","domain":"example.net"},'
        known += '"arc":{"result":"none","reason":"no_chain"}}'
        of = account, id, "mx", "192.0.2.7", "mail.example.net", "TLSv1.3 TLS_AES_256_GCM_SHA384"
        rest = len(CONTENT), False, now, "<1@example.net>", "=?UTF-8?B?5Lu25ZCN?=", known
        return ReceivedMail(*of, "a@example.net", recipients, *rest, attempts, CONTENT)

    first, second = mail(rows.ids.next(now), 1), mail(rows.ids.next(now + 1), 0)
    for each in (first, second):
        await store.receive(me.id, each)
    async with store.write() as connection:
        values = {
            "account_id": account,
            "format": "cmc-inbound",
            "url": URL,
            "digest": "x",
            "setting": "inbound/i/https",
        }
        times = {"created_at": now, "used_at": now, "retry_at": now + 60_000, "failures": 1}
        await connection.execute(t.endpoint.insert().values(values | times))
        endpoint = await connection.scalar(select(t.endpoint.c.id))
    assert endpoint is not None
    data = {"recipient": "info@shop.example", "routes": ["info"], "endpoints": [endpoint]}
    event = Event(account, first.id, 1, EventType.RECEIVED, now, data)
    told = {"recipients": [{"number": 1, "recipient": "info@shop.example", "routes": ["info"]}]}
    noted = Noted(event, (Route(endpoint, News.RECEIVED),))
    await store.understand(me.id, Understood(first, NUMBERS[Kind.OTHER], json.dumps(told), events=[noted]))
    async with store.write() as connection:
        id = await connection.scalar(select(t.event.c.id))
        request = {"account_id": account, "endpoint_id": endpoint, "id": rows.ids.next(now + 5), "at": now + 5}
        answer = {"millis": 12, "status": 503, "answer": "busy", "notices": f"[{id}]"}
        await connection.execute(t.callback.insert().values(request | answer))
        await connection.execute(update(t.notice).values(attempts=1))
    return format_id(first.id), format_id(second.id)


def test_mails_that_came_in(ekiden: Installation) -> None:
    first, second = ekiden.fill(two_mails)
    mails = ekiden.json("inbound", "list")
    assert [(mail["id"], mail["kind"], mail["routes"]) for mail in mails] == [
        (second, None, []),
        (first, "other", ["info"]),
    ]
    assert (mails[1]["subject"], mails[1]["sender"]) == ("件名", "a@example.net")
    assert len(ekiden.json("inbound", "list", "--limit", "1")) == 1
    lines = ekiden.run("inbound", "list", *OF).out.splitlines()
    assert "not read yet" in lines[1]
    assert "route info" in lines[2]

    shown = ekiden.json("inbound", "show", first)
    assert shown == ekiden.run("trace", first, "--json").json
    assert (shown["peer"], shown["helo"], shown["content_kept"]) == ("192.0.2.7", "mail.example.net", True)
    assert shown["authentication"] == {
        "spf": "pass",
        "spf_domain": "example.net",
        "dkim": ["fail example.net"],
        "dmarc": "pass",
        "dmarc_domain": "example.net",
        "arc": "none",
    }
    (notice,) = shown["notices"]
    assert {key: notice[key] for key in ("number", "recipient", "route", "url", "state", "attempts")} == {
        "number": 1,
        "recipient": "info@shop.example",
        "route": "info",
        "url": URL,
        "state": "waiting",
        "attempts": 1,
    }
    assert [(each["status"], each["answer"], each["millis"]) for each in notice["requests"]] == [(503, "busy", 12)]
    for command in (("inbound", "show", first), ("trace", first), ("trace", first, "--lang", "ja")):
        told = ekiden.run(*command).out
        for text in ("mail.example.net [192.0.2.7]", "TLSv1.3", "件名", "503 busy", URL, "SPF pass example.net"):
            assert text in told, command
    assert "受信ルート info" in ekiden.run("trace", first, "--lang", "ja").out
    assert "no mail" in ekiden.run("inbound", "show", format_id(7)).err


def test_a_mail_as_it_came_in(ekiden: Installation) -> None:
    first, _ = ekiden.fill(two_mails)
    assert ekiden.run("inbound", "show", first, "--raw").out == CONTENT.decode()
