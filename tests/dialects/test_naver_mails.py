"""Mails, files, and what became of them, over HTTP with real signatures; the lab's mailboxes are on the road."""

from __future__ import annotations

import email
import email.policy
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from naver_cloud import Cloud, running_naver
from sqlalchemy import select, update

from ekiden.access.audit import Actor
from ekiden.content.template_text import TemplateText
from ekiden.content.templates import Filing
from ekiden.core.clock import DAY, HOUR
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.states import State
from ekiden.dialects.naver.codes import KINDS, STATUS, result_code
from ekiden.dialects.naver.labels import all_labels
from ekiden.dialects.naver.operations.mail_reading import masked
from ekiden.dialects.naver.operations.mails import MAX_BODY, NewMails
from ekiden.dialects.naver.translations import knows
from ekiden.mailings.advertising import TAG
from ekiden.mailings.decisions import MailDecisions
from ekiden.mailings.expansion import Expander
from ekiden.mailings.translations import TEXTS
from ekiden.mailings.values import MailStatus
from ekiden.store import tables as t
from ekiden.store.api import Store
from support.naver_client import LABEL, NES_DATE, Reply, assert_shape, page_shape

SEED = {
    "senderAddress": "no_reply@company.com",
    "title": "${customer_name}様 お会いできて光栄です。",
    "body": "お客様の等級が ${BEFORE_GRADE}から ${AFTER_GRADE}へ変更されました。",
    "recipients": [
        {
            "address": "hongildong@naver_.com",
            "name": "山田太郎",
            "type": "R",
            "parameters": {"customer_name": "山田太郎", "BEFORE_GRADE": "SILVER", "AFTER_GRADE": "GOLD"},
        },
        {
            "address": "chulsoo@daum_.net",
            "name": None,
            "type": "R",
            "parameters": {"customer_name": "太郎", "BEFORE_GRADE": "BRONZE", "AFTER_GRADE": "SILVER"},
        },
    ],
    "individual": True,
    "advertising": False,
}
PLAIN = {
    "senderAddress": "no_reply@company.com",
    "title": "t",
    "body": "b",
    "recipients": [{"address": "a@x.example"}],
}
REQUEST = {
    "requestId": str,
    "requestDate": NES_DATE,
    "templateSid": (int, None),
    "templateName": (str, None),
    "emailStatus": LABEL,
    "senderAddress": str,
    "senderName": (str, None),
    "dispatchType": str,
    "sendDate": (NES_DATE, None),
    "reservationDate": (NES_DATE, None),
    "requestCount": int,
    "recipientCount": int,
}
MAIL = {
    "requestId": str,
    "requestDate": NES_DATE,
    "mailId": str,
    "title": str,
    "templateSid": (int, None),
    "templateName": (str, None),
    "emailStatus": LABEL,
    "senderAddress": str,
    "senderName": (str, None),
    "sendDate": (NES_DATE, None),
    "reservationStatus": LABEL,
    "advertising": bool,
    "representativeRecipient": str,
}
DETAIL = {
    **{name: of for name, of in MAIL.items() if name not in ("reservationStatus", "representativeRecipient")},
    "requesterIp": str,
    "reservationDate": (NES_DATE, None),
    "body": str,
    "referencesHeader": (str, None),
    "attachFiles": [{"fileId": str, "fileName": str, "fileSize": int}],
    "recipients": [
        {
            "address": str,
            "name": str,
            "type": LABEL,
            "received": bool,
            "receivedDate": (NES_DATE, None),
            "status": LABEL,
            "retryCount": int,
            "sendResultMessage": (str, None),
            "sendResultCode": (str, None),
            "sendResultCodeMessage": (str, None),
        }
    ],
}
STATUS_SHAPE = {
    "requestId": str,
    "readyCompleted": bool,
    "allSentSuccess": bool,
    "requestCount": int,
    "sentCount": int,
    "finishCount": int,
    "readyCount": int,
    "reservationDate": (NES_DATE, None),
    "countsByStatus": [{"status": LABEL, "count": int}],
}


def counts(status: Any) -> list[tuple[str, int]]:
    return [(item["status"]["code"], item["count"]) for item in status["countsByStatus"]]


@dataclass
class Post:
    cloud: Cloud
    expander: Expander

    @property
    def store(self) -> Store:
        return self.cloud.store

    async def ask(self, **changed: Any) -> Reply:
        return await self.cloud.client.request("POST", "/mails", PLAIN | changed)

    async def sent(self, **changed: Any) -> str:
        reply = await self.ask(**changed)
        assert reply.status == 201, reply.body
        return str(reply.json["requestId"])

    async def get(self, path: str, status: int = 200) -> Any:
        reply = await self.cloud.client.request("GET", path)
        assert reply.status == status, reply.body
        return reply.json

    async def expand(self) -> None:
        while await self.expander.work():
            pass

    async def end(self, state: State, recipient: str = "", **values: Any) -> None:
        """As delivery leaves it."""
        given = {"attempts": 1, "due_at": 0, **values}
        change = update(t.delivery).values(state=int(state), **given)
        async with self.store.write() as connection:
            await connection.execute(change.where(t.delivery.c.recipient == recipient) if recipient else change)

    async def letters(self, request: str) -> dict[str, Any]:
        query = (
            select(t.message.c.id, t.delivery.c.recipient)
            .join(t.delivery, t.delivery.c.message_id == t.message.c.id)
            .where(t.message.c.bulk == request)
            .order_by(t.message.c.id)
        )
        async with self.store.read() as connection:
            rows = (await connection.execute(query)).all()
        found = {}
        for id, recipient in rows:
            content = await self.store.content(self.cloud.account.id, id)
            found[recipient] = email.message_from_bytes(content or b"", policy=email.policy.default)
        return found


@pytest.fixture
async def post(store: Store) -> AsyncIterator[Post]:
    async with running_naver(store) as cloud:
        worker = cloud.worker
        await worker.services.domains.add(cloud.account.id, "company.com", vouched=True)
        mailer = worker.platform.mailer
        expander = Expander(store, worker.platform.clock, mailer, worker.services.address_books, lambda: 1)
        yield Post(cloud, expander)


async def test_the_seed_s_example_and_what_becomes_of_it(post: Post) -> None:
    reply = await post.cloud.client.request("POST", "/mails", SEED)
    assert reply.status == 201, reply.body
    assert_shape(reply.json, {"requestId": str, "count": 2})
    request = reply.json["requestId"]
    assert len(request) == 20
    status = await post.get(f"/mails/requests/{request}/status")
    assert_shape(status, STATUS_SHAPE)
    assert (status["readyCompleted"], status["allSentSuccess"], status["requestCount"]) == (True, False, 2)
    assert counts(status) == [("R", 2)]

    await post.expand()
    letters = await post.letters(request)
    assert letters["hongildong@naver_.com"]["Subject"] == "山田太郎様 お会いできて光栄です。"
    assert letters["hongildong@naver_.com"]["To"] == "山田太郎 <hongildong@naver_.com>"
    assert "SILVERから GOLDへ" in letters["hongildong@naver_.com"].get_content()
    assert "BRONZEから SILVERへ" in letters["chulsoo@daum_.net"].get_content()

    await post.end(State.DELIVERED, "hongildong@naver_.com")
    await post.end(
        State.BOUNCED,
        "chulsoo@daum_.net",
        code=550,
        enhanced="5.1.1",
        reason="No such user",
        diagnosis=int(Diagnosis.NO_MAILBOX),
        attempts=3,
    )
    for _ in range(2):  # counted, then kept
        status = await post.get(f"/mails/requests/{request}/status")
        assert (status["sentCount"], status["finishCount"], status["readyCount"]) == (1, 2, 2)
        assert counts(status) == [
            ("F", 1),
            ("S", 1),
        ]
        page = await post.get("/mails/requests?startUtc=0&endDateTime=9000-01-01")
        assert_shape(page, page_shape(REQUEST))
        assert [item["emailStatus"]["code"] for item in page["content"]] == ["PF"]
        await post.cloud.worker.platform.mail_reading.counting.settle()
    mails = await post.get(f"/mails/requests/{request}/mails?sort=id,asc")
    assert_shape(mails, page_shape(MAIL))
    assert [(mail["emailStatus"]["code"], mail["representativeRecipient"]) for mail in mails["content"]] == [
        ("S", "hongildong@naver_.com"),
        ("F", "chulsoo@daum_.net"),
    ]
    assert mails["content"][1]["title"] == "太郎様 お会いできて光栄です。"
    detail = await post.get(f"/mails/{mails['content'][1]['mailId']}")
    assert_shape(detail, DETAIL)
    assert detail["body"] == "お客様の等級が BRONZEから SILVERへ変更されました。"
    assert detail["requesterIp"] == "127.0.xx.1"
    (person,) = detail["recipients"]
    assert (person["name"], person["retryCount"]) == ("", 2)
    assert (person["sendResultCode"], person["sendResultMessage"]) == (
        "RECIPIENT_ADDRESS_ERROR",
        "550 5.1.1 No such user\n",
    )


async def test_labels_are_in_the_asked_language_below_every_base(post: Post) -> None:
    request = await post.sent()
    for base, lang, text in (
        ("/api/v1", "ko-KR", "발송 준비"),
        ("/api/v1-sgn", "zh-CN", "准备发送"),
        ("/api/v1-jpn", "ja-JP", "送信準備"),
        ("/api/v1", "xx", "Ready to send"),
    ):
        client = post.cloud.client_of(post.cloud.key, base, lang)
        reply = await client.request("GET", f"/mails/requests/{request}/status")
        assert reply.json["countsByStatus"][0]["status"] == {"label": text, "code": "R"}


async def test_habits_of_clients(post: Post) -> None:
    """Explicit nulls, members that nobody knows, numbers and truth values as texts, a slash at the end."""
    names = ("senderName", "templateSid", "individual", "confirmAndSend", "parameters", "referencesHeader")
    nulls = dict.fromkeys((*names, "reservationUtc", "attachFileIds", "recipientGroupFilter", "unsubscribeMessage"))
    recipients = [{"address": "a@x.example", "name": None, "type": None, "parameters": None, "extra": 1}, None]
    reply = await post.cloud.client.request(
        "POST", "/mails/", {**PLAIN, **nulls, "recipients": recipients, "attachFiles": None, "unknown": {"a": [1]}}
    )
    assert (reply.status, reply.json["count"]) == (201, 1)
    kokonut = {"useBasicUnsubscribeMsg": False, "unsubscribeMessage": None, "advertising": "false"}
    request = await post.sent(
        **kokonut, individual="true", body="${n} ${b} ${l}", parameters={"n": 1, "b": True, "l": [1]}
    )
    await post.expand()
    (letter,) = (await post.letters(request)).values()
    assert letter.get_content().strip().endswith(">1 true [1]")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"senderAddress": None}, "77102"),
    ({"senderAddress": "nobody"}, "77102"),
    ({"senderAddress": "a@naver.com"}, "77102"),
    ({"senderName": "가" * 24}, "77102"),
    ({"senderName": "a\nb"}, "77102"),
    ({"title": ""}, "77102"),
    ({"title": "가" * 167}, "77102"),
    ({"title": "a\r\nBcc: x@y.example"}, "77102"),
    ({"title": "a\u2028b"}, "77102"),
    ({"title": "a\x85b"}, "77102"),
    ({"body": "x" * (MAX_BODY + 1)}, "77102"),
    ({"body": ["x"]}, "77102"),
    ({"individual": "maybe"}, "77102"),
    ({"parameters": [1]}, "77102"),
    ({"referencesHeader": "no brackets"}, "77102"),
    ({"referencesHeader": f"<{'a' * 100}@b.example>"}, "77102"),
    ({"reservationUtc": 1}, "77102"),
    ({"reservationUtc": 10**20}, "77102"),
    ({"reservationDateTime": "tomorrow"}, "77102"),
    ({"reservationDateTime": "2018-11-20 15:19"}, "77102"),
    ({"templateSid": 4711}, "77103"),
    ({"templateSid": -1}, "77103"),
    ({"templateSid": "x"}, "77102"),
    ({"attachFileIds": ["unknown-99"]}, "77103"),
    ({"attachFileIds": ["x"] * 21}, "77102"),
    ({"recipients": []}, "77102"),
    ({"recipients": {}}, "77102"),
    ({"recipients": [1]}, "77102"),
    ({"recipients": [{}]}, "77102"),
    ({"recipients": [{"address": 1}]}, "77102"),
    ({"recipients": [{"address": "nobody"}]}, "77102"),
    ({"recipients": [{"address": "a@x.example", "name": "n" * 70}]}, "77102"),
    ({"recipients": [{"address": "a@x.example", "name": "a\nb"}]}, "77102"),
    ({"recipients": [{"address": "a@x.example", "type": "X"}]}, "77102"),
    ({"recipients": [{"address": "a@x.example", "type": ["R"]}]}, "77102"),
    ({"recipients": [{"address": "a@x.example", "parameters": "x"}]}, "77102"),
    ({"recipients": [{"address": "a@x.example", "type": "C"}], "individual": False}, "77102"),
    ({"recipientGroupFilter": {"andFilter": True}}, "77102"),
    ({"recipientGroupFilter": {"andFilter": True, "groups": ["a", "b", "c", "d", "e", "f"]}}, "77102"),
    ({"advertising": True, "individual": False}, "77102"),
    ({"advertising": True, "useBasicUnsubscribeMsg": False}, "77102"),
    ({"advertising": True, "body": "x" * MAX_BODY}, "77102"),
    ({"advertising": True, "body": TAG * 4_000}, "77102"),
    (
        {
            "advertising": True,
            "useBasicUnsubscribeMsg": False,
            "unsubscribeMessage": "x" * 100_000,
            "body": TAG * 10_000,
        },
        "77102",
    ),
    ({"advertising": True, "useBasicUnsubscribeMsg": False, "unsubscribeMessage": "x" * MAX_BODY}, "77102"),
]


async def test_what_cannot_be_is_told_and_nothing_is_kept(post: Post) -> None:
    for changed, code in WRONG:
        reply = await post.ask(**changed)
        assert reply.code == (400, code), (changed, reply.body)
    async with post.store.read() as connection:
        assert not (await connection.execute(select(t.mail_request.c.id))).all()


def test_sentences_of_mail_requests_are_known_in_four_languages() -> None:
    for language in ("ko", "zh"):
        assert [text for text in TEXTS.japanese if not knows(text, language)] == []


async def test_what_is_wrong_is_named(post: Post) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"senderName": "a\nb"}, "senderName must be one line"),
        ({"title": "a\tb"}, "title must be one line"),
        ({"recipients": [{"address": "a@x.example", "name": "a\nb"}]}, "recipients[0].name must be one line"),
        ({"recipients": [{"address": "a@x.example"}, 1]}, "recipients[1] must be an object"),
        ({"recipients": [{"address": 1}]}, "recipients[0].address must be a text"),
        (
            {"recipients": [{"address": "a@x.example", "type": "X"}]},
            "recipients[0].type must be one of R, C, B",
        ),
        (
            {"recipients": [{"address": "a@x.example", "parameters": [1]}]},
            "recipients[0].parameters must be an object",
        ),
    ]
    for changed, message in wrong:
        assert (await post.ask(**changed)).error["message"] == message


WIDE = ("会員様\u3000限定", "a\u00a0b", "👨\u200d👩\u200d👧", "\u200fשלום", "so\u00adft", "\U0001fae9")
"""Titles with blanks of other widths, joiners, marks of direction, and what is newer than tables of characters."""


async def test_titles_and_names_of_every_script(post: Post) -> None:
    for text in WIDE:
        request = await post.sent(
            title=text, senderName=text, recipients=[{"address": "a@x.example", "name": text}]
        )
        await post.expand()
        letter = (await post.letters(request))["a@x.example"]
        assert letter["Subject"] == text
        assert [letter[name].addresses[0].display_name for name in ("From", "To")] == [text, text]
        (mail,) = (await post.get(f"/mails/requests/{request}/mails"))["content"]
        assert (mail["title"], mail["senderName"]) == (text, text)


async def test_bodies_that_are_none(post: Post) -> None:
    client = post.cloud.client
    for body in (
        b"",
        b"{}",
        b"[]",
        b"{",
        b'{"recipients":[',
        b'{"title":"\xff"}',
        b'{"title":"\\u0000"}',
        b"x" * 1000,
        b'{"recipients":[' + b"1" * 5000 + b"]}",
        json.dumps({**PLAIN, "recipients": [{"address": "a@x.example", "parameters": {"n": 47}}]})
        .replace("47", "1e999")
        .encode(),
    ):
        reply = await client.request("POST", "/mails", body=body)
        assert reply.code == (400, "77102"), body
    half = json.dumps({**PLAIN, "recipients": [{"address": "a@x.example", "name": "\ud800"}]}).encode()
    assert (await client.request("POST", "/mails", body=half)).code == (400, "77102")
    reply = await client.request("POST", "/mails", PLAIN, headers={"Content-Type": "text/plain"})
    assert reply.code == (415, "77002")
    assert (await client.request("PUT", "/mails", PLAIN)).code == (405, "77001")
    too_many = {**PLAIN, "recipients": [{"address": "a@x.example"}] * 100_001}
    assert (await client.request("POST", "/mails", too_many)).code == (400, "77102")
    # What is decoded in one call has a bound of its own.
    assert (await client.request("POST", "/mails", {**PLAIN, "more": [0] * 100_000})).code == (400, "77102")


async def test_whatever_is_in_a_body_is_no_fault_of_ours(post: Post) -> None:
    chance = random.Random(12)
    odd: list[Any] = [
        None, True, 0, -1, 1.5, 10**30, "", "x", "${a}", "\ud800", "a@x.example", "가" * 200, [], ["x"], [[]], {},
        {"a": None}, {"a": {"b": [1]}}, [{"address": "a@x.example"}],
        [{"address": "b@x.example", "parameters": {"": 1}}],
        {"andFilter": False, "groups": ["x"]}, "#{UNSUBSCRIBE_MESSAGE}", "<html></body>", "2018-11-20 15:19", "\n",
    ]  # fmt: skip
    names = (*NewMails.__struct_fields__, "unknown")
    for _ in range(150):
        body = dict(PLAIN)
        for name in chance.sample(names, chance.randrange(1, 4)):
            body[name] = chance.choice(odd)
        if chance.random() < 0.3:
            member = chance.choice(("address", "name", "type", "parameters", "more"))
            body["recipients"] = [{"address": "a@x.example", member: chance.choice(odd)}]
        octets = json.dumps(body).encode()
        if chance.random() < 0.1:
            octets = octets[: chance.randrange(len(octets))]
        reply = await post.cloud.client.request("POST", "/mails", body=octets)
        assert reply.status == 201 or reply.code[0] == 400, (octets, reply.body)
    await post.expand()
    page = await post.get("/mails/requests?startUtc=0&endDateTime=9000-01-01&size=1000")
    for item in page["content"]:
        mails = await post.get(f"/mails/requests/{item['requestId']}/mails")
        assert mails["totalElements"] == item["requestCount"]
        for mail in mails["content"]:
            assert_shape(await post.get(f"/mails/{mail['mailId']}"), DETAIL)


async def test_group_mail_with_copies(post: Post) -> None:
    recipients = [{"address": f"to{n}@x.example", "name": f"N{n}"} for n in range(31)]
    recipients += [{"address": "cc@x.example", "type": "C"}, {"address": "bcc@x.example", "type": "B"}]
    reply = await post.ask(recipients=recipients, individual=False, title="${a}", parameters={"a": "all"})
    assert (reply.status, reply.json["count"]) == (201, 2)
    request = reply.json["requestId"]
    await post.expand()
    mails = await post.get(f"/mails/requests/{request}/mails?sort=id")
    assert [mail["representativeRecipient"] for mail in mails["content"]] == [
        "to0@x.example(29)",
        "to30@x.example(2)",
    ]
    assert {mail["title"] for mail in mails["content"]} == {"all"}
    letters = await post.letters(request)
    assert letters["bcc@x.example"]["To"] == "N30 <to30@x.example>"
    assert letters["bcc@x.example"]["Cc"] == "cc@x.example"
    await post.end(State.DELIVERED)
    await post.end(State.BOUNCED, "cc@x.example", diagnosis=int(Diagnosis.FULL))
    page = await post.get(f"/mails/requests/{request}/mails?sendStatus=PF&sendStatus=I")
    assert page["totalElements"] == 1
    detail = await post.get(f"/mails/{page['content'][0]['mailId']}")
    shown = [
        (item["type"]["code"], item["status"]["code"], item["sendResultCode"]) for item in detail["recipients"]
    ]
    assert shown == [("R", "S", "MAIL_SENT"), ("C", "F", "MAILBOX_ERROR"), ("B", "S", "MAIL_SENT")]


async def test_a_template_and_what_is_said_besides(post: Post) -> None:
    templates = post.cloud.worker.platform.templates
    text = TemplateText(name="Spring", html="<p>${a}</p>", sender="Shop <shop@company.com>", subject="From ${a}")
    made = await templates.create(post.cloud.account.id, text, actor=Actor("test"))
    unused = await templates.create(
        post.cloud.account.id, TemplateText(name="Old", html="x", sender="a@company.com", subject="x"),
        filing=Filing(in_use=False), actor=Actor("test"),
    )  # fmt: skip
    whole = {"templateSid": str(made.id), "recipients": PLAIN["recipients"], "parameters": {"a": "us"}}
    reply = await post.cloud.client.request("POST", "/mails", whole)
    assert reply.status == 201, reply.body
    own = await post.cloud.client.request(
        "POST", "/mails", whole | {"title": "Mine", "senderAddress": "b@company.com"}
    )
    await post.expand()
    (letter,) = (await post.letters(reply.json["requestId"])).values()
    assert (letter["From"], letter["Subject"]) == ("Shop <shop@company.com>", "From us")
    (letter,) = (await post.letters(own.json["requestId"])).values()
    assert (letter["From"], letter["Subject"]) == ("b@company.com", "Mine")
    assert letter.get_content().strip().endswith("<p>us</p>")
    page = await post.get(f"/mails/requests?startUtc=0&endDateTime=9000-01-01&templateSid={made.id}")
    assert {(item["templateSid"], item["templateName"]) for item in page["content"]} == {(made.id, "Spring")}
    assert (await post.ask(templateSid=unused.id)).code == (400, "77102")
    # Some clients send what they have nothing for as empty texts.
    empty = dict.fromkeys(("title", "body", "senderAddress", "senderName"), "")
    reply = await post.cloud.client.request("POST", "/mails", whole | empty)
    await post.expand()
    (letter,) = (await post.letters(reply.json["requestId"])).values()
    assert (letter["From"], letter["Subject"]) == ("Shop <shop@company.com>", "From us")


async def test_reserved_and_held(post: Post) -> None:
    at = post.cloud.worker.platform.clock.now() + HOUR
    reserved = await post.sent(reservationUtc=at, reservationDateTime="2000-01-01 00:00")
    held = await post.sent(confirmAndSend=True)
    await post.expand()
    status = await post.get(f"/mails/requests/{reserved}/status")
    assert (status["reservationDate"]["utc"], status["readyCompleted"]) == (at, True)
    mails = await post.get(f"/mails/requests/{reserved}/mails")
    assert mails["content"][0]["reservationStatus"]["code"] == "Y"
    assert not await post.letters(reserved)
    assert not await post.letters(held)
    assert [
        item["status"]["code"] for item in (await post.get(f"/mails/requests/{held}/status"))["countsByStatus"]
    ] == ["R"]
    decisions = MailDecisions(post.store, post.cloud.worker.platform.clock)
    await decisions.reject(post.cloud.account.id, held, Actor("test"))
    assert [
        item["status"]["code"] for item in (await post.get(f"/mails/requests/{held}/status"))["countsByStatus"]
    ] == ["C"]
    far = post.cloud.worker.platform.clock.now() + 31 * DAY
    assert (await post.ask(reservationUtc=far)).code == (400, "77102")


async def test_advertising_and_who_does_not_want_it(post: Post) -> None:
    suppressions = post.cloud.worker.services.suppressions
    account = post.cloud.account.id
    await suppressions.note(account, "company.com", "left@x.example", "unsubscribe", "so")
    await suppressions.note(account, "company.com", "gone@x.example", "bounce", "550 5.1.1 no")
    recipients = [{"address": f"{name}@x.example"} for name in ("left", "gone", "here")]
    request = await post.sent(recipients=recipients, advertising=True)
    await post.expand()
    letters = await post.letters(request)
    assert letters["here@x.example"]["Subject"] == "(광고) t"
    assert "/t/u/" in letters["here@x.example"].get_content()
    mails = await post.get(f"/mails/requests/{request}/mails?sort=id")
    assert [mail["emailStatus"]["code"] for mail in mails["content"]] == ["U", "F", "R"]
    found = [(await post.get(f"/mails/{mail['mailId']}"))["recipients"][0] for mail in mails["content"]]
    assert [person["sendResultCode"] for person in found] == [None, "SEND_BLOCK_ADDRESS", None]


# --- lists


async def test_lists_in_pages_by_every_filter(post: Post) -> None:
    first = await post.sent(title="First ${n}", parameters={"n": "one"})
    second = await post.sent(title="Second", recipients=[{"address": f"b{n}@x.example"} for n in range(5)])
    every = "startUtc=0&endDateTime=9000-01-01"

    async def ids(query: str) -> list[str]:
        page = await post.get(f"/mails/requests?{every}&{query}")
        assert page["totalElements"] >= len(page["content"])
        return [item["requestId"] for item in page["content"]]

    for _ in range(2):  # before there are messages, and when there are
        assert await ids("") == [second, first]
        assert await ids("sort=createUtc") == [first, second]
        assert await ids("sort=recipientCount,desc&sort=createUtc") == [second, first]
        assert await ids("sort=statusCode&sort=sendUtc&sort=reservationUtc") == [second, first]
        assert await ids("size=1&page=1") == [first]
        assert await ids(f"requestId={first}") == [first]
        assert await ids("requestId=20000101000000000001") == []
        assert await ids("title=Seco") == [second]
        assert await ids("title=100%25") == []
        assert await ids("recipientAddress=b3@x.example") == [second]
        assert await ids("senderAddress=NO_REPLY@company.com") == [second, first]
        assert await ids("senderAddress=x@y.example") == []
        assert await ids("dispatchType=CONSOLE") == []
        assert await ids("sendStatus=R") == [second, first]
        assert await ids("sendStatus=S,F&sendStatus=PF") == []
        mails = (await post.get(f"/mails/requests/{second}/mails?sort=id"))["content"]
        assert await ids(f"mailId={mails[3]['mailId']}") == [second]
        assert [mail["representativeRecipient"] for mail in mails] == [f"b{n}@x.example" for n in range(5)]
        for query, numbers in (
            ("sort=id,desc&size=2&page=1", [2, 1]),
            ("recipientAddress=b3@x.example", [3]),
            (f"mailId={mails[2]['mailId']}", [2]),
            ("title=econ&sort=id", [0, 1, 2, 3, 4]),
            ("title=no", []),
            ("sendStatus=R&sort=id&size=2&page=2", [4]),
            ("sendStatus=S", []),
            ("sort=statusCode&sort=id", [0, 1, 2, 3, 4]),
        ):
            page = await post.get(f"/mails/requests/{second}/mails?{query}")
            found = [mail["mailId"] for mail in page["content"]]
            assert found == [mails[n]["mailId"] for n in numbers], query
        await post.expand()
    assert (await post.get(f"/mails/requests/{first}/mails?title=one"))["totalElements"] == 1
    await post.end(State.DELIVERED, "b1@x.example")
    page = await post.get(f"/mails/requests/{second}/mails?sort=statusCode,desc&size=2")
    assert [mail["emailStatus"]["code"] for mail in page["content"]] == ["S", "R"]
    assert page["totalElements"] == 5


async def test_what_lists_cannot_be_asked(post: Post) -> None:
    request = await post.sent()
    for path, code in (
        ("/mails/requests", "77102"),
        ("/mails/requests?startUtc=0", "77102"),
        ("/mails/requests?startUtc=5&endUtc=4", "77102"),
        ("/mails/requests?startUtc=0&endUtc=4&dispatchType=X", "77102"),
        ("/mails/requests?startUtc=0&endUtc=4&sendStatus=X", "77102"),
        ("/mails/requests?startUtc=0&endUtc=4&sort=unknown", "77102"),
        ("/mails/requests?startUtc=0&endUtc=4&size=0", "77102"),
        ("/mails/requests/20000101000000000001/status", "77103"),
        ("/mails/requests/unknown/status", "77103"),
        ("/mails/requests/unknown/mails", "77103"),
        (f"/mails/requests/{request}/mails?sendStatus=X", "77102"),
        (f"/mails/{request}", "77103"),
        ("/mails/unknown", "77103"),
        ("/mails/%00", "77103"),
        ("/mails/requests/%E3%80%80/status", "77103"),
        ("/files/%0A", "77103"),
    ):
        reply = await post.cloud.client.request("GET", path)
        assert reply.code == (400, code), path
    other = await post.cloud.add_key(scopes=("send",))
    reply = await post.cloud.client_of(other).request("GET", f"/mails/requests/{request}/status")
    assert reply.code == (401, "210")


# --- files


def form(*files: tuple[str, str, bytes]) -> tuple[bytes, dict[str, str]]:
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        "Content-Type: text/plain\r\n\r\n".encode()
        + content
        + b"\r\n"
        for field, name, content in files
    ]
    return b"".join(parts) + b"--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


async def test_files_and_a_mail_with_them(post: Post) -> None:
    client = post.cloud.client
    body, headers = form(("fileList", "계획.txt", b"plan"), ("other", "x", b"x"), ("fileList", "b.txt", b"12345"))
    reply = await client.request("POST", "/files", body=body, headers=headers)
    assert reply.status == 201, reply.body
    shape = {"tempRequestId": str, "files": [{"fileName": str, "fileSize": int, "fileId": str}]}
    assert_shape(reply.json, shape)
    made = reply.json
    assert [(file["fileName"], file["fileSize"]) for file in made["files"]] == [("계획.txt", 4), ("b.txt", 5)]
    assert all(id.endswith("-99") and len(id) == 39 for id in (made["tempRequestId"], made["files"][0]["fileId"]))
    path = f"/files/{made['tempRequestId']}"
    assert await post.get(path) == made
    request = await post.sent(attachFileIds=[file["fileId"] for file in made["files"]])
    gone = await client.request("DELETE", path)
    assert (gone.status, gone.json) == (200, made)
    for method in ("GET", "DELETE"):
        assert (await client.request(method, path)).code == (400, "77103")
    assert (await post.ask(attachFileIds=[made["files"][0]["fileId"]])).code == (400, "77103")
    await post.expand()
    (letter,) = (await post.letters(request)).values()
    assert [part.get_filename() for part in letter.iter_attachments()] == ["계획.txt", "b.txt"]
    (mail,) = (await post.get(f"/mails/requests/{request}/mails"))["content"]
    detail = await post.get(f"/mails/{mail['mailId']}")
    assert detail["attachFiles"] == [
        {name: file[name] for name in ("fileId", "fileName", "fileSize")} for file in made["files"]
    ]


async def test_files_are_there_for_a_day(post: Post) -> None:
    client = post.cloud.client
    body, headers = form(("fileList", "a.txt", b"plan"))
    made = (await client.request("POST", "/files", body=body, headers=headers)).json
    (file,) = made["files"]
    request = await post.sent(attachFileIds=[file["fileId"]], confirmAndSend=True)
    now = post.cloud.worker.platform.clock.now()
    async with post.store.write() as connection:
        (expires,) = await connection.scalars(select(t.upload.c.expires_at))
        assert now + 23 * HOUR < expires <= now + DAY
        await connection.execute(update(t.upload).values(expires_at=now))
    for method in ("GET", "DELETE"):
        assert (await client.request(method, f"/files/{made['tempRequestId']}")).code == (400, "77103")
    assert (await post.ask(attachFileIds=[file["fileId"]])).code == (400, "77103")
    # What was asked for before keeps its files.
    decisions = MailDecisions(post.store, post.cloud.worker.platform.clock)
    await decisions.confirm(post.cloud.account.id, request, Actor("test"))
    await post.expand()
    (letter,) = (await post.letters(request)).values()
    assert [part.get_filename() for part in letter.iter_attachments()] == ["a.txt"]


async def test_files_that_cannot_be(post: Post) -> None:
    client = post.cloud.client
    body, headers = form(("fileList", "a.bin", b"x" * (10 * 1024 * 1024 + 1)))
    assert (await client.request("POST", "/files", body=body, headers=headers)).code == (400, "77102")
    body, headers = form(("other", "a", b"x"))
    assert (await client.request("POST", "/files", body=body, headers=headers)).code == (400, "77102")
    assert (await client.request("POST", "/files", body=b"--b\r\nbroken", headers=headers)).code == (400, "77102")
    assert (await client.request("POST", "/files", {"a": 1})).code == (415, "77002")
    body, headers = form(*(("fileList", f"{n}", b"x") for n in range(21)))
    assert (await client.request("POST", "/files", body=body, headers=headers)).code == (400, "77102")
    async with post.store.read() as connection:
        assert not (await connection.execute(select(t.upload_piece.c.upload_id))).all()


# --- codes


def test_every_diagnosis_has_a_code_with_a_text() -> None:
    assert set(KINDS) == set(Diagnosis)
    codes = {result_code(diagnosis, final=final) for diagnosis in Diagnosis for final in (True, False)}
    assert codes <= set(all_labels()["send_result"])


def test_every_status_has_a_code_with_a_text() -> None:
    assert set(STATUS) == set(MailStatus)
    assert set(STATUS.values()) == set(all_labels()["email_status"])
    assert sorted(STATUS.values()) == [STATUS[status] for status in sorted(MailStatus)]


@pytest.mark.parametrize(
    ("address", "shown"),
    [("10.78.12.73", "10.78.xx.73"), ("2001:db8::1", "2001:0db8:0000:xx:xx:xx:xx:0001"), ("", ""), ("x", "")],
)
def test_addresses_are_masked(address: str, shown: str) -> None:
    assert masked(address) == shown
