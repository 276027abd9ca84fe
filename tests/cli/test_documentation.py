"""docs/cli.md names every command, option and key that there is."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from installation import DOCUMENTS, Installation
from typer.main import get_command

from ekiden import documents
from ekiden.cli.main import COMMANDS, app
from ekiden.cli.reference import write_reference
from ekiden.core.states import Cause, State
from ekiden.documents.document import Document
from ekiden.lab.demo import LAB_PORT, PORTS
from support.queue_rows import Rows

PAGE_FOLDER = Path(__file__).parents[2] / "docs"
PAGE = (PAGE_FOLDER / "cli.md").read_text("utf-8")
CODE = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)))


def commands(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if not children:
        yield path, command
    for name, child in (children or {}).items():
        yield from commands(child, f"{path} {name}".strip())


def test_every_command_is_named_and_has_help() -> None:
    group = get_command(app)
    for name in COMMANDS:
        assert f"`ekiden {name}`" in PAGE
        command = group.get_command(None, name)  # type: ignore[attr-defined, arg-type]
        for path, found in commands(command):
            assert found.help, f"{name} {path}"
            for word in path.split():
                assert f"`{word}`" in PAGE, f"{name} {path}"


@pytest.mark.parametrize("name", ["README.md", "README.ja.md"])
def test_the_first_screen_leads_to_the_first_mail(name: str) -> None:
    """With two commands, on the ports that the demo really has."""
    first = (PAGE_FOLDER.parent / name).read_text("utf-8").splitlines()[:40]
    commands = [line for block in re.findall(r"```sh\n(.*?)```", "\n".join(first), re.DOTALL) for line in [block]]
    assert commands[0] == "make run\n"
    assert re.fullmatch(rf"curl '?http://127\.0\.0\.1:{LAB_PORT}/mail/last/text(\?lang=ja')?\n", commands[1])
    assert f"smtp://127.0.0.1:{PORTS['plain']} " in commands[2]
    assert f"<http://127.0.0.1:{LAB_PORT}>" in "\n".join(first)
    for port in (*PORTS.values(), LAB_PORT):
        assert str(port) in PAGE


@pytest.mark.parametrize("value", [item.name.lower() for kind in (State, Cause) for item in kind])
def test_values_of_enumerations(value: str) -> None:
    assert value in CODE


def test_the_tables_of_json_are_those_of_the_documents() -> None:
    assert write_reference() in PAGE, "run: python -m ekiden.cli.reference"


def test_no_document_is_printed_by_nobody() -> None:
    made = {
        name
        for module in pkgutil.iter_modules(documents.__path__)
        for name, item in vars(importlib.import_module(f"{documents.__name__}.{module.name}")).items()
        if isinstance(item, type) and issubclass(item, Document) and item is not Document
    }
    assert made == set(re.findall(r"^### (\w+)$", write_reference(), re.MULTILINE))


def test_every_command_that_prints_a_document_says_which() -> None:
    group = get_command(app)
    found = {
        f"{name} {path}".strip()
        for name in COMMANDS
        for path, command in commands(group.get_command(None, name))  # type: ignore[attr-defined, arg-type]
        if any(item.name == "as_json" for item in command.params)
    }
    assert found == set(DOCUMENTS) - {"trace --refused"}


def test_documents_are_what_is_printed(ekiden: Installation) -> None:
    """``Installation.json`` compares each; in all tests."""

    async def work(rows: Rows) -> None:
        await rows.attempted("a@x.example", "b@x.example", state=State.DEFERRED)

    ekiden.fill(work)
    (row, _) = ekiden.json("queue", "list")
    ekiden.json("credential", "password", "create", "acme")
    ekiden.json("credential", "api-key", "create", "acme")
    ekiden.json("credential", "list", "acme")
    ekiden.json("account", "quota", "acme", "--hour", "5")
    ekiden.json("user", "add", "ann@acme.example", "--account", "acme", "--role", "owner")
    ekiden.json("audit", "list")
    ekiden.json("domain", "add", "x.example", "--account", "acme")
    ekiden.json("domain", "show", "x.example")
    ekiden.json("account", "show", "acme")
    ekiden.json("queue", "show", row["id"])
    ekiden.json("queue", "shape")
    ekiden.json("queue", "hold", "--all", "--dry-run")
    ekiden.json("trace", row["id"])
    ekiden.json("db", "status")
    ekiden.json("db", "upgrade")
