"""The file of a tree: what is written is read again, in whatever pieces, and what is wrong in it is told."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.content import template_files
from ekiden.content.errors import BadField, BadFile, ContentError
from ekiden.content.template_files import CategoryBegins, CategoryEnds, Item, TemplateFound, TreeReader
from ekiden.content.template_sender import Sender, read_sender
from ekiden.content.template_text import TemplateText
from ekiden.content.templates import Filing, Template

TEMPLATE = {
    "name": "AD_Template",
    "isCategory": False,
    "isUse": True,
    "description": None,
    "title": "Hello ${name}",
    "senderAddress": "a@shop.example",
    "senderName": "상점",
    "body": '<p>"봄"\\\n\u2028🎏</p>',
}
FOUND = TemplateFound(
    TemplateText(
        name="AD_Template",
        html='<p>"봄"\\\n\u2028🎏</p>',
        sender=Sender("a@shop.example", "상점").line(),
        subject="Hello ${name}",
    ),
    Filing(),
)


def read(data: bytes, size: int = 1 << 20) -> list[Item]:
    reader = TreeReader()
    found = [item for at in range(0, len(data), size) for item in reader.feed(data[at : at + size])]
    while items := reader.close():
        found += items
    return found


def document(value: Any, **how: Any) -> bytes:
    return json.dumps(value, **how).encode()


@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
def test_pieces_of_any_size(size: int, ensure_ascii: bool) -> None:
    value = {
        "version": [1, {"x": None, "y": [-1.5e3, True, "\\"]}],
        "contents": [
            {"sid": 261, "parentSid": -1, "createDate": {"utc": 1}, "name": "AD", "isCategory": True,
             "subCategories": [{"name": "empty", "subCategories": None, "templates": []}], "templates": [TEMPLATE]},
            {**TEMPLATE, "subCategories": [], "templates": [{"name": "not here"}]},
        ],
        "more": {},
    }  # fmt: skip
    data = document(value, ensure_ascii=ensure_ascii, indent=1)
    assert read(data, size) == [
        CategoryBegins("AD"),
        CategoryBegins("empty"),
        CategoryEnds(),
        FOUND,
        CategoryEnds(),
        FOUND,
    ]


def test_other_shapes() -> None:
    assert read(document([TEMPLATE])) == read(b"\xef\xbb\xbf" + document([TEMPLATE]), 1) == [FOUND]
    assert read(document({"contents": None})) == []
    assert read(document({"contents": [{"isCategory": True, "name": "c"}]})) == [
        CategoryBegins("c"),
        CategoryEnds(),
    ]
    [found] = read(document([{"name": "t", "body": "b", "isUse": False, "senderAddress": "A@X.example"}]))
    assert found == TemplateFound(TemplateText("t", "b", sender="A@x.example"), Filing(in_use=False))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"{}",
        b'"x"',
        b"7",
        b'{"contents":[',
        b'{"contents":[]',
        b'{"contents":[]}}',
        b'{"contents":[{}]} x',
        b'{"contents":{}}',
        b'{"contents":[7]}',
        b'{"contents":[{"name":7}]}',
        b'{"contents":[{"name":"\xff"}]}',
        b'{"contents":[{"name":"\\ud800"}]}',
        b'{"contents":[{"name":"\\q"}]}',
        b'{"contents":[{"name":"a\nb"}]}',
        b'{"contents":[{"isUse":"yes"}]}',
        b'{"contents":[{"isUse":nul}]}',
        b'{"contents":[{"x":' + b"1" * 100 + b"}]}",
        b'{"contents":[{"x":' + b"[" * 1000 + b"]" * 1000 + b"}]}",
        b'{"contents":[' + b'{"templates":[' * 100 + b"]}" * 100 + b"]}",
        b'{"contents":[' + b'{"subCategories":[' * 100,
        b'{"contents":[' + b'{"isCategory":false},' * 200_000,
    ],
)
def test_what_is_no_such_file(data: bytes) -> None:
    with pytest.raises(BadFile):
        read(data)


def test_a_text_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_files, "MAX_VALUE", 100)
    assert read(document([{"body": "x" * 100}]))
    with pytest.raises(BadFile):
        read(document([{"body": "x" * 101}]))


def test_what_stands_before_a_mistake_comes_first() -> None:
    for broken in (b'{"isUse":7}', b"nonsense", b'{"senderAddress":"nobody"}'):
        reader = TreeReader()
        assert reader.feed(b"[%b,%b," % (document(TEMPLATE), broken)) == [FOUND]
        with pytest.raises((BadFile, BadField)):
            reader.feed(document(TEMPLATE))
        with pytest.raises(ContentError):
            reader.close()


@given(
    st.builds(
        TemplateText,
        name=st.text(),
        html=st.text(),
        sender=st.one_of(
            st.text(), st.builds("{} <{}>".format, st.text(), st.sampled_from(["a@x.example", "{{a}}@x"]))
        ),
        reply_to=st.text(),
        subject=st.text(),
        preheader=st.text(),
        landing_page=st.text(),
    ),
    st.builds(Filing, category_id=st.just(0), description=st.text(), in_use=st.booleans()),
)
def test_what_is_written_is_read(text: TemplateText, filing: Filing) -> None:
    written = template_files.template(Template(7, 1, text, 0, 0, filing))
    assert read(template_files.BEGIN + written + template_files.END, 11) == [TemplateFound(text, filing)]


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=69))
def test_names_of_senders_come_back(name: str) -> None:
    line = Sender("a@shop.example", name).line()
    assert "\n" not in line
    assert read_sender(line) == Sender("a@shop.example", name)


@given(st.binary(max_size=300))
def test_octets_of_any_kind(data: bytes) -> None:
    for whole in (data, b'{"contents":[' + data, b'[{"templates":[{"body":"' + data):
        with contextlib.suppress(ContentError):
            read(whole, 5)
