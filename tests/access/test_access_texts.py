"""What this room says to people is there in Japanese, with the same values."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import string

import pytest

import ekiden.access
from ekiden.access.translations import TEXTS

ERRORS = {"AccessError", "VaultError", "BadName", "NameTaken", "NotFound", "NeedsOwner"}
NAMES = " must be 1 to {longest} printable characters without leading or trailing spaces"


def sentences() -> set[str]:
    """The texts of errors that are made here; those of names are put together in ``check_name``."""
    found = set()
    for module in pkgutil.iter_modules(ekiden.access.__path__, "ekiden.access."):
        source = inspect.getsource(importlib.import_module(module.name))
        if "network_errors" in source or "network_texts" in source:
            continue  # zones and rules have a catalogue of their own
        for node in ast.walk(ast.parse(source)):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            name, first = getattr(node.func, "id", ""), node.args[0]
            if (name in ERRORS or getattr(node.func, "attr", "") == "__init__") and isinstance(first, ast.Constant):
                found.add(first.value)
            elif name == "check_name" and isinstance(node.args[1], ast.Constant):
                found.add(node.args[1].value + NAMES)
    return found


def test_every_sentence_is_translated_and_no_other() -> None:
    used = sentences()
    assert sorted(used - set(TEXTS.japanese)) == []
    assert sorted(set(TEXTS.japanese) - used) == []


@pytest.mark.parametrize("english", sorted(TEXTS.japanese))
def test_translations_name_the_same_values(english: str) -> None:
    def values(text: str) -> list[tuple[str | None, str | None]]:
        return sorted((name, conversion) for _, name, _, conversion in string.Formatter().parse(text) if name)

    assert values(TEXTS.japanese[english]) == values(english)
