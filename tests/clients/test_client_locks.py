"""The clients are pinned, and no committed file says where they come from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PLACE = Path(__file__).parent


@pytest.mark.parametrize(
    ("place", "client"),
    [
        ("infobip-5", "infobip-api-python-client==5.1.1"),
        ("infobip-6", "infobip-api-python-client==6.0.0"),
        ("infobip-sdk", "infobip-api-python-sdk==5.0.1"),
        ("cmc", "customersmailcloud==1.2.2"),
    ],
)
def test_python_locks_pin_everything(place: str, client: str) -> None:
    lines = (PLACE / f"{place}.lock").read_text().splitlines()
    assert all(re.fullmatch(r"[a-z0-9._-]+==\S+( ; .*)?", line) for line in lines), lines
    assert client in lines


def test_the_node_lock_names_no_registry() -> None:
    wanted = json.loads((PLACE / "node/package.json").read_text())["dependencies"]
    locked = json.loads((PLACE / "node/package-lock.json").read_text())["packages"]
    assert wanted == {name: locked[f"node_modules/{name}"]["version"] for name in wanted}
    for name, package in locked.items():
        assert "resolved" not in package, name
        assert not name or package["integrity"], name
