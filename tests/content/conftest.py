"""An account with files, on either engine."""

from __future__ import annotations

import pytest

from ekiden.access.accounts import create_account
from ekiden.content.template_categories import TemplateCategories
from ekiden.content.template_imports import TemplateImports
from ekiden.content.templates import Templates
from ekiden.content.uploads import Uploads
from ekiden.limits.workshop import Workshop
from ekiden.store.api import Store
from support.manual_clock import ManualClock


@pytest.fixture
async def account(store: Store, clock: ManualClock) -> int:
    return (await create_account(store, "acme", clock.now())).id


@pytest.fixture
def uploads(store: Store, clock: ManualClock) -> Uploads:
    return Uploads(store, clock)


@pytest.fixture
def templates(store: Store, clock: ManualClock, uploads: Uploads) -> Templates:
    return Templates(store, clock, uploads)


@pytest.fixture
def categories(store: Store, clock: ManualClock) -> TemplateCategories:
    return TemplateCategories(store, clock)


@pytest.fixture
def imports(templates: Templates, categories: TemplateCategories, uploads: Uploads) -> TemplateImports:
    return TemplateImports(templates, categories, uploads, Workshop())
