"""Context-based restrictions with IBM's own client, unmodified (contract §7.3 items 1 and 6)."""

from __future__ import annotations

import gzip
import re
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from cbr_server import INSTANCE, SMTP_API, CbrServer, apart, raw, rule_body
from ibm_cloud_sdk_core import ApiException
from ibm_cloud_sdk_core.authenticators import NoAuthAuthenticator
from ibm_platform_services.context_based_restrictions_v1 import (
    AccountSettings,
    ContextBasedRestrictionsV1,
    OperationsList,
    Rule,
    RuleList,
    ServiceRefTarget,
    ServiceRefTargetList,
    Zone,
    ZoneList,
)

from ekiden.access.accounts import create_account
from ekiden.dialects.ibm.cbr_translations import TEXTS
from ekiden.networks.config import NetworkConfig
from ekiden.networks.rule_evaluation import load_rulebook, smtp_resource
from ekiden.networks.rules import SMTP_API_TYPES
from ekiden.store.api import Store

NOBODY = "f" * 32
IP = {"type": "ipAddress", "value": "169.23.56.234"}
NETWORKS = msgspec.convert(
    {
        "groups": {
            "service:containers-kubernetes:fra": ["10.0.0.0/8"],
            "service:containers-kubernetes:dal": ["10.0.0.0/8"],
            "service:backup": ["10.1.0.0/16"],
            "crn:v1:x": ["10.2.0.0/16"],
        },
        "services": {"containers-kubernetes": {"display_name": "Kubernetes", "type": "platform_service"}},
    },
    NetworkConfig,
)


@pytest.fixture
async def server(store: Store) -> AsyncIterator[CbrServer]:
    async with CbrServer.running(store, NETWORKS) as started:
        yield started


@pytest.fixture
async def cbr(server: CbrServer) -> ContextBasedRestrictionsV1:
    return await server.client()


async def refused(status: int, call: Callable[..., Any], *args: Any, **options: Any) -> ApiException:
    with pytest.raises(ApiException) as caught:
        await apart(call, *args, **options)
    assert caught.value.status_code == status, caught.value.message
    body = caught.value.http_response.json()
    assert set(body) == {"trace", "errors", "status_code"}
    assert body["status_code"] == status
    assert body["errors"][0]["message"] == caught.value.message
    assert caught.value.http_response.headers["X-Correlation-Id"] == body["trace"]
    return caught.value


async def made_zone(cbr: ContextBasedRestrictionsV1, server: CbrServer, name: str = "z", *networks: str) -> str:
    addresses = [{"type": "subnet", "value": network} for network in networks]
    made = await apart(cbr.create_zone, name=name, account_id=server.account.uid, addresses=addresses)
    id_: str = made.get_result()["id"]
    return id_


async def test_zones(server: CbrServer, cbr: ContextBasedRestrictionsV1) -> None:
    account = server.account.uid
    addresses = [
        IP,
        {"type": "ipRange", "value": "169.23.22.0-169.23.22.255"},
        {"type": "subnet", "value": "192.0.2.0/24"},
        {"type": "vpc", "value": f"crn:v1:bluemix:public:is:us-south:a/{account}::vpc:r006-x"},
        {
            "type": "serviceRef",
            "ref": {"account_id": account, "service_name": "containers-kubernetes", "location": "dal"},
        },
        {"type": "instance", "value": "crn:v1:bluemix:public:x:us-south:a/1:2::"},
        {"type": "ipAddress", "value": "3ffe:1900:fe21:4545::"},
    ]
    excluded = [{"type": "ipAddress", "value": "192.0.2.7"}]
    made = await apart(
        cbr.create_zone,
        name="smtp clients",
        account_id=account,
        addresses=addresses,
        description="d",
        excluded=excluded,
        transaction_id="tx-1",
    )
    assert made.get_status_code() == 201
    assert made.get_headers()["Transaction-Id"] == made.get_headers()["X-Correlation-Id"] == "tx-1"
    shape = made.get_result()
    zone = Zone.from_dict(shape)
    assert [address.to_dict() for address in zone.addresses] == addresses
    assert [address.to_dict() for address in zone.excluded] == excluded
    assert (zone.address_count, zone.excluded_count, zone.account_id, zone.description) == (7, 1, account, "d")
    assert zone.crn == f"crn:v1:bluemix:public:context-based-restrictions:global:a/{account}::zone:{zone.id}"
    assert zone.href == f"{server.base}/v1/zones/{zone.id}"
    assert re.fullmatch("[0-9a-f]{32}", zone.id)
    assert zone.created_by_id == zone.last_modified_by_id
    assert zone.created_by_id.startswith("api_key:")
    read = await apart(cbr.get_zone, zone.id)
    assert read.get_result() == shape
    assert read.get_headers()["ETag"] == made.get_headers()["ETag"]
    plain = Zone.from_dict((await apart(cbr.create_zone, name="a", account_id="acme", addresses=[IP])).get_result())
    assert (plain.description, plain.excluded, plain.account_id) == ("", [], account)

    listed = await apart(cbr.list_zones, account, sort="-name")
    found = ZoneList.from_dict(listed.get_result())
    assert found.count == 2
    assert [item.name for item in found.zones] == ["smtp clients", "a"]
    assert [address.to_dict() for address in found.zones[0].addresses_preview] == addresses[:3]
    assert set(listed.get_result()["zones"][0]).isdisjoint({"account_id", "addresses", "excluded"})
    assert [
        item.name for item in ZoneList.from_dict((await apart(cbr.list_zones, "acme", name="a")).get_result()).zones
    ] == ["a"]
    assert (await apart(cbr.list_zones, account, name="none")).get_result() == {"count": 0, "zones": []}

    assert (await apart(cbr.delete_zone, zone.id)).get_status_code() == 204
    await refused(404, cbr.get_zone, zone.id)
    await refused(404, cbr.delete_zone, zone.id)


async def test_versions(server: CbrServer, cbr: ContextBasedRestrictionsV1) -> None:
    """§7.3 item 6."""
    account = server.account.uid
    made = await apart(cbr.create_zone, name="z", account_id=account, addresses=[IP], description="d")
    id_, first = made.get_result()["id"], made.get_headers()["ETag"]
    changed = await apart(cbr.replace_zone, id_, first, name="z2", account_id=account, addresses=[])
    assert changed.get_status_code() == 200
    zone = Zone.from_dict(changed.get_result())
    assert (zone.name, zone.addresses, zone.description) == ("z2", [], "")
    second = changed.get_headers()["ETag"]
    assert second != first
    stale = await refused(412, cbr.replace_zone, id_, first, name="z2", account_id=account, addresses=[])
    assert "version" in stale.message
    await refused(412, cbr.replace_zone, id_, "abc", name="z", account_id=account, addresses=[])
    await refused(404, cbr.replace_zone, NOBODY, first, name="z", account_id=account, addresses=[])
    await refused(409, cbr.create_zone, name="z2", account_id=account, addresses=[IP])
    bad = {"type": "ipAddress", "value": "169.23.56.2345"}
    wrong = await refused(400, cbr.create_zone, name="bad", account_id=account, addresses=[IP, bad])
    assert wrong.message == "addresses[1].value: '169.23.56.2345' is not an IP address"

    send = raw(server, await server.token())
    body = {"name": "z3", "account_id": account, "addresses": [IP]}
    bare = second.strip('"')
    for form in ('"{}"', "{}", 'W/"{}"', "*"):
        answered = await send("PUT", f"/v1/zones/{id_}", json=body, headers={"If-Match": form.format(bare)})
        assert answered.status_code == 200, form
        bare = answered.headers["etag"].strip('"')
    missing = await send("PUT", f"/v1/zones/{id_}", json=body)
    assert missing.status_code == 400
    assert "If-Match" in missing.json()["errors"][0]["message"]
    nowhere = await send("PUT", f"/v1/zones/{NOBODY}", json={})
    assert nowhere.status_code == 404


async def test_rules(server: CbrServer, cbr: ContextBasedRestrictionsV1) -> None:
    account = server.account.uid
    zone = await made_zone(cbr, server, "z", "192.0.2.0/24")
    other = await made_zone(cbr, server, "other")
    made = await apart(cbr.create_rule, **rule_body(account, zone, endpoint="public"), description="smtp")
    assert made.get_status_code() == 201
    shape = made.get_result()
    rule = Rule.from_dict(shape)
    for part in ("contexts", "resources", "operations", "enforcement_mode"):
        assert shape[part] == rule_body(account, zone, endpoint="public")[part]
    assert rule.description == "smtp"
    assert rule.crn.endswith(f"a/{account}::rule:{rule.id}")
    assert rule.href == f"{server.base}/v1/rules/{rule.id}"
    assert (await apart(cbr.get_rule, rule.id)).get_result() == shape
    etag = (await apart(cbr.get_rule, rule.id)).get_headers()["ETag"]
    assert etag == made.get_headers()["ETag"]

    async def allowed() -> bool:
        async with server.store.read() as connection:
            book = await load_rulebook(connection, server.account.id, {})
        resource = smtp_resource(account, INSTANCE)
        return book.decide(resource, SMTP_API_TYPES, "192.0.2.1", "public", default=False).allowed

    assert await allowed()
    disabled = {**rule_body(account, zone), "enforcement_mode": "disabled"}
    changed = await apart(cbr.replace_rule, rule.id, etag, **disabled)
    assert (changed.get_status_code(), changed.get_result()["description"]) == (200, "")
    assert not await allowed()
    await refused(412, cbr.replace_rule, rule.id, etag, **disabled)
    await refused(404, cbr.replace_rule, NOBODY, "abc", **disabled)

    everything = rule_body(account, zone, other)
    del everything["operations"], everything["enforcement_mode"]
    everything["resources"][0]["tags"] = [{"name": "env", "value": "prod", "operator": "stringEquals"}]
    plain = (await apart(cbr.create_rule, **everything)).get_result()
    assert "operations" not in plain
    assert plain["enforcement_mode"] == "enabled"
    assert plain["resources"] == everything["resources"]
    Rule.from_dict(plain)

    async def listed(**how: str) -> list[str]:
        found = RuleList.from_dict((await apart(cbr.list_rules, account, **how)).get_result())
        assert found.count == len(found.rules)
        return [item.id for item in found.rules]

    assert await listed() == [rule.id, plain["id"]]
    assert await listed(sort="-created_at") == [plain["id"], rule.id]
    assert await listed(zone_id=other) == [plain["id"]]
    assert await listed(zone_id=zone, enforcement_mode="disabled") == [rule.id]
    assert await listed(service_instance=INSTANCE, service_name="event-notifications") == [rule.id, plain["id"]]
    assert await listed(region="us-south") == await listed(service_group_id="IAM") == []
    assert await listed(resource="x") == await listed(resource_type="x") == await listed(service_type="x") == []

    in_use = await refused(409, cbr.delete_zone, other)
    assert plain["id"] in in_use.message
    settings = AccountSettings.from_dict((await apart(cbr.get_account_settings, account)).get_result())
    assert (settings.current_rule_count, settings.current_zone_count, settings.current_tags_rule_count) == (2, 2, 1)
    assert settings.rule_count_limit >= settings.tags_rule_count_limit > 0
    assert settings.id == account
    for id_ in await listed():
        assert (await apart(cbr.delete_rule, id_)).get_status_code() == 204
    await refused(404, cbr.delete_rule, rule.id)
    await refused(404, cbr.get_rule, rule.id)
    assert (await apart(cbr.delete_zone, other)).get_status_code() == 204


async def test_rules_that_are_refused(server: CbrServer, cbr: ContextBasedRestrictionsV1) -> None:
    account = server.account.uid
    zone = await made_zone(cbr, server)
    report = await refused(400, cbr.create_rule, **{**rule_body(account, zone), "enforcement_mode": "report"})
    assert "report" in report.message
    assert report.http_response.json()["errors"][0]["code"] == "enforcement_mode_not_supported"
    other_service = rule_body(account, zone)
    other_service["resources"][0]["attributes"][1]["value"] = "cbr-not-enabled"
    not_enabled = await refused(400, cbr.create_rule, **other_service)
    assert not_enabled.http_response.json()["errors"][0]["code"] == "service_not_cbr_enabled"
    assert NOBODY in (await refused(400, cbr.create_rule, **rule_body(account, NOBODY))).message
    await refused(400, cbr.create_rule, **{**rule_body(account, zone), "resources": []})
    await refused(400, cbr.create_rule, **{**rule_body(account, zone), "operations": {"api_types": []}})
    await refused(400, cbr.create_rule, **{**rule_body(account, zone), "enforcement_mode": "maybe"})
    await refused(403, cbr.create_rule, **rule_body("acct-of-somebody-else", zone))
    await refused(400, cbr.create_rule, **rule_body("this is an invalid ID", zone))
    without_account = rule_body(account, zone)
    del without_account["resources"][0]["attributes"][0]
    await refused(400, cbr.create_rule, **without_account)
    await refused(400, cbr.list_rules, account, enforcement_mode="maybe")
    await refused(400, cbr.list_rules, account, sort="name")


async def test_operations(cbr: ContextBasedRestrictionsV1) -> None:
    shape = (await apart(cbr.list_available_service_operations, service_name="event-notifications")).get_result()
    found = OperationsList.from_dict(shape)
    smtp, control = found.api_types
    assert smtp.api_type_id == SMTP_API
    assert smtp.enforcement_modes == ["enabled", "disabled"]
    assert smtp.actions
    assert control.enforcement_modes == ["enabled", "disabled", "report"]
    assert (await apart(cbr.list_available_service_operations)).get_result() == shape
    for others in ({"service_name": "cos"}, {"service_group_id": "IAM"}, {"resource_type": "customRole"}):
        assert (await apart(cbr.list_available_service_operations, **others)).get_result() == {"api_types": []}
    await refused(400, cbr.list_available_service_operations, service_name="x", service_group_id="IAM")


async def test_service_reference_targets(cbr: ContextBasedRestrictionsV1) -> None:
    shape = (await apart(cbr.list_available_serviceref_targets, type="all")).get_result()
    found = ServiceRefTargetList.from_dict(shape)
    assert (found.count, [item.service_name for item in found.targets]) == (2, ["backup", "containers-kubernetes"])
    assert [item.name for item in found.targets[1].locations] == ["dal", "fra"]
    assert shape["targets"][0] == {"service_name": "backup"}
    assert (await apart(cbr.list_available_serviceref_targets)).get_result() == shape
    platform = (await apart(cbr.list_available_serviceref_targets, type="platform_service")).get_result()
    assert [item["service_name"] for item in platform["targets"]] == ["containers-kubernetes"]
    one = (await apart(cbr.get_serviceref_target, "containers-kubernetes")).get_result()
    assert ServiceRefTarget.from_dict(one).display_name == "Kubernetes"
    await refused(404, cbr.get_serviceref_target, "nothing")
    await refused(400, cbr.list_available_serviceref_targets, type="some")


async def test_accounts_and_scopes(server: CbrServer, cbr: ContextBasedRestrictionsV1) -> None:
    account = server.account.uid
    zone = await made_zone(cbr, server)
    rule = (await apart(cbr.create_rule, **rule_body(account, zone))).get_result()["id"]
    beta = await create_account(server.store, "beta", server.platform.clock.now())
    for bad, status in (("this is an invalid ID", 400), (beta.uid, 403), ("beta", 403)):
        await refused(status, cbr.list_zones, bad)
        await refused(status, cbr.list_rules, bad)
        await refused(status, cbr.get_account_settings, bad)
        await refused(status, cbr.create_zone, name="x", account_id=bad, addresses=[IP])
        await refused(status, cbr.replace_zone, zone, "x", name="x", account_id=bad, addresses=[IP])
    await refused(400, cbr.create_zone, name="x", addresses=[IP])
    stranger = await server.client(beta)
    await refused(404, stranger.get_zone, zone)
    await refused(404, stranger.delete_zone, zone)
    await refused(404, stranger.get_rule, rule)
    await refused(404, stranger.delete_rule, rule)
    reader = await server.client(scopes=("read",))
    assert (await apart(reader.get_zone, zone)).get_status_code() == 200
    await refused(403, reader.delete_rule, rule)
    await refused(403, reader.create_zone, name="x", account_id=account, addresses=[IP])
    await refused(403, (await server.client(scopes=("send",))).list_zones, account)
    nobody = ContextBasedRestrictionsV1(NoAuthAuthenticator())
    nobody.set_service_url(server.base)
    await refused(401, nobody.list_zones, account)


async def test_what_the_client_would_not_send(server: CbrServer) -> None:
    send = raw(server, await server.token())
    body = {"name": "packed", "account_id": server.account.uid, "addresses": [IP]}
    packed = await send(
        "POST",
        "/v1/zones",
        content=gzip.compress(msgspec.json.encode(body)),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )
    assert packed.status_code == 201
    # The newer name of the id wins; both are in the answer.
    ids = {"X-Correlation-Id": "new", "Transaction-Id": "old"}
    both = await send("GET", "/v1/operations", headers=ids)
    assert (both.headers["x-correlation-id"], both.headers["transaction-id"]) == ("new", "new")
    made_up = (await send("GET", "/v1/operations")).headers["x-correlation-id"]
    assert uuid.UUID(made_up).version == 4
    for content in (b"{", b"[]", b'{"name": 7}', b'{"addresses": [{"value": "192.0.2.1"}]}', b"\xff", b"{}", b""):
        for path in ("/v1/zones", "/v1/rules"):
            answered = await send("POST", path, content=content, headers={"Content-Type": "application/json"})
            assert answered.status_code == 400, content
            assert answered.json()["errors"][0]["message"]
    assert (await send("GET", "/v1/zones")).status_code == 400
    japanese = await send("GET", "/v1/zones/x", headers={"Accept-Language": "ja"})
    assert japanese.json()["errors"][0]["message"] == "ゾーン 'x' はありません"
    assert (await send("GET", "/v1/zones/serviceref_targets/containers-kubernetes")).status_code == 200
    assert (await send("PATCH", "/v1/zones")).status_code == 405


def test_every_sentence_is_translated_and_no_other() -> None:
    import ast
    import inspect

    from ekiden.dialects.ibm import cbr_shapes
    from ekiden.dialects.ibm.operations import cbr

    said: set[str] = set()
    for module in (cbr, cbr_shapes):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and any(item.arg == "texts" for item in node.keywords):
                text = node.args[1]
                assert isinstance(text, ast.Constant)
                said.add(str(text.value))
    assert said == set(TEXTS.japanese)
