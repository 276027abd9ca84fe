import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.ids import EPOCH, MAX_NODE, IdFactory, format_id, id_time, parse_id

NOW = EPOCH + 1_000_000


def test_ids_grow_and_never_repeat_within_one_millisecond():
    factory = IdFactory(node=7)
    ids = [factory.next(NOW) for _ in range(10_000)]
    assert ids == sorted(set(ids))


def test_a_clock_that_goes_back_does_not_repeat_ids():
    factory = IdFactory(node=7)
    first = factory.next(NOW)
    assert factory.next(NOW - 5_000) > first


def test_two_nodes_never_make_the_same_id():
    one, other = IdFactory(0), IdFactory(MAX_NODE)
    assert not {one.next(NOW + i) for i in range(500)} & {other.next(NOW + i) for i in range(500)}


def test_the_two_factories_of_a_node_never_make_the_same_id():
    one, other = IdFactory(7), IdFactory(7, upper=True)
    mine = [one.next(NOW) for _ in range(5_000)]
    theirs = [other.next(NOW) for _ in range(5_000)]
    assert not set(mine) & set(theirs)
    assert theirs == sorted(set(theirs))


@pytest.mark.parametrize("node", [-1, MAX_NODE + 1])
def test_node_out_of_range(node):
    with pytest.raises(ValueError, match="node must be"):
        IdFactory(node)


@given(st.integers(0, 2**63 - 1))
def test_text_round_trip(value):
    text = format_id(value)
    assert len(text) == 13
    assert parse_id(text) == value
    assert parse_id(text.lower()) == value


@given(st.lists(st.integers(0, 2**63 - 1), min_size=2))
def test_texts_sort_like_numbers(values):
    assert [parse_id(t) for t in sorted(map(format_id, values))] == sorted(values)


def test_time_is_read_back():
    assert id_time(IdFactory(3).next(NOW)) == NOW


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "has 0"), ("ABC", "has 3"), ("U" * 13, "'U'"), ("Z" * 13, "larger"), ("0B5C2JW000C0ü", "does not occur")],
)
def test_bad_texts_are_explained(text, says):
    with pytest.raises(ValueError, match=says):
        parse_id(text)


def test_letters_that_people_confuse_are_read_as_digits():
    assert parse_id("OOOOOOOOOOOIL") == parse_id("0000000000011")
