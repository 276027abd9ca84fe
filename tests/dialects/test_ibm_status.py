"""Metrics, bounces and the status of messages, with IBM's client (contract §6)."""

from __future__ import annotations

from typing import Any

import pytest
from ibm_cloud import Cloud
from ibm_cloud_sdk_core import ApiException
from ibm_eventnotifications.event_notifications_v1 import BounceMetrics, GetNotificationStatusResponse, Metrics

from ekiden.access.credentials import list_credentials
from ekiden.core.clock import DAY, HOUR, MINUTE, Millis
from ekiden.core.ids import format_id
from ekiden.core.states import State
from ekiden.dialects.ibm.http import timestamp
from ekiden.net.clock import SystemClock
from support.queue_rows import Rows

NOW = SystemClock().now() // DAY * DAY - 2 * DAY + 12 * HOUR
"""Noon of a day that is over."""


class Traffic:
    """Mail of two configurations of the instance, and of others."""

    def __init__(self, cloud: Cloud, rows: Rows, one: str, two: str, credentials: dict[str, int]) -> None:
        self.cloud = cloud
        self.rows = rows
        self.one = one
        self.two = two
        self.credentials = credentials

    @classmethod
    async def make(cls, cloud: Cloud) -> Traffic:
        en, instance = cloud.client(), cloud.instance
        ids, names = [], {}
        for name in ("one", "two"):
            made = await cloud.call(en.create_smtp_configuration, instance, name, f"{name}.example")
            ids.append(made["id"])
            names[name] = (await cloud.call(en.create_smtp_user, instance, made["id"]))["username"]
        known = {item.name: item.id for item in await list_credentials(cloud.store)}
        credentials = {name: known[username] for name, username in names.items()}
        return cls(cloud, await Rows.make(cloud.store, NOW), ids[0], ids[1], credentials)

    async def send(
        self, *recipients: str, state: State, by: str = "one", sender: str = "", age: Millis = 0, reply: str = ""
    ) -> str:
        new = await self.rows.attempted(
            *recipients,
            state=state,
            reply=reply
            or {State.DELIVERED: "250 2.0.0 ok", State.BOUNCED: "550 5.1.1 no"}.get(state, "450 4.2.0 x"),
            sender=sender or f"mailer@{by}.example",
            credential_id=self.credentials.get(by, 0),
            age=age,
        )
        return format_id(new.message.id)

    async def metrics(self, **query: Any) -> dict[str, tuple[int, list[tuple[int, str]]]]:
        en = self.cloud.client()
        times = {"gte": timestamp(NOW - DAY)[:19] + "Z", "lte": timestamp(NOW)[:19] + "Z"}
        result = await self.cloud.call(en.get_metrics, self.cloud.instance, **{**times, **query})
        assert [item.key for item in Metrics.from_dict(result).metrics] == [
            item["key"] for item in result["metrics"]
        ]
        return {
            item["key"]: (
                item["doc_count"],
                [(bucket["doc_count"], bucket["key_as_string"]) for bucket in item["histogram"]["buckets"]],
            )
            for item in result["metrics"]
        }

    async def bounces(self, **query: Any) -> dict[str, Any]:
        en = self.cloud.client()
        times = {"gte": timestamp(NOW - DAY)[:19] + "Z", "lte": timestamp(NOW)[:19] + "Z"}
        result: dict[str, Any] = await self.cloud.call(
            en.get_bounce_metrics, self.cloud.instance, **{**times, **query}
        )
        assert BounceMetrics.from_dict(result).total_count == result["total_count"]
        return result


async def test_metrics_and_bounces(cloud: Cloud) -> None:
    traffic = await Traffic.make(cloud)
    send = traffic.send
    await send("a@x.example", "b@x.example", state=State.DELIVERED)
    await send("c@x.example", state=State.BOUNCED, age=90 * MINUTE)
    await send("d@x.example", state=State.EXPIRED, age=3 * HOUR)
    await send("e@x.example", state=State.DEFERRED)
    # None of these belongs to the first configuration, or to the time.
    await send("f@x.example", state=State.DELIVERED, by="two")
    await send("g@x.example", state=State.DELIVERED, by="nobody", sender="mailer@one.example")
    await send("h@x.example", state=State.DELIVERED, age=2 * DAY)
    noon, earlier = timestamp(NOW), timestamp(NOW - 2 * HOUR)

    told = await traffic.metrics(smtp_config_id=traffic.one)
    assert told["submitted"] == (5, [(1, timestamp(NOW - 3 * HOUR)), (1, earlier), (3, noon)])
    assert told["success"] == (2, [(2, noon)])
    assert told["bounced"] == (2, [(1, timestamp(NOW - 3 * HOUR)), (1, earlier)])
    assert told["deferred"] == (1, [(1, noon)])
    assert (await traffic.metrics(smtp_config_id=traffic.two))["submitted"][0] == 1
    assert (await traffic.metrics())["submitted"][0] == 6
    filtered = await traffic.metrics(smtp_config_id=traffic.one, email_to="a@x.example", subject="hello")
    assert filtered["submitted"][0] == filtered["success"][0] == 1
    assert (await traffic.metrics(smtp_config_id=traffic.one, subject="other"))["submitted"] == (0, [])
    # More than two days are told day by day, however long the time is.
    long = await traffic.metrics(smtp_config_id=traffic.one, gte="0001-01-01T00:00:00Z", lte="9999-12-31T23:59:59Z")
    midnight = NOW - 12 * HOUR
    assert long["submitted"] == (6, [(1, timestamp(midnight - 2 * DAY)), (5, timestamp(midnight))])

    lost = await traffic.bounces(smtp_config_id=traffic.one, limit=1)
    assert (lost["total_count"], lost["offset"], lost["limit"]) == (2, 0, 1)
    (item,) = lost["metrics"]
    assert item["email_address"] == "c@x.example"
    assert item["subject"] == "hello"
    assert item["error_message"] == "550 5.1.1 no"
    assert item["ip_address"] == "192.0.2.7"
    rest = await traffic.bounces(smtp_config_id=traffic.one, offset=1)
    assert [item["email_address"] for item in rest["metrics"]] == ["d@x.example"]


async def test_figures_outlive_users_and_tell_clones_apart(cloud: Cloud) -> None:
    traffic = await Traffic.make(cloud)
    en = cloud.client()
    (user,) = (await cloud.call(en.list_smtp_users, cloud.instance, traffic.one))["users"]
    clone = await cloud.call(en.create_smtp_user, cloud.instance, traffic.two, username_to_clone=user["username"])
    await traffic.send("a@x.example", state=State.DELIVERED)
    await traffic.send("b@x.example", "c@x.example", state=State.DELIVERED, by="one", sender="x@two.example")
    assert (await traffic.metrics(smtp_config_id=traffic.one))["submitted"][0] == 1
    assert (await traffic.metrics(smtp_config_id=traffic.two))["submitted"][0] == 2
    await cloud.call(en.delete_smtp_user, cloud.instance, traffic.one, user["id"])
    await cloud.call(en.delete_smtp_user, cloud.instance, traffic.two, clone["id"])
    assert (await traffic.metrics(smtp_config_id=traffic.one))["submitted"][0] == 1
    assert (await traffic.metrics(smtp_config_id=traffic.two))["submitted"][0] == 2


async def test_what_cannot_be_asked(cloud: Cloud) -> None:
    traffic = await Traffic.make(cloud)
    for query, status in (
        ({"gte": "yesterday"}, 400),
        ({"lte": "2020-01-01T00:00:00Z"}, 400),
        ({"destination_type": "smtp_custom"}, 400),
        ({"smtp_config_id": "0" * 36}, 404),
    ):
        with pytest.raises(ApiException) as refused:
            await traffic.metrics(**query)
        assert refused.value.status_code == status, query


async def test_status_by_queue_id(cloud: Cloud) -> None:
    traffic = await Traffic.make(cloud)
    en, instance = cloud.client(), cloud.instance

    async def status(queue_id: str) -> tuple[str, int, str]:
        result = await cloud.call(en.get_notifications_status, instance, queue_id)
        told = GetNotificationStatusResponse.from_dict(result)
        assert result["recipients"]
        return told.status, told.details.status_code, told.details.status_message

    assert await status(await traffic.send("a@x.example", state=State.DELIVERED)) == (
        "success",
        250,
        "250 2.0.0 ok",
    )
    bounced = await traffic.send("a@x.example", "b@x.example", state=State.BOUNCED)
    assert await status(bounced.lower()) == ("failure", 550, "550 5.1.1 no")
    assert (await status(await traffic.send("a@x.example", state=State.DEFERRED)))[0] == "inprogress"
    foreign = await traffic.send("a@x.example", state=State.DELIVERED, by="nobody", sender="m@one.example")
    for unknown in (foreign, "0000000000000", "x"):
        with pytest.raises(ApiException) as refused:
            await status(unknown)
        assert refused.value.status_code == 404
