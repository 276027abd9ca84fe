"""The project's own files: what documents and set-up promise is there."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=;~! ]", requirement, maxsplit=1)[0].lower()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_pin_everything_and_name_no_registry(lock):
    lines = (ROOT / lock).read_text().splitlines()
    assert all(re.match(r"[a-z0-9._\[\]-]+==\S+( ; .*)?$", line) for line in lines), lines
    pinned = {_name(line) for line in lines}
    wanted = PROJECT["project"]["dependencies"]
    if "dev" in lock:
        wanted = wanted + PROJECT["dependency-groups"]["dev"]
    assert {_name(w) for w in wanted} <= pinned


def test_every_dependency_is_explained_in_the_architecture():
    page = (ROOT / "docs/architecture.md").read_text().lower()
    extras = [r for group in PROJECT["project"]["optional-dependencies"].values() for r in group]
    missing = {
        _name(r)
        for r in PROJECT["project"]["dependencies"] + extras + PROJECT["dependency-groups"]["dev"]
        if _name(r) not in page
    }
    assert not missing


def test_readmes_show_the_same_commands():
    def commands(name: str) -> list[str]:
        blocks = re.findall(r"```(?:sh|console|python)\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
        lines = [re.sub(r"\s*#.*", "", line) for block in blocks for line in block.splitlines()]
        # What is asked for in the language of the page.
        return [re.sub(r"'(\S+)\?lang=ja'", r"\1", line) for line in lines]

    assert commands("README.md") == commands("README.ja.md")
    assert "make run" in commands("README.md")


@pytest.mark.parametrize("page", [*sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("*.md")), "docs"])
def test_links_between_pages_lead_somewhere(page):
    pages = [ROOT / page] if page.endswith(".md") else sorted((ROOT / page).glob("*.md"))
    for path in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
