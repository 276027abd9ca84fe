"""What Ekiden says: every code that the sources use has words in both languages, with the facts that they give."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import ekiden
from ekiden.core.said import MAX_FACT, Remark, Said, decoded, dialogue_told, either, encoded, in_words, say, tell
from ekiden.core.said_sentences import ENGLISH, TEXTS
from ekiden.core.texts import WORDS
from ekiden.net.destinations import _SPECIAL, OURS
from ekiden.net.families import Families
from ekiden.store.set_aside import UNREADABLE

SOURCES = Path(ekiden.__file__).parent


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def said_in(path: Path) -> Iterator[tuple[str, set[str], int]]:
    """Code, names of facts and line of each ``say(…)``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say" and node.args:
            [code] = node.args
            if isinstance(code, ast.Constant):
                yield str(code.value), {item.arg or "" for item in node.keywords}, node.lineno


SAID = [
    (f"{path.relative_to(SOURCES)}:{line}", code, facts)
    for path in sorted(SOURCES.rglob("*.py"))
    if re.search(r"from ekiden.core.said import .*\bsay\b", path.read_text())
    for code, facts, line in said_in(path)
]


@pytest.mark.parametrize(("where", "code", "facts"), SAID, ids=[where for where, *_ in SAID])
def test_what_is_said_has_words_for_its_facts(where: str, code: str, facts: set[str]) -> None:
    if where.startswith("dns/resolver") and code == "no_dns_answer" and not facts:
        return  # stands for no failure at all
    assert fields(ENGLISH[code]) == facts


def test_every_sentence_is_there_in_both_languages_and_used() -> None:
    for english, japanese in TEXTS.japanese.items():
        assert fields(english) == fields(japanese)
        bare = "".join(part for part, *_ in string.Formatter().parse(japanese))
        assert not bare.isascii() or english in ("{host}: {why}", "{why}"), english
    from ekiden.store.holds import _SAID

    assert set(ENGLISH) == {code for _, code, _ in SAID} | set(_SAID.values())


def test_words_of_known_sets_are_translated() -> None:
    phrases = {what for _, what in _SPECIAL} | {OURS}
    for families in (Families(["192.0.2.1"]), Families(["2001:db8::1"]), Families(ipv6=False)):
        phrases |= {families.refusal("198.51.100.1") or OURS, families.refusal("2001:db8::9") or OURS}
    nowhere = Families(way=lambda address: False)
    phrases |= {nowhere.refusal("198.51.100.1") or "", nowhere.refusal("2001:db8::9") or ""}
    for phrase in phrases:
        assert WORDS(phrase, "ja") != phrase


def test_something_said_is_a_fact_of_something_else() -> None:
    why = say("at_host", host="mx.b.example", why=say("system", why="Connection refused"))
    said = say("given_up", after="5d", last=why)
    english = "given up after 5d; last: mx.b.example: Connection refused"
    assert (said.text(), decoded(encoded(said))) == (english, decoded(said.encode()))
    back = decoded(encoded(said))
    assert back is not None
    assert (back.text(), back.text("ja")) == (english, said.text("ja"))
    assert back.text("ja") == "5dで断念しました。最後の結果: mx.b.example: 接続が拒否されました"
    assert back.document()["facts"]["last"]["facts"]["host"] == "mx.b.example"
    assert tell(back, english, "en") == english


@pytest.mark.parametrize("text", ["{why}", "a\0b\r\nc", "\ud800", "x" * 3 * MAX_FACT, '["over_quota", {}]'])
def test_a_fact_is_a_text_and_nothing_else(text: str) -> None:
    said = say("system", why=text)
    back = decoded(encoded(said))
    assert back is not None
    assert len(back.text("ja")) <= MAX_FACT
    assert not set("\0\r\n") & set(back.text())
    encoded(said).encode()
    if text.startswith(("{", "[")):
        assert back.text("ja") == text


def test_what_a_newer_ekiden_says_stands_for_itself() -> None:
    assert Said("from_the_future", {}).text("ja") == "from_the_future"
    assert Said("over_quota", {"x": 1}).text() == ENGLISH["over_quota"]
    assert Said("turn", {}).text("ja") == "turn"
    assert decoded("") is None
    for text in ("{}", "[]", '["turn"]', "x", '["turn", []]'):
        with pytest.raises(UNREADABLE):
            decoded(text)


def test_nobodys_text_passes_for_ours() -> None:
    """A reply or a reason may be written as we write what we say."""
    ours = say("over_quota")
    forged = ours.encode()
    assert in_words(either(ours)) == ours.text()
    assert in_words(either(ours), "ja") == ours.text("ja")
    assert in_words(either(forged)).strip() == forged
    assert in_words(either("550 no")) == "550 no"


def test_a_remark_is_kept_as_its_code_and_told_to_its_reader() -> None:
    remark = Remark(say("content_sent", octets=9))
    assert "octets" in remark
    assert remark.said.text() not in remark
    assert dialogue_told(["C: DATA", remark], "en") == ["C: DATA", "# content, 9 octets"]
