"""docs/lab.md says what the lab is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import msgspec
from lab_clients import Running

from ekiden.lab import Behaviour, MailHost, Report, Rule, Throttle
from ekiden.lab.api import Api, HttpState
from ekiden.lab.behaviour import EXTENSIONS, STAGES, Format, parse_behaviour
from ekiden.lab.catalogue import CATALOGUE
from ekiden.lab.http import HttpRule
from ekiden.lab.routes import Route
from ekiden.lab.sending import Letter

PAGE = (Path(__file__).parents[2] / "docs/lab.md").read_text()


def rows(title: str) -> dict[str, str]:
    """First and last column of the first table after ``title``."""
    table = PAGE.partition(title)[2].partition("| --- ")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[1:]]
    return {row[0].strip("` "): row[-1] for row in cells}


def test_every_ready_made_behaviour_is_in_the_table() -> None:
    assert rows("each of them `NAME.lab.test`") == {name: b.description for name, b in CATALOGUE.items()}


def test_every_field_is_explained() -> None:
    assert set(rows("misspelt ones are errors")) == {field.name for field in msgspec.structs.fields(Behaviour)}
    assert set(rows("A rule:")) == {field.name for field in msgspec.structs.fields(Rule)}
    report = rows("what is not given is as there")
    assert set(report) == {field.name for field in msgspec.structs.fields(Report)}
    assert set(re.findall(r"`([a-z-]+)`", report["format"])) == set(get_args(Format))
    letter = {field.encode_name for field in msgspec.structs.fields(Letter)}
    assert set(rows("is followed by\nthe next.")) == letter
    for struct in (MailHost, Throttle, HttpRule, Route):
        assert all(f"`{field.name}`" in PAGE for field in msgspec.structs.fields(struct)), struct


def test_every_choice_is_explained() -> None:
    behaviour = rows("misspelt ones are errors")
    hints = {field.name: field.type for field in msgspec.structs.fields(Behaviour)}
    for name in ("dns", "tls"):
        choices = set(get_args(hints[name]))
        assert choices <= set(re.findall(r"`([a-z-]+)`", behaviour[name]))
    assert all(extension in behaviour["extensions"] for extension in EXTENSIONS)
    assert set(re.findall(r"`([a-z]+)`", rows("A rule:")["at"])) == set(STAGES)


def test_every_route_is_listed() -> None:
    listed = {path.split("/")[1] for path in re.findall(r"/[a-z-]*", " ".join(rows("## The API")))}
    assert listed >= set(Api(None)._routes)  # type: ignore[arg-type]


def test_the_behaviours_of_the_examples_work() -> None:
    bodies = re.findall(r"/behaviour/\S+\"(?: \\\n *)? -d '([^']+)'", PAGE)
    assert len(bodies) == 7
    for body in bodies:
        parse_behaviour(json.loads(body), CATALOGUE)
    answers = re.findall(r"/http-behaviour/\S+\" -d '([^']+)'", PAGE)
    assert len(answers) == 3
    for body in answers:
        given = json.loads(body)
        msgspec.convert(given if isinstance(given, list) else [given], list[HttpRule])


def test_the_states_of_the_examples_are_some() -> None:
    bodies = re.findall(r"/http-server\" -d '([^']+)'", PAGE)
    assert len(bodies) == 3
    for body in bodies:
        msgspec.json.decode(body, type=HttpState)


def test_what_the_examples_send_and_route_is_right(running: Running) -> None:
    letter, bounced = re.findall(r"/send\" -d '([^']+)'", PAGE)
    assert running.api("POST", "/send", raw=bounced.encode())[1]["accepted"]
    assert [reply["code"] for reply in running.api("POST", "/send", raw=letter.encode())[1]["replies"]] == [
        250,
        550,
    ]
    routes = re.findall(r"\$LAB(/routes/\S+)\" -d '([^']+)'", PAGE)
    assert len(routes) == 2
    for path, body in routes:
        assert running.api("PUT", path, raw=body.encode())[0] == 200


def test_the_records_of_the_examples_work(running: Running) -> None:
    edits = re.findall(r"\$LAB(/dns/\S+)\" -d '([^']+)'", PAGE)
    assert len(edits) == 3
    for path, body in edits:
        assert running.api("PUT", path, raw=body.encode())[0] == 200


def test_the_python_example_is_valid() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    compile(example, "docs/lab.md", "exec")
