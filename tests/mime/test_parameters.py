"""Parameters as they come: RFC 2231, encoded words, raw octets, and what is broken."""

from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.attachment_parts import _file_name
from ekiden.mime.parameters import media_type, read_parameters


@pytest.mark.parametrize(
    ("value", "token", "texts"),
    [
        (b"", "", {}),
        (b";", "", {}),
        (b"attachment", "attachment", {}),
        (b"ATTACHMENT; FileName=a.txt", "attachment", {"filename": "a.txt"}),
        (b"filename=a.txt", "", {"filename": "a.txt"}),
        (b'attachment;filename="a b;c.txt"', "attachment", {"filename": "a b;c.txt"}),
        (b'attachment; filename="a \\"b\\" \\\\c.txt"', "attachment", {"filename": 'a "b" \\c.txt'}),
        (b'attachment; filename="C:\\dir\\a.txt"', "attachment", {"filename": "C:\\dir\\a.txt"}),
        (b'attachment; filename="a.txt', "attachment", {"filename": "a.txt"}),
        (b"attachment; filename=a b (1).txt ; size=1", "attachment", {"filename": "a b (1).txt", "size": "1"}),
        (b"text/plain charset=utf-8", "text/plain", {"charset": "utf-8"}),
        (b"text/plain; charset=utf-8 format=flowed", "text/plain", {"charset": "utf-8", "format": "flowed"}),
        (b'a/b; name="x"name=y; c = d', "a/b", {"name": "x", "c": "d"}),
        (b"a/b; name=", "a/b", {"name": ""}),
        (b"a; filename*=utf-8'ja'%E6%97%A5.txt", "a", {"filename": "日.txt"}),
        (b"a; filename*=\"utf-8''%E6%97%A5.txt\"", "a", {"filename": "日.txt"}),
        (b"a; filename=x.txt; filename*=utf-8''%E6%97%A5", "a", {"filename": "日"}),
        (b"a; filename*0*=iso-2022-jp''%1B$BF|; filename*1*=K%5C%1B(B; filename*2=.txt", "a",
         {"filename": "日本.txt"}),
        (b"a; filename*1=b; filename*0=a; filename*3=c", "a", {"filename": "abc"}),
        (b"a; filename*0=a; filename*0=b", "a", {"filename": "a"}),
        (b"a; filename*=%E6%97%A5", "a", {"filename": "日"}),
        (b"a; filename*=utf-8''%ZZ%E6", "a", {"filename": "%ZZ\ufffd"}),
        (b"a; filename*=nonsense''%E6%97%A5", "a", {"filename": "日"}),
        (b'a; filename="=?utf-8?B?5pel?= =?utf-8?B?5pys?=.txt"', "a", {"filename": "日本.txt"}),
        (b"a; filename==?utf-8?B?5pel?=", "a", {"filename": "日"}),
        ('a; filename="日.txt"'.encode(), "a", {"filename": "日.txt"}),
        ('a; filename="é\\".txt"'.encode(), "a", {"filename": 'é".txt'}),
        # Octets of characters that are backslash or quotation mark elsewhere.
        ('a; filename="表示\'.txt"; x=y'.encode("cp932"), "a", {"filename": "表示'.txt", "x": "y"}),
        (b'a; filename="\x1b$B\x46\x7c\x4b\x5c\x25\x22\x1b(B.txt"; x=y', "a", {"filename": "日本ア.txt", "x": "y"}),
        (b"a; filename=\xe9.txt", "a", {"filename": "é.txt"}),
    ],
)  # fmt: skip
def test_a_table(value: bytes, token: str, texts: dict[str, str]) -> None:
    read = read_parameters(value)
    assert (read.token, read.texts()) == (token, texts)
    assert read.text("absent") == ""
    # Longer ones are not remembered, and read the same.
    if value.count(b'"') % 2 == 0:
        assert read_parameters(value + b"; padding=" + b"x" * 300).text("filename") == texts.get("filename", "")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"Text/HTML; charset=x", "text/html"),
        (b"text / html", "text/html"),
        (b"(c) text/(d)html", "text/html"),
        (b"text", "text/plain"),
        (b"", "text/plain"),
        (b"pdf", "pdf"),
        (b'"application/pdf"', "application/pdf"),
    ],
)
def test_types(value: bytes, kind: str) -> None:
    assert media_type(value) == kind


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=300).map(str.strip).filter(bool)
)
def test_names_that_we_write_and_the_standard_library_come_back(name: str) -> None:
    assert read_parameters(_file_name(name).replace(b"\r\n", b"")).text("filename") == name
    message = email.message.EmailMessage(policy=email.policy.SMTP.clone(max_line_length=0))
    message.add_header("Content-Disposition", "attachment", filename=name)
    field = message.as_bytes().partition(b": ")[2].replace(b"\r\n", b"")
    judge = email.message_from_bytes(b"Content-Disposition: " + field, policy=email.policy.default)
    assert read_parameters(field).text("filename") == judge.get_filename(name)


@given(st.lists(st.sampled_from([
    b";", b"=", b'"', b"\\", b"*", b"0", b"1", b"'", b"filename", b"name*0*=", b" ", b"x", b"%41", b"%", b"\x1b$B",
    b"\x1b(B", b"\x93\x5c", b"\xe6\x97\xa5", b"=?utf-8?q?", b"?=", b"(", b")", b"\0", b"a/b",
])).map(b"".join))  # fmt: skip
def test_any_octets_are_read(value: bytes) -> None:
    read = read_parameters(value)
    assert set(read.texts()) == set(read.octets)
    assert b"\0" not in "".join(read.texts().values()).encode()
    media_type(value)


@pytest.mark.parametrize(
    "word", [b"a", b"a=b;", b'a="', b"a ", b"=", b'"', b"\\", b"a*0=b;", b"=?a?q?", b"\x93\x5c", b"a\x1b$B"]
)
def test_values_that_never_end_are_read_to_a_bound(word: bytes) -> None:
    """With a step for each octet or character, not for each pair of them; the fuzzer measures it."""
    read = read_parameters(b"a/b; " + word * 100_000)
    assert len(read.octets) <= 200
    assert sum(map(len, read.octets.values())) <= 65_536
