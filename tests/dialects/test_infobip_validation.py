"""``/email/2/validation`` and ``/email/2/validations``: one address at once, many by and by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from infobip_cloud import Cloud, multipart
from infobip_outcomes import Outcomes

from ekiden.core.states import State

ONE, MANY = "/email/2/validation", "/email/2/validations"
ANN = "ann@good.example"


@pytest.fixture
async def known(infobip_all: Cloud) -> Cloud:
    """``good.example`` takes mail."""
    infobip_all.lab.set_dns("good.example", "MX", ["10 mx.good.example."])
    infobip_all.lab.set_dns("mx.good.example", "A", ["127.0.0.1"])
    return infobip_all


async def test_an_address_of_which_little_is_known(known: Cloud) -> None:
    reply = await known.json("POST", ONE, {"to": ANN})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == {
        "to": ANN,
        "validMailbox": "unknown",
        "validSyntax": True,
        "catchAll": False,
        "disposable": False,
        "roleBased": False,
        "risk": "UNKNOWN",
    }


async def test_an_address_that_got_our_mail(known: Cloud, outcomes: Outcomes) -> None:
    await outcomes.send(ANN)
    await outcomes.finish()
    found = (await known.json("POST", ONE, {"to": ANN})).json
    assert (found["validMailbox"], found["risk"]) == ("true", "LOW")
    assert not {"reason", "detailedReasons"} & set(found)


async def test_addresses_that_did_not(known: Cloud, outcomes: Outcomes) -> None:
    await outcomes.send(ANN)
    await outcomes.finish(State.BOUNCED, "550 5.1.1 No such user")
    found = (await known.json("POST", ONE, {"to": ANN})).json
    assert (found["validMailbox"], found["risk"], found["detailedReasons"]) == ("false", "HIGH", "known_hardbounce")
    assert "reason" not in found
    await outcomes.send("full@good.example")
    await outcomes.finish(State.BOUNCED, "552 5.2.2 Mailbox full")
    found = (await known.json("POST", ONE, {"to": "full@good.example"})).json
    assert (found["validMailbox"], found["reason"]) == ("unknown", "INBOX_FULL")
    assert found["detailedReasons"] == "mailbox_full"


UNREACHABLE = ["nobody", "a@b@", "a@nowhere.example", "<a@good.example>"]


async def test_what_no_mail_can_reach(known: Cloud) -> None:
    for address in UNREACHABLE:
        found = (await known.json("POST", ONE, {"to": address})).json
        assert (found["to"], found["validMailbox"], found["risk"]) == (address, "false", "HIGH")
        assert found["validSyntax"] == (address == "a@nowhere.example"), address


async def test_forms_and_xml(known: Cloud) -> None:
    body = f"to={quote(ANN)}".encode()
    urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = await known.request("POST", ONE, body, urlencoded)
    assert (reply.status, reply.json["to"]) == (200, ANN)
    content_type, form = multipart([("to", ANN)])
    reply = await known.request("POST", ONE, form, {"Content-Type": content_type})
    assert (reply.status, reply.json["to"]) == (200, ANN)
    reply = await known.request("POST", ONE, body, {**urlencoded, "Accept": "application/xml"})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/xml")
    root = ElementTree.fromstring(reply.body)
    assert root.tag == "ValidationResponse"
    assert {child.tag: child.text for child in root} == {
        "to": ANN,
        "validMailbox": "unknown",
        "validSyntax": "true",
        "catchAll": "false",
        "disposable": "false",
        "roleBased": "false",
        "risk": "UNKNOWN",
    }
    reply = await known.request("POST", ONE, b"x=y", {**urlencoded, "Accept": "application/xml"})
    assert (reply.status, reply.headers["content-type"]) == (400, "application/xml")
    assert ElementTree.fromstring(reply.body).tag == "ApiException"


BAD: list[tuple[bytes, str, str]] = [
    (b"{}", "application/json", "to"),
    (b'{"to": null}', "application/json", "to"),
    (b'{"to": ""}', "application/json", "to"),
    (b'{"to": ["a@b.example"]}', "application/json", "to"),
    (b'{"to": "a\\r\\n@b.example"}', "application/json", "to"),
    (b'{"to": "' + b"x" * 321 + b'"}', "application/json", "to"),
    (b"{", "application/json", "request"),
    (b"", "application/json", "request"),
    (b"", "application/x-www-form-urlencoded", "to"),
    (b"to=a%40b.example&to=c%40d.example", "application/x-www-form-urlencoded", "to"),
    (b"to", "text/plain", "request"),
]


async def test_bad_input(infobip_all: Cloud) -> None:
    for body, media_type, name in BAD:
        reply = await infobip_all.request("POST", ONE, body, {"Content-Type": media_type})
        assert (reply.status, list(reply.problems)) == (400, [name]), (body, media_type)
        assert "requestError" in reply.json


# --- many -----------------------------------------------------------------------------------------------------


def asked(*addresses: str) -> dict[str, Any]:
    return {"destinations": [{"destination": address} for address in addresses]}


async def test_many_addresses(known: Cloud) -> None:
    reply = await known.json(
        "POST", MANY, {"validationRequestId": "mine", **asked(ANN, "nobody", "info@good.example")}
    )
    assert (reply.status, reply.json) == (202, {"validationRequestId": "mine"})
    empty = {"results": [], "paging": {"size": 100, "previousCursor": "", "nextCursor": ""}}
    assert (await known.request("GET", MANY)).json == empty
    assert await known.services.check_requests.work() == 3
    found = (await known.request("GET", f"{MANY}?validationRequestId=mine")).json
    assert found["paging"] == empty["paging"]
    ann, nobody, info = found["results"]
    assert ann == {
        "destination": ANN,
        "validMailbox": "unknown",
        "validSyntax": True,
        "catchAll": False,
        "disposable": False,
        "roleBased": False,
        "risk": "UNKNOWN",
        "bulkValidationDate": ann["bulkValidationDate"],
        "validationRequestId": "mine",
    }
    assert ann["bulkValidationDate"].endswith("Z")
    assert (nobody["validMailbox"], nobody["validSyntax"], nobody["detailedReasons"]) == (
        "false",
        False,
        "invalid_syntax",
    )
    assert (info["roleBased"], info["risk"]) == (True, "MEDIUM")


async def test_filters_and_pages(known: Cloud) -> None:
    addresses = [f"r{number}@good.example" for number in range(5)]
    reply = await known.json("POST", MANY, asked(*addresses, "nobody", "info@good.example"))
    request = reply.json["validationRequestId"]
    assert request
    await known.services.check_requests.work()
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")

    async def get(query: str) -> list[str]:
        reply = await known.request("GET", f"{MANY}?{query}")
        assert reply.status == 200, reply.body
        return [result["destination"] for result in reply.json["results"]]

    assert await get("destination=r1@good.example,nobody") == ["r1@good.example", "nobody"]
    assert await get("destination=r1@good.example&destination=r2@good.example") == addresses[1:3]
    assert await get("validMailbox=false") == ["nobody"]
    assert await get("validSyntax=False") == ["nobody"]
    assert await get("roleBased=true") == ["info@good.example"]
    assert await get("risk=medium") == ["info@good.example"]
    assert await get("disposable=true") == []
    assert await get("catchAll=true") == []
    assert await get("catchAll=false&validSyntax=true&roleBased=false") == addresses
    assert await get("validationRequestId=other") == []
    assert await get(f"validatedDateFrom={quote(tomorrow)}") == []
    assert len(await get(f"validatedDateTo={quote(tomorrow)}")) == 7
    found: list[str] = []
    cursor = ""
    while True:
        page = (await known.request("GET", f"{MANY}?size=3&cursor={cursor}")).json
        assert page["paging"]["size"] == 3
        found += [result["destination"] for result in page["results"]]
        cursor = page["paging"]["nextCursor"]
        if not cursor:
            break
    assert found == [*addresses, "nobody", "info@good.example"]
    back = (await known.request("GET", f"{MANY}?size=3&cursor={page['paging']['previousCursor']}")).json
    assert [result["destination"] for result in back["results"]] == [*addresses[3:], "nobody"]


async def test_ten_thousand_addresses(known: Cloud) -> None:
    addresses = [f"r{number}@good.example" for number in range(10_000)]
    assert (await known.json("POST", MANY, asked(*addresses))).status == 202
    assert len(await known.rows("address_check")) == 10_000


async def test_bad_lists_change_nothing(infobip_all: Cloud) -> None:
    for given, name in (
        ({}, "destinations"),
        ({"destinations": None}, "destinations"),
        ({"destinations": []}, "destinations"),
        ({"destinations": [ANN]}, "destinations[0]"),
        ({"destinations": [{}]}, "destinations[0].destination"),
        ({"destinations": [{"destination": ANN}, {"destination": ""}]}, "destinations[1].destination"),
        ({"destinations": [{"destination": 7}]}, "destinations[0].destination"),
        ({"destinations": [{"destination": "x" * 321}]}, "destinations[0].destination"),
        ({"validationRequestId": "x" * 201, **asked(ANN)}, "validationRequestId"),
        ({"validationRequestId": "", **asked(ANN)}, "validationRequestId"),
        ({"validationRequestId": 7, **asked(ANN)}, "validationRequestId"),
        (asked(*[ANN] * 100_001), "destinations"),
    ):
        reply = await infobip_all.json("POST", MANY, given)
        assert (reply.status, list(reply.problems)) == (400, [name])
        assert reply.json["errorCode"] == "E400"
    assert len((await infobip_all.json("POST", MANY, asked(*["\n"] * 5_000))).problems) == 100
    assert await infobip_all.rows("address_check") == []


async def test_parameters_that_cannot_be(infobip_all: Cloud) -> None:
    for query, name in (
        ("validMailbox=maybe", "validMailbox"),
        ("validSyntax=maybe", "validSyntax"),
        ("risk=NONE", "risk"),
        ("size=0", "size"),
        ("size=1001", "size"),
        ("cursor=nonsense", "cursor"),
        ("validatedDateFrom=x", "validatedDateFrom"),
        ("validatedDateTo=x", "validatedDateTo"),
        ("&".join(f"destination=r{number}@a.example" for number in range(101)), "destination"),
    ):
        reply = await infobip_all.request("GET", f"{MANY}?{query}")
        assert (reply.status, list(reply.problems)) == (400, [name]), query
