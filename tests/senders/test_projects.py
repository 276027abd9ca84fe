"""Projects: made once, found by their UUID."""

from __future__ import annotations

import uuid

import pytest

from ekiden.access.accounts import create_account
from ekiden.access.audit import Actor, list_entries
from ekiden.senders.errors import BadValue, InUse
from ekiden.senders.projects import Projects
from ekiden.store.api import Store
from support.manual_clock import ManualClock


async def test_projects(store: Store) -> None:
    clock = ManualClock()
    one, two = [(await create_account(store, name, clock.now())).id for name in ("one", "two")]
    projects = Projects(store, clock)
    made = await projects.create(one, "shop", region="jp-tok", actor=Actor("test"))
    assert str(uuid.UUID(made.uid)) == made.uid
    assert await projects.find(made.uid) == await projects.find(made.uid.upper()) == made
    assert await projects.find(made.uid.replace("-", "")) == made
    assert await projects.find(str(uuid.uuid4())) is None
    assert await projects.find("no\0thing") is None
    with pytest.raises(InUse) as refused:
        await projects.create(one, "shop")
    assert "'shop'" in refused.value.text("ja")
    other = await projects.create(two, "shop")
    assert await projects.list(one) == [made]
    assert await projects.list() == [made, other]
    for name in ("", "x" * 65, "a\nb"):
        with pytest.raises(BadValue):
            await projects.create(one, name)
    entries = [entry for entry in await list_entries(store, one) if entry.action == "project.create"]
    assert [(entry.actor, entry.target, entry.data["uid"]) for entry in entries] == [("test", "shop", made.uid)]
