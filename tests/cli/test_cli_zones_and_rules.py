"""``ekiden zone`` and ``ekiden rule``."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re

import pytest
from installation import Installation

from ekiden.access.accounts import get_account
from ekiden.access.audit import list_entries
from ekiden.cli import network_translations as network_texts
from ekiden.cli import rule, zone
from ekiden.cli.network_translations import TEXTS
from ekiden.net.clock import SystemClock
from ekiden.senders.projects import Projects
from ekiden.store.open import open_store


def project(ekiden: Installation, account: str = "acme") -> str:
    """The UUID of a new instance."""

    async def main() -> str:
        store = await open_store(ekiden.url)
        try:
            owner = await get_account(store, account)
            return (await Projects(store, SystemClock()).create(owner.id, "p")).uid
        finally:
            await store.close()

    return asyncio.run(main())


@pytest.fixture
def acme(ekiden: Installation) -> Installation:
    ekiden.run("account", "create", "acme")
    return ekiden


def test_the_life_of_a_zone(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    ekiden.run("account", "create", "acme")
    addresses = ["192.0.2.0/24", "198.51.100.1-198.51.100.9", "2001:db8::1", "crn:v1:is:vpc:r1", "crn:v1:x"]
    made = ekiden.json(
        "zone", "add", "office", *addresses, "service:kube:dal", "-a", "acme", "--exclude", "192.0.2.7",
        "--description", "desk",
    )  # fmt: skip
    assert set(made) == {
        "id",
        "account",
        "name",
        "description",
        "addresses",
        "excluded",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
    }
    assert made["addresses"] == [*addresses, "service:kube:dal"]
    assert (made["excluded"], made["description"], made["account"]) == (["192.0.2.7"], "desk", "acme")
    assert made["created_by"].startswith("cli:")
    assert ekiden.json("zone", "show", "office") == ekiden.json("zone", "show", made["id"]) == made
    assert ekiden.json("zone", "list") == ekiden.json("zone", "list", "-a", "acme") == [made]
    shown = ekiden.run("zone", "show", "office").out
    assert shown.startswith(f"zone office of acme: {made['id']}\ndesk\n  192.0.2.0/24\n")
    assert "  excluded: 192.0.2.7\n" in shown
    assert ekiden.run("zone", "list").out.splitlines()[1].split() == [
        made["id"],
        "acme",
        "office",
        "6",
        "1",
        "desk",
    ]
    again = ekiden.run("zone", "add", "office", "192.0.2.1", "--account", "acme")
    assert (again.status, again.err) == (1, "ekiden: there is a zone 'office' already\n")
    wrong = ekiden.run("zone", "add", "x", "192.0.2.1", "host.example", "--account", "acme")
    assert (wrong.status, wrong.err) == (2, "ekiden: addresses[1].value: 'host.example' is not an IP address\n")
    assert ekiden.run("zone", "remove", "office").out == "zone office removed\n"
    assert ekiden.run("zone", "show", "office").err == "ekiden: there is no zone 'office'\n"
    assert "nothing found" in ekiden.run("zone", "list").err


def test_zones_of_one_name(acme: Installation) -> None:
    acme.run("account", "create", "beta")
    for account in ("acme", "beta"):
        assert acme.run("zone", "add", "z", "192.0.2.1", "--account", account).status == 0
    assert "--account" in acme.run("zone", "show", "z").err
    assert acme.json("zone", "show", "z", "--account", "beta")["account"] == "beta"
    assert len(acme.json("zone", "list")) == 2


def test_the_life_of_a_rule(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    ekiden.run("account", "create", "acme")
    instance = project(ekiden)
    zone_id = ekiden.json("zone", "add", "office", "192.0.2.0/24", "--account", "acme")["id"]
    ekiden.run("zone", "add", "home", "198.51.100.1", "--account", "acme")
    closed = ekiden.run("rule", "test", "192.0.2.1", "--instance", instance)
    assert (closed.status, closed.out) == (1, "refused; no rule applies\n")
    made = ekiden.json(
        "rule", "add", "-a", "acme", "-z", "office", "-z", "home", "--endpoint", "public", "--instance", instance,
        "--description", "desks",
    )  # fmt: skip
    assert set(made) == {
        "id",
        "account",
        "description",
        "mode",
        "contexts",
        "resource",
        "tags",
        "api_types",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
    }
    assert made["resource"]["serviceInstance"] == instance
    assert made["contexts"][0]["endpointType"] == "public"
    assert made["contexts"][0]["networkZoneId"].startswith(f"{zone_id}, ")
    id_ = made["id"]
    assert ekiden.json("rule", "list") == [made] == [ekiden.json("rule", "show", id_)]
    listed = ekiden.run("rule", "list").out.splitlines()[1]
    assert listed.startswith(id_)
    assert "office, home; endpointType=public" in listed
    shown = ekiden.run("rule", "show", id_).out
    assert f"rule {id_} of acme: enabled\ndesks\nprotects: serviceName=event-notifications" in shown
    assert "operations: SMTP Configuration\nlets pass: office, home; endpointType=public\n" in shown

    def ask(address: str, *more: str) -> tuple[int, str]:
        asked = ekiden.run("rule", "test", address, "--instance", instance, *more)
        return asked.status, asked.out

    assert ask("192.0.2.1") == (0, f"allowed; rules that let it pass: {id_}\n")
    assert ask("::ffff:192.0.2.1")[0] == 0
    assert ask("203.0.113.1") == (1, f"refused by rule {id_}; the address is in none of its zones\n")
    assert ask("192.0.2.1", "--endpoint", "private")[1].endswith("but not for this endpoint\n")
    assert ask("203.0.113.1", "--api", "control-plane") == (0, "allowed; no rule applies\n")
    told = ekiden.run("rule", "test", "203.0.113.1", "--instance", instance, "--json")
    assert told.status == 1
    assert f'"allowed":false,"rule":"{id_}","why":"address","rules":["{id_}"],"reports":[]' in told.out
    watching = ekiden.json("rule", "add", "-a", "acme", "-z", "home", "--api", "all", "--mode", "report")["id"]
    assert ask("192.0.2.1")[1].splitlines()[1] == f"rule {watching} (report) would refuse it"
    assert "is named by rules" in ekiden.run("zone", "remove", "home").err
    assert ekiden.run("rule", "disable", id_).out == f"rule {id_} is now disabled\n"
    assert ask("192.0.2.1")[0] == 1
    assert ekiden.json("rule", "enable", id_)["mode"] == "enabled"
    assert ask("192.0.2.1")[0] == 0
    nobody = ekiden.json("rule", "add", "-a", "acme", "--nobody")["id"]
    told = ekiden.run("rule", "test", "192.0.2.1", "--instance", instance)
    assert told.status == 1
    assert told.out.startswith(f"refused by rule {nobody}; it has no context and lets nobody pass\n")
    assert "nobody" in ekiden.run("rule", "show", nobody).out
    for gone in (nobody, watching):
        assert ekiden.run("rule", "remove", gone).out == f"rule {gone} removed\n"
    assert ask("192.0.2.1")[0] == 0
    assert ekiden.run("rule", "show", nobody).err == f"ekiden: there is no rule {nobody!r}\n"


def test_networks_of_the_configuration_count(acme: Installation) -> None:
    instance = project(acme)
    acme.run("zone", "add", "cluster", "service:kube", "--account", "acme")
    acme.run("rule", "add", "-a", "acme", "-z", "cluster")
    assert acme.run("rule", "test", "10.0.0.1", "--instance", instance).status == 1
    with acme.config.open("a", encoding="utf-8") as file:
        file.write('\n[networks.groups]\n"service:kube:dal" = ["10.0.0.0/24"]\n')
    assert acme.run("rule", "test", "10.0.0.1", "--instance", instance).status == 0


def test_wrong_usage(acme: Installation) -> None:
    assert "--nobody" in acme.run("rule", "add", "-a", "acme").err
    assert "--nobody" in acme.run("rule", "add", "-a", "acme", "--nobody", "--endpoint", "public").err
    assert "there is no zone 'x'" in acme.run("rule", "add", "-a", "acme", "-z", "x").err
    assert "report" in acme.run("rule", "add", "-a", "acme", "--endpoint", "public", "--mode", "report").err
    assert acme.run("rule", "add", "-a", "acme", "--endpoint", "direct").status == 2
    assert "no instance" in acme.run("rule", "test", "192.0.2.1", "--instance", "x").err
    assert "is not an IP address" in acme.run("rule", "test", "host", "--instance", "x").err
    assert "nothing found" in acme.run("rule", "list").err


def test_changes_are_in_the_audit_log(acme: Installation) -> None:
    acme.run("zone", "add", "z", "192.0.2.1", "--account", "acme")
    acme.run("zone", "remove", "z")

    async def actions() -> list[str]:
        store = await open_store(acme.url)
        try:
            return [f"{entry.action} {entry.actor[:4]}" for entry in await list_entries(store)]
        finally:
            await store.close()

    assert asyncio.run(actions())[:2] == ["zone.delete cli:", "zone.create cli:"]


def test_japanese(acme: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    assert acme.run("zone", "add", "z", "192.0.2.1", "--account", "acme").out.startswith("ゾーン z を追加しました")
    assert "に含まれません" not in acme.run("zone", "show", "z").out
    assert acme.run("zone", "show", "y").err == "ekiden: ゾーン 'y' はありません\n"
    assert "IP アドレスではありません" in acme.run("zone", "add", "y", "x", "--account", "acme").err
    instance = project(acme)
    assert acme.run("rule", "test", "192.0.2.1", "--instance", instance).out.startswith("拒否されます")


def test_every_sentence_is_translated_and_no_other() -> None:
    used: set[str] = set(rule._REFUSALS.values())
    for module in (rule, zone):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in ("tr", "NetworkCliError", "NetworkUsageError"):
                used.update(item.value for item in node.args[:1] if isinstance(item, ast.Constant))
            elif node.func.id == "make_table":
                used.update(item.value for item in node.args if isinstance(item, ast.Constant))
    assert sorted(used ^ set(TEXTS.japanese)) == []
    for english, japanese in TEXTS.japanese.items():
        assert sorted(re.findall(r"{[^}]*}", english)) == sorted(re.findall(r"{[^}]*}", japanese)), english
    assert network_texts.__doc__
