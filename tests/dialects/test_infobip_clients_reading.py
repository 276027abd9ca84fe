"""Infobip's own clients, unmodified, against everything that does not send: Python of both generations, Node."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from infobip_cloud import DOMAIN, SENDER, Cloud
from infobip_outcomes import Outcomes

from ekiden.core.states import State
from support.official_clients import ClientError, InfobipNode, InfobipPython, PythonClient, new

EARLIER = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
def old(infobip_all: Cloud, infobip_5: InfobipPython) -> PythonClient:
    """5.1.1."""
    return infobip_5.client(infobip_all.base, infobip_all.key)


@pytest.fixture
def recent(infobip_all: Cloud, infobip_6: InfobipPython) -> PythonClient:
    """6.0.0."""
    return infobip_6.client(infobip_all.base, infobip_all.key)


async def test_reports_and_logs(old: PythonClient, recent: PythonClient, outcomes: Outcomes) -> None:
    marks = {"bulkId": "b1", "applicationId": "app", "entityId": "unit", "campaignReferenceId": "spring"}
    await outcomes.send("john@shop.example", messageId="m1", callbackData="back", **marks)
    await outcomes.finish()
    await outcomes.send("jane@shop.example", messageId="m2", callbackData="back", **marks)
    await outcomes.finish(State.BOUNCED, "550 5.1.1 No such user")
    await outcomes.cloud.services.suppressions.note_bounce(
        outcomes.cloud.account.id, DOMAIN, "gone@shop.example", "550"
    )
    await outcomes.send("gone@shop.example", messageId="m3", **marks)
    found = await old.call_async("get_email_delivery_reports", bulk_id="b1", message_id="m1", limit=2)
    assert [item["status"]["groupName"] for item in found["results"]] == ["DELIVERED"]
    found = await recent.call_async("get_email_delivery_reports", bulk_id="b1", limit=2)
    assert [item["messageId"] for item in found["results"]] == ["m2", "m3"]
    assert found["results"][0]["error"]["groupName"] == "USER_ERRORS"
    found = await old.call_async(
        "get_email_logs", message_id="m1", var_from=SENDER, general_status="DELIVERED", sent_since=EARLIER, limit=10
    )
    assert [item["to"] for item in found["results"]] == ["john@shop.example"]
    found = await recent.call_async(
        "get_email_logs",
        message_id=["m1", "m2", "m3"],
        bulk_id=["b1"],
        sender=SENDER,
        sent_since=EARLIER,
        use_cursor=True,
        limit=2,
    )
    assert [item["messageId"] for item in found["results"]] == ["m3", "m2"]
    found = await recent.call_async("get_email_logs", use_cursor=True, cursor=found["cursor"]["nextCursor"])
    assert [item["messageId"] for item in found["results"]] == ["m1"]


async def test_bulks(old: PythonClient, recent: PythonClient, outcomes: Outcomes) -> None:
    later = datetime.now(UTC) + timedelta(hours=3)
    await outcomes.send("john@shop.example", bulkId="b1", sendAt=later.isoformat(timespec="milliseconds"))
    for client in (old, recent):
        found = await client.call_async("get_scheduled_emails", bulk_id="b1")
        assert found["externalBulkId"] == "b1"
        request = new("EmailBulkRescheduleRequest", send_at=later + timedelta(hours=1))
        moved = await client.call_async("reschedule_emails", bulk_id="b1", email_bulk_reschedule_request=request)
        assert moved["bulkId"] == "b1"
        for status, answered in (("PAUSED", "PAUSED"), ("PROCESSING", "PENDING")):
            changed = await client.call_async(
                "update_scheduled_email_statuses",
                bulk_id="b1",
                email_bulk_update_status_request=new("EmailBulkUpdateStatusRequest", status=status),
            )
            assert changed == {"bulkId": "b1", "status": answered}
        found = await client.call_async("get_scheduled_email_statuses", bulk_id="b1")
        assert found["bulks"][0]["status"] == "PENDING"
        with pytest.raises(ClientError) as raised:
            await client.call_async("get_scheduled_emails", bulk_id="other")
        assert raised.value.status == 404


async def test_domains(old: PythonClient, recent: PythonClient) -> None:
    for client, name in ((old, "old.example"), (recent, "recent.example")):
        request = new("EmailAddDomainRequest", domain_name=name, targeted_daily_traffic=1000)
        made = await client.call_async("add_domain", email_add_domain_request=request)
        assert (made["domainName"], made["active"]) == (name, False)
        request = new("EmailTrackingEventRequest", open=False, clicks=True, unsubscribe=True)
        changed = await client.call_async("update_tracking_events", name, email_tracking_event_request=request)
        assert changed["tracking"] == {"clicks": True, "opens": False, "unsubscribe": True}
        await client.call_async("verify_domain", name)
        assert (await client.call_async("get_domain_details", name))["domainName"] == name
        found = await client.call_async("get_all_domains", size=10, page=0)
        assert DOMAIN in [item["domainName"] for item in found["results"]]
        await client.call_async("delete_domain", name)


async def test_addresses(old: PythonClient, recent: PythonClient, infobip_all: Cloud) -> None:
    for client in (old, recent):
        request = new("EmailValidationRequest", to="nobody@nowhere.example")
        found = await client.call_async("validate_email_addresses", email_validation_request=request)
        assert (found["validMailbox"], found["risk"]) == ("false", "HIGH")
    entry: dict[str, Any] = {"domain_name": DOMAIN, "email_address": ["j@x.example"], "type": "BOUNCE"}
    await recent.call_async(
        "add_suppressions",
        email_add_suppression_request=new(
            "EmailAddSuppressionRequest", suppressions=[new("EmailAddSuppression", **entry)]
        ),
    )
    found = await recent.call_async("get_suppressions", domain_name=DOMAIN, type="BOUNCE")
    assert [item["emailAddress"] for item in found["results"]] == ["j@x.example"]
    found = await recent.call_async("get_domains", page=0, size=10)
    assert [item["domainName"] for item in found["results"]] == [DOMAIN]
    await recent.call_async(
        "delete_suppressions",
        email_delete_suppression_request=new(
            "EmailDeleteSuppressionRequest", suppressions=[new("EmailDeleteSuppression", **entry)]
        ),
    )
    assert await infobip_all.rows("suppression") == []


async def test_lists_of_addresses(recent: PythonClient, infobip_all: Cloud) -> None:
    destinations = [new("EmailValidationDestination", destination="nobody")]
    request = new("EmailValidationApiBulkRequest", validation_request_id="mine", destinations=destinations)
    made = await recent.call_async("request_validations", email_validation_api_bulk_request=request)
    assert made == {"validationRequestId": "mine"}
    found = await recent.call_async("get_validations", validation_request_id="mine")
    assert found == {"results": [], "paging": {"size": 100, "previousCursor": "", "nextCursor": ""}}
    assert await infobip_all.services.check_requests.work() == 1
    # The client wants a boolean where its own documentation has a string: no answer suits both (contract §4.2).
    with pytest.raises(ClientError, match="validMailbox"):
        await recent.call_async("get_validations", validation_request_id="mine")


async def test_templates(recent: PythonClient) -> None:
    made = await recent.call_async(
        "create_email_template",
        name="Welcome",
        var_from=SENDER,
        subject="Welcome",
        html="<p>Dear {{firstName}}</p>",
    )
    number = made["id"]
    data = base64.b64encode(b"%PDF").decode()
    attached = await recent.call_async(
        "upload_email_template_attachment", number, content_type="application/pdf", file_name="a.pdf", data=data
    )
    assert await recent.call_async("get_email_template_attachments", number) == [attached]
    changed = await recent.call_async("patch_email_template", number, html="<p>Hello {{firstName}}</p>")
    assert (changed["name"], changed["html"]) == ("Welcome", "<p>Hello {{firstName}}</p>")
    shown = await recent.call_async(
        "generate_email_template_preview", number, placeholders={"firstName": {"value": "John"}}
    )
    assert shown == "<p>Hello John</p>"
    found = await recent.call_async("get_email_templates", page=0, size=20)
    assert [item["name"] for item in found["results"]] == ["Welcome"]
    await recent.call_async("delete_email_template_attachment", template_id=number, attachment_id=attached["id"])
    assert (await recent.call_async("get_email_template", number))["attachments"] == []
    await recent.call_async("delete_email_template", number)


async def test_the_node_client(infobip_node: InfobipNode, outcomes: Outcomes) -> None:
    client = infobip_node.client(outcomes.cloud.base, outcomes.cloud.key)

    async def call(method: str, *args: Any) -> Any:
        reply = await client.call_async(f"channels.email.{method}", *args)
        assert reply["status"] < 300
        return reply["data"]

    at = (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    await outcomes.send("john@shop.example", bulkId="b1", sendAt=at)
    assert (await call("get", "b1"))["externalBulkId"] == "b1"
    assert (await call("reschedule", "b1", at))["bulkId"] == "b1"
    assert (await call("status.get", "b1"))["bulks"][0]["status"] == "PENDING"
    assert (await call("status.update", "b1", "CANCELED"))["status"] == "CANCELED"
    [report] = (await call("report.get", {"limit": 2}))["results"]
    assert report["status"]["groupName"] == "UNDELIVERABLE"
    [entry] = (await call("log.get", {"bulkId": "b1"}))["results"]
    assert entry["messageId"] == report["messageId"]
    assert (await call("validate", "nobody"))["validSyntax"] is False
    assert (await call("domain.add", "a.example"))["domainName"] == "a.example"
    changed = await call("domain.tracking", "a.example", {"open": False, "clicks": False, "unsubscribe": True})
    assert changed["tracking"] == {"clicks": False, "opens": False, "unsubscribe": True}
    await call("domain.verify", "a.example")
    assert (await call("domain.get", "a.example"))["active"] is False
    await call("domain.delete", "a.example")
    assert [item["domainName"] for item in (await call("domain.get"))["results"]] == [DOMAIN]
