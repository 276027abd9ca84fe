"""Infobip's older client for Python, ``infobip-api-python-sdk`` 5.0.1, unmodified.

It hides every answer that lacks a key which its models require: then its users hold a response of the library below
it, without the attributes that their programs read. So each answer has to become an object of the client's own.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from infobip_cloud import DOMAIN, SENDER, Cloud
from infobip_outcomes import Outcomes

from ekiden.core.states import State
from support.official_clients import InfobipSdk

PRICE = {"pricePerMessage": 0, "currency": "UNKNOWN"}


@pytest.fixture
def sdk(infobip_all: Cloud, infobip_sdk: InfobipSdk) -> Any:
    """``sdk(class, method, …)``: what the client made of the answer; it must be of that class."""

    async def call(expected: str, method: str, *args: Any, key: str = "") -> Any:
        told = await infobip_sdk.call(infobip_all.base, key or infobip_all.key, method, *args)
        assert told["class"] == expected, told["text"]
        return told["value"]

    return call


async def test_everything_is_sent(sdk: Any, infobip_all: Cloud) -> None:
    """With a file and an image, in the spellings of the second generation (``HTML``, ``replyto``)."""
    found = await sdk(
        "SendEmailResponse",
        "send_email_message",
        {
            "from": f"News <{SENDER}>",
            "to": "john@shop.example",
            "cc": "jane@shop.example",
            "bcc": "jim@shop.example",
            "subject": "件名 {{ph}}",
            "text": "plain",
            "HTML": '<p>{{ph}}<img src="cid:logo.png"></p>',
            "replyto": f"help@{DOMAIN}",
            "defaultplaceholders": '{"ph": "値"}',
            "preserverecipients": True,
            "trackclicks": False,
            "trackopens": False,
            "track": False,
            "bulk_id": "b1",
            "message_id": "m1",
            "callback_data": "back",
            "intermediateReport": True,
            "notify_url": "http://127.0.0.1:8099/n",
            "notify_content_type": "application/json",
            "attachment": {"$file": ["/tmp/報告.pdf", base64.b64encode(b"\x00%PDF\r\n").decode()]},
            "inline_image": {"$file": ["logo.png", base64.b64encode(b"\x89PNG").decode()]},
        },
    )
    assert {(item["to"], item["messageId"]) for item in found["messages"]} == {
        (f"{name}@shop.example", "m1") for name in ("john", "jane", "jim")
    }
    assert found["messages"][0]["status"]["name"] == "PENDING_ACCEPTED"
    [mail] = await infobip_all.messages()
    assert (mail["Subject"], mail["From"], mail["Reply-To"]) == ("件名 値", f"News <{SENDER}>", f"help@{DOMAIN}")
    assert (mail["To"], mail["Cc"], mail["Bcc"]) == ("john@shop.example", "jane@shop.example", None)
    files = {part.get_filename(): part.get_content() for part in mail.walk() if part.get_filename()}
    assert files == {"報告.pdf": b"\x00%PDF\r\n", "logo.png": b"\x89PNG"}
    [row] = await infobip_all.rows("message")
    assert (row.bulk, row.reference) == ("b1", "m1")
    assert {item.recipient for item in await infobip_all.rows("delivery")} == {
        "john@shop.example",
        "jane@shop.example",
        "jim@shop.example",
    }


async def test_reports_are_objects(sdk: Any, outcomes: Outcomes) -> None:
    assert await sdk("DeliveryReportsResponse", "email_delivery_reports") == {"results": []}
    await outcomes.send("john@shop.example", messageId="m1", bulkId="b1")
    await outcomes.finish()
    await outcomes.send("jane@shop.example", messageId="m2")
    await outcomes.finish(State.BOUNCED, "550 5.1.1 No such user")
    found = await sdk("DeliveryReportsResponse", "email_delivery_reports", {"message_id": "m1", "limit": 1})
    [report] = found["results"]
    assert report == {
        "bulkId": "b1",
        "messageId": "m1",
        "to": "john@shop.example",
        "sentAt": report["sentAt"],
        "doneAt": report["doneAt"],
        "messageCount": 1,
        "price": PRICE,
        "status": report["status"],
        "error": report["error"],
        "channel": "EMAIL",
    }
    [report] = (await sdk("DeliveryReportsResponse", "email_delivery_reports"))["results"]
    assert (report["messageId"], report["channel"], report["error"]["id"]) == ("m2", "EMAIL", 6006)


async def test_logs_are_objects_in_every_state(sdk: Any, outcomes: Outcomes) -> None:
    """One that waits among them, or the client would hide the whole page."""
    for reference, state, reply in (
        ("m1", State.DELIVERED, "250 2.0.0 OK"),
        ("m2", State.BOUNCED, "550 5.1.1 No such user"),
        ("m3", State.EXPIRED, "450 4.2.1 Later"),
        ("m4", State.DEFERRED, "450 4.2.1 Later"),
    ):
        await outcomes.send("john@shop.example", messageId=reference)
        await outcomes.finish(state, reply)
    await outcomes.send("john@shop.example", messageId="m5")
    later = (datetime.now(UTC) + timedelta(hours=3)).isoformat(timespec="milliseconds")
    await outcomes.send("john@shop.example", messageId="m6", sendAt=later)
    found = (await sdk("GetLogsResponse", "get_email_logs", {"to": "john@shop.example"}))["results"]
    assert [(item["messageId"], item["status"]["groupName"]) for item in found] == [
        ("m6", "PENDING"),
        ("m5", "PENDING"),
        ("m4", "PENDING"),
        ("m3", "EXPIRED"),
        ("m2", "UNDELIVERABLE"),
        ("m1", "DELIVERED"),
    ]
    assert {(item["from"], item["text"]) for item in found} == {(SENDER, "Hello")}
    # Since when each has been as it is told.
    for item in found:
        assert item["sentAt"] <= item["doneAt"]
    assert found[0]["doneAt"] == found[0]["sentAt"]
    pending = await sdk("GetLogsResponse", "get_email_logs", {"general_status": "PENDING", "limit": 1})
    assert [item["messageId"] for item in pending["results"]] == ["m6"]


async def test_bulks_are_objects(sdk: Any, outcomes: Outcomes) -> None:
    later = datetime.now(UTC) + timedelta(hours=3)
    await outcomes.send("john@shop.example", bulkId="b1", sendAt=later.isoformat(timespec="milliseconds"))
    bulk = {"bulk_id": "b1"}
    found = await sdk("GetSentEmailBulksResponse", "get_sent_email_bulks", bulk)
    assert found["externalBulkId"] == "b1"
    moved = (later + timedelta(hours=1)).replace(tzinfo=None)
    found = await sdk(
        "RescheduleMessagesResponse", "reschedule_email_messages", bulk, {"send_at": moved.isoformat()}
    )
    assert found["sendAt"][:19] == moved.isoformat()[:19]
    found = await sdk(
        "UpdateScheduledStatusResponse",
        "update_scheduled_email_messages",
        bulk,
        {"status": "PAUSED"},
    )
    assert found == {"bulkId": "b1", "status": "PAUSED"}
    found = await sdk("GetSentEmailBulksStatusResponse", "get_sent_email_bulks_status", bulk)
    assert [item["status"] for item in found["bulks"]] == ["PAUSED"]


async def test_domains_and_addresses_are_objects(sdk: Any) -> None:
    made = await sdk("AddNewDomainResponse", "add_new_domain", {"domain_name": "old.example"})
    assert (made["domainName"], made["active"], bool(made["dnsRecords"])) == ("old.example", False, True)
    found = await sdk("GetAllDomainsForAccountResponse", "get_all_domains_for_account")
    assert {item["domainName"] for item in found["results"]} == {DOMAIN, "old.example"}
    name = {"domain_name": "old.example"}
    changed = await sdk(
        "UpdateTrackingEventsResponse", "update_tracking_events", name, {"open": True, "clicks": True}
    )
    assert (changed["tracking"]["opens"], changed["tracking"]["clicks"]) == (True, True)
    assert (await sdk("GetDomainDetailsResponse", "get_domain_details", name))["domainName"] == "old.example"
    checked = await sdk(
        "ValidateEmailAddressesResponse", "validate_email_addresses", {"to": "nobody@nowhere.example"}
    )
    assert (checked["validMailbox"], checked["validSyntax"]) == ("false", True)
    # 202 and 204 have no model: there the client hands on what it got.
    await sdk("Response", "verify_domain", name)
    await sdk("Response", "delete_existing_domain", name)


async def test_errors_are_objects(sdk: Any) -> None:
    for key, method, args, message_id in (
        ("wrong", "get_email_logs", [], "UNAUTHORIZED"),
        ("", "get_sent_email_bulks", [{"bulk_id": "other"}], "NOT_FOUND"),
        (
            "",
            "send_email_message",
            [{"from": "a@other.example", "to": "b@x.example", "subject": "s"}],
            "BAD_REQUEST",
        ),
    ):
        found = await sdk("EmailResponseError", method, *args, key=key)
        assert found["requestError"]["serviceException"]["messageId"] == message_id
