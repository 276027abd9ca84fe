"""Both envelopes and the third shape, byte for byte; and what errors of the services become."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest
from infobip_probe import Probe, probing

from ekiden.access.errors import NotFound
from ekiden.access.vault import VaultError
from ekiden.content.errors import BadField, NoSuchContent
from ekiden.core.texts import Texts
from ekiden.delivery.bulks import BulkNotAllowed, BulkNotFound
from ekiden.delivery.logs import BadCursor
from ekiden.dialects.infobip import translations as texts
from ekiden.dialects.infobip.errors import ApiError, Violation, from_door
from ekiden.domains.errors import DomainTaken, NoSuchDomain
from ekiden.intake import errors as door
from ekiden.intake.errors import IntakeError
from ekiden.recipients.validation.address_check_requests import BadCheckRequest
from ekiden.smtp.reply import Reply
from ekiden.store.api import StoreUnavailable

SENDER = door.SenderRefused(Reply.of(553, "5.7.1", "sender.example is not yours"))
RAISED: dict[str, Exception] = {
    str(status): ApiError(status) for status in (400, 401, 403, 404, 409, 429, 500, 503)
}
RAISED |= {
    "fields": ApiError(
        400,
        (
            Violation("to", "must not be null"),
            Violation("messages[0].destinations[0].to[1].destination", "must be a well-formed email address"),
            Violation("to", "must be between {lowest} and {highest}", {"lowest": 1, "highest": 9}),
        ),
    ),
    "bulk": BulkNotFound("b-1"),
    "begun": BulkNotAllowed("bulk {bulk}: there is nothing to pause", "b-1"),
    "cursor": BadCursor("x"),
    "template": NoSuchContent("there is no template {id}", id=5),
    "content": BadField("subject", "{field} has control characters or line breaks"),
    "checks": BadCheckRequest("destinations", "a request has 1 to {most} addresses", most=9),
    "odd": ApiError(409, text="{odd} <text> & more"),
    "later": ApiError(429, headers={"Retry-After": "3"}),
    "suspended": door.AccountSuspended(),
    "sender": SENDER,
    "store": StoreUnavailable("secret"),
    "broken": RuntimeError("secret"),
    "vault": VaultError("secret"),
    "domain": NoSuchDomain("there is no domain {name}", name="x.example"),
    "taken": DomainTaken("there is a domain {name} already", name="x.example"),
    "found": NotFound("there is no account {name}", name="x"),
    "xib": IntakeError(Reply.of(554, "5.6.0", "no")),
}


@pytest.fixture
async def probe() -> AsyncIterator[Probe]:
    async with probing(RAISED.__getitem__) as running:
        yield running


async def get(probe: Probe, path: str, **headers: str) -> Any:
    reply = await probe.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert reply.headers["content-type"] == "application/json"
    return reply.status_code, reply.json()


# Contract §1.2.
LEGACY = """400 BAD_REQUEST Bad request
401 UNAUTHORIZED Unauthorized
403 FORBIDDEN Forbidden
404 NOT_FOUND Not found
429 TOO_MANY_REQUESTS Too many requests
500 GENERAL_ERROR Something went wrong. Please contact support."""


@pytest.mark.parametrize("row", LEGACY.splitlines())
async def test_legacy(probe: Probe, row: str) -> None:
    status, message_id, text = row.split(" ", 2)
    assert await get(probe, f"/legacy/{status}") == (
        int(status),
        {"requestError": {"serviceException": {"messageId": message_id, "text": text}}},
    )


PLATFORM = {
    400: ("Request cannot be processed.", "Check the syntax, violations and adjust the request."),
    401: (
        "The request lacks valid authentication credentials for the requested resource.",
        "Check the resources and adjust authentication credentials.",
    ),
    403: (
        "Insufficient permissions to access the requested resource.",
        "Repeat the request with new or different credentials.",
    ),
    404: (
        "Not found - request URL doesn't exist on the API server or resource is not found.",
        "Check the resources and adjust your request.",
    ),
    429: (
        "Too many requests sent.",
        "Check request rate limit specified in the API endpoint documentation resource.",
    ),
    500: ("Something went wrong.", "Contact the support."),
}


@pytest.mark.parametrize("status", PLATFORM)
async def test_platform(probe: Probe, status: int) -> None:
    found, body = await get(probe, f"/platform/{status}")
    assert found == status
    assert set(body) == {"errorCode", "description", "action", "violations", "resources"}
    assert (body["errorCode"], body["description"], body["action"]) == (f"E{status}", *PLATFORM[status])
    assert body["violations"] == []
    assert {"name", "url"} == set(body["resources"][0])


async def test_fields_are_named_in_every_shape(probe: Probe) -> None:
    assert (await get(probe, "/legacy/fields"))[1]["requestError"]["serviceException"] == {
        "messageId": "BAD_REQUEST",
        "text": "Bad request",
        "validationErrors": {
            "to": ["must not be null", "must be between 1 and 9"],
            "messages[0].destinations[0].to[1].destination": ["must be a well-formed email address"],
        },
    }
    assert (await get(probe, "/platform/fields"))[1]["violations"][1] == {
        "property": "messages[0].destinations[0].to[1].destination",
        "violation": "must be a well-formed email address",
    }
    status, body = await get(probe, "/content/fields")
    assert status == 400
    assert body == {
        "bulkId": "",
        "messages": [],
        "errorMessage": "to: must not be null; messages[0].destinations[0].to[1].destination: "
        "must be a well-formed email address; to: must be between 1 and 9",
    }


async def test_uploads_have_their_own_shape_for_400_only(probe: Probe) -> None:
    assert (await get(probe, "/content/400"))[1] == {"bulkId": "", "messages": [], "errorMessage": "Bad request"}
    assert (await get(probe, "/content/401"))[1]["requestError"]["serviceException"]["messageId"] == "UNAUTHORIZED"


async def test_the_fixed_texts_stay_english_and_sentences_do_not(probe: Probe) -> None:
    _, body = await get(probe, "/platform/fields", Accept_Language="ja-JP,ja;q=0.9")
    assert body["description"] == PLATFORM[400][0]
    assert [violation["violation"] for violation in body["violations"]] == [
        "必須です",
        "正しいメールアドレスではありません",
        "1 から 9 までの値を指定してください",
    ]


async def test_xml_for_those_who_ask(probe: Probe) -> None:
    reply = await probe.client.get("/legacy/fields", headers={"Accept": "application/xml"})
    assert reply.headers["content-type"] == "application/xml"
    root = ElementTree.fromstring(reply.content)
    assert root.tag == "ApiException"
    exception = root.find("requestError/serviceException")
    assert exception is not None
    assert [child.tag for child in exception] == ["messageId", "text", "validationErrors"]
    assert [entry.findtext("key") for entry in exception[2]] == [
        "to",
        "messages[0].destinations[0].to[1].destination",
    ]
    assert [value.text for value in exception[2][0].findall("value")] == [
        "must not be null",
        "must be between 1 and 9",
    ]
    plain = await probe.client.get("/legacy/odd", headers={"Accept": "application/xml"})
    assert ElementTree.fromstring(plain.content).findtext(".//text") == "{odd} <text> & more"
    for accept in ("*/*", "application/json, application/xml"):
        reply = await probe.client.get("/legacy/fields", headers={"Accept": accept})
        assert reply.headers["content-type"] == "application/json"


async def test_texts_of_the_contract_instead_of_the_defaults(probe: Probe) -> None:
    _, body = await get(probe, "/legacy/bulk")
    assert body == {"requestError": {"serviceException": {"messageId": "NOT_FOUND", "text": "Bulk not found"}}}


async def test_a_bulk_that_cannot_be_changed(probe: Probe) -> None:
    status, body = await get(probe, "/legacy/begun")
    assert status == 409
    assert body["requestError"]["serviceException"] == {
        "messageId": "CONFLICT",
        "text": "Update not allowed for bulk",
        "validationErrors": {"bulkId": ["bulk b-1: there is nothing to pause"]},
    }


@pytest.mark.parametrize(
    ("name", "wanted"), [("cursor", "cursor"), ("content", "subject"), ("checks", "destinations")]
)
async def test_services_that_name_a_field(probe: Probe, name: str, wanted: str) -> None:
    status, body = await get(probe, f"/platform/{name}")
    assert (status, body["violations"][0]["property"]) == (400, wanted)


async def test_headers(probe: Probe) -> None:
    for shape in ("legacy", "platform"):
        reply = await probe.client.get(f"/{shape}/later")
        assert reply.headers["retry-after"] == "3"
        reply = await probe.client.post(f"/{shape}/later")
        assert reply.status_code == 405


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [
        ("suspended", 403, "the account is suspended"),
        ("sender", 400, "must be an address that the account may send from: sender.example is not yours"),
        ("store", 503, "the database cannot be reached; try again later"),
        ("domain", 404, "there is no domain x.example"),
        ("taken", 409, "there is a domain x.example already"),
        ("found", 404, "there is no account x"),
        ("template", 404, "there is no template 5"),
        ("xib", 400, "the message is refused: no"),
        ("broken", 500, None),
        ("vault", 500, None),
    ],
)
async def test_errors_of_services(probe: Probe, name: str, status: int, sentence: str | None) -> None:
    found, body = await get(probe, f"/platform/{name}")
    assert found == status
    assert [violation["violation"] for violation in body["violations"]] == ([sentence] if sentence else [])
    legacy = await probe.client.get(f"/legacy/{name}")
    assert legacy.status_code == status
    assert "secret" not in legacy.text


def every_refusal() -> list[IntakeError]:
    made: list[IntakeError] = [door.AttachmentRefused("a.exe"), door.MessageTooLarge(11, 10), door.QuotaReached(0)]
    special = {type(refusal) for refusal in made}
    waiting: list[type[IntakeError]] = [IntakeError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__ == door.__name__ and kind not in special:
            made.append(kind())
    return made


# All others are what is wrong with the request itself.
_STATUS = {
    "CredentialRevoked": 401,
    "AccountSuspended": 403,
    "QuotaReached": 429,
    "IntakeError": 503,
    "TemporarilyUnavailable": 503,
    "Busy": 503,
}


@pytest.mark.parametrize("refusal", every_refusal(), ids=lambda refusal: type(refusal).__name__)
def test_every_refusal_of_the_door_has_an_answer(refusal: IntakeError) -> None:
    made = from_door(refusal)
    assert made.status == _STATUS.get(type(refusal).__name__, 400)
    (violation,) = made.violations
    assert violation.text("ja") != violation.text("en")
    if made.status == 503:
        assert made.headers["Retry-After"] == "5"
    # None but those that nobody knows is answered with the words for those.
    assert ("{why}" in violation.template) is (
        type(refusal) in (door.SenderRefused, IntakeError) and made.status == 400
    )


def test_who_is_over_the_quota_is_told_when_there_is_room_again() -> None:
    until = (int(time.time()) + 3_600) * 1_000
    made = from_door(door.QuotaReached(until))
    (violation,) = made.violations
    shown = datetime.fromtimestamp(until / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert shown in violation.text("en")
    assert shown in violation.text("ja")
    assert 3_590 < int(made.headers["Retry-After"]) <= 3_600
    assert from_door(door.QuotaReached(0)).headers["Retry-After"] == "1"


def test_the_fields_of_other_generations() -> None:
    made = from_door(SENDER, {"from": "messages[0].sender"})
    assert [violation.property for violation in made.violations] == ["messages[0].sender"]


def test_a_status_of_its_own_is_one_of_the_documented() -> None:
    assert ApiError(413).status == 400
    assert ApiError(502).status == 500


def test_every_sentence_keeps_its_values_in_japanese() -> None:
    catalogue: Texts = texts.TEXTS
    for english, japanese in catalogue.japanese.items():
        assert {part.partition("}")[0] for part in english.split("{")[1:]} == {
            part.partition("}")[0] for part in japanese.split("{")[1:]
        }, english
