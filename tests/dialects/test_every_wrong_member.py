"""One answer names all that is wrong with a JSON body, misspelt members among them, in both dialects."""

from __future__ import annotations

import time
from functools import partial
from types import ModuleType
from typing import Any

import msgspec
import pytest
from ibm_cloud import Cloud as IbmCloud
from infobip_cloud import SENDER, Cloud

from ekiden.dialects.ibm import http as ibm_http
from ekiden.dialects.ibm.cbr_shapes import ZoneBody
from ekiden.dialects.infobip import http as infobip_http
from ekiden.dialects.infobip.shapes import MessagesRequest
from ekiden.web.shape import LONGEST_NAME, MOST_PROBLEMS, read_shape

UNKNOWN = "is not a field of this request"
MISSING = "must not be null"


def meant(name: str) -> str:
    return f"{UNKNOWN}; did you mean {name}?"


def message(**content: Any) -> dict[str, Any]:
    return {
        "sender": SENDER,
        "destinations": [{"to": [{"destination": "john@shop.example"}]}],
        "content": {"subject": "Hello", "text": "Hi", **content},
    }


async def test_shape_values_and_names_of_messages_together(infobip: Cloud) -> None:
    reply = await infobip.json(
        "POST",
        "/email/4/messages",
        {
            "messages": [
                {
                    "sender": "nobody",
                    "destinations": [
                        {"to": [{"destination": "nowhere"}, {"destinaton": "a@x.example"}], "replyto": "x"}
                    ],
                    "content": {"subjct": "Hello", "text": 7},
                },
                {"destinations": {"to": []}, "contents": {}},
            ],
            "options": {
                "schedule": {"sendat": "2030-01-01T00:00:00Z", "bulkId": "x" * 101},
                "clientPriority": "FAST",
            },
        },
    )
    assert (reply.status, reply.problems) == (
        400,
        {
            "messages[0].sender": ["must be a well-formed email address"],
            "messages[0].destinations[0].replyto": [meant("replyTo")],
            "messages[0].destinations[0].to[0].destination": ["must be a well-formed email address"],
            "messages[0].destinations[0].to[1].destinaton": [meant("destination")],
            "messages[0].destinations[0].to[1].destination": [MISSING],
            "messages[0].content.subjct": [meant("subject")],
            "messages[0].content.subject": [MISSING],
            "messages[0].content.text": ["must be of another type: string, not int"],
            "messages[1].contents": [meant("content")],
            "messages[1].destinations": ["must be of another type: Expected `array`, got `object`"],
            "messages[1].content": [MISSING],
            "messages[1].sender": [MISSING],
            "options.schedule.sendat": [meant("sendAt")],
            "options.schedule.bulkId": ["size must be between 1 and 100"],
            "options.clientPriority": ["must be one of HIGH, STANDARD, LOW"],
        },
    )
    assert await infobip.stored() == []


async def test_a_misspelt_member_alone_is_refused(infobip: Cloud) -> None:
    """It would be sent at once, without its reports."""
    for body, place, text in (
        (
            {"messages": [message()], "options": {"schedule": {"sendat": "2030-01-01T00:00:00Z"}}},
            "options.schedule.sendat",
            meant("sendAt"),
        ),
        ({"messages": [message(attachement=[])]}, "messages[0].content.attachement", meant("attachments")),
        ({"messages": [message()], "x": 1}, "x", UNKNOWN),
    ):
        reply = await infobip.json("POST", "/email/4/messages", body)
        assert (reply.status, reply.problems) == (400, {place: [text]})
    assert await infobip.stored() == []
    # What is documented and means nothing here is taken.
    documented = {"ips": {"ipPoolId": "A"}, "storage": {"skipPassive": True}, "placeholdersMasking": []}
    reply = await infobip.json("POST", "/email/4/messages", {"messages": [message() | documented]})
    assert reply.status == 200, reply.body


OTHERS: list[tuple[str, str, Any, dict[str, list[str]]]] = [
    ("POST", "/email/4/mime", {"mimeMesage": "x", "notifyurl": "x", "messageId": "m" * 201}, {
        "mimeMesage": [meant("mimeMessage")], "notifyurl": [meant("notifyUrl")], "mimeMessage": [MISSING],
        "messageId": ["size must be between 1 and 200"],
    }),
    ("PUT", "/email/1/bulks?bulkId=b", {"sendat": "x"}, {"sendat": [meant("sendAt")], "sendAt": [MISSING]}),
    ("PUT", "/email/1/bulks/status?bulkId=b", {"state": "x"}, {
        "state": [meant("status")], "status": [MISSING],
    }),
    ("POST", "/email/2/validation", {"too": "x"}, {"too": [meant("to")], "to": [MISSING]}),
    ("POST", "/email/2/validations", {"destinations": [{"destinaton": "x"}, 7], "more": 1}, {
        "more": [UNKNOWN], "destinations[0].destinaton": [meant("destination")],
        "destinations[0].destination": [MISSING],
        "destinations[1]": ["must be of another type: Expected `object`, got `int`"],
    }),
    ("POST", "/email/1/domains", {"domainNam": "x", "dkimKeyLength": 7}, {
        "domainNam": [meant("domainName")], "domainName": [MISSING],
        "dkimKeyLength": ["must be one of 1024, 2048"],
    }),
    ("PUT", "/email/1/domains/sender.example/tracking", {"opens": True}, {"opens": [meant("open")]}),
    ("POST", "/email/1/suppressions", {"suppressions": [{"domain": "x"}]}, {
        "suppressions[0].domain": [meant("domainName")], "suppressions[0].domainName": [MISSING],
        "suppressions[0].type": [MISSING], "suppressions[0].emailAddress": [MISSING],
    }),
    ("POST", "/auth/1/session", {"user": "x", "password": ""}, {
        "username": [MISSING], "password": ["must not be blank"], "user": [UNKNOWN],
    }),
]  # fmt: skip


async def test_every_other_body_of_infobip(infobip_all: Cloud) -> None:
    for method, path, body, problems in OTHERS:
        reply = await infobip_all.json(method, path, body)
        assert (reply.status, reply.problems) == (400, problems), (method, path)


async def test_very_many_wrong_members_are_told_of_in_part(infobip: Cloud) -> None:
    reply = await infobip.json("POST", "/email/4/messages", {f"x{number}": 1 for number in range(5_000)})
    assert (reply.status, len(reply.problems)) == (400, MOST_PROBLEMS)


async def test_elements_keep_their_places_behind_a_wrong_one(infobip_all: Cloud) -> None:
    given = [{"destination": 7}, "x", {"destination": "a@x.example"}, {"destination": 7}, None]
    reply = await infobip_all.json("POST", "/email/2/validations", {"destinations": given})
    assert (reply.status, reply.problems) == (
        400,
        {
            "destinations[0].destination": ["must be of another type: string, not int"],
            "destinations[1]": ["must be of another type: Expected `object`, got `str`"],
            "destinations[3].destination": ["must be of another type: string, not int"],
            "destinations[4]": [MISSING],
        },
    )


async def test_a_member_whose_name_begins_that_of_an_unknown_one(infobip: Cloud) -> None:
    body = {"messages": [message() | {"contents": {}, "content": 7}]}
    reply = await infobip.json("POST", "/email/4/messages", body)
    assert (reply.status, reply.problems) == (
        400,
        {
            "messages[0].contents": [meant("content")],
            "messages[0].content": ["must be of another type: Expected `object`, got `int`"],
        },
    )


async def test_a_long_name_does_not_come_back(infobip: Cloud) -> None:
    reply = await infobip.json("POST", "/email/4/messages", {"messages": [message()], "x" * 1_000_000: 1})
    assert (reply.status, reply.problems) == (400, {"x" * LONGEST_NAME + "…": [UNKNOWN]})


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        (b'{"messages":[' + b",".join([b"{}"] * 12_000) + b"]}", MOST_PROBLEMS),
        (b'{"messages":[{"destinations":[' + b",".join([b"{}"] * 12_000) + b'],"content":{}}]}', MOST_PROBLEMS),
        (b'{"x":1,"messages":[{"destinations":[{"to":[' + b",".join([b"{}"] * 12_000) + b']}],"content":{}}]}', 1),
    ],
)
def test_many_wrong_elements_cost_no_more_than_a_few(body: bytes, problems: int) -> None:
    """Seconds once; 0.03 now."""
    plain = msgspec.json.decode(body)
    begin = time.process_time()
    assert len(read_shape(plain, MessagesRequest).problems) == problems
    assert time.process_time() - begin < 0.25


async def test_every_member_of_a_body_of_ibm(cloud: IbmCloud) -> None:
    token = await cloud.token()
    reply = await cloud.request(
        "POST",
        f"/v1/instances/{cloud.instance}/smtp/config",
        b'{"nam": "n", "domain": 7, "description": []}',
        {"Content-Type": "application/json"},
        token=token,
    )
    assert reply.status == 400
    assert [
        item["message"].removeprefix("the body does not have the expected form: ") for item in reply.json["errors"]
    ] == [
        "Object contains unknown field `nam` (did you mean `name`?)",
        "Object missing required field `name`",
        "Expected `str`, got `int` - at `$.domain`",
        "Expected `str`, got `array` - at `$.description`",
    ]


@pytest.mark.parametrize(("http", "kind"), [(infobip_http, MessagesRequest), (ibm_http, ZoneBody)])
def test_what_is_behind_a_wrong_member_may_be_no_json(http: ModuleType, kind: type) -> None:
    body = b'{"messages": 1, "name": 1, "addresses": 1, ]'
    tell = http.decode_json if http is infobip_http else partial(http._misshapen, first="")
    with pytest.raises(http.ApiError) as caught:
        tell(body, kind)
    assert caught.value.status == 400
