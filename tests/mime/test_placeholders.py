"""Placeholders: what is one, what replaces it, and what is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.placeholders import Text, mask

VALUES = {"name": "花子", "ph1": "1", "two words": "2", "empty": "", "nested": "{{name}}", 'a"<b>': "odd"}


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("", ""),
        ("plain", "plain"),
        ("Hello {{name}}!", "Hello 花子!"),
        ("{{ name }}{{name\t}}{{\r\nname}}", "花子花子花子"),
        ("{{two words}}", "2"),
        ('{{a"<b>}}', "odd"),
        ("[{{empty}}]", "[]"),
        ("{{unknown}} and {{ unknown }}", "{{unknown}} and {{ unknown }}"),
        ("{{Name}}", "{{Name}}"),
        ("{{nested}}", "{{name}}"),
        ("{{{name}}}", "{花子}"),
        ("{{{{name}}}}", "{{花子}}"),
        ("{name} {{name} {{}} {{ }} }}", "{name} {{name} {{}} {{ }} }}"),
        ("{{na{{ph1}}me}}", "{{na1me}}"),
        ("a { margin: 0 } b {{ph1}}", "a { margin: 0 } b 1"),
    ],
)
def test_render(template: str, rendered: str) -> None:
    assert Text.compile(template).render(VALUES) == rendered


def test_escape_is_for_values_only() -> None:
    text = Text("<b>{{name}}</b> {{unknown}} & co")
    assert text.render({"name": "<&>"}, escape) == "<b>&lt;&amp;&gt;</b> {{unknown}} & co"


def test_names() -> None:
    assert Text("{{a}} {{ b }} {{a}} {{}} {c}").names == {"a", "b"}


def test_rendering_again_and_again_leaves_the_template() -> None:
    text = Text("{{a}}-{{b}}")
    assert [text.render({"a": str(n)}) for n in range(3)] == ["0-{{b}}", "1-{{b}}", "2-{{b}}"]


@given(st.text("ab{} \n"), st.dictionaries(st.text("ab "), st.text("x{}")))
def test_against_a_simple_reading(template: str, values: Mapping[str, str]) -> None:
    rendered = ""
    rest = template
    while True:
        end = rest.find("}}")
        start = rest.rfind("{{", 0, end) if end >= 0 else -1
        if end < 0:
            break
        name = rest[start + 2 : end]
        if start < 0 or "{" in name or "}" in name:
            rendered, rest = rendered + rest[: end + 1], rest[end + 1 :]
            continue
        rendered += rest[:start] + (
            values.get(name.strip(), rest[start : end + 2]) if name.strip() else rest[start : end + 2]
        )
        rest = rest[end + 2 :]
    assert Text(template).render(values) == rendered + rest


@given(st.text())
def test_without_values_nothing_changes(template: str) -> None:
    assert Text(template).render({}) == template
    assert len(mask(template)) == len(template)


def test_many_braces_take_no_longer() -> None:
    Text("{{" * 500_000).render({})
    Text("{{a" * 300_000 + "}}").render({"a": ""})
