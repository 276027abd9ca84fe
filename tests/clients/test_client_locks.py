"""The clients are pinned, and no committed file says where they come from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PLACE = Path(__file__).parent


@pytest.mark.parametrize(("generation", "version"), [(5, "5.1.1"), (6, "6.0.0")])
def test_python_locks_pin_everything(generation: int, version: str) -> None:
    lines = (PLACE / f"infobip-{generation}.lock").read_text().splitlines()
    assert all(re.fullmatch(r"[a-z0-9._-]+==\S+( ; .*)?", line) for line in lines), lines
    assert f"infobip-api-python-client=={version}" in lines


def test_the_node_lock_names_no_registry() -> None:
    wanted = json.loads((PLACE / "node/package.json").read_text())["dependencies"]
    locked = json.loads((PLACE / "node/package-lock.json").read_text())["packages"]
    assert wanted == {name: locked[f"node_modules/{name}"]["version"] for name in wanted}
    for name, package in locked.items():
        assert "resolved" not in package, name
        assert not name or package["integrity"], name
