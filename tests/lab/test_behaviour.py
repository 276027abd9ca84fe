"""Behaviours as values."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.lab.behaviour import (
    STAGES,
    Answer,
    Behaviour,
    LabError,
    Mix,
    Report,
    Rule,
    draw,
    local_part_rules,
    mailbox_full,
    parse_behaviour,
    recipient_report,
)
from ekiden.lab.catalogue import CATALOGUE


@pytest.mark.parametrize(
    ("answer", "wire"),
    [
        (Answer(250), b"250\r\n"),
        (Answer(250, "2.0.0"), b"250 2.0.0\r\n"),
        (Answer(550, "5.1.1", "No such user"), b"550 5.1.1 No such user\r\n"),
        (Answer(554, "5.7.1", "One\nTwo"), b"554-5.7.1 One\r\n554 5.7.1 Two\r\n"),
        (Answer(451, "", "あ"), "451 あ\r\n".encode()),
    ],
)
def test_answers_on_the_wire(answer: Answer, wire: bytes) -> None:
    assert answer.encode() == wire


def test_answers_without_enhanced_codes() -> None:
    assert Answer(550, "5.1.1", "No").encode(enhanced=False) == b"550 No\r\n"


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_ready_made_behaviours_survive_json(name: str) -> None:
    behaviour = CATALOGUE[name]
    assert behaviour.description
    assert msgspec.json.decode(msgspec.json.encode(behaviour), type=Behaviour) == behaviour
    assert parse_behaviour(name, CATALOGUE) is behaviour
    assert parse_behaviour(f"{name}.lab.test", CATALOGUE) is behaviour


def test_like_takes_fields_and_replaces_some() -> None:
    made = parse_behaviour({"like": "greylist", "tls": "none"}, CATALOGUE)
    assert made.rules == CATALOGUE["greylist"].rules
    assert made.tls == "none"
    assert made.description == ""


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("nonsense", "greylist"),
        (17, "object"),
        ({"like": "nonsense"}, "nonsense"),
        ({"like": 1}, "like"),
        ({"tsl": "none"}, "tsl"),
        ({"tls": "maybe"}, "$.tls"),
        ({"rules": [{"at": "lunch"}]}, "$.rules[0].at"),
        ({"rules": [{"at": "rcpt", "reply": {"code": 7}}]}, "$.rules[0].reply.code"),
        ({"rules": [{"at": "rcpt", "reply": {"code": 550, "enhanced": "9"}}]}, "enhanced"),
        ({"rules": [{"at": "rcpt", "percent": 101}]}, "percent"),
        ({"mix": [{"percent": 60}, {"percent": 50}]}, "110"),
        ({"rules": [{"at": "rcpt", "endless": True}]}, "endless"),
        ({"hosts": []}, "$.hosts"),
        ({"report": {}}, "$.report"),
        ({"report": {"format": "fax"}}, "$.report.format"),
        ({"report": {"format": "arf", "to": "nobody"}}, "$.report.to"),
        ({"report": {"format": "exim", "local_part": "a@b"}}, "$.report.local_part"),
        ({"report": {"format": "exim", "delay": 4000}}, "$.report.delay"),
        ({"hosts": [{"state": "dead", "family": "ipv6"}]}, "IPv6"),
    ],
)
def test_wrong_behaviours_are_explained(value: object, what: str) -> None:
    with pytest.raises(LabError) as caught:
        parse_behaviour(value, CATALOGUE)
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("local", "at", "code"),
    [
        ("fail-550", "rcpt", 550),
        ("FAIL-550", "rcpt", 550),
        ("fail-421+anything", "rcpt", 421),
        ("reject-554-at-end", "end", 554),
        ("fail-451-at-data+x", "data", 451),
        ("full", "rcpt", 452),
        ("full-552", "rcpt", 552),
        ("greylist", "rcpt", 451),
        ("hint-30", "rcpt", 451),
    ],
)
def test_local_parts_that_ask_for_a_reply(local: str, at: str, code: int) -> None:
    rules = local_part_rules(local)
    assert rules is not None
    assert rules[0].at == at
    assert rules[0].reply is not None
    assert rules[0].reply.code == code
    assert not rules[0].reply.enhanced or rules[0].reply.enhanced[0] == str(code)[0]


def test_local_parts_of_other_kinds() -> None:
    assert local_part_rules("greylist-3") == (
        Rule(at="rcpt", reply=Answer(451, "4.7.1", "Greylisted, please try again later"), first=3),
    )
    assert local_part_rules("slow-0.5-at-end") == (Rule(at="end", delay=0.5),)
    assert local_part_rules("disconnect-at-body") == (Rule(at="body", disconnect="close"),)
    assert local_part_rules("accept") == ()
    for plain in ("someone", "fail", "fail-200", "fail-550-at-mail", "slow", "disconnect-at-quit", "failure-550"):
        assert local_part_rules(plain) is None


@pytest.mark.parametrize(
    ("local", "domain", "found"),
    [
        ("someone", None, None),
        ("someone", Report("exim"), Report("exim")),
        ("accept", Report("exim"), None),
        ("slow-1", Report("exim"), Report("exim")),
        ("complain+x", Report("exim"), Report("arf")),
        ("complain-after-0", None, Report("arf", delay=0)),
        ("AUTO-REPLY-after-2.5", None, Report("auto-reply", delay=2.5)),
        ("late-550", None, Report("postfix")),
        ("late-552", Report("arf", to="a@b.test"), Report("postfix", reply=mailbox_full(552))),
        ("late-552-after-3", Report("au", stage="end"), Report("au", 3, mailbox_full(552), "end")),
        ("late-252", Report("exim"), Report("exim")),
        ("late-550-after-9999", None, Report("postfix", delay=3600)),
    ],
)
def test_local_parts_that_ask_for_a_report(local: str, domain: Report | None, found: Report | None) -> None:
    assert recipient_report(local, domain) == found
    if local.startswith(("complain", "late-5", "AUTO")):
        assert local_part_rules(local) == ()


def test_like_keeps_what_is_not_said_of_a_report() -> None:
    made = parse_behaviour({"like": "late-bounce-au", "report": {"delay": 5, "stage": "end"}}, CATALOGUE)
    assert made.report == Report("au", delay=5, stage="end")
    assert "DSN" not in made.extensions
    assert parse_behaviour({"like": "accept", "report": {"format": "arf"}}, CATALOGUE).report == Report("arf")
    assert parse_behaviour({"like": "complain", "report": None}, CATALOGUE).report is None


def test_a_mix_gives_every_share_its_part_and_always_the_same() -> None:
    shares = {70: "", 20: "421", 10: "550"}
    behaviour = Behaviour(
        mix=tuple(
            Mix(percent, (Rule(at="rcpt", reply=Answer(int(code))),) if code else ())
            for percent, code in shares.items()
        )
    )

    def outcomes() -> list[str]:
        drawn = []
        for number in range(4000):
            rules = behaviour.recipient_rules(f"user{number}@x.test", 1)
            drawn.append(str(rules[0].reply.code) if rules and rules[0].reply else "")
        return drawn

    first = outcomes()
    for percent, code in shares.items():
        assert abs(first.count(code) / 40 - percent) < 3
    assert first == outcomes()


def test_a_mix_draws_again_for_every_try() -> None:
    mix = CATALOGUE["mix"]
    assert len({mix.recipient_rules("user@x.test", number) for number in range(1, 60)}) == 3


def test_tries_beyond_the_shares_are_accepted() -> None:
    behaviour = Behaviour(mix=(Mix(0, (Rule(at="rcpt", disconnect="close"),)),), rules=(Rule(at="end", delay=1),))
    assert behaviour.recipient_rules("a@x.test", 1) == behaviour.rules


@given(st.integers(), st.lists(st.one_of(st.text(), st.integers())))
def test_draws_are_percentages_that_repeat(seed: int, parts: list[object]) -> None:
    value = draw(seed, *parts)
    assert 0 <= value < 100
    assert value == draw(seed, *parts)


def test_every_stage_is_shown_by_a_ready_made_behaviour() -> None:
    used = {rule.at for behaviour in CATALOGUE.values() for rule in behaviour.rules}
    assert used | {"starttls"} == set(STAGES)
