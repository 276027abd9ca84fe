"""What becomes of errors that nobody foresaw."""

from __future__ import annotations

from pathlib import Path

import pytest
from ibm_cloud import Cloud
from litestar import Request
from sqlalchemy import insert, text

from ekiden.dialects.ibm.errors import ApiError, as_api_error
from ekiden.store.api import Conflict, Store
from ekiden.store.tables import credential, smtp_configuration
from support.stores_away import store_away


async def test_a_broken_row_is_a_500_that_tells_nothing(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """A configuration whose list of subnets is no JSON, as only damage could make it."""
    made = await cloud.call(cloud.client().create_smtp_configuration, cloud.instance, "n", "x.example")
    async with cloud.store.write() as connection:
        await connection.execute(smtp_configuration.update().values(allowed_subnets="{secret"))
    reply = await cloud.request("GET", f"/v1/instances/{cloud.instance}/smtp/config/{made['id']}")
    assert reply.status == 500
    assert reply.json["errors"][0]["code"] == "internal_error"
    assert b"secret" not in reply.body
    assert reply.json["trace"] in caplog.text


async def test_hashes_stay_out_of_the_log(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    values = {"account_id": 1, "kind": "smtp_user", "name": "u", "lookup": "u", "scopes": "", "networks": ""}
    values |= {"secret_hash": "$argon2", "created_at": 1}
    request = Request({"type": "http", "state": {}, "headers": [], "path": "/", "method": "GET"})

    async def add() -> None:
        async with store.write() as connection:
            await connection.execute(insert(credential).values(**values))

    await add()
    with pytest.raises(Conflict) as broken:
        await add()
    assert as_api_error(request, broken.value).status == 500
    assert "failed" in caplog.text
    assert "$argon2" not in caplog.text


async def test_only_an_outage_is_one(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    request = Request({"type": "http", "state": {}, "headers": [], "path": "/", "method": "GET"})

    async def ask(asked: Store, query: str) -> ApiError:
        try:
            async with asked.read() as connection:
                await connection.execute(text(query))
        except Exception as error:
            return as_api_error(request, error)
        raise AssertionError("it was answered")

    async with store_away(tmp_path) as away:
        found = await ask(away, "SELECT 1")
    assert (found.status, found.headers) == (503, {"Retry-After": "5"})
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    found = await ask(store, "SELECT colour FROM account")
    assert (found.status, found.code) == (500, "internal_error")
    assert caplog.records[-1].levelname == "ERROR"
    assert "Traceback" in caplog.text
