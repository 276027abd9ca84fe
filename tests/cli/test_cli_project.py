"""``ekiden project``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from installation import Installation

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")


def test_projects(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    ekiden.run("account", "create", "acme")
    ekiden.run("account", "create", "other")
    assert ekiden.run("project", "list").err == "nothing found\n"
    made = ekiden.json("project", "add", "shop", "--account", "acme", "--region", "jp-tok")
    assert re.fullmatch(r"[0-9a-f-]{36}", made["id"])
    assert (made["account"], made["name"], made["region"]) == ("acme", "shop", "jp-tok")
    assert all(f"`{key}`" in PAGE for key in made)
    assert ekiden.run("project", "add", "shop", "--account", "acme").err == (
        "ekiden: the account has a project 'shop' already\n"
    )
    told = ekiden.run("project", "add", "shop", "--account", "other").out
    assert told.startswith("project shop added: ")
    assert ekiden.json("project", "list", "--account", "acme") == [made]
    assert len(ekiden.json("project", "list")) == 2
    assert made["id"] in ekiden.run("project", "list").out
    assert "no account" in ekiden.run("project", "add", "x", "--account", "nobody").err
    assert "1 to 64" in ekiden.run("project", "add", "", "--account", "acme").err


def test_regions_are_those_of_the_configuration(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    ekiden.run("account", "create", "acme")
    with ekiden.config.open("a", encoding="utf-8") as file:
        file.write('[[regions]]\nname = "eu-de"\nsmtp_public = "smtp.example.com"\n')
    refused = ekiden.run("project", "add", "shop", "--account", "acme", "--region", "jp-tok")
    assert refused.err == "ekiden: there is no region 'jp-tok'; choose one of eu-de\n"
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    refused = ekiden.run("project", "add", "shop", "--account", "acme", "--region", "jp-tok")
    assert refused.err == "ekiden: リージョン 'jp-tok' はありません。使えるもの: eu-de\n"
    assert ekiden.json("project", "add", "shop", "--account", "acme", "--region", "eu-de")["region"] == "eu-de"
