"""What Ekiden itself says has its Japanese, whatever code, state, reason or remark it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ekiden
from ekiden.cli import callback_translations, refusal_view, trace_news_view, trace_view
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import EventType
from ekiden.core.said import Remark, dialogue_told, read_dialogue, say
from ekiden.core.states import Cause, Priority, State, Wait
from ekiden.core.texts import WORDS
from ekiden.delivery.explain import cause_name, explain, state_name, wait_name
from ekiden.domains.reasons import REASONS, short
from ekiden.recipients.suppressions import KINDS

ROOT = Path(ekiden.__file__).parent
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def strings(path: str, function: str, argument: int) -> Iterator[str]:
    """Constants that calls of a function have at a place."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(function) and len(node.args) > argument:
            given = node.args[argument]
            if isinstance(given, ast.Constant) and isinstance(given.value, str):
                yield given.value


MACHINES = {
    *strings("recipients/machines.py", "Judgement", 1),
    *strings("recipients/tracking_recorder.py", "Judgement", 1),
}
REFUSALS = {
    *strings("intake/sender_rights.py", "Refused", 1),
    *strings("intake/policy.py", "_refused", 2),
}
SAID = {
    **{f"state {state.name}": state_name(state, "ja") for state in State},
    **{f"cause {cause.name}": cause_name(cause, "ja") for cause in Cause if cause},
    **{f"wait {wait.name}": wait_name(wait, "ja") for wait in Wait},
    **{
        f"why {state.name} {diagnosis.name}": explain(state, diagnosis, "ja").headline
        for state in State
        for diagnosis in Diagnosis
    },
    **{f"domain {code}": short(code, "ja") for code in REASONS if code},
    **{f"kind {kind}": WORDS(kind, "ja") for kind in KINDS},
    **{f"event {event.name}": callback_translations.TEXTS(event.name.lower(), "ja") for event in EventType},
    **{
        f"traced {event.name}": trace_view._TEXTS(text, "ja", url="")
        for event, text in trace_view._EVENT_TEXTS.items()
    },
    **{f"priority {item.name}": trace_view._TEXTS(item.name.lower(), "ja") for item in Priority},
    **{f"machine {code}": trace_view._TEXTS(trace_view._MACHINES[code], "ja") for code in MACHINES},
    **{f"refusal {code}": refusal_view._TEXTS(refusal_view._WHY[code][0], "ja") for code in REFUSALS},
    **{f"advice {code}": refusal_view._TEXTS(refusal_view._WHY[code][1], "ja") for code in REFUSALS},
    **{f"fact {name}": refusal_view._TEXTS(text, "ja") for name, text in refusal_view._FACTS.items()},
    **{f"news {text}": trace_news_view._TEXTS(text, "ja") for text in trace_news_view._NEWS.values()},
}


@pytest.mark.parametrize("what", sorted(SAID))
def test_there_is_a_japanese_word_for(what: str) -> None:
    assert JAPANESE.search(SAID[what]), SAID[what]


def test_the_codes_were_found() -> None:
    assert {"head", "burst"} <= MACHINES
    assert {"account_suspended", "quota", "domain_not_verified"} <= REFUSALS | {"domain_not_verified"}


def test_no_remark_in_a_dialogue_is_a_sentence_of_one_language() -> None:
    """Each is a ``Remark``: code and facts."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for room in ("delivery", "smtp", "store", "net")
        for path in sorted((ROOT / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.match(r"# \w", node.value)
    ]
    assert found == []


def test_a_dialogue_is_told_in_the_language_of_its_reader() -> None:
    lines = [
        Remark(say("connected", to="mx.b.example (192.0.2.1:25)")),
        "S: 220 hello",
        Remark(say("at_host", host="mx2.b.example", why=say("system", why="Connection refused"))),
        '# ["odd',
        "# from an older Ekiden",
    ]
    kept = "\n".join(lines)
    assert "Connection refused" in kept
    assert "connected to" not in kept
    back = read_dialogue(kept)
    assert back == lines
    assert dialogue_told(back, "ja") == [
        "# mx.b.example (192.0.2.1:25) に接続しました",
        "S: 220 hello",
        "# mx2.b.example: 接続が拒否されました",
        *lines[3:],
    ]
