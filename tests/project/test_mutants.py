"""The list of faults that the tests notice (``make mutants``) does not rot: each can still be made."""

import ast
from functools import lru_cache

import pytest

from support.mutant_list import ROOT, SOURCES, mutants

MUTANTS = mutants()


@lru_cache
def _tests_of(file):
    """Names of the tests of a file, with their classes before them."""
    tree = ast.parse((ROOT / file).read_text())
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{inner.name}" for inner in node.body if hasattr(inner, "name")}
    return found


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_fault_can_be_made_and_its_tests_are_there(mutant):
    faulty = mutant.applied((SOURCES / mutant.file).read_text())
    assert faulty is not None, f"the text does not stand in {mutant.file} exactly once"
    assert mutant.fault != mutant.text
    compile(faulty, mutant.file, "exec")
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert name.partition("[")[0] in _tests_of(file), f"there is no test {test}"


def test_there_are_faults_of_every_kind_of_room():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 60
    assert len({mutant.file for mutant in MUTANTS}) >= 30
