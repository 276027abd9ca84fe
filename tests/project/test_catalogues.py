"""All catalogues at once: nothing that is said lacks its Japanese, nothing that is translated is not said, and both
take the same values."""

from __future__ import annotations

import ast
import importlib
import json
import re
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ekiden
from ekiden.core.events import EventType
from ekiden.core.texts import Texts, TranslatedError

ROOT = Path(ekiden.__file__).parent
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
FILES = sorted(ROOT.rglob("*.ja.json"))
ENTRIES = [
    (str(path.relative_to(ROOT)).removesuffix(".ja.json"), english, japanese)
    for path in FILES
    for english, japanese in json.loads(path.read_text("utf-8")).items()
]


PUT_TOGETHER = {"listener {listener}", "region {region}"}
NOT_OURS = {"core/words": "systems and libraries", "cli/help": "typer; tests/cli/test_japanese_help.py tries them"}


@cache
def parsed() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(ROOT.rglob("*.py"))}


def constants(node: ast.AST) -> Iterator[str]:
    """The texts of an expression: a constant, or those between which it chooses."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from constants(node.body)
        yield from constants(node.orelse)


def everything_written() -> set[str]:
    """Every constant text of the sources, its paragraphs with their lines joined (help), names of events."""
    found: set[str] = {event.name.lower() for event in EventType} | PUT_TOGETHER
    for tree in parsed().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
                found.update(" ".join(part.split()) for part in node.value.split("\n\n"))
    return found


def is_translated(callee: Any) -> bool:
    """Whether what it is called with is looked up in a catalogue."""
    return isinstance(callee, Texts) or (isinstance(callee, type) and issubclass(callee, TranslatedError))


def said(module: ModuleType, tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        callee = getattr(module, node.func.id, None)
        if is_translated(callee) or node.func.id == "tr":
            for argument in node.args[:3]:
                for text in constants(argument):
                    if " " in text.strip() and text != "; ":
                        yield node.lineno, text


def test_everything_said_has_its_japanese() -> None:
    known = {english for _, english, _ in ENTRIES}
    missing = []
    for path, tree in parsed().items():
        if "migrations" in path.parts or path.name == "__main__.py":
            continue
        name = ".".join(("ekiden", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        for line, text in said(importlib.import_module(name), tree):
            if text not in known:
                missing.append(f"{path.relative_to(ROOT)}:{line}: {text}")
    assert missing == []


def test_everything_translated_is_said() -> None:
    written = everything_written()
    # Of names that are put together, the end.
    ends = tuple(text for text in written if text.startswith(" ") and len(text) > 30)
    assert [
        f"{catalogue}: {english}"
        for catalogue, english, _ in ENTRIES
        if english not in written and not english.endswith(ends) and catalogue not in NOT_OURS
    ] == []


@pytest.mark.parametrize("catalogue", sorted({catalogue for catalogue, _, _ in ENTRIES}))
def test_both_take_the_same_values_and_name_the_same_options(catalogue: str) -> None:
    def values(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    def options(text: str) -> set[str]:
        return set(re.findall(r"--[a-z-]+|\bEKIDEN_\w+", text))

    assert [
        english
        for of, english, japanese in ENTRIES
        if of == catalogue
        and (values(english) != values(japanese) or options(english) != options(japanese))
        and "{{" not in english
    ] == []


def test_no_catalogue_says_something_twice() -> None:
    def unique(pairs: list[tuple[str, str]]) -> dict[str, str]:
        assert len({key for key, _ in pairs}) == len(pairs), [key for key, _ in pairs]
        return dict(pairs)

    for path in FILES:
        text = path.read_text("utf-8")
        entries = json.loads(text, object_pairs_hook=unique)
        assert len(text.splitlines()) == len(entries) + 2, f"{path.name}: one entry a line"


def test_what_is_japanese_looks_so() -> None:
    """But for names, units, values and commands alone."""
    assert [
        english
        for _, english, japanese in ENTRIES
        if not JAPANESE.search(japanese)
        and re.search(r"[a-z]{3,} [a-z]{2,}", "".join(part for part, *_ in string.Formatter().parse(japanese)))
        and not japanese.startswith(("ekiden ", "chmod "))
    ] == []
