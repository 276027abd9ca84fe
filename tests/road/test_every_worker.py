"""Changes reach every worker and every open connection: revocation, rules, suspension, quotas."""

from __future__ import annotations

import smtplib
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from ibm_cloud_sdk_core.authenticators import IAMAuthenticator
from ibm_eventnotifications.event_notifications_v1 import EventNotificationsV1

CONNECTIONS = 16
"""Enough for both workers to have some: the kernel spreads them by their ports."""


@pytest.fixture
def tenant(demo: Any) -> str:
    """The name of a new account that may send as anybody."""
    name = uuid.uuid4().hex
    demo.run("account", "create", name, "--senders", "any")
    return name


@pytest.fixture
def open_many(demo: Any) -> Iterator[Callable[[str, str], list[smtplib.SMTP]]]:
    with ExitStack() as stack:

        def connect(username: str, password: str) -> list[smtplib.SMTP]:
            clients = []
            for _ in range(CONNECTIONS):
                client = demo.connect()
                stack.callback(client.close)
                client.login(username, password)
                clients.append(client)
            return clients

        yield connect


def mail(client: smtplib.SMTP, sender: str) -> tuple[int, bytes]:
    client.rset()
    return client.mail(sender)


def test_a_revoked_key_is_useless_on_every_open_connection(
    demo: Any, tenant: str, open_many: Any, eventually: Any
) -> None:
    made = demo.run("credential", "api-key", "create", tenant, "key")
    clients = open_many("App", made["api_key"])
    assert {mail(client, "a@b.example")[0] for client in clients} == {250}
    demo.run("credential", "revoke", str(made["id"]))
    waiting = list(clients)

    def all_heard() -> bool:
        for client in list(waiting):
            try:
                code, reply = mail(client, "a@b.example")
            except smtplib.SMTPServerDisconnected:
                code, reply = 421, b"not valid any more"
            if code == 421:
                assert b"not valid any more" in reply
                waiting.remove(client)
        return not waiting

    eventually(all_heard, "every connection to hear of it")
    with demo.connect() as client, pytest.raises(smtplib.SMTPAuthenticationError):
        client.login("App", made["api_key"])


def test_a_quota_holds_over_all_workers_and_connections(
    demo: Any, tenant: str, open_many: Any, eventually: Any
) -> None:
    """40 a day: 40 are accepted, whichever worker has the connection, and not one more."""
    made = demo.run("credential", "api-key", "create", tenant, "key")
    # Before any login: no worker has ever known the account without it.
    demo.run("account", "quota", tenant, "--day", "40", "--action", "reject")
    today = datetime.now(UTC).date()
    clients = open_many("App", made["api_key"])
    accepted = refused = 0

    def until_every_one_refuses() -> bool:
        nonlocal accepted, refused
        refusing = 0
        for client in clients:
            demo_mail = f"{uuid.uuid4().hex}@accept.lab.test"
            client.rset()
            client.mail("a@b.example")
            client.rcpt(demo_mail)
            code, reply = client.data(b"From: a@b.example\r\n\r\nx\r\n")
            if code == 250:
                accepted += 1
            else:
                assert (code, reply[:6]) == (452, b"4.7.1 "), reply
                refused += 1
                refusing += 1
        return refusing == len(clients)

    eventually(until_every_one_refuses, "the quota to be reached")
    assert refused >= CONNECTIONS
    used = demo.run("account", "quota", tenant)["used"]["day"]
    if datetime.now(UTC).date() == today:
        assert accepted == used == 40
    else:  # a new day began meanwhile, with 40 more
        assert used == 40
        assert 40 <= accepted <= 80
    demo.run("account", "quota", tenant, "--day", "none")
    eventually(
        lambda: {mail_one(client) for client in clients} == {250}, "the quota to be gone on every connection"
    )


def mail_one(client: smtplib.SMTP) -> int:
    client.rset()
    client.mail("a@b.example")
    client.rcpt(f"{uuid.uuid4().hex}@accept.lab.test")
    return client.data(b"From: a@b.example\r\n\r\nx\r\n")[0]


def test_a_deleted_rule_closes_every_open_connection(demo: Any, open_many: Any, eventually: Any) -> None:
    account = demo.account
    cloud = EventNotificationsV1(authenticator=IAMAuthenticator(account["iam_apikey"], url=demo.facts["http"]))
    cloud.set_service_url(demo.facts["http"] + "/event-notifications")
    name = f"{uuid.uuid4().hex[:12]}.lab.test"
    demo.run("domain", "add", name, "--account", account["name"], "--vouch")
    made = cloud.create_smtp_configuration(account["instance_id"], name, name).get_result()
    user = cloud.create_smtp_user(account["instance_id"], made["id"]).get_result()
    zone = uuid.uuid4().hex
    demo.run("zone", "add", zone, "127.0.0.0/8", "--account", account["name"])
    rule = demo.run(
        *("rule", "add", "--account", account["name"], "--zone", zone, "--instance", account["instance_id"])
    )

    def may_login() -> bool:
        with demo.connect() as client:
            try:
                client.login(user["username"], user["password"])
            except smtplib.SMTPAuthenticationError:
                return False
        return True

    # Several times: whichever worker gets the connection must know.
    eventually(lambda: all(may_login() for _ in range(8)), "the rule to be seen")
    clients = open_many(user["username"], user["password"])
    assert {mail(client, f"a@{name}")[0] for client in clients} == {250}
    demo.run("rule", "remove", rule["id"], "--account", account["name"])
    eventually(
        lambda: {mail(client, f"a@{name}")[0] for client in clients} == {554}, "every connection to be refused"
    )
    _, reply = mail(clients[0], f"a@{name}")
    assert b"not allowed by any rule" in reply
    cloud.delete_smtp_configuration(account["instance_id"], made["id"])


def test_a_suspended_account_is_refused_on_every_open_connection(
    demo: Any, tenant: str, open_many: Any, eventually: Any
) -> None:
    made = demo.run("credential", "api-key", "create", tenant, "key")
    clients = open_many("App", made["api_key"])
    demo.run("account", "suspend", tenant)
    eventually(lambda: {mail(client, "a@b.example")[0] for client in clients} == {550}, "every worker")
    demo.run("account", "resume", tenant)
    eventually(lambda: {mail(client, "a@b.example")[0] for client in clients} == {250}, "every worker")
