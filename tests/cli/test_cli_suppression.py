"""``ekiden suppression`` and ``ekiden landing-page``."""

from __future__ import annotations

import ast
import inspect
import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from installation import Installation

from ekiden.access.accounts import create_account, get_account
from ekiden.cli import landing_page, suppression
from ekiden.cli import opt_out_translations as opt_out_texts
from ekiden.cli.opt_out_translations import TEXTS
from ekiden.core.clock import HOUR
from ekiden.net.clock import SystemClock
from ekiden.recipients.suppressions import ANY_DOMAIN, Suppressions

DOMAIN = ("--account", "acme", "--domain", "shop.example")


@pytest.fixture
def acme(ekiden: Installation) -> Installation:
    ekiden.fill(lambda rows: create_account(rows.store, "acme", 0))
    assert ekiden.run("domain", "add", "shop.example", "--account", "acme").status == 0
    return ekiden


def test_the_life_of_a_suppression(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    ekiden.fill(lambda rows: create_account(rows.store, "acme", 0))
    assert ekiden.run("domain", "add", "shop.example", "--account", "acme").status == 0
    added = ekiden.json("suppression", "add", "Ann@X.example", "bob@y.example", *DOMAIN, "--reason", "by phone")
    assert added == {"account": "acme", "domain": "shop.example", "kind": "unsubscribe", "added": 2}
    assert ekiden.run("suppression", "add", "ann@x.example", "cy@x.example", *DOMAIN).out == (
        "suppressed for shop.example: 1; suppressed already: 1\n"
    )
    assert ekiden.json("suppression", "add", "ann@x.example", *DOMAIN, "--kind", "bounce")["added"] == 1
    (*others, first) = ekiden.json("suppression", "list", "-a", "acme")
    others.reverse()
    assert first.pop("created_at").endswith("Z")
    assert first == {
        "account": "acme",
        "domain": "shop.example",
        "address": "ann@x.example",
        "kind": "unsubscribe",
        "reason": "by phone",
        "expires_at": None,
        "registered_by": "operator",
    }
    assert [item["address"] for item in others] == ["bob@y.example", "cy@x.example", "ann@x.example"]
    assert others[1]["reason"].startswith("cli:")

    def listed(*options: str) -> list[str]:
        return [item["address"][0] for item in ekiden.json("suppression", "list", "-a", "acme", *options)]

    assert listed("--kind", "bounce") == ["a"]
    assert listed("--recipient-domain", "y.example") == ["b"]
    assert listed("--address", "ANN@x.example") == ["a", "a"]
    assert listed("--domain", "other.example") == []
    assert listed("--offset", "1", "--limit", "2") == ["c", "b"]
    lines = ekiden.run("suppression", "list", "-a", "acme").out.splitlines()
    assert lines[0].split() == ["address", "domain", "kind", "since", "until", "reason"]
    assert lines[-1].split()[:3] == ["ann@x.example", "shop.example", "unsubscribe"]
    assert ekiden.json("suppression", "remove", "ann@x.example", *DOMAIN, "--kind", "bounce")["removed"] == 1
    assert ekiden.run("suppression", "remove", "ann@x.example", "bob@y.example", *DOMAIN).out == (
        "removed from the suppressions of shop.example: 2\n"
    )
    assert listed() == ["c"]
    assert [entry["action"] for entry in ekiden.json("audit", "list")][:2] == ["suppression.remove"] * 2


def test_those_of_a_whole_account(acme: Installation) -> None:
    """One that a hard bounce has led to ends by itself; until then it can be taken back here."""

    async def block(rows: Any) -> None:
        owner = await get_account(rows.store, "acme")
        service = Suppressions(rows.store, SystemClock())
        await service.note_bounce(owner.id, ANY_DOMAIN, "gone@x.example", "550 5.1.1 no", lasts=HOUR)
        await service.close()

    acme.fill(block)
    everywhere = ("-a", "acme", "--all-domains")
    assert acme.run("suppression", "add", "a@x.example", *everywhere).out.startswith(
        "suppressed for all domains: 1;"
    )
    added, blocked = acme.json("suppression", "list", "-a", "acme")
    assert (added["domain"], added["expires_at"], added["registered_by"]) == ("", None, "operator")
    assert (blocked["domain"], blocked["kind"], blocked["registered_by"]) == ("", "bounce", "platform")
    assert blocked["expires_at"] > blocked["created_at"]
    lines = acme.run("suppression", "list", "-a", "acme").out.splitlines()
    assert all("all domains" in line for line in lines[1:])
    assert acme.json("suppression", "remove", "gone@x.example", *DOMAIN)["removed"] == 0
    assert acme.json("suppression", "remove", "gone@x.example", *everywhere)["removed"] == 1
    assert acme.run("suppression", "remove", "a@x.example", *DOMAIN, "--all-domains").status == 2


def test_addresses_of_a_file(acme: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression, "_BATCH", 10)
    file = tmp_path / "addresses.txt"
    file.write_text("# those who left\n\n" + "".join(f" a{number}@x.example \r\n" for number in range(25)), "utf-8")
    assert acme.json("suppression", "add", "b@x.example", *DOMAIN, "--file", str(file))["added"] == 26
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a1@x.example\na2@x.example\n")))
    assert acme.json("suppression", "remove", *DOMAIN, "--file", "-")["removed"] == 2
    file.write_bytes(b"\xff")
    for wrong, why in ((file, "it is not UTF-8"), (tmp_path / "none", "No such file or directory")):
        ran = acme.run("suppression", "add", *DOMAIN, "--file", str(wrong))
        assert (ran.status, ran.err) == (1, f"ekiden: {wrong} cannot be read: {why}\n")


def test_bad_lines_of_a_file_are_numbered(acme: Installation, tmp_path: Path) -> None:
    file = tmp_path / "addresses.txt"
    file.write_text("# head\nann@x.example\n\nbob\n  cy@@x.example \n@x.example\n", "utf-8")
    for action in ("add", "remove"):
        ran = acme.run("suppression", action, *DOMAIN, "--file", str(file))
        assert (ran.status, ran.out) == (1, "")
        *lines, last = ran.err.splitlines()
        assert [line.split(":")[0] for line in lines] == ["line 4", "line 5", "line 6"]
        assert "'bob' is not an e-mail address" in lines[0]
        assert last == f"ekiden: {file} has 3 lines that are not addresses; nothing was changed"
    assert acme.json("suppression", "list", "-a", "acme") == []
    file.write_text("bad\n" * 1000 + "good@x.example\n", "utf-8")
    ran = acme.run("suppression", "add", *DOMAIN, "--file", str(file))
    assert len(ran.err.splitlines()) == 21
    assert "1,000 lines" in ran.err
    file.write_text("good@x.example\nbad\n", "utf-8")
    assert "has a line that is not" in acme.run("suppression", "add", *DOMAIN, "--file", str(file)).err


def test_only_for_domains_of_the_account(acme: Installation) -> None:
    acme.fill(lambda rows: create_account(rows.store, "beta", 0))
    refused = acme.run("suppression", "add", "a@x.example", "-a", "beta", "-d", "Shop.example")
    assert (refused.status, refused.err) == (1, "ekiden: shop.example is not a domain of the account beta\n")
    assert acme.run("suppression", "add", "a@x.example", "-a", "acme", "-d", "mail.shop.example").status == 1
    assert acme.json("suppression", "list", "-a", "beta") == []
    assert acme.json("suppression", "add", "a@x.example", "-a", "acme", "-d", "SHOP.example.")["added"] == 1
    # A relay sends from any domain, and what is left of a domain that has gone can be removed.
    acme.run("account", "set-senders", "beta", "any")
    assert acme.json("suppression", "add", "a@x.example", "-a", "beta", "-d", "any.example")["added"] == 1
    acme.run("account", "set-senders", "beta", "verified")
    assert acme.json("suppression", "remove", "a@x.example", "-a", "beta", "-d", "any.example")["removed"] == 1


def test_wrong_usage(acme: Installation) -> None:
    def failed(*args: str) -> str:
        ran = acme.run(*args)
        assert ran.status == (1 if "x" in args[-1:] and "--kind" not in args else 2)
        return ran.err

    assert "give an address" in failed("suppression", "add", *DOMAIN)
    assert "is not an e-mail address" in failed("suppression", "add", "ann", *DOMAIN)
    assert "is not a domain name" in failed("suppression", "add", "a@x.example", "-a", "acme", "-d", "a b")
    assert "is not a kind of suppression" in failed("suppression", "add", "a@x.example", *DOMAIN, "--kind", "x")
    assert "is not a kind of suppression" in failed("suppression", "list", "-a", "acme", "--kind", "x")
    assert "there is no account 'x'" in failed("suppression", "list", "-a", "x")
    assert acme.run("suppression", "add", "a@x.example", "-a", "acme").status == 2
    assert acme.run("suppression", "list", "-a", "acme").err == "nothing found\n"


def test_the_life_of_a_landing_page(acme: Installation, tmp_path: Path) -> None:
    file = tmp_path / "bye.html"
    file.write_text("<p>Bye {{name}} さようなら</p>{{unsubscribe}}", "utf-8")
    made = acme.json("landing-page", "add", str(file), "-a", "acme", "--id", "1_23456")
    assert set(made) == {"id", "account", "name", "created_at", "updated_at"}
    assert (made["id"], made["account"], made["name"]) == ("1_23456", "acme", "bye")
    again = acme.run("landing-page", "add", str(file), "-a", "acme", "--id", "1_23456")
    assert (again.status, again.err) == (1, "ekiden: there is a landing page '1_23456' already\n")
    file.write_text("{{unsubscribe}}\n", "utf-8")
    replaced = acme.run("landing-page", "add", str(file), "-a", "acme", "--id", "1_23456", "--replace")
    assert replaced.out == "landing page 1_23456 has a new content\n"
    added = acme.run("landing-page", "add", str(file), "-a", "acme", "--name", "second").out
    assert re.fullmatch(r"landing page 1_\d{8} added\n", added)
    assert [page["name"] for page in acme.json("landing-page", "list", "-a", "acme")] == ["bye", "second"]
    assert acme.run("landing-page", "list", "-a", "acme").out.splitlines()[1].split()[:2] == ["1_23456", "bye"]
    assert acme.run("landing-page", "show", "1_23456", "-a", "acme").out == "{{unsubscribe}}\n"
    assert acme.json("landing-page", "show", "1_23456", "-a", "acme")["html"] == "{{unsubscribe}}\n"
    assert acme.run("landing-page", "remove", "1_23456", "-a", "acme").out == "landing page 1_23456 removed\n"
    assert acme.run("landing-page", "show", "1_23456", "-a", "acme").err == (
        "ekiden: there is no landing page '1_23456'\n"
    )
    file.write_text("nothing", "utf-8")
    assert "{{unsubscribe}}" in acme.run("landing-page", "add", str(file), "-a", "acme").err
    assert "cannot be read" in acme.run("landing-page", "add", str(tmp_path), "-a", "acme").err


def test_japanese(acme: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    out = acme.run("suppression", "add", "a@x.example", *DOMAIN).out
    assert out.startswith("shop.example の送信抑止に 1 件を追加しました")
    assert acme.run("suppression", "list", "-a", "acme").out.splitlines()[0].split()[0] == "アドレス"
    assert "抑止の種類はありません" in acme.run("suppression", "list", "-a", "acme", "--kind", "x").err
    assert acme.run("landing-page", "list", "-a", "acme").err == "該当するものはありません\n"
    assert "ランディングページ '1_1' はありません" in acme.run("landing-page", "show", "1_1", "-a", "acme").err
    assert "を読めません" in acme.run("landing-page", "add", str(tmp_path), "-a", "acme").err


def test_every_sentence_is_translated_and_no_other() -> None:
    used: set[str] = set()
    for module in (suppression, landing_page, opt_out_texts):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            wanted = node.args if node.func.id == "make_table" else node.args[:1]
            if node.func.id in ("tr", "OptOutCliError", "OptOutUsageError", "make_table"):
                found = [part for item in wanted for part in ast.walk(item) if isinstance(part, ast.Constant)]
                used.update(item.value for item in found if isinstance(item.value, str))
    assert sorted(used ^ set(TEXTS.japanese)) == []
    for english, japanese in TEXTS.japanese.items():
        assert sorted(re.findall(r"{[^}]*}", english)) == sorted(re.findall(r"{[^}]*}", japanese)), english
