"""Receptions that are started for a test and end with it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from forward_road import ForwardRoad
from reception_world import HOST, World
from report_office import Office

from ekiden.lab import Lab
from ekiden.net.tls import CertificateFiles, make_self_signed
from ekiden.store.open import open_store


@pytest.fixture(scope="session")
def certificate_files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    folder = tmp_path_factory.mktemp("certificates")
    return make_self_signed([HOST]).write(folder / "server.crt", folder / "server.key")


@pytest.fixture
async def world(sqlite_url: str, certificate_files: CertificateFiles) -> AsyncIterator[World]:
    store = await open_store(sqlite_url)
    made = World(store, certificate_files)
    yield made
    await made.close()
    await store.close()


@pytest.fixture
async def office(world: World) -> AsyncIterator[Office]:
    made = Office(world)
    await made.start()
    yield made
    await made.suppressions.close()


@pytest.fixture
async def forwards(world: World) -> AsyncIterator[ForwardRoad]:
    async with Lab() as lab:
        made = ForwardRoad(world, lab)
        yield made
        await made.close()
