"""IBM's own clients against the running platform: from a configuration to a delivered message (contract §7.3)."""

from __future__ import annotations

import base64
import subprocess
import uuid
from typing import Any

import pytest
from ibm_cloud_sdk_core import ApiException
from ibm_cloud_sdk_core.authenticators import IAMAuthenticator
from ibm_eventnotifications.event_notifications_v1 import (
    EventNotificationsV1,
    Metrics,
    SMTPCreateResponse,
    SMTPUserResponse,
    SMTPVerificationUpdateResponse,
)
from ibm_platform_services.context_based_restrictions_v1 import ContextBasedRestrictionsV1, Rule, Zone

SMTP_API = "crn:v1:bluemix:public:event-notifications-dev::::api-type:smtp-configuration"


class Cloud:
    """A customer's clients, their base URLs changed and nothing else."""

    def __init__(self, demo: Any) -> None:
        self.demo = demo
        base, account = demo.facts["http"], demo.account
        self.instance = account["instance_id"]
        self.account_id = ""
        authenticator = IAMAuthenticator(account["iam_apikey"], url=base)
        self.notifications = EventNotificationsV1(authenticator=authenticator)
        self.notifications.set_service_url(base + "/event-notifications")
        self.restrictions = ContextBasedRestrictionsV1(authenticator=authenticator)
        self.restrictions.set_service_url(base)
        self.name = account["name"]

    def rule(self, *zones: str, mode: str = "enabled", endpoint: str = "public") -> dict[str, Any]:
        attributes = [
            {"name": "networkZoneId", "value": ",".join(zones)},
            {"name": "endpointType", "value": endpoint},
        ]
        return {
            "contexts": [{"attributes": attributes}],
            "resources": [
                {
                    "attributes": [
                        {"name": "accountId", "value": self.name},
                        {"name": "serviceName", "value": "event-notifications"},
                        {"name": "serviceInstance", "value": self.instance},
                    ]
                }
            ],
            "operations": {"api_types": [{"api_type_id": SMTP_API}]},
            "enforcement_mode": mode,
        }

    def zone(self, *addresses: dict[str, Any], excluded: tuple[dict[str, Any], ...] = ()) -> str:
        made = self.restrictions.create_zone(
            name=f"zone {uuid.uuid4().hex}",
            account_id=self.name,
            addresses=list(addresses),
            excluded=list(excluded),
        )
        return Zone.from_dict(made.get_result()).id


LOOPBACK = {"type": "subnet", "value": "127.0.0.0/8"}


@pytest.fixture
def cloud(demo: Any) -> Cloud:
    return Cloud(demo)


def typed(
    demo: Any, username: str, password: str, sender: str, recipient: str, door: str = "starttls"
) -> list[str]:
    """The seed's dialogue through ``openssl s_client``; the last line of each reply."""
    host, port = demo.facts["smtp"][door]
    user, secret = (base64.b64encode(text.encode()).decode() for text in (username, password))
    lines = [
        "auth login",
        user,
        secret,
        f"mail from: {sender}",
        f"rcpt to: {recipient}",
        "data",
        f"from: Mailer <{sender}>\nto: Recipient <{recipient}>\n"
        "Subject: IBM Cloud Event Notifications SMTP interface\n\n"
        "Get the all events securely from IBM EN SMTP Interface\n.",
    ]
    command = ["openssl", "s_client", "-starttls", "smtp", "-connect", f"{host}:{port}"]
    command += ["-CAfile", demo.facts["ca"], "-verify_return_error", "-crlf", "-quiet", "-no_ign_eof"]
    replies = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        for line in lines:
            client.stdin.write(line.encode() + b"\n")
            client.stdin.flush()
            while (reply := client.stdout.readline().decode())[3:4] == "-":
                pass
            replies.append(reply.rstrip())
            if reply[:1] not in "23":
                break
        client.kill()
    return replies


def test_from_a_configuration_to_a_delivered_message(demo: Any, cloud: Cloud, eventually: Any) -> None:
    domain = f"{uuid.uuid4().hex[:12]}.lab.test"
    client = cloud.notifications
    made = SMTPCreateResponse.from_dict(
        client.create_smtp_configuration(cloud.instance, f"shop {domain}", domain).get_result()
    )
    user = SMTPUserResponse.from_dict(client.create_smtp_user(cloud.instance, made.id).get_result())
    assert user.password
    sender, recipient = f"mailer@{domain}", f"{uuid.uuid4().hex}@accept.lab.test"

    # No rule: refused, from wherever.
    assert typed(demo, user.username, user.password, sender, recipient)[-1].startswith("535 ")
    zone = cloud.zone(LOOPBACK, excluded=({"type": "ipAddress", "value": "127.0.0.66"},))
    answer = cloud.restrictions.create_rule(**cloud.rule(zone))
    rule = Rule.from_dict(answer.get_result())

    def replies() -> list[str]:
        return typed(demo, user.username, user.password, sender, recipient)

    # A rule lets it in, and the domain is not verified yet.
    refused = eventually(
        lambda: (got := replies())[-1].startswith("554 ") and got, "the rule to be seen by every worker"
    )
    assert f"The domain {domain} is not verified" in refused[-1]

    demo.publish(domain, "A", "127.0.0.1")
    for record in (made.config.spf, made.config.dkim):
        demo.publish(record.txt_name, "TXT", record.txt_value)
    statuses = client.update_verify_smtp(cloud.instance, made.id, "dkim,spf,en_authorization").get_result()
    found = SMTPVerificationUpdateResponse.from_dict(statuses).status
    assert [(item.type, item.verification) for item in found] == [
        ("dkim", "SUCCESSFUL"),
        ("spf", "SUCCESSFUL"),
        ("en_authorization", "PENDING"),
    ]
    assert "not verified" in eventually(lambda: (got := replies()[-1]).startswith("554 ") and got, "every worker")
    demo.run("domain", "approve", domain)

    def delivered() -> list[str] | None:
        got = replies()
        return got if got[-1].startswith("250 ") else None

    got = eventually(delivered, "the approval to be seen")
    assert got[:6] == [
        "334 VXNlcm5hbWU6",
        "334 UGFzc3dvcmQ6",
        "235 2.7.0 Authentication successful",
        "250 2.1.0 Ok",
        "250 2.1.5 Ok",
        "354 End data with <CR><LF>.<CR><LF>",
    ]
    queue_id = got[6].removeprefix("250 2.0.0 Ok: queued as ")
    (mail, *_) = demo.mail(recipient)
    assert f"d={domain}".encode() in mail["data"]
    # The queue id leads to the status.
    status = client.get_notifications_status
    eventually(
        lambda: status(cloud.instance, queue_id).get_result()["status"] == "success", "the end of the message"
    )
    # Metrics of the configuration.
    metrics = Metrics.from_dict(
        client.get_metrics(
            cloud.instance, gte="2026-01-01T00:00:00Z", lte="2036-01-01T00:00:00Z", smtp_config_id=made.id
        ).get_result()
    )
    counts = {metric.key: metric.doc_count for metric in metrics.metrics}
    assert counts["submitted"] >= 1

    # Disabled, the rule grants nothing; a second rule that does not match refuses, too.
    etag = answer.get_headers()["ETag"]
    changed = cloud.restrictions.replace_rule(rule.id, etag, **cloud.rule(zone, mode="disabled"))
    eventually(lambda: replies()[-1].startswith("535 "), "the disabled rule to be seen")
    with pytest.raises(ApiException) as caught:
        cloud.restrictions.replace_rule(rule.id, etag, **cloud.rule(zone))
    assert caught.value.status_code == 412
    etag = changed.get_headers()["ETag"]
    cloud.restrictions.replace_rule(rule.id, etag, **cloud.rule(zone))
    eventually(delivered, "the rule to be seen again")
    elsewhere = cloud.zone({"type": "ipAddress", "value": "192.0.2.1"})
    second = cloud.restrictions.create_rule(**cloud.rule(elsewhere)).get_result()["id"]
    eventually(lambda: replies()[-1].startswith("535 "), "the second rule to be seen")
    cloud.restrictions.delete_rule(second)
    eventually(delivered, "the second rule to be gone")
    # The private endpoint asks for a rule of its own.
    assert typed(demo, user.username, user.password, sender, recipient, "private")[-1].startswith("535 ")

    cloud.restrictions.delete_rule(rule.id)
    client.delete_smtp_configuration(cloud.instance, made.id)
    eventually(lambda: replies()[-1].startswith("535 "), "the configuration to be gone")
    with pytest.raises(ApiException) as caught:
        client.get_smtp_configuration(cloud.instance, made.id)
    assert caught.value.status_code == 404
