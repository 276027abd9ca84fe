"""The project's own files: what documents and set-up promise is there."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/ekiden"
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


PAGES = sorted(
    p.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "docs", ROOT / "docs/decisions")
    for p in folder.glob("*.md")
)
DECISIONS = [page for page in PAGES if re.match(r"docs/decisions/\d{4}-", page)]
# Whose paths and names are those of the code.
ABOUT_CODE = ["CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/glossary.md", *DECISIONS]


def _text(page: str) -> str:
    """Without blocks of code."""
    return re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)


@cache
def _anchors(path: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page):
    here = ROOT / page
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", _text(page)):
        there = here.parent / target if target else here
        assert there.exists(), f"{page} links to {target}"
        assert not anchor or anchor in _anchors(there), f"{page} links to #{anchor} of {there.name}"


@cache
def _functions(path: Path) -> set[str]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


def _path_is_there(named: str) -> bool:
    """A file or folder of the project or of the package, and the test in it when one is named."""
    path, _, test = named.partition("::")
    found = next((base / path for base in (ROOT, PACKAGE) if (base / path).exists()), None)
    if found is None and "/" not in path:  # a name that several rooms have, or its end
        return any(PACKAGE.rglob(f"*{path}"))
    return found is not None and (not test or test in _functions(found))


def _name_is_known(dotted: str) -> bool:
    """``room.module``, perhaps with a name in it; a setting; or a column of a table."""
    place, rest = PACKAGE, dotted.split(".")
    while rest and (place / rest[0]).is_dir():
        place /= rest.pop(0)
    if rest and (place / f"{rest[0]}.py").exists():
        source = (place / f"{rest.pop(0)}.py").read_text()
        return all(re.search(rf"\b{name}\b", source) for name in rest)
    return not rest or dotted in _settings() or f'"{rest[-1]}"' in _tables()


@cache
def _settings() -> set[str]:
    found, section = set(), ""
    for line in (ROOT / "docs/configuration.md").read_text().splitlines():
        if match := re.match(r"### `\[+(\w+)", line):
            section = match[1]
        elif match := re.match(r"\| `(\w+)` \|", line):
            found.add(f"{section}.{match[1]}")
    return found


@cache
def _tables() -> str:
    return "".join(path.read_text() for path in sorted((PACKAGE / "store").glob("tables*/**/*.py")))


@pytest.mark.parametrize("page", ABOUT_CODE)
def test_what_pages_name_of_the_code_is_there(page):
    said = re.findall(r"`([^`\n]+)`", _text(page))
    paths = [word for word in said if re.fullmatch(r"[\w.-]+(/[\w.-]+)*(/|\.(py|md|toml|yaml)(::\w+)?)", word)]
    names = [word for word in said if re.fullmatch(r"[a-z_]+(\.\w+)+", word) and word not in paths]
    assert [path for path in paths if "NNNN" not in path and not _path_is_there(path)] == []
    assert [name for name in names if not name.endswith(".key") and not _name_is_known(name)] == []


def _columns(page: str, heads: set[str]) -> list[tuple[str, str]]:
    """Cells of the columns of tables that are called so, each with the line that it is in."""
    found, place = [], None
    for line in _text(page).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if line.startswith("|") else []
        if not cells:
            place = None
        elif place is None:
            place = next((number for number, cell in enumerate(cells) if cell in heads), -1)
        elif place >= 0 and not cells[0].startswith("---"):
            assert len(cells) > place, f"{page}: a cell is missing in {line}"
            found.append((cells[place], line))
    return found


def _is_module(dotted: str) -> bool:
    place = PACKAGE.joinpath(*dotted.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


SAYING_WHERE = [page for page in PAGES if page.startswith("docs/") and _columns(page, {"where", "module"})]


@pytest.mark.parametrize("page", SAYING_WHERE)
def test_modules_that_tables_name_are_there(page):
    """A column "where" or "module" names modules without ``ekiden.``, or files of the package or the project."""
    for cell, line in _columns(page, {"where", "module"}):
        names = re.findall(r"`([^`]+)`", cell)
        assert names, f"{page}: no module in {line}"
        assert [name for name in names if not (_path_is_there(name) if "/" in name else _is_module(name))] == [], (
            line
        )


def test_every_limit_says_where_it_is():
    rows = [line for line in _text("docs/limits.md").splitlines() if line.startswith("| ")]
    heads = [row for row in rows if re.match(r"\| (what|section|---) ?\|", row)]
    assert len(_columns("docs/limits.md", {"where"})) == len(rows) - len(heads)
    assert "docs/callbacks.md" in SAYING_WHERE


def test_commands_of_make_that_pages_name_are_there():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = {word for page in PAGES for word in re.findall(r"`make ([a-z]+)", (ROOT / page).read_text())}
    hooks = re.findall(r"entry: (.+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert all(hook.startswith("make ") for hook in hooks)
    assert hooks
    assert said | {hook.split()[1] for hook in hooks} <= targets


def test_every_page_is_in_the_index():
    linked = re.findall(r"\]\(([^)#:]+)", _text("docs/README.md"))
    assert {page.name for page in (ROOT / "docs").glob("*.*")} - {"README.md"} <= {Path(to).name for to in linked}


@pytest.mark.parametrize("page", DECISIONS)
def test_a_decision_says_all_that_one_wants_to_know(page):
    name, text = Path(page).name, (ROOT / page).read_text()
    assert text.startswith(f"# {int(name[:4])}. ")
    assert re.search(r"^\*20\d\d-\d\d-\d\d", text, re.MULTILINE)
    for part in ("Context", "Decision", "Alternatives", "What would change our mind"):
        assert f"\n**{part}.** " in text
    assert len(text.splitlines()) <= 40
    assert f"({name})" in (ROOT / "docs/decisions/README.md").read_text()
    assert f"(decisions/{name})" in (ROOT / "docs/architecture.md").read_text()


def test_decisions_have_numbers_of_their_own():
    numbers = [int(Path(page).name[:4]) for page in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))
