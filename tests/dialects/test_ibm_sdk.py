"""IBM's own client, unmodified, against a running server (contract §7.3, items 1 to 5)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ibm_cloud import ADMIN, Cloud
from ibm_cloud_sdk_core import ApiException
from ibm_cloud_sdk_core.authenticators import NoAuthAuthenticator
from ibm_eventnotifications.event_notifications_v1 import (
    EventNotificationsV1,
    SMTPAllowedIPs,
    SMTPConfiguration,
    SMTPConfigurationsList,
    SmtpConfigurationsPager,
    SMTPCreateResponse,
    SMTPUser,
    SMTPUserResponse,
    SMTPUsersList,
    SmtpUsersPager,
    SMTPVerificationUpdateResponse,
)

from ekiden.access.authenticate import Password, Proof
from ekiden.access.credentials import list_credentials

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def test_life_of_a_configuration(cloud: Cloud) -> None:
    en, instance = cloud.client(), cloud.instance
    made = await cloud.call(
        en.create_smtp_configuration, instance, "SMTP configuration", "Example.COM", description="SMTP description"
    )
    created = SMTPCreateResponse.from_dict(made)
    assert (created.name, created.description, created.domain) == (
        "SMTP configuration",
        "SMTP description",
        "example.com",
    )
    assert UUID.fullmatch(created.id)
    config = created.config
    selector, _, rest = config.dkim.txt_name.partition(".")
    assert UUID.fullmatch(selector)
    assert rest == "_domainkey.example.com"
    assert config.dkim.txt_value.startswith("v=DKIM1; k=rsa; p=")
    assert len(config.dkim.txt_value) <= 500
    assert config.spf.txt_name == "example.com"
    assert config.spf.txt_value.startswith("v=spf1 include:spf.sender.example")
    assert {config.dkim.verification, config.spf.verification, config.en_authorization.verification} == {"PENDING"}

    got = await cloud.call(en.get_smtp_configuration, instance, created.id)
    assert SMTPConfiguration.from_dict(got).config.to_dict() == config.to_dict()
    assert "created_at" not in got
    changed = await cloud.call(
        en.update_smtp_configuration, instance, created.id, name="another", description="words"
    )
    assert (changed["name"], changed["description"]) == ("another", "words")
    same = await cloud.call(en.update_smtp_configuration, instance, created.id)
    assert (same["name"], same["description"]) == ("another", "words")
    assert SMTPConfiguration.from_dict(same).updated_at >= SMTPConfiguration.from_dict(got).updated_at

    assert await cloud.call(en.delete_smtp_configuration, instance, created.id) is None
    for gone in (en.get_smtp_configuration, en.delete_smtp_configuration):
        with pytest.raises(ApiException) as refused:
            await cloud.call(gone, instance, created.id)
        assert refused.value.status_code == 404
        assert created.id in refused.value.message
        assert refused.value.global_transaction_id


async def test_verification_follows_the_dns_and_the_administrator(cloud: Cloud) -> None:
    en, instance = cloud.client(), cloud.instance
    made = await cloud.call(en.create_smtp_configuration, instance, "n", "example.com")
    assert SMTPCreateResponse.from_dict(made).description == ""

    async def verify(types: str) -> list[tuple[str, str]]:
        result = await cloud.call(en.update_verify_smtp, instance, made["id"], types)
        told = SMTPVerificationUpdateResponse.from_dict(result)
        return [(item.type, item.verification) for item in told.status]

    assert await verify("dkim") == [("dkim", "FAILED")]
    assert await verify("en_authorization") == [("en_authorization", "PENDING")]
    await cloud.publish("example.com")
    assert await verify("spf") == [("spf", "SUCCESSFUL")]
    assert await verify("dkim,spf,en_authorization") == [
        ("dkim", "SUCCESSFUL"),
        ("spf", "SUCCESSFUL"),
        ("en_authorization", "PENDING"),
    ]
    domain = await cloud.services.domains.get(cloud.account.id, "example.com")
    assert domain.status == "pending"
    await cloud.services.domains.approve(domain.id, ADMIN)
    got = await cloud.call(en.get_smtp_configuration, instance, made["id"])
    assert {part["verification"] for part in got["config"].values()} == {"SUCCESSFUL"}
    cloud.lab.set_dns("example.com", "TXT", [])
    assert await verify("spf,dkim") == [("spf", "FAILED"), ("dkim", "SUCCESSFUL")]
    for wrong in ("dmarc", "spf,,dkim"):
        with pytest.raises(ApiException) as refused:
            await verify(wrong)
        assert refused.value.status_code == 400


async def test_life_of_a_user(cloud: Cloud) -> None:
    en, instance = cloud.client(), cloud.instance
    config = (await cloud.call(en.create_smtp_configuration, instance, "n", "example.com"))["id"]
    made = await cloud.call(en.create_smtp_user, instance, config)
    user = SMTPUserResponse.from_dict(made)
    assert re.fullmatch(r"[a-z0-9]{18}\d{2}", user.username)
    assert user.smtp_config_id == config
    assert user.domain == "example.com"
    assert len(user.password) >= 20
    proof = await cloud.services.authenticator.prove(Password(user.username, user.password), "127.0.0.1", "send")
    assert isinstance(proof, Proof)
    assert proof.account.id == cloud.account.id

    got = await cloud.call(en.get_smtp_user, instance, config, user.id)
    assert SMTPUser.from_dict(got).description == ""
    changed = await cloud.call(en.update_smtp_user, instance, config, user.id, description="app")
    assert SMTPUser.from_dict(changed).description == "app"
    listed = await cloud.call(en.list_smtp_users, instance, config)
    assert SMTPUsersList.from_dict(listed).users[0].description == "app"
    assert all("password" not in item for item in (got, changed, *listed["users"]))

    assert await cloud.call(en.delete_smtp_user, instance, config, user.id) is None
    with pytest.raises(ApiException) as refused:
        await cloud.call(en.get_smtp_user, instance, config, user.id)
    assert refused.value.status_code == 404


async def test_there_are_five_users_and_clones_count(cloud: Cloud) -> None:
    en, instance = cloud.client(), cloud.instance
    first = (await cloud.call(en.create_smtp_configuration, instance, "one", "one.example"))["id"]
    second = (await cloud.call(en.create_smtp_configuration, instance, "two", "two.example"))["id"]
    source = await cloud.call(en.create_smtp_user, instance, first, description="source")
    clone = await cloud.call(
        en.create_smtp_user, instance, second, description="clone", username_to_clone=source["username"]
    )
    assert "password" not in SMTPUserResponse.from_dict(clone).to_dict()
    assert clone["username"] == source["username"]
    assert clone["id"] != source["id"]
    assert clone["domain"] == "two.example"
    for _ in range(4):
        await cloud.call(en.create_smtp_user, instance, second)
    with pytest.raises(ApiException) as refused:
        await cloud.call(en.create_smtp_user, instance, second)
    assert refused.value.status_code == 400
    assert "5" in refused.value.message
    with pytest.raises(ApiException) as refused:
        await cloud.call(en.create_smtp_user, instance, first, username_to_clone="a" * 18 + "00")
    assert refused.value.status_code == 404
    with pytest.raises(ApiException) as refused:
        await cloud.call(en.create_smtp_user, instance, first, username_to_clone=source["username"])
    assert refused.value.status_code == 409

    # The clone keeps the password alive, and the configuration takes its users along.
    shown = Password(source["username"], source["password"])
    await cloud.call(en.delete_smtp_user, instance, first, source["id"])
    assert isinstance(await cloud.services.authenticator.prove(shown, "127.0.0.1"), Proof)
    await cloud.call(en.delete_smtp_configuration, instance, second)
    kept = {item.name: item.revoked_at for item in await list_credentials(cloud.store, cloud.account.id)}
    assert kept[source["username"]] is not None
    assert sum(item is None for item in kept.values()) == 1  # the API key


async def test_pages(cloud: Cloud) -> None:
    en, instance = cloud.client(), cloud.instance
    ids = []
    for number in range(3):
        made = await cloud.call(
            en.create_smtp_configuration, instance, f"Config {number}", f"d{number}.example", description="x"
        )
        ids.append(made["id"])
    page = SMTPConfigurationsList.from_dict(
        await cloud.call(en.list_smtp_configurations, instance, limit=1, offset=1, search="config")
    )
    assert (page.total_count, page.offset, page.limit, len(page.smtp_configurations)) == (3, 1, 1, 1)
    assert "offset=0" in page.first.href
    assert "offset=0" in page.previous.href
    assert "offset=2" in page.next.href
    assert page.next.href.startswith(f"{cloud.base}/event-notifications/v1/instances/{instance}/smtp/config?")
    everything = await cloud.call(en.list_smtp_configurations, instance)
    assert [item["id"] for item in everything["smtp_configurations"]] == ids
    assert "next" not in everything
    assert "previous" not in everything
    found = await cloud.call(en.list_smtp_configurations, instance, search="g 2")
    assert [item["id"] for item in found["smtp_configurations"]] == [ids[2]]

    pager = SmtpConfigurationsPager(client=en, instance_id=instance, limit=2, search="Config")
    walked = await cloud.call_plain(pager.get_all)
    assert [item["id"] for item in walked] == ids
    users = [(await cloud.call(en.create_smtp_user, instance, ids[0]))["id"] for _ in range(3)]
    pager = SmtpUsersPager(client=en, instance_id=instance, id=ids[0], limit=2)
    assert [item["id"] for item in await cloud.call_plain(pager.get_all)] == users


async def test_names_and_domains_are_unique_within_an_instance(cloud: Cloud) -> None:
    en, instance = cloud.client(), cloud.instance
    await cloud.call(en.create_smtp_configuration, instance, "one", "one.example")
    second = await cloud.call(en.create_smtp_configuration, instance, "two", "two.example")
    for name, domain in (("one", "three.example"), ("three", "one.example")):
        with pytest.raises(ApiException) as refused:
            await cloud.call(en.create_smtp_configuration, instance, name, domain)
        assert refused.value.status_code == 409
    with pytest.raises(ApiException) as refused:
        await cloud.call(en.update_smtp_configuration, instance, second["id"], name="one")
    assert refused.value.status_code == 409
    # What was refused leaves no domain behind; another instance of the account may use the same domain.
    names = [domain.name for domain in await cloud.services.domains.list_domains(cloud.account.id)]
    assert names == ["one.example", "two.example"]
    other = await cloud.services.projects.create(cloud.account.id, "other")
    again = await cloud.call(en.create_smtp_configuration, other.uid, "one", "one.example")
    first = await cloud.call(en.list_smtp_configurations, instance, search="one")
    assert again["config"] == first["smtp_configurations"][0]["config"]
    for name, domain in (("", "x.example"), ("n" * 251, "x.example"), ("n", "nodots"), ("n", "-.example")):
        answered = await cloud.request(
            "POST",
            f"/v1/instances/{instance}/smtp/config",
            f'{{"name": "{name}", "domain": "{domain}"}}'.encode(),
            {"Content-Type": "application/json"},
        )
        assert answered.status == 400, (name, domain)


async def test_allowed_ips_are_served_and_say_that_they_end(cloud: Cloud) -> None:
    en, instance = cloud.client(), cloud.instance
    config = (await cloud.call(en.create_smtp_configuration, instance, "n", "example.com"))["id"]
    assert SMTPAllowedIPs.from_dict(await cloud.call(en.get_smtp_allowed_ips, instance, config)).subnets == []
    path = f"/event-notifications/v1/instances/{instance}/smtp/config/{config}/allowed_ips"
    headers = {"Content-Type": "application/json"}
    body = b'{"subnets": ["192.168.1.64", "203.0.113.0/24"]}'
    answered = await cloud.request("PATCH", path, body, headers)
    assert answered.status == 200
    assert answered.headers["deprecation"].startswith("@")
    assert answered.headers["sunset"].endswith("GMT")
    told = await cloud.call(en.get_smtp_allowed_ips, instance, config)
    assert SMTPAllowedIPs.from_dict(told).subnets == ["192.168.1.64", "203.0.113.0/24"]
    assert told["deprecated"] is True
    assert told["honoured_until"] > told["updated_at"]
    for wrong in (b'{"subnets": []}', b'{"subnets": ["x"]}', b"{}", b'{"subnets": "192.0.2.1"}'):
        assert (await cloud.request("PATCH", path, wrong, headers)).status == 400


async def test_without_a_token(cloud: Cloud) -> None:
    en = EventNotificationsV1(authenticator=NoAuthAuthenticator())
    en.set_service_url(cloud.base)
    with pytest.raises(ApiException) as refused:
        await cloud.call(en.list_smtp_configurations, cloud.instance)
    assert refused.value.status_code == 401


async def test_a_token_that_somebody_else_got(cloud: Cloud) -> None:
    en = cloud.bearer(await cloud.token())
    assert (await cloud.call(en.list_smtp_configurations, cloud.instance))["total_count"] == 0
    with pytest.raises(ApiException) as refused:
        await cloud.call(cloud.bearer("a.b.c").list_smtp_configurations, cloud.instance)
    assert refused.value.status_code == 401


async def test_an_unknown_key(cloud: Cloud) -> None:
    with pytest.raises(ApiException) as refused:
        await cloud.call(cloud.client("wrong").list_smtp_configurations, cloud.instance)
    assert refused.value.status_code == 400
    assert refused.value.message == "Provided API key could not be found."


@pytest.mark.parametrize("prefix", ["", "/event-notifications"])
async def test_settings_come_from_a_file(
    cloud: Cloud, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ibm-credentials.env"
    file.write_text(
        "EVENT_NOTIFICATIONS_AUTH_TYPE=iam\n"
        f"EVENT_NOTIFICATIONS_APIKEY={cloud.key}\n"
        f"EVENT_NOTIFICATIONS_AUTH_URL={cloud.base}\n"
        f"EVENT_NOTIFICATIONS_URL={cloud.base}{prefix}\n"
        "EVENT_NOTIFICATIONS_ENABLE_GZIP=true\n",
        "utf-8",
    )
    monkeypatch.setenv("IBM_CREDENTIALS_FILE", str(file))
    en = EventNotificationsV1.new_instance()
    made = await cloud.call(en.create_smtp_configuration, cloud.instance, "設定", "example.com")
    assert made["name"] == "設定"
    changed = await cloud.call(en.update_smtp_configuration, cloud.instance, made["id"], description="圧縮")
    assert changed["description"] == "圧縮"
