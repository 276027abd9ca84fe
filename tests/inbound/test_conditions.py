"""Patterns of customers: what RE2 lacks is refused with a sentence, and none takes long."""

from __future__ import annotations

import random

import pytest

from ekiden.inbound.conditions import MAX_PATTERN, MAX_VALUE, Condition, check_conditions, compiled
from ekiden.inbound.errors import BadCondition


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"(a)\1", "\\1: patterns here (RE2) cannot refer back"),
        (r"(?P<n>a)(?P=n)", "(?P=: patterns here (RE2) cannot refer back"),
        (r"(?<n>a)\k<n>", "\\k: patterns here (RE2) cannot refer back"),
        (r"a(?=b)", "(?=: patterns here (RE2) cannot look ahead or behind"),
        (r"a(?!b)", "(?!: patterns here (RE2) cannot look ahead or behind"),
        (r"(?<=a)b", "(?<=: patterns here (RE2) cannot look ahead or behind"),
        (r"(?<!a)b", "(?<!: patterns here (RE2) cannot look ahead or behind"),
        (r"(?>a+)b", "(?>: patterns here (RE2) have no atomic groups"),
        (r"a++b", "++: patterns here (RE2) have no atomic groups"),
        (r"(a)?(?(1)b|c)", "(?(: patterns here (RE2) have no such group"),
        (r"a\Z", "\\Z: patterns here (RE2) have no such escape"),
        (r"a{1001}", "{1001}: a part of a pattern is repeated at most 1,000 times"),
        (r"((a{100}){100}){100}", "{100}: a part of a pattern is repeated at most 1,000 times"),
        (r"[\p{L}]{800}", "the pattern is too large"),
        ("(", "( is not a pattern of RE2: missing ): ("),
        ("", "the condition for To has no pattern"),
        ("\ud800", "the pattern has a character that UTF-8 cannot say"),
        ("a" * (MAX_PATTERN + 1), "a pattern has at most 1000 characters"),
    ],
)
def test_what_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(BadCondition) as caught:
        check_conditions([Condition("To", pattern)])
    assert str(caught.value).startswith(says)
    assert caught.value.text("ja") != str(caught.value)


@pytest.mark.parametrize("name", ["", "To:", "X Y", "件名", "a" * 77])
def test_names_of_fields(name: str) -> None:
    with pytest.raises(BadCondition, match="is not the name of a header field"):
        check_conditions([Condition(name, "a")])


@pytest.mark.parametrize(
    ("pattern", "value", "found"),
    [
        (r"mail\+[0-9a-zA-Z]+@smtps\.jp", "mail+x1@smtps.jp", True),  # the vendor's example
        (r"mail\+[0-9a-zA-Z]+@smtps\.jp", "my.mail+x1@smtps.jp", True),  # found, wherever it is
        (r"^mail\+[0-9a-zA-Z]+@smtps\.jp$", "my.mail+x1@smtps.jp", False),
        ("INFO@", "info@shop.example", False),
        ("(?i)INFO@", "info@shop.example", True),
        ("^件名.番$", "件名1番", True),
        (r"(?P<who>\w+)@", "info@shop.example", True),
    ],
)
def test_what_is_found(pattern: str, value: str, found: bool) -> None:
    check_conditions([Condition("To", pattern)])
    assert compiled(pattern).found_in([b"", value.encode()]) is found


def test_the_work_for_a_value_is_bounded() -> None:
    """The slowest machine of RE2 goes through the whole pattern for each octet."""
    for pattern in (r"(a+)+$", r"(a|aa)*c", r"[ab]*a[ab]{900}c", r"(a?b?){500}c", r"\p{L}+@\p{L}+\.com$"):
        check_conditions([Condition("Subject", pattern)])
        one = compiled(pattern)
        assert one.size * one._most <= 2_000_000
        assert one._most <= MAX_VALUE
        megabyte = bytes(random.Random(1).choice(b"ab") for _ in range(10_000)) * 100
        assert one.found_in([megabyte]) is (pattern == r"(a+)+$" and megabyte[one._most - 1] == ord("a"))
