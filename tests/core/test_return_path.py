import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ekiden.core.clock import DAY
from ekiden.core.ids import EPOCH, IdFactory, id_time
from ekiden.core.return_path import ACCEPTED_FOR, LENGTH, MOST_NUMBER, Purpose, ReturnPath, ReturnPaths
from ekiden.core.srs import VALID_FOR

KEY = bytes(range(32))
PATHS = ReturnPaths([KEY])
NOW = EPOCH + 900 * DAY

ids = st.integers(NOW - EPOCH - VALID_FOR, NOW - EPOCH).map(lambda ms: ms << 22 | 0x1234)
numbers = st.integers(0, MOST_NUMBER)
accounts = st.integers(0, 2**25 - 1)
purposes = st.sampled_from(Purpose)


@given(purposes, accounts, ids, numbers)
def test_what_was_sealed_is_read_in_any_case(purpose, account, message, number):
    local = PATHS.seal(account, message, number, to=purpose)
    assert len(local.encode()) == LENGTH == 32
    assert local == local.lower()
    assert local.startswith(f"{purpose.value}-")
    for text in (local, local.upper(), local.swapcase(), local.title()):
        assert PATHS.unseal(text, NOW) == ReturnPath(purpose, account, message, number)


@settings(max_examples=20)
@given(purposes, accounts, ids, numbers)
def test_every_flipped_bit_is_refused(purpose, account, message, number):
    local = PATHS.seal(account, message, number, to=purpose)
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    for at in range(2, LENGTH):
        for bit in range(5):
            other = alphabet[alphabet.index(local[at]) ^ 1 << bit]
            assert PATHS.unseal(local[:at] + other + local[at + 1 :], NOW) is None


@given(purposes, accounts, ids, numbers, st.integers(0, LENGTH * 8 - 1))
def test_every_flipped_bit_of_its_octets_is_refused_unless_it_is_its_case(purpose, account, message, number, bit):
    local = PATHS.seal(account, message, number, to=purpose)
    octets = bytearray(local.encode())
    octets[bit // 8] ^= 1 << bit % 8
    changed = octets.decode("latin-1")
    read = PATHS.unseal(changed, NOW)
    assert read is None or changed.lower() == local


def test_the_letter_belongs_to_it():
    local = PATHS.seal(7, IdFactory(1).next(NOW), 3)
    assert PATHS.unseal("u" + local[1:], NOW) is None


def test_letters_that_are_confused_are_read_as_digits():
    local = next(
        local for n in range(200) if {"0", "1"} <= set(local := PATHS.seal(1, IdFactory(1).next(NOW), n)[2:])
    )
    for zero, one in (("o", "l"), ("O", "I"), ("o", "i"), ("O", "L")):
        assert PATHS.unseal("b-" + local.replace("0", zero).replace("1", one), NOW).account_id == 1


@pytest.mark.parametrize(
    ("purpose", "days"), [(Purpose.BOUNCE, 60), (Purpose.UNSUBSCRIBE, 60), (Purpose.FORWARD, 21)]
)
def test_it_is_answered_for_so_many_days(purpose, days):
    message = IdFactory(1).next(NOW)
    local = PATHS.seal(1, message, to=purpose)
    ends = id_time(message) + days * DAY
    assert [PATHS.unseal(local, at) is not None for at in (NOW, ends, ends + 1)] == [True, True, False]
    assert ACCEPTED_FOR == 60 * DAY


def test_what_does_not_fit():
    message = IdFactory(1).next(NOW)
    assert PATHS.seal(2**25, message, 1) is None
    assert PATHS.unseal(PATHS.seal(1, message, MOST_NUMBER + 1), NOW).number == 0


def test_older_keys_are_read_and_the_last_one_seals():
    message = IdFactory(1).next(NOW)
    both = ReturnPaths([KEY, b"another"])
    assert both.unseal(PATHS.seal(1, message), NOW) == PATHS.unseal(PATHS.seal(1, message), NOW)
    assert both.unseal(both.seal(1, message), NOW) is not None
    assert PATHS.unseal(both.seal(1, message), NOW) is None
    assert ReturnPaths([b"other"]).unseal(PATHS.seal(1, message), NOW) is None
    for keys in ([], [KEY] * 5):
        with pytest.raises(ValueError, match="1 to 4 keys"):
            ReturnPaths(keys)


@given(st.one_of(st.text(max_size=40), st.text(min_size=30, max_size=30).map("b-{}".format)))
def test_any_other_local_part_is_none(text):
    assert PATHS.unseal(text, NOW) is None


def test_letters_that_only_look_like_ours_are_refused():
    local = next(local for n in range(200) if "k" in (local := PATHS.seal(1, IdFactory(1).next(NOW), n)))
    kelvin = "\N{KELVIN SIGN}"
    assert kelvin.lower() == "k"
    assert PATHS.unseal(local.replace("k", kelvin), NOW) is None
