"""From NAVER's API to the mailboxes of the lab: the seed's example, and ``kill -9`` in the middle of a request."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import os
import signal
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from infobip_road import unique
from sqlalchemy import func, select

from ekiden.config.load import load_config
from ekiden.store import tables
from ekiden.store.open import open_store
from ekiden.wiring.dialects import DIALECTS
from support.demo_process import Demo
from support.naver_client import NaverClient

QUICK = {"EKIDEN_WORKERS__LEASE": "1s", "EKIDEN_DELIVERY__RETRY": "1s"}
MANY = 3_000


def client_of(demo: Demo) -> NaverClient:
    base = urlsplit(demo.facts["naver"])
    keys: Any = demo.account["naver"]
    assert base.port is not None
    return NaverClient(base.port, keys["access_key"], keys["secret_key"], base.path)


def letter_of(demo: Demo, recipient: str) -> Any:
    return email.message_from_bytes(demo.mail(recipient)[-1]["data"], policy=email.policy.default)


def status_of(client: NaverClient, request: str) -> Any:
    try:
        reply = asyncio.run(client.request("GET", f"/mails/requests/{request}/status"))
    except OSError:
        return None
    return reply.json if reply.status == 200 else None


def counts(status: Any) -> dict[str, int]:
    return {item["status"]["code"]: item["count"] for item in status["countsByStatus"]}


def test_the_seed_s_example_reaches_both_mailboxes(demo: Demo, eventually: Any) -> None:
    client = client_of(demo)
    gold, silver = f"{unique()}@accept.lab.test", f"{unique()}@accept.lab.test"
    body = {
        "senderAddress": f"no_reply@{demo.account['domain']}",
        "title": "${customer_name}様 お会いできて光栄です。",
        "body": "お客様の等級が ${BEFORE_GRADE}から ${AFTER_GRADE}へ変更されました。",
        "recipients": [
            {
                "address": gold,
                "name": "山田太郎",
                "type": "R",
                "parameters": {"customer_name": "山田太郎", "BEFORE_GRADE": "SILVER", "AFTER_GRADE": "GOLD"},
            },
            {
                "address": silver,
                "name": None,
                "type": "R",
                "parameters": {"customer_name": "太郎", "BEFORE_GRADE": "BRONZE", "AFTER_GRADE": "SILVER"},
            },
        ],
        "individual": True,
        "advertising": False,
    }
    reply = asyncio.run(client.request("POST", "/mails", body))
    assert (reply.status, reply.json["count"]) == (201, 2), reply.body
    request = reply.json["requestId"]
    first, second = letter_of(demo, gold), letter_of(demo, silver)
    assert (first["Subject"], first["To"]) == ("山田太郎様 お会いできて光栄です。", f"山田太郎 <{gold}>")
    assert "お客様の等級が SILVERから GOLDへ変更されました。" in first.get_content()
    assert (second["Subject"], second["To"]) == ("太郎様 お会いできて光栄です。", silver)
    assert "お客様の等級が BRONZEから SILVERへ変更されました。" in second.get_content()
    assert first["DKIM-Signature"]
    eventually(lambda: counts(status_of(client, request)) == {"S": 2}, "both to be delivered")
    status = status_of(client, request)
    assert (status["allSentSuccess"], status["finishCount"]) == (True, 2)
    page = asyncio.run(client.request("GET", f"/mails/requests/{request}/mails?recipientAddress={gold}")).json
    detail = asyncio.run(client.request("GET", f"/mails/{page['content'][0]['mailId']}")).json
    assert detail["recipients"][0]["sendResultCode"] == "MAIL_SENT"
    assert detail["recipients"][0]["sendResultMessage"].startswith("250")
    held = asyncio.run(client.request("POST", "/mails", {**body, "confirmAndSend": True})).json["requestId"]
    waiting = demo.run("bulk", "list")
    assert held in [item["id"] for item in waiting]
    done = demo.run("bulk", "confirm", held, "--account", demo.account["name"])
    assert (done["state"], done["mails"]) == ("due", 2)
    eventually(lambda: counts(status_of(client, held)) == {"S": 2}, "the confirmed ones to be delivered")
    refused = demo.run("bulk", "reject", held, "--account", demo.account["name"], check=False)
    assert "does not wait" in refused
    later = {"reservationUtc": int(time.time() * 1000) + 3_600_000}
    reserved = asyncio.run(client.request("POST", "/mails", {**body, **later})).json["requestId"]
    stopped = demo.run("bulk", "cancel", reserved, "--account", demo.account["name"])
    assert (stopped["id"], stopped["state"]) == (reserved, "cancelled")
    assert counts(status_of(client, reserved)) == {"C": 2}
    again = demo.run("bulk", "cancel", reserved, "--account", demo.account["name"], check=False)
    assert "sent, or cancelled" in again


def test_every_kind_of_mail_ends_in_mailboxes_as_it_should(demo: Demo, eventually: Any) -> None:
    client = client_of(demo)
    named, grouped, copied = (f"{unique()}@accept.lab.test" for _ in range(3))
    group = f"g{unique()}"

    def ask(method: str, path: str, value: Any = None, **rest: Any) -> Any:
        reply = asyncio.run(client.request(method, path, value, **rest))
        assert reply.status in (200, 201), reply.body
        return reply.json

    ask("POST", "/address-book", {"groups": [{"groupName": group, "emailAddresses": [grouped]}]})
    form = b'--b\r\nContent-Disposition: form-data; name="fileList"; filename="a.txt"\r\n\r\nabc\r\n--b--\r\n'
    files = ask("POST", "/files", body=form, headers={"Content-Type": "multipart/form-data; boundary=b"})["files"]
    plain = {"senderAddress": f"shop@{demo.account['domain']}", "title": "Spring", "body": "<p>Buy</p>"}
    advertising = plain | {"advertising": True, "recipients": [{"address": named}]}
    soon = int(time.time() * 1000) + 2_000
    request = ask(
        "POST",
        "/mails",
        advertising
        | {
            "recipientGroupFilter": {"andFilter": True, "groups": [group]},
            "attachFileIds": [files[0]["fileId"]],
            "reservationUtc": soon,
        },
    )["requestId"]
    for recipient in (named, grouped):
        letter = letter_of(demo, recipient)
        assert (letter["Subject"], letter["To"]) == ("(광고) Spring", recipient)
        (attached,) = letter.iter_attachments()
        assert (attached.get_filename(), attached.get_content()) == ("a.txt", b"abc")
    assert time.time() * 1000 >= soon
    eventually(lambda: counts(status_of(client, request)) == {"S": 2}, "both to be delivered")

    # Who leaves by the link gets no more advertising, and everything else.
    way_out, by_mail = letter["List-Unsubscribe"].removeprefix("<").split(">, <")
    assert by_mail.startswith("mailto:u-")
    link = f"{demo.facts['http']}{urlsplit(way_out).path}"
    with urllib.request.urlopen(link, b"List-Unsubscribe=One-Click", timeout=30) as answer:
        assert answer.status == 200

    def of_another(**changed: Any) -> dict[str, int]:
        made = ask("POST", "/mails", {**advertising, "recipients": [{"address": grouped}], **changed})
        request = made["requestId"]

        def ended() -> dict[str, int] | None:
            found = counts(status_of(client, request))
            return found if found.keys() <= {"S", "U"} else None

        found: dict[str, int] = eventually(ended, "its end")
        return found

    eventually(lambda: of_another() == {"U": 1}, "the advertising to stop")
    assert of_another(advertising=False) == {"S": 1}

    together = [{"address": named}, {"address": grouped, "name": "G"}, {"address": copied, "type": "B"}]
    ask("POST", "/mails", plain | {"title": "All", "individual": False, "recipients": together})
    letter = letter_of(demo, copied)
    assert (letter["Subject"], letter["To"]) == ("All", f"{named}, G <{grouped}>")
    assert copied not in str(letter["To"]) + str(letter["Cc"])


async def stored(demo: Demo) -> tuple[int, int]:
    """Messages, and different mails among them."""
    store = await open_store(load_config(demo.facts["config"], {}, dialects=DIALECTS).store_url())
    try:
        async with store.read() as connection:
            reference = tables.message.c.reference
            query = select(func.count(), func.count(reference.distinct())).where(reference != "")
            row = (await connection.execute(query)).one()
            return int(row[0]), int(row[1])
    finally:
        await store.close()


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_killed_worker_leaves_all_of_a_request_or_none(tmp_path: Path, store: str, eventually: Any) -> None:
    demo = Demo("--workers", "2", "--store", store, directory=tmp_path, environment=QUICK)
    try:
        client = client_of(demo)
        body = {
            "senderAddress": f"no_reply@{demo.account['domain']}",
            "title": "${name}",
            "body": "<p>${name}</p>",
            "recipients": [
                {"address": f"p{n}@accept.lab.test", "parameters": {"name": f"P{n}"}} for n in range(MANY)
            ],
        }
        answers: list[Any] = []

        def ask() -> None:
            with contextlib.suppress(Exception):
                answers.append(asyncio.run(client.request("POST", "/mails", body)))

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.15)  # somewhere in the middle of it
        shoot(demo)
        asking.join()
        (found,) = eventually(lambda: (of := listed(client)) is not None and (of,), "the workers to be back")
        accepted = [reply.json["requestId"] for reply in answers if reply.status == 201]
        assert [item["requestCount"] for item in found] in ([], [MANY])
        assert set(accepted) <= {item["requestId"] for item in found}
        if not found:
            reply = asyncio.run(client.request("POST", "/mails", body))
            assert reply.status == 201
        (item,) = eventually(lambda: listed(client), "the request")
        request = item["requestId"]
        for _ in range(2):
            time.sleep(0.4)
            shoot(demo)
            eventually(lambda: status_of(client, request), "the workers to be back")

        def all_there() -> bool:
            status = status_of(client, request)
            return status is not None and counts(status) == {"S": MANY}

        eventually(all_there, f"all of the request, not {status_of(client, request)}", 120)
        assert asyncio.run(stored(demo)) == (MANY, MANY)
    finally:
        demo.stop()


def listed(client: NaverClient) -> Any:
    """All requests; ``None`` while nobody answers."""
    try:
        reply = asyncio.run(client.request("GET", "/mails/requests?startUtc=0&endDateTime=9000-01-01"))
    except OSError:
        return None
    return reply.json["content"] if reply.status == 200 else None


def shoot(demo: Demo) -> None:
    for pid in demo.workers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
