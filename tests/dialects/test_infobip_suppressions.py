"""``/email/1/suppressions``: lists, additions and removals, and that they count when mail is sent."""

from __future__ import annotations

from typing import Any

import pytest
from infobip_cloud import DOMAIN, Cloud, Reply
from infobip_outcomes import Outcomes

from ekiden.access.audit import Actor
from ekiden.core.states import State

LIST = "/email/1/suppressions"
DOMAINS = f"{LIST}/domains"


def body(*entries: tuple[str, list[str]], domain: str = DOMAIN) -> dict[str, Any]:
    return {
        "suppressions": [
            {"domainName": domain, "emailAddress": addresses, "type": kind} for kind, addresses in entries
        ]
    }


async def listed(cloud: Cloud, kind: str = "BOUNCE", **query: str) -> list[str]:
    text = "".join(f"&{name}={value}" for name, value in query.items())
    reply = await cloud.request("GET", f"{LIST}?domainName={DOMAIN}&type={kind}{text}")
    assert reply.status == 200, reply.body
    return [entry["emailAddress"] for entry in reply.json["results"]]


async def test_adding_listing_removing(infobip_all: Cloud) -> None:
    reply = await infobip_all.json(
        "POST",
        LIST,
        body(("BOUNCE", ["Ann@shop.example", "bob@shop.example"]), ("COMPLAINT", ["bob@shop.example"])),
    )
    assert (reply.status, reply.body) == (204, b"")
    reply = await infobip_all.request("GET", f"{LIST}?domainName={DOMAIN}&type=BOUNCE")
    assert reply.headers["content-type"] == "application/json"
    ann, _ = reply.json["results"]
    assert reply.json["paging"] == {"page": 0, "size": 100}
    assert ann == {
        "domainName": DOMAIN,
        "emailAddress": "ann@shop.example",
        "type": "BOUNCE",
        "createdDate": ann["createdDate"],
        "reason": ann["reason"],
    }
    assert ann["createdDate"].endswith("Z")
    assert ann["reason"]
    # What is there already stays as it is.
    assert (await infobip_all.json("POST", LIST, body(("BOUNCE", ["ann@SHOP.example"])))).status == 204
    assert await listed(infobip_all) == ["ann@shop.example", "bob@shop.example"]
    reply = await infobip_all.json("DELETE", LIST, body(("BOUNCE", ["BOB@shop.example", "nobody@shop.example"])))
    assert (reply.status, reply.body) == (204, b"")
    assert await listed(infobip_all) == ["ann@shop.example"]
    assert await listed(infobip_all, "COMPLAINT") == ["bob@shop.example"]
    actions = [row.action for row in await infobip_all.rows("audit") if row.action.startswith("suppression.")]
    assert actions == ["suppression.add", "suppression.add", "suppression.remove"]


async def test_what_is_listed_gets_no_mail(outcomes: Outcomes) -> None:
    await outcomes.cloud.json("POST", LIST, body(("COMPLAINT", ["ann@shop.example"])))
    await outcomes.send("ann@shop.example", "bob@shop.example")
    kept = {row.recipient: State(row.state) for row in await outcomes.cloud.rows("delivery")}
    assert kept == {"ann@shop.example": State.DROPPED, "bob@shop.example": State.QUEUED}
    [report] = (await outcomes.get("/email/4/reports"))["results"]
    assert (report["to"], report["status"]["groupName"]) == ("ann@shop.example", "REJECTED")
    assert (report["error"]["id"], report["error"]["groupName"]) == (6035, "HANDSET_ERRORS")


async def test_filters_and_pages(infobip_all: Cloud) -> None:
    names = [f"r{number}@shop{number % 2}.example" for number in range(6)]
    await infobip_all.json("POST", LIST, body(("BOUNCE", names)))
    assert await listed(infobip_all, emailAddress="R3@shop1.example") == ["r3@shop1.example"]
    assert await listed(infobip_all, recipientDomain="SHOP0.example") == names[::2]
    assert await listed(infobip_all, createdDateFrom="2020-01-01T00:00:00.000Z") == names
    assert await listed(infobip_all, createdDateTo="2020-01-01T00:00:00.000Z") == []
    assert await listed(infobip_all, createdDateFrom="2999-01-01T00:00:00.000Z") == []
    assert await listed(infobip_all, size="4") == names[:4]
    assert await listed(infobip_all, size="4", page="1") == names[4:]
    assert await listed(infobip_all, "OVER_QUOTA") == []
    reply = await infobip_all.request("GET", f"{LIST}?domainName=other.example&type=BOUNCE&size=3&page=2")
    assert (reply.status, reply.json) == (200, {"results": [], "paging": {"page": 2, "size": 3}})


async def test_full_mailboxes_can_be_taken_back(infobip_all: Cloud) -> None:
    await infobip_all.services.suppressions.note(
        infobip_all.account.id, DOMAIN, "ann@shop.example", "over_quota", "552 5.2.2 full"
    )
    reply = await infobip_all.request("GET", f"{LIST}?domainName={DOMAIN}&type=OVER_QUOTA")
    assert [(entry["type"], entry["reason"]) for entry in reply.json["results"]] == [
        ("OVER_QUOTA", "552 5.2.2 full")
    ]
    assert (await infobip_all.json("DELETE", LIST, body(("OVER_QUOTA", ["ann@shop.example"])))).status == 204
    assert await listed(infobip_all, "OVER_QUOTA") == []


async def test_who_left_stays(infobip_all: Cloud) -> None:
    await infobip_all.services.suppressions.add(
        infobip_all.account.id, DOMAIN, ["ann@shop.example"], "unsubscribe", actor=Actor("test")
    )
    for kind in ("BOUNCE", "COMPLAINT", "OVER_QUOTA"):
        await infobip_all.json("DELETE", LIST, body((kind, ["ann@shop.example"])))
    assert len(await infobip_all.rows("suppression")) == 1


async def test_domains(infobip_all: Cloud) -> None:
    await infobip_all.services.domains.add(infobip_all.account.id, "another.example")
    reply = await infobip_all.request("GET", DOMAINS)
    assert reply.json["paging"] == {"page": 0, "size": 100}
    rights = dict.fromkeys(
        (
            "readBounces",
            "createBounces",
            "deleteBounces",
            "readComplaints",
            "createComplaints",
            "deleteComplaints",
            "readOverquotas",
            "deleteOverquotas",
        ),
        True,
    )
    assert reply.json["results"] == [
        {"domainName": name, "dataAccess": "OWNER", **rights} for name in ("another.example", DOMAIN)
    ]
    reply = await infobip_all.request("GET", f"{DOMAINS}?page=1&size=1")
    assert [entry["domainName"] for entry in reply.json["results"]] == [DOMAIN]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_bad_bodies_change_nothing(infobip_all: Cloud, method: str) -> None:
    good = body(("BOUNCE", ["ann@shop.example"]))["suppressions"][0]
    first = "suppressions[0]"
    cases: list[tuple[Any, str]] = [
        ({}, "suppressions"),
        ({"suppressions": "all"}, "suppressions"),
        ({"suppressions": []}, "suppressions"),
        ({"suppressions": [good] * 11}, "suppressions"),
        ({"suppressions": [7]}, first),
        ({"suppressions": [{**good, "type": None}]}, f"{first}.type"),
        ({"suppressions": [{**good, "type": "UNSUBSCRIBE"}]}, f"{first}.type"),
        ({"suppressions": [{**good, "domainName": None}]}, f"{first}.domainName"),
        ({"suppressions": [{**good, "domainName": ""}]}, f"{first}.domainName"),
        ({"suppressions": [{**good, "domainName": "a b"}]}, f"{first}.domainName"),
        ({"suppressions": [{**good, "emailAddress": None}]}, f"{first}.emailAddress"),
        ({"suppressions": [{**good, "emailAddress": []}]}, f"{first}.emailAddress"),
        ({"suppressions": [{**good, "emailAddress": "a@b.example"}]}, f"{first}.emailAddress"),
        ({"suppressions": [{**good, "emailAddress": ["a@b.example"] * 1001}]}, f"{first}.emailAddress"),
        ({"suppressions": [{**good, "emailAddress": ["a@b.example", "x"]}]}, f"{first}.emailAddress[1]"),
        ({"suppressions": [{**good, "emailAddress": [None]}]}, f"{first}.emailAddress[0]"),
        ({"suppressions": [good, {**good, "emailAddress": ["x"]}]}, "suppressions[1].emailAddress[0]"),
    ]
    if method == "POST":
        cases += [
            ({"suppressions": [{**good, "type": "OVER_QUOTA"}]}, f"{first}.type"),
            ({"suppressions": [good, {**good, "domainName": "other.example"}]}, "suppressions[1].domainName"),
        ]
    else:
        await infobip_all.json("POST", LIST, {"suppressions": [good]})
    for given, place in cases:
        reply = await infobip_all.json(method, LIST, given)
        assert (reply.status, list(reply.problems)) == (400, [place]), given
        assert set(reply.json) == {"errorCode", "description", "action", "violations", "resources"}
        assert len(await infobip_all.rows("suppression")) == (0 if method == "POST" else 1)


async def test_parameters_that_cannot_be(infobip_all: Cloud) -> None:
    for query, names in (
        ("", {"domainName", "type"}),
        (f"domainName={DOMAIN}", {"type"}),
        ("type=BOUNCE", {"domainName"}),
        (f"domainName={DOMAIN}&type=OTHER", {"type"}),
        ("domainName=a%20b&type=BOUNCE", {"domainName"}),
        (f"domainName={DOMAIN}&type=BOUNCE&emailAddress=x", {"emailAddress"}),
        (f"domainName={DOMAIN}&type=BOUNCE&recipientDomain=%2F", {"recipientDomain"}),
        (
            f"domainName={DOMAIN}&type=BOUNCE&createdDateFrom=x&createdDateTo=y",
            {"createdDateFrom", "createdDateTo"},
        ),
        (f"domainName={DOMAIN}&type=BOUNCE&size=1001", {"size"}),
        (f"domainName={DOMAIN}&type=BOUNCE&page=x", {"page"}),
    ):
        reply: Reply = await infobip_all.request("GET", f"{LIST}?{query}")
        assert (reply.status, set(reply.problems)) == (400, names), query


async def test_scopes(infobip_all: Cloud) -> None:
    authorization = f"App {(await infobip_all.add_key('read')).key}"
    assert (await infobip_all.request("GET", DOMAINS, authorization=authorization)).status == 200
    for method in ("POST", "DELETE"):
        reply = await infobip_all.json(method, LIST, {}, authorization=authorization)
        assert (reply.status, reply.json["errorCode"]) == (403, "E403")
