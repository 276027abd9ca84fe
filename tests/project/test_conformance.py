"""docs/conformance.toml is data about this code: its shape and the tests it names are checked here."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = tomllib.loads((ROOT / "docs/conformance.toml").read_text())["rule"]
STATUSES = {"met", "partly", "not offered"}


@cache
def functions(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r['rfc']}-{r['section']}")
def test_rule(rule):
    assert set(rule) <= {"rfc", "section", "status", "text", "test", "why"}
    assert rule["status"] in STATUSES
    assert rule["text"]
    if rule["status"] == "not offered":
        assert rule["why"], "what is left out has a reason"
        return
    path, _, name = rule["test"].partition("::")
    assert name in functions(ROOT / path), f"{path} has no test {name}"
    if rule["status"] == "partly":
        assert rule["why"], "what is met only partly says which part is missing"


def test_rules_are_listed_once():
    keys = [(r["rfc"], r["section"], r["text"]) for r in RULES]
    assert len(keys) == len(set(keys))
