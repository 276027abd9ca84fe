"""``/email/1/domains``: exact answers, from adding a domain to removing it, checked against a real DNS server."""

from __future__ import annotations

from typing import Any

from infobip_cloud import ADMIN, DOMAIN, Cloud, Reply, running_infobip
from real_worker import HOST
from sqlalchemy import update

from ekiden.dialects.infobip.config import InfobipConfig
from ekiden.dialects.infobip.times import parse_time
from ekiden.lab import Lab
from ekiden.store.api import Store
from ekiden.store.tables import domain

DOMAINS = "/email/1/domains"
NEW = "new.example"
ADD = {"domainName": NEW, "dkimKeyLength": 2048, "targetedDailyTraffic": 1000}


def text_of(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["requestError"]["serviceException"]["messageId"]


async def publish(cloud: Cloud, records: list[dict[str, Any]]) -> None:
    for record in records:
        if record["recordType"] == "TXT":
            cloud.lab.set_dns(record["name"], "TXT", [record["expectedValue"]])


async def test_a_domain_from_begin_to_end(infobip_all: Cloud) -> None:
    reply = await infobip_all.json("POST", DOMAINS, ADD)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    made = reply.json
    records = made["dnsRecords"]
    assert made == {
        "domainId": made["domainId"],
        "domainName": NEW,
        "active": False,
        "tracking": {"clicks": True, "opens": True, "unsubscribe": False},
        "dnsRecords": records,
        "blocked": False,
        "createdAt": made["createdAt"],
    }
    assert isinstance(made["domainId"], int)
    assert made["createdAt"].endswith("+0000")
    assert parse_time(made["createdAt"])
    assert {record["verified"] for record in records} == {False}
    assert all(set(record) == {"recordType", "name", "expectedValue", "verified"} for record in records)
    values = {(record["recordType"], record["name"]): record["expectedValue"] for record in records}
    assert values["TXT", NEW].startswith("v=spf1 ")
    assert values["A", NEW] == ""  # which address is its owner's affair
    [dkim] = [record for record in records if "_domainkey" in record["name"]]
    assert dkim["expectedValue"].startswith("v=DKIM1;")
    assert (await infobip_all.request("GET", f"{DOMAINS}/{NEW}")).json == made

    await publish(infobip_all, records)
    infobip_all.lab.set_dns(NEW, "A", ["192.0.2.1"])
    infobip_all.lab.set_dns(HOST, "A", ["192.0.2.10"])
    infobip_all.lab.set_dns(HOST, "TXT", ["v=spf1 ip4:192.0.2.10 -all"])
    reply = await infobip_all.request("POST", f"{DOMAINS}/{NEW}/verify")
    assert (reply.status, reply.body) == (202, b"")
    found = (await infobip_all.request("GET", f"{DOMAINS}/{NEW}")).json
    assert found == {**made, "active": True, "dnsRecords": [{**record, "verified": True} for record in records]}

    reply = await infobip_all.request("DELETE", f"{DOMAINS}/{NEW}")
    assert (reply.status, reply.body) == (204, b"")
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/verify")):
        reply = await infobip_all.request(method, f"{DOMAINS}/{NEW}{path}")
        assert text_of(reply) == (404, "NOT_FOUND")


async def test_records_that_are_not_there(infobip_all: Cloud) -> None:
    made = (await infobip_all.json("POST", DOMAINS, ADD)).json
    assert (await infobip_all.request("POST", f"{DOMAINS}/{NEW}/verify")).status == 202
    assert (await infobip_all.request("GET", f"{DOMAINS}/{NEW}")).json == made


async def test_what_a_new_domain_may_be_given(infobip_all: Cloud) -> None:
    given = {
        "domainName": "Shop.Example",
        "dkimKeyLength": 1024,
        "applicationId": "app",
        "entityId": "unit",
        "returnPathAddress": f"bounces@{DOMAIN}",
    }
    made = (await infobip_all.json("POST", DOMAINS, given)).json
    assert (made["domainName"], made["returnPathAddress"]) == ("shop.example", f"bounces@{DOMAIN}")
    [key] = [record for record in made["dnsRecords"] if "_domainkey" in record["name"]]
    assert len(key["expectedValue"]) > 390  # 2,048 bits whatever was asked for
    assert (await infobip_all.json("POST", DOMAINS, {"domainName": "日本.example"})).json["domainName"] == (
        "xn--wgv71a.example"
    )
    reply = await infobip_all.json("POST", DOMAINS, {"domainName": "SHOP.example"})
    assert text_of(reply) == (409, "CONFLICT")


async def test_pages(infobip_all: Cloud) -> None:
    for number in range(11):
        await infobip_all.services.domains.add(infobip_all.account.id, f"d{number:02}.example", actor=ADMIN)
    first = (await infobip_all.request("GET", DOMAINS)).json
    assert first["paging"] == {"page": 0, "size": 10, "totalPages": 2, "totalResults": 12}
    assert [entry["domainName"] for entry in first["results"]] == [f"d{number:02}.example" for number in range(10)]
    second = (await infobip_all.request("GET", f"{DOMAINS}?size=5&page=2")).json
    assert second["paging"] == {"page": 2, "size": 5, "totalPages": 3, "totalResults": 12}
    assert [entry["domainName"] for entry in second["results"]] == ["d10.example", DOMAIN]
    beyond = (await infobip_all.request("GET", f"{DOMAINS}?size=20&page=9")).json
    assert beyond == {
        "paging": {"page": 9, "size": 20, "totalPages": 1, "totalResults": 12},
        "results": [],
    }
    for query, name in (("size=21", "size"), ("size=0", "size"), ("page=-1", "page"), ("page=x", "page")):
        reply = await infobip_all.request("GET", f"{DOMAINS}?{query}")
        assert (reply.status, list(reply.problems)) == (400, [name])


async def test_tracking(infobip_all: Cloud) -> None:
    path = f"{DOMAINS}/{DOMAIN}/tracking"
    reply = await infobip_all.json("PUT", path, {"open": False, "clicks": True, "unsubscribe": True})
    assert reply.status == 200
    assert reply.json["tracking"] == {"opens": False, "clicks": True, "unsubscribe": True}
    assert reply.json == (await infobip_all.request("GET", f"{DOMAINS}/{DOMAIN}")).json
    reply = await infobip_all.json("PUT", path, {"clicks": "False", "open": None})
    assert reply.json["tracking"] == {"opens": False, "clicks": False, "unsubscribe": True}
    reply = await infobip_all.json("PUT", path, {"open": "perhaps", "clicks": 7, "unsubscribe": False})
    assert (reply.status, set(reply.problems)) == (400, {"open", "clicks"})
    reply = await infobip_all.json("PUT", f"{DOMAINS}/nobody.example/tracking", {"open": True})
    assert text_of(reply) == (404, "NOT_FOUND")


async def test_the_return_path(infobip_all: Cloud) -> None:
    path = f"{DOMAINS}/{DOMAIN}/return-path"
    reply = await infobip_all.json("PUT", path, {"returnPathAddress": f"Bounces@{DOMAIN.upper()}"})
    assert (reply.status, reply.json["returnPathAddress"]) == (200, f"Bounces@{DOMAIN}")
    reply = await infobip_all.json("PUT", path, {"returnPathAddress": ""})
    assert reply.status == 200
    assert "returnPathAddress" not in reply.json
    for value in ("x@elsewhere.example", "nobody", 7, None, "a\r\nb@sender.example"):
        reply = await infobip_all.json("PUT", path, {"returnPathAddress": value})
        assert (reply.status, list(reply.problems)) == (400, ["returnPathAddress"]), value
    reply = await infobip_all.json("PUT", path, {})
    assert (reply.status, list(reply.problems)) == (400, ["returnPathAddress"])


BAD: list[tuple[Any, str]] = [
    ({}, "domainName"),
    ({"domainName": ""}, "domainName"),
    ({"domainName": 7}, "domainName"),
    ({"domainName": "localhost"}, "domainName"),
    ({"domainName": "a b.example"}, "domainName"),
    ({"domainName": "a.example\r\nX: y"}, "domainName"),
    ({"domainName": "x" * 93 + ".example"}, "domainName"),
    ({**ADD, "dkimKeyLength": 512}, "dkimKeyLength"),
    ({**ADD, "dkimKeyLength": "long"}, "dkimKeyLength"),
    ({**ADD, "targetedDailyTraffic": 0}, "targetedDailyTraffic"),
    ({**ADD, "targetedDailyTraffic": 1.5}, "targetedDailyTraffic"),
    ({**ADD, "applicationId": "x" * 256}, "applicationId"),
    ({**ADD, "returnPathAddress": "x@elsewhere.example"}, "returnPathAddress"),
    ([], "request"),
]


async def test_domains_that_cannot_be_added(infobip_all: Cloud) -> None:
    for given, name in BAD:
        reply = await infobip_all.json("POST", DOMAINS, given)
        assert (reply.status, list(reply.problems)) == (400, [name]), given
        assert [row.name for row in await infobip_all.rows("domain")] == [DOMAIN], given


async def test_names_that_no_domain_has(infobip_all: Cloud) -> None:
    for name in ("nobody.example", "localhost", "%20", "%00", "a@b", "x" * 300):
        reply = await infobip_all.request("GET", f"{DOMAINS}/{name}")
        assert text_of(reply) == (404, "NOT_FOUND"), name


async def test_a_domain_that_is_suspended(infobip_all: Cloud) -> None:
    async with infobip_all.store.write() as connection:
        await connection.execute(update(domain).values(status="suspended"))
    found = (await infobip_all.request("GET", f"{DOMAINS}/{DOMAIN}")).json
    assert (found["active"], found["blocked"]) == (False, True)


async def test_the_bucket_holds_five(store: Store) -> None:
    config = InfobipConfig(domains_per_second=1)
    async with Lab(catalogue={}) as lab, running_infobip(store, lab, config=config) as cloud:
        replies = [await cloud.request("GET", DOMAINS) for _ in range(5)]
        assert {reply.status for reply in replies} == {200}
        replies = [await cloud.request("GET", DOMAINS) for _ in range(5)]
        refused = [reply for reply in replies if reply.status == 429]
        assert refused
        assert text_of(refused[0]) == (429, "TOO_MANY_REQUESTS")
        assert int(refused[0].headers["retry-after"]) >= 1


async def test_scopes(infobip_all: Cloud) -> None:
    authorization = f"App {(await infobip_all.add_key('read')).key}"
    reply = await infobip_all.request("GET", DOMAINS, authorization=authorization)
    assert reply.status == 200
    for method, path in (
        ("POST", DOMAINS),
        ("DELETE", f"{DOMAINS}/{DOMAIN}"),
        ("PUT", f"{DOMAINS}/{DOMAIN}/tracking"),
        ("PUT", f"{DOMAINS}/{DOMAIN}/return-path"),
        ("POST", f"{DOMAINS}/{DOMAIN}/verify"),
    ):
        reply = await infobip_all.json(method, path, {}, authorization=authorization)
        assert text_of(reply) == (403, "FORBIDDEN")
