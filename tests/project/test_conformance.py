"""docs/conformance.toml is data about this code: its shape and the tests it names are checked here."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = tomllib.loads((ROOT / "docs/conformance.toml").read_text())["rule"]
STATUSES = {"met", "partly", "not offered"}
# What a submission server that delivers has to say something about.
WANTED = {
    *(1870, 2034, 2308, 2920, 3030, 3207, 3461, 3463, 3464, 3848, 4954, 5321, 5322, 6152, 6409, 6531, 7505, 8314),
    *(9422, "PROXY protocol"),
    # What a sender has to prove, and how it is checked.
    *(6376, 7208, 7489, 8301, 8463, 8601, 8617, 9989),
}


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
    assert re.fullmatch(r"\d+(\.\d+)*", rule["section"])
    assert rule["status"] in STATUSES
    assert rule["text"].endswith(".")
    if rule["status"] == "not offered":
        assert rule["why"], "what is left out has a reason"
        assert "test" not in rule, "what is not there cannot be shown"
        return
    path, _, name = rule["test"].partition("::")
    assert name.startswith("test_")
    assert Path(path).name.startswith("test_")
    assert name in functions(ROOT / path), f"{path} has no test {name}"
    assert ("why" in rule) == (rule["status"] == "partly"), "what is met only partly says which part is missing"


def test_rules_are_listed_once():
    keys = [(r["rfc"], r["section"], r["text"]) for r in RULES]
    assert len(keys) == len(set(keys))


def test_rules_are_in_order():
    keys = [
        (isinstance(r["rfc"], str), str(r["rfc"]).zfill(5), [int(part) for part in r["section"].split(".")])
        for r in RULES
    ]
    assert keys == sorted(keys)


def test_no_rfc_is_forgotten():
    assert {rule["rfc"] for rule in RULES} >= WANTED
