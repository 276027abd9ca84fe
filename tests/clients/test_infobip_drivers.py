"""The drivers of Infobip's own clients: what each puts on the wire, and what it makes of answers (contract §8)."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from client_stub import Part, Stub, running_stub, tls_front

from support.official_clients import ClientError, InfobipNode, InfobipPython, Program, new

AT = datetime(2026, 12, 1, 10, 0, 0, 123000, UTC)
SENT: dict[str, Any] = {
    "bulkId": "snxemd8u52v7v84iiu69",
    "messages": [
        {
            "to": "john@x.test",
            "messageId": "jgzra46v9zi1ztvd62t5",
            "status": {
                "groupId": 1,
                "groupName": "PENDING",
                "id": 26,
                "name": "PENDING_ACCEPTED",
                "description": "Message accepted, pending for delivery.",
            },
        }
    ],
}
DOMAIN = {
    "domainId": 1,
    "domainName": "newDomain.com",
    "active": False,
    "tracking": {"clicks": True, "opens": True, "unsubscribe": False},
    "dnsRecords": [{"recordType": "TXT", "name": "n", "expectedValue": "v", "verified": False}],
    "blocked": False,
    "createdAt": "2026-12-01T10:00:00.123+0000",
}
UNAUTHORIZED = {"requestError": {"serviceException": {"messageId": "UNAUTHORIZED", "text": "Unauthorized"}}}
BULKS = {"externalBulkId": "B1", "bulks": [{"bulkId": "2033", "sendAt": "2026-12-01T10:00:00.000+0000"}]}
STATUSES = {"externalBulkId": "B1", "bulks": [{"bulkId": "2033", "status": "PAUSED"}]}
PAGE = {"page": 0, "size": 10, "totalPages": 1, "totalResults": 1}
SUPPRESSIONS = {
    "suppressions": [{"domainName": "d.test", "emailAddress": ["j@x.test"], "type": "BOUNCE"}],
}
VALIDATION = {
    "to": "j@x.test",
    "validMailbox": "true",
    "validSyntax": True,
    "catchAll": False,
    "disposable": False,
    "roleBased": False,
    "risk": "LOW",
}
LOGS = "sentSince=2026-12-01T10%3A00%3A00.123000%2B0000&sentUntil=2026-12-01T10%3A00%3A00.123000%2B0000"


class Call(NamedTuple):
    """A call and its request. ``generations``: the digits of the clients that have it; ``sent``: the request's body
    as JSON, None: empty; ``says`` and ``status``: the answer."""

    generations: str
    method: str
    args: tuple[Any, ...]
    fields: dict[str, Any]
    line: str
    sent: Any = None
    says: Any = None
    status: int = 200


CALLS = [
    Call(
        "5",
        "get_email_delivery_reports",
        (),
        {"bulk_id": "B1", "message_id": "M1", "limit": 2},
        "GET /email/1/reports?bulkId=B1&messageId=M1&limit=2",
        says={"results": []},
    ),
    Call(
        "5",
        "get_email_logs",
        (),
        {"message_id": "M1", "var_from": "s@x.test", "to": "a@x.test", "bulk_id": "B1"}
        | {"general_status": "DELIVERED", "sent_since": AT, "sent_until": AT, "limit": 10},
        "GET /email/1/logs?messageId=M1&from=s%40x.test&to=a%40x.test&bulkId=B1&generalStatus=DELIVERED&"
        f"{LOGS}&limit=10",
        says={"results": []},
    ),
    Call(
        "6",
        "get_email_delivery_reports",
        (),
        {"bulk_id": "B1", "limit": 2},
        "GET /email/4/reports?bulkId=B1&limit=2",
        says={"results": []},
    ),
    Call(
        "6",
        "get_email_logs",
        (),
        {"message_id": ["M1", "M2"], "bulk_id": ["B1"], "sender": "s@x.test", "destination": "a@x.test"}
        | {"general_status": new("EmailMessageGeneralStatus", "DELIVERED"), "sent_since": AT, "sent_until": AT}
        | {"limit": 10},
        "GET /email/4/logs?sender=s%40x.test&destination=a%40x.test&bulkId=B1&messageId=M1&messageId=M2&"
        f"generalStatus=DELIVERED&{LOGS}&limit=10",
        says={"results": [], "cursor": {"limit": 10, "nextCursor": "abc"}},
    ),
    Call(
        "6",
        "get_email_logs",
        (),
        {"sent_since": AT.replace(hour=0, microsecond=0), "use_cursor": True, "cursor": "abc"},
        "GET /email/4/logs?sentSince=2026-12-01T00%3A00%3A00.000000%2B0000&useCursor=true&cursor=abc",
        says={"results": [], "cursor": {"limit": 50, "nextCursor": None}},
    ),
    Call("56", "get_scheduled_emails", (), {"bulk_id": "B1"}, "GET /email/1/bulks?bulkId=B1", says=BULKS),
    Call("56", "get_scheduled_email_statuses", ("B1",), {}, "GET /email/1/bulks/status?bulkId=B1", says=STATUSES),
    Call(
        "5",
        "reschedule_emails",
        ("B1", new("EmailBulkRescheduleRequest", send_at=AT)),
        {},
        "PUT /email/1/bulks?bulkId=B1",
        {"sendAt": "2026-12-01T10:00:00.123+00:00"},
        {"bulkId": "B1", "sendAt": "2026-12-01T10:00:00.123+0000"},
    ),
    Call(
        "6",
        "reschedule_emails",
        ("B1", new("EmailBulkRescheduleRequest", send_at=AT)),
        {},
        "PUT /email/1/bulks?bulkId=B1",
        {"sendAt": "2026-12-01T10:00:00.123000+00:00"},
        {"bulkId": "B1", "sendAt": "2026-12-01T10:00:00.123+0000"},
    ),
    Call(
        "56",
        "update_scheduled_email_statuses",
        ("B1", new("EmailBulkUpdateStatusRequest", status=new("EmailBulkStatus", "PAUSED"))),
        {},
        "PUT /email/1/bulks/status?bulkId=B1",
        {"status": "PAUSED"},
        {"bulkId": "B1", "status": "PAUSED"},
    ),
    Call(
        "56",
        "validate_email_addresses",
        (new("EmailValidationRequest", to="j@x.test"),),
        {},
        "POST /email/2/validation",
        {"to": "j@x.test"},
        VALIDATION,
    ),
    Call(
        "6",
        "request_validations",
        (
            new(
                "EmailValidationApiBulkRequest",
                destinations=[new("EmailValidationDestination", destination="j@x.test")],
            ),
        ),
        {},
        "POST /email/2/validations",
        {"destinations": [{"destination": "j@x.test"}]},
        {"validationRequestId": "V1"},
        202,
    ),
    Call(
        "56",
        "get_all_domains",
        (),
        {"size": 10, "page": 0},
        "GET /email/1/domains?size=10&page=0",
        says={"paging": PAGE, "results": [DOMAIN]},
    ),
    Call(
        "56",
        "add_domain",
        (new("EmailAddDomainRequest", domain_name="newDomain.com", targeted_daily_traffic=1000),),
        {},
        "POST /email/1/domains",
        {"domainName": "newDomain.com", "dkimKeyLength": 2048, "targetedDailyTraffic": 1000},
        DOMAIN,
    ),
    Call("56", "get_domain_details", ("newDomain.com",), {}, "GET /email/1/domains/newDomain.com", says=DOMAIN),
    Call(
        "56",
        "update_tracking_events",
        ("newDomain.com", new("EmailTrackingEventRequest", open=True, clicks=True, unsubscribe=False)),
        {},
        "PUT /email/1/domains/newDomain.com/tracking",
        {"open": True, "clicks": True, "unsubscribe": False},
        DOMAIN,
    ),
    Call(
        "5",
        "update_return_path",
        ("newDomain.com", new("EmailReturnPathAddressRequest", return_path_address="rp@x.test")),
        {},
        "PUT /email/1/domains/newDomain.com/return-path",
        {"returnPathAddress": "rp@x.test"},
        DOMAIN | {"returnPathAddress": "rp@x.test"},
    ),
    Call("56", "verify_domain", ("newDomain.com",), {}, "POST /email/1/domains/newDomain.com/verify", status=202),
    Call("56", "delete_domain", ("newDomain.com",), {}, "DELETE /email/1/domains/newDomain.com", status=204),
    Call(
        "56",
        "get_suppressions",
        ("d.test", new("EmailSuppressionType", "BOUNCE")),
        {},
        "GET /email/1/suppressions?domainName=d.test&type=BOUNCE",
        says={"results": [], "paging": {"page": 0, "size": 100}},
    ),
    Call(
        "56",
        "add_suppressions",
        (
            new(
                "EmailAddSuppressionRequest",
                suppressions=[
                    new(
                        "EmailAddSuppression",
                        domain_name="d.test",
                        email_address=["j@x.test"],
                        type=new("EmailAddSuppressionType", "BOUNCE"),
                    )
                ],
            ),
        ),
        {},
        "POST /email/1/suppressions",
        SUPPRESSIONS,
        status=204,
    ),
    Call(
        "56",
        "delete_suppressions",
        (
            new(
                "EmailDeleteSuppressionRequest",
                suppressions=[
                    new(
                        "EmailDeleteSuppression",
                        domain_name="d.test",
                        email_address=["j@x.test"],
                        type=new("EmailSuppressionType", "BOUNCE"),
                    )
                ],
            ),
        ),
        {},
        "DELETE /email/1/suppressions",
        SUPPRESSIONS,
        status=204,
    ),
    Call(
        "6",
        "send_email",
        (
            new(
                "EmailRequest",
                messages=[
                    new(
                        "EmailMessage",
                        sender="jane@x.test",
                        destinations=[
                            new(
                                "EmailGroupDestination",
                                to=[new("EmailToDestination", destination="john@x.test")],
                            )
                        ],
                        content=new("EmailMessageContent", subject="S", text="T"),
                    )
                ],
                options=new("EmailMessageRequestOptions", client_priority_=new("EmailClientPriority", "HIGH")),
            ),
        ),
        {},
        "POST /email/4/messages",
        {
            "messages": [
                {
                    "sender": "jane@x.test",
                    "destinations": [{"to": [{"destination": "john@x.test"}], "preserveRecipients": False}],
                    "content": {"subject": "S", "text": "T", "templateLanguageVersion": "1"},
                }
            ],
            "options": {"clientPriority ": "HIGH"},
        },
        {
            "bulkId": "B1",
            "messages": [
                {
                    "messageId": "M1",
                    "status": SENT["messages"][0]["status"],
                    "destination": "john@x.test",
                }
            ],
        },
    ),
    Call(
        "6",
        "send_mime_email",
        (new("EmailSendMimeRequestSchema", mime_message="RnJvbTog", destinations=["b@x.test"]),),
        {},
        "POST /email/4/mime",
        {"destinations": ["b@x.test"], "mimeMessage": "RnJvbTog", "clientPriority": "STANDARD"},
        SENT,
    ),
]
RUNS = [(int(generation), call) for call in CALLS for generation in call.generations]


@pytest.fixture(params=[5, 6])
def either(request: pytest.FixtureRequest) -> InfobipPython:
    """Both generations of the Python client in turn."""
    program: InfobipPython = request.getfixturevalue(f"infobip_{request.param}")
    return program


@pytest.mark.parametrize(("generation", "call"), RUNS, ids=[f"{g}-{c.method}" for g, c in RUNS])
async def test_requests_of_the_python_clients(
    request: pytest.FixtureRequest, stub: Stub, generation: int, call: Call
) -> None:
    program: InfobipPython = request.getfixturevalue(f"infobip_{generation}")
    stub.say(call.status, call.says)
    told = await program.client(stub.base, "KEY-123").call_async(call.method, *call.args, **call.fields)
    assert stub.line == call.line
    assert stub.fields["authorization"] == "App KEY-123"
    version = {5: "5.1.1", 6: "6.0.0"}[generation]
    assert stub.fields["user-agent"] == f"infobip-api-client-python/{version}"
    if call.sent is None:
        assert stub.last.body == b""
    else:
        assert stub.fields["content-type"] == "application/json"
        assert json.loads(stub.last.body) == call.sent
    if call.says is None:
        assert told is None
    else:
        known = {"externalBulkId", "validationRequestId", "bulkId", "domainId", "to", "results"}
        for key in known & set(call.says):
            assert bool(told[key]) == bool(call.says[key])


async def test_multipart_of_the_fifth_generation(infobip_5: InfobipPython, stub: Stub, tmp_path: Path) -> None:
    stub.say(200, SENT)
    alice = json.dumps({"to": "alice@x.test", "placeholders": {"name": "Alice"}})
    file = tmp_path / "plan.txt"
    file.write_bytes(b"of a path")
    told = await infobip_5.client(stub.base, "KEY-123").call_async(
        "send_email",
        to=["john@x.test", alice],
        var_from="Jane <jane@x.test>",
        subject="S {{ph1}} 日本",
        text="T",
        html="<h1>H</h1>",
        template_id=12,
        attachment=[new("FileParameter", b"\x00hello\r\n", "a.txt", "text/plain"), b"rawbytes", str(file)],
        inline_image=[new("FileParameter", b"\x89PNG", "i.png", content_type="image/png")],
        intermediate_report=True,
        track=True,
        track_opens=False,
        bulk_id="B1",
        preserve_recipients=False,
        send_at=AT,
        default_placeholders=json.dumps({"ph1": "ok"}),
        headers=json.dumps({"X-C": "v"}),
    )
    assert told == SENT
    assert stub.line == "POST /email/3/send"
    texts = [(part.name, part.content.decode()) for part in stub.parts if part.filename is None]
    assert texts == [
        ("from", "Jane <jane@x.test>"),
        ("to", "john@x.test"),
        ("to", alice),
        ("subject", "S {{ph1}} 日本"),
        ("text", "T"),
        ("html", "<h1>H</h1>"),
        ("templateId", "12"),
        ("intermediateReport", "True"),
        ("track", "True"),
        ("trackOpens", "False"),
        ("bulkId", "B1"),
        ("defaultPlaceholders", '{"ph1": "ok"}'),
        ("preserveRecipients", "False"),
        ("sendAt", "2026-12-01T10:00:00.123+00:00"),
        ("headers", '{"X-C": "v"}'),
    ]
    assert {part.content_type for part in stub.parts if part.filename is None} == {None}
    assert [part for part in stub.parts if part.filename is not None] == [
        Part("attachment", "a.txt", "text/plain", b"\x00hello\r\n"),
        Part("attachment", "attachment", "application/octet-stream", b"rawbytes"),
        Part("attachment", "plan.txt", "text/plain", b"of a path"),
        Part("inlineImage", "i.png", "image/png", b"\x89PNG"),
    ]


async def test_everything_of_the_sixth_generation(infobip_6: InfobipPython, stub: Stub) -> None:
    """The full variant of contract §8."""
    stub.say(200, {"bulkId": "B1", "messages": []})
    content = new(
        "EmailMessageContent",
        subject="S",
        attachments=[
            new(
                "EmailMediaBinaryAttachment",
                content=base64.b64encode(b"hi").decode(),
                content_type="text/plain",
                file_name="a.txt",
            )
        ],
        default_placeholders='{"ph": "1"}',
        headers='{"X-C": "v"}',
    )
    message = new(
        "EmailMessage",
        sender="jane@x.test",
        destinations=[
            new("EmailGroupDestination", to=[new("EmailToDestination", destination="b@x.test", message_id="M1")])
        ],
        content=content,
        options=new(
            "EmailMessageOptions",
            platform=new("Platform", entity_id="e", application_id="a"),
            campaign_reference_id="c",
        ),
        webhooks=new(
            "EmailWebhooks",
            delivery=new(
                "EmailMessageDeliveryReporting", url="http://x.test/n", intermediate_report=True, notify=True
            ),
            content_type="application/json",
            callback_data="cb",
        ),
    )
    tracking = new("EmailUrlOptions", track=True, track_opens=False, tracking_url="http://x.test/t")
    options = new(
        "EmailMessageRequestOptions",
        schedule=new("EmailRequestSchedulingSettings", bulk_id="B1", send_at="2026-12-01T10:00:00.000+0000"),
        tracking=tracking,
    )
    told = await infobip_6.client(stub.base, "KEY-123").call_async(
        "send_email_with_http_info", new("EmailRequest", messages=[message], options=options)
    )
    assert (told["status_code"], told["headers"]["X-Request-Id"]) == (200, "stub")
    assert told["raw_data"] == json.dumps({"bulkId": "B1", "messages": []}).encode()
    sent = json.loads(stub.last.body)
    assert sent["options"]["schedule"] == {"bulkId": "B1", "sendAt": "2026-12-01T10:00:00.000+0000"}
    assert sent["options"]["tracking"] == {
        "track": True,
        "trackOpens": False,
        "trackingUrl": "http://x.test/t",
        "trackingPixelPosition": "TOP",
    }
    assert sent["messages"][0]["content"]["attachments"] == [
        {"type": "binary", "content": "aGk=", "contentType": "text/plain", "fileName": "a.txt"}
    ]
    assert sent["messages"][0]["options"] == {
        "platform": {"entityId": "e", "applicationId": "a"},
        "campaignReferenceId": "c",
    }
    assert sent["messages"][0]["webhooks"] == {
        "delivery": {"url": "http://x.test/n", "intermediateReport": True, "notify": True},
        "contentType": "application/json",
        "callbackData": "cb",
    }


async def test_lists_and_names(infobip_6: InfobipPython, stub: Stub) -> None:
    """A field may be called as an argument of ours; a result may be a list."""
    client = infobip_6.client(stub.base, "KEY-123")
    ips = [{"id": "A", "ip": "192.0.2.1", "ipAddresses": ["192.0.2.1"], "pools": []}]
    stub.say(200, ips)
    assert await client.call_async("get_all_ips") == ips
    stub.say(201, {"id": "A", "name": "p"})
    told = await client.call_async("create_ip_pool", new("EmailIpPoolCreateApiRequest", name="p"))
    assert told == {"id": "A", "name": "p"}
    assert json.loads(stub.last.body) == {"name": "p"}


@pytest.mark.parametrize("status", [200, 201])
async def test_only_the_documented_status_has_a_result(infobip_6: InfobipPython, stub: Stub, status: int) -> None:
    """A template that was made is 201 (contract §4.6); with 200 the client throws the answer away."""
    template = {
        "id": 1,
        "name": "n",
        "html": "<b>x</b>",
        "isHtmlEditable": True,
        "attachments": [],
        "createdAt": "2026-12-01T10:00:00.123+0000",
        "updatedAt": "2026-12-01T10:00:00.123+0000",
    }
    stub.say(status, template)
    client = infobip_6.client(stub.base, "KEY-123")
    told = await client.call_async(
        "create_email_template", "<b>x</b>", name="n", var_from="a@x.test", landing_page="1_2"
    )
    assert told == (template | {"createdAt": AT, "updatedAt": AT} if status == 201 else None)
    assert stub.line == "POST /email/1/templates"
    assert [(part.name, part.content) for part in stub.parts] == [
        ("name", b"n"),
        ("from", b"a@x.test"),
        ("html", b"<b>x</b>"),
        ("landingPage", b"1_2"),
    ]


async def test_errors_of_the_python_clients(either: InfobipPython, stub: Stub) -> None:
    client = either.client(stub.base, "wrong")
    for status, name in (
        (400, "BadRequestException"),
        (401, "UnauthorizedException"),
        (403, "ForbiddenException"),
        (404, "NotFoundException"),
        (429, "ApiException"),
        (500, "ServiceException"),
    ):
        stub.say(status, UNAUTHORIZED)
        with pytest.raises(ClientError) as refused:
            await client.call_async("get_scheduled_emails", "B1")
        assert (refused.value.type, refused.value.status) == (name, status)
        assert "ApiException" in refused.value.bases
        assert refused.value.body is not None
        assert json.loads(refused.value.body) == UNAUTHORIZED
        assert refused.value.headers["x-request-id"] == "stub"
    # What the client itself refuses never reaches a server.
    asked = len(stub.requests)
    with pytest.raises(ClientError) as wrong:
        await client.call_async("get_scheduled_emails", 1)
    assert (wrong.value.type, wrong.value.status, len(stub.requests)) == ("ValidationError", None, asked)
    with pytest.raises(ClientError, match="AttributeError"):
        await client.call_async("no_such_method")


async def test_errors_are_read_by_the_client(infobip_5: InfobipPython, stub: Stub) -> None:
    stub.say(401, UNAUTHORIZED)
    with pytest.raises(ClientError) as refused:
        await infobip_5.client(stub.base, "wrong").call_async("get_email_logs")
    assert refused.value.data == UNAUTHORIZED


async def test_times_come_back_as_times(either: InfobipPython, stub: Stub) -> None:
    client = either.client(stub.base, "KEY")
    for spelled in ("+0000", "+00:00", "Z"):
        stub.say(200, {"bulkId": "B1", "sendAt": f"2026-12-01T10:00:00.123{spelled}"})
        told = await client.call_async(
            "reschedule_emails", "B1", new("EmailBulkRescheduleRequest", send_at=AT + timedelta(days=1))
        )
        assert told["sendAt"] == AT


async def test_strangeness_of_answers_is_noticed(infobip_6: InfobipPython, stub: Stub) -> None:
    """Contract §0.7: a group name outside the client's list."""
    log = {
        "status": {"groupId": 2, "groupName": "BOUNCED", "id": 9, "name": "n", "description": "d"},
        "sender": "a@x.test",
    }
    stub.say(200, {"results": [log]})
    with pytest.raises(ClientError) as refused:
        await infobip_6.client(stub.base, "KEY").call_async("get_email_logs")
    assert refused.value.type == "ValidationError"


async def test_another_scheme(either: InfobipPython, stub: Stub) -> None:
    stub.say(200, {"results": []})
    token = base64.b64encode(b"user:password").decode()
    client = either.client(stub.base, token, scheme="Basic")
    await client.call_async("get_email_delivery_reports")
    assert stub.fields["authorization"] == f"Basic {token}"


async def test_two_servers_at_once(either: InfobipPython, stub: Stub) -> None:
    async with running_stub() as other:
        for server in (stub, other):
            server.say(200, {"results": []})
        clients = [either.client(server.base, "KEY") for server in (stub, other)]
        for client in clients * 2:
            await client.call_async("get_email_delivery_reports")
        assert (len(stub.requests), len(other.requests)) == (2, 2)


async def test_plain_http_is_for_loopback(infobip_6: InfobipPython) -> None:
    """Contract §0.12."""
    with pytest.raises(ClientError, match="ValueError"):
        await infobip_6.client("http://mail.x.test", "KEY").call_async("get_email_delivery_reports")


async def test_tls(either: InfobipPython, infobip_node: InfobipNode, stub: Stub, tmp_path: Path) -> None:
    stub.say(200, {"results": []})
    async with tls_front(stub, tmp_path) as front:
        trusting = either.client(front.base, "KEY", ca=front.certificate)
        assert await trusting.call_async("get_email_delivery_reports") == {"results": []}
        with pytest.raises(ClientError, match="certificate"):
            await infobip_node.client(front.base, "KEY").call_async("channels.email.report.get", {})
        other = InfobipNode(front.certificate)
        told = await other.client(front.base, "KEY").call_async("channels.email.report.get", {})
        assert told["data"] == {"results": []}
        other.close()
    assert len(stub.requests) == 2


async def test_parts_of_the_node_client(infobip_node: InfobipNode, stub: Stub) -> None:
    stub.say(200, SENT)
    client = infobip_node.client(stub.base, "KEY-123")
    message = {
        "to": "john@x.test",
        "cc": ["c@x.test", "d@x.test"],
        "from": "Jane <jane@x.test>",
        "subject": "日本",
        "html": "<b>H</b>",
        "attachment": [{"data": b"\x00\xff", "name": "a.pdf"}],
    }
    told = await client.call_async("channels.email.send", message)
    assert (told["status"], told["data"], told["headers"]["x-request-id"]) == (200, SENT, "stub")
    assert stub.line == "POST /email/3/send"
    assert stub.fields["authorization"] == "App KEY-123"
    assert stub.fields["user-agent"].startswith("axios/")
    texts = {part.name: part.content.decode() for part in stub.parts if part.filename is None}
    assert texts == {
        "to['0']": "john@x.test",
        "cc['0']": "c@x.test",
        "cc['1']": "d@x.test",
        "from": "Jane <jane@x.test>",
        "subject": "日本",
        "html": "<b>H</b>",
    }
    (file,) = [part for part in stub.parts if part.filename is not None]
    assert (file.name, file.filename, file.content) == ("attachment", "a.pdf", b"\x00\xff")


async def test_other_requests_of_the_node_client(infobip_node: InfobipNode, stub: Stub) -> None:
    stub.say(200, {"results": []})
    email = infobip_node.client(stub.base, "KEY-123")
    for method, args, line, body in (
        ("get", ["B1"], "GET /email/1/bulks?bulkId=B1", None),
        (
            "reschedule",
            ["B1", "2026-12-01T10:00:00Z"],
            "PUT /email/1/bulks?bulkId=B1",
            {"sendAt": "2026-12-01T10:00:00Z"},
        ),
        ("status.get", ["B1"], "GET /email/1/bulks/status?bulkId=B1", None),
        ("status.update", ["B1", "PAUSED"], "PUT /email/1/bulks/status?bulkId=B1", {"status": "PAUSED"}),
        ("report.get", [{"limit": 2}], "GET /email/1/reports?limit=2", None),
        ("log.get", [{"messageId": "M1"}], "GET /email/1/logs?messageId=M1", None),
        ("validate", ["j@x.test"], "POST /email/2/validation", {"to": "j@x.test"}),
        ("domain.get", ["a.test"], "GET /email/1/domains/a.test", None),
        ("domain.add", ["a.test"], "POST /email/1/domains", {"domainName": "a.test"}),
        ("domain.verify", ["a.test"], "POST /email/1/domains/a.test/verify", {}),
        ("domain.delete", ["a.test"], "DELETE /email/1/domains/a.test", None),
    ):
        await email.call_async(f"channels.email.{method}", *args)
        assert stub.line == line
        assert (json.loads(stub.last.body) if stub.last.body else None) == body


async def test_tokens_of_the_node_client(infobip_node: InfobipNode, stub: Stub) -> None:
    """Without a credential the client sends the word "undefined"; the secret of OAuth is in the query."""
    stub.say(200, {"token": "t"})
    client = infobip_node.client(stub.base, authType="Basic", username="u", password="p")
    told = await client.call_async("auth.ibsso.create")
    assert told["data"] == {"token": "t"}
    assert (stub.line, stub.fields["authorization"]) == ("POST /auth/1/session", "undefined")
    assert json.loads(stub.last.body) == {"username": "u", "password": "p"}
    await client.call_async("auth.ibsso.destroy", "T")
    assert (stub.line, stub.fields["authorization"]) == ("DELETE /auth/1/session", "IBSSO T")
    await client.call_async("auth.oauth2.create")
    assert stub.line == ("POST /auth/1/oauth2/token?client_secret=p&client_id=u&grant_type=client_credentials")
    assert (stub.fields["authorization"], stub.last.body) == ("undefined", b"")
    assert stub.fields["content-type"] == "application/x-www-form-urlencoded"
    for scheme, name in (("IBSSO", "ibssoToken"), ("Bearer", "oauthToken")):
        other = infobip_node.client(stub.base, authType=scheme, **{name: "T"})
        await other.call_async("channels.email.domain.get", "a.test")
        assert stub.fields["authorization"] == f"{scheme} T"


async def test_errors_of_the_node_client(infobip_node: InfobipNode, stub: Stub) -> None:
    stub.say(401, UNAUTHORIZED)
    client = infobip_node.client(stub.base, authType="Basic", username="u", password="p")
    with pytest.raises(ClientError) as refused:
        await client.call_async("channels.email.domain.get", "a.test")
    assert stub.fields["authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
    assert (refused.value.type, refused.value.status, refused.value.data) == ("AxiosError", 401, UNAUTHORIZED)
    with pytest.raises(ClientError, match=r"email\.from is required"):
        await client.call_async("channels.email.send", {"to": "a@x.test"})


def test_a_driver_that_dies_is_told_of_and_replaced(tmp_path: Path) -> None:
    """The first one dies, the second answers."""
    script = f'read line; mkdir {tmp_path}/been && echo "no more" >&2 || echo "{{\\"result\\": 7}}"'
    program = Program(["/bin/sh", "-c", script])
    with pytest.raises(RuntimeError, match="no more"):
        program.ask({})
    assert program.ask({}) == 7
    program.close()
