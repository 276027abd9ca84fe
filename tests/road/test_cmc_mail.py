"""From Customers Mail Cloud's own client to the mailboxes of the lab, and what the API tells of it."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from infobip_road import unique

from support.cmc_client import CmcClient
from support.demo_process import Demo
from support.official_clients import ClientError, CmcPython


def client_of(demo: Demo) -> CmcClient:
    port = urlsplit(demo.facts["cmc"]).port
    assert port is not None
    user: Any = demo.account["cmc"]
    return CmcClient(port, user["api_user"], user["api_key"])


def asked(demo: Demo, action: str, **params: Any) -> Any:
    """A list of today, which in the demo's time zone may be over: then of yesterday, too."""
    given = {"server_composition": demo.account["cmc"]["server_composition"], "r": 100, **params}  # type: ignore[index]
    reply = asyncio.run(client_of(demo).json(f"/transaction/v2/{action}/list.json", given))
    assert reply.status == 200, reply.body
    return reply.json[action]


def mail_of(demo: Demo, to: str, **more: Any) -> dict[str, Any]:
    user: Any = demo.account["cmc"]
    sender = ["差出人", f"info@{demo.account['domain']}"]
    who = {"host": demo.facts["cmc"], "api_user": user["api_user"], "api_key": user["api_key"]}
    fields = {"subject": "件名", "text": "本文", **more.pop("fields", {})}
    return {**who, "to": [["宛先", to]], "from": sender, "fields": fields, **more}


def test_the_official_client_sends(demo: Demo, cmc_python: CmcPython, eventually: Any) -> None:
    to = f"{unique()}@accept.lab.test"
    octets = {"日本.txt": "中身".encode(), "b.bin": b"\0\xff"}
    files = [[name, base64.b64encode(content).decode()] for name, content in octets.items()]
    more: dict[str, Any] = {"plan": "acme", "reply_to": ["R", "r@example.com"], "fields": {"html": "<b>本文</b>"}}
    ids = [
        asyncio.run(cmc_python.send(**mail_of(demo, to)))["id"],
        asyncio.run(cmc_python.send(**mail_of(demo, to, files=files, **more)))["id"],
    ]
    eventually(lambda: len(demo.mail(to)) == 2, "both mails")
    arrived = [email.message_from_bytes(each["data"], policy=email.policy.default) for each in demo.mail(to)]
    letters: dict[str, Any] = {letter["Message-ID"]: letter for letter in arrived}
    assert set(letters) == set(ids)
    plain, full = letters[ids[0]], letters[ids[1]]
    assert (plain["Subject"], plain["To"].addresses[0].display_name) == ("件名", "宛先")
    assert plain.get_content().strip() == "本文"
    assert full["Reply-To"].addresses[0].addr_spec == "r@example.com"
    kept = [(part.get_filename(), part.get_payload(decode=True)) for part in full.iter_attachments()]
    assert kept == list(octets.items())
    found = eventually(lambda: told(demo, to, "succeeded", 2), "what became of them")
    assert {item["messageId"] for item in found} == set(ids)
    assert all(item["senderIp"] for item in found)


def told(demo: Demo, to: str, status: str, count: int) -> list[Any]:
    """Once there are so many."""
    now = datetime.now(ZoneInfo("Asia/Tokyo"))
    found = []
    for day in (now, now - timedelta(days=1)):
        found += asked(demo, "deliveries", date=f"{day:%Y-%m-%d}", to=to, status=status)
    return found if len(found) == count else []


def test_a_bounce_is_listed_and_its_address_blocked(demo: Demo, cmc_python: CmcPython, eventually: Any) -> None:
    to = f"{unique()}@reject.lab.test"
    id = asyncio.run(cmc_python.send(**mail_of(demo, to)))["id"]
    (bounce,) = eventually(lambda: asked(demo, "bounces", to=to), "the bounce")
    assert (bounce["messageId"], bounce["status"]) == (id, "2")
    assert bounce["reason"].startswith("550 5.1.1 ")
    assert bounce["reason"].endswith(" (in reply to RCPT TO)")
    (block,) = eventually(lambda: asked(demo, "blocks", email=to), "the block")
    assert (block["status"], block["occurred"]) == ("2", "1")

    def suppressed() -> Any:
        """The other worker knows of it within a second."""
        asyncio.run(cmc_python.send(**mail_of(demo, to)))
        return asked(demo, "bounces", to=to, status=10)

    again = eventually(suppressed, "a mail that is not sent")
    assert again[0]["reason"] == f"Recipient address <{to}> is suppressed to send mail. (in reply to RCPT TO)"


def test_a_late_bounce_is_listed(demo: Demo, cmc_python: CmcPython, eventually: Any) -> None:
    to = f"{unique()}@late-bounce-postfix.lab.test"
    id = asyncio.run(cmc_python.send(**mail_of(demo, to)))["id"]
    (bounce,) = eventually(lambda: asked(demo, "bounces", to=to), "the bounce")
    assert (bounce["messageId"], bounce["status"]) == (id, "2")


def test_its_errors_are_the_answer(demo: Demo, cmc_python: CmcPython) -> None:
    mail = mail_of(demo, "a@accept.lab.test") | {"from": ["", "x@elsewhere.example"]}
    with pytest.raises(ClientError) as raised:
        asyncio.run(cmc_python.send(**mail))
    assert raised.value.body is not None
    assert '"code":"13-006"' in raised.value.body
