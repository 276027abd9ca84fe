"""The road of mail that comes in by Infobip's HTTP API: a demo, and what its tests send to it and look at."""

from __future__ import annotations

import email
import email.policy
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable, Mapping
from email.message import EmailMessage
from typing import Any, NamedTuple

import dkim
from lab_dns import LabDns

from support.demo_process import PATIENCE, Demo, wait_for

UNTHROTTLED = {
    "EKIDEN_INFOBIP__DOMAINS_PER_SECOND": "0",
    "EKIDEN_INFOBIP__TEMPLATE_WRITES_PER_SECOND": "0",
    "EKIDEN_INFOBIP__BULK_VALIDATIONS_PER_SECOND": "0",
    "EKIDEN_INFOBIP__REPORTS_PER_MINUTE": "0",
    "EKIDEN_INFOBIP__REPORTS_V4_PER_MINUTE": "0",
    "EKIDEN_INFOBIP__LOGS_PER_MINUTE": "0",
}
"""Tests ask for more in a minute than customers may."""
PRICE = {"pricePerMessage": 0, "currency": "UNKNOWN"}
ACCEPTED = {
    "groupId": 1,
    "groupName": "PENDING",
    "id": 26,
    "name": "PENDING_ACCEPTED",
    "description": "Message accepted, pending for delivery.",
}
EN_ROUTE = {
    "groupId": 1,
    "groupName": "PENDING",
    "id": 7,
    "name": "PENDING_ENROUTE",
    "description": "Message sent to next instance",
}
DELIVERED = {
    "groupId": 3,
    "groupName": "DELIVERED",
    "id": 5,
    "name": "DELIVERED_TO_HANDSET",
    "description": "Message delivered to handset",
}
NOT_DELIVERED = {
    "groupId": 2,
    "groupName": "UNDELIVERABLE",
    "id": 9,
    "name": "UNDELIVERABLE_NOT_DELIVERED",
    "description": "Message sent not delivered",
}
NO_ERROR = {
    "groupId": 0,
    "groupName": "OK",
    "id": 0,
    "name": "NO_ERROR",
    "description": "No Error",
    "permanent": False,
}
NO_SUCH_USER = {
    "groupId": 2,
    "groupName": "USER_ERRORS",
    "id": 6006,
    "name": "EC_INVALID_EMAIL_ADDRESS",
    "description": "Invalid email address",
    "permanent": True,
}


class Reply(NamedTuple):
    """An answer; ``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def unique(prefix: str = "") -> str:
    return prefix + uuid.uuid4().hex[:12]


class Letter:
    """A message as the lab got it. ``envelope`` is what SMTP said of it."""

    def __init__(self, road: InfobipRoad, received: Mapping[str, Any]) -> None:
        self.envelope = {name: received[name] for name in ("from", "to")}
        self.data: bytes = received["data"]
        self.message: EmailMessage = email.message_from_bytes(self.data, policy=email.policy.default)
        signatures = self.message.get_all("DKIM-Signature")
        assert signatures
        verifier = dkim.DKIM(self.data, timeout=PATIENCE)
        assert all(verifier.verify(number, dnsfunc=road.dns.txt) for number in range(len(signatures)))

    def header(self, name: str) -> str | None:
        found = self.message[name]
        return None if found is None else str(found)

    def part(self, media_type: str) -> str:
        """The text of the one part of that type which is no attachment."""
        (found,) = [
            part
            for part in self.message.walk()
            if part.get_content_type() == media_type and not part.is_attachment()
        ]
        text: str = found.get_content()
        return text

    @property
    def types(self) -> list[str]:
        """Media types of the parts, from the outside to the inside."""
        return [part.get_content_type() for part in self.message.walk()]

    @property
    def files(self) -> dict[str | None, tuple[str, bytes]]:
        """Attachments by their names: media type and octets."""
        return {
            part.get_filename(): (part.get_content_type(), part.get_payload(decode=True))
            for part in self.message.walk()
            if part.get_content_disposition() == "attachment"
        }

    @property
    def pictures(self) -> dict[str, bytes]:
        """What is shown inside, by ``Content-ID``."""
        return {
            str(part["Content-ID"]): part.get_payload(decode=True)
            for part in self.message.walk()
            if part.get_content_disposition() == "inline"
        }


class InfobipRoad:
    """The demo's account, as a customer of the API has it."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.base: str = demo.facts["http"]
        self.key: str = demo.account["api_key"]
        self.domain: str = demo.account["domain"]
        self.sender = f"jane@{self.domain}"
        self.dns = LabDns(demo)

    def recipient(self, behaviour: str = "accept") -> str:
        return f"{unique()}@{behaviour}.lab.test"

    def letter(self, recipient: str) -> Letter:
        """What the recipient got last."""
        return Letter(self, self.demo.mail(recipient)[-1])

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        authorization: str | None = None,
    ) -> Reply:
        """A raw request; ``path`` may be a whole URL."""
        url = path if path.startswith("http") else self.base + path
        given = {"Authorization": f"App {self.key}" if authorization is None else authorization}
        request = urllib.request.Request(url, body, {**given, **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return _reply(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return _reply(error.code, error.headers, error.read())

    def json(self, method: str, path: str, value: Any) -> Reply:
        return self.request(method, path, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def reports(self, bulk: str, count: int, path: str = "/email/1/reports") -> list[dict[str, Any]]:
        """All reports of a bulk, once there are ``count``, in the order in which they were handed out."""
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            reply = self.request("GET", f"{path}?bulkId={bulk}")
            assert reply.status == 200, reply.body
            found.extend(reply.json["results"])
            return len(found) >= count

        wait_for(enough, f"{count} reports of {bulk}, not {found}")
        assert len(found) == count
        return found

    def own_domain(self, name: str = "") -> str:
        """A domain of the account whose records are published, and which is verified; in A-labels."""
        name = name or f"{unique()}.lab.test"
        made = self.json("POST", "/email/1/domains", {"domainName": name, "targetedDailyTraffic": 1})
        assert made.status == 200, made.body
        name = made.json["domainName"]
        self.publish(name, made.json["dnsRecords"])
        assert self.request("POST", f"/email/1/domains/{name}/verify", b"").status == 202
        assert self.request("GET", f"/email/1/domains/{name}").json["active"]
        return name

    def publish(self, name: str, records: Iterable[Mapping[str, Any]]) -> None:
        """The records that the API told, as its customer publishes them."""
        self.demo.publish(name, "A", "127.0.0.1")
        for record in records:
            if record["recordType"] == "TXT":
                self.demo.publish(record["name"], "TXT", record["expectedValue"])


def _reply(status: int, headers: Any, body: bytes) -> Reply:
    return Reply(status, {name.lower(): value for name, value in headers.items()}, body)
