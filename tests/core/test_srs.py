import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ekiden.core.address import parse_address
from ekiden.core.base32 import ALPHABET
from ekiden.core.clock import DAY
from ekiden.core.srs import LONGEST, VALID_FOR, Rewritten, Srs

KEY = bytes(range(32))
SRS = Srs([KEY])
NOW = 20_500 * DAY
TOKEN = slice(5, 18)

atoms = st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,8}(\.[a-z0-9=+-]{1,6})?", fullmatch=True)
domains = st.from_regex(r"[a-z0-9]{1,10}\.(example|test|co\.jp)", fullmatch=True)
senders = st.builds("{}@{}".format, atoms, domains).map(parse_address)
accounts = st.integers(0, 2**25 - 1)
times = st.integers(0, 2**42)


def other_letter(text, at, bit=1):
    return text[:at] + ALPHABET[ALPHABET.index(text[at].lower()) ^ bit] + text[at + 1 :]


@given(accounts, senders, times)
def test_what_was_written_is_read_in_any_case(account, sender, at):
    local = SRS.seal(account, sender, at)
    if sender.local.lower().startswith(("srs0=", "srs0+", "srs0-", "srs1=", "srs1+", "srs1-")):
        return
    assert local.startswith("SRS0=")
    assert parse_address(f"{local}@rp.example").local == local
    for text in (local, local.upper(), local.lower(), local.swapcase()):
        found = SRS.unseal(text, at)
        assert found.account_id == account
        assert found.sender.lower() == sender.text


@given(accounts, senders, times, st.integers(0, 64 * 8 - 1))
def test_every_flipped_bit_is_refused_unless_it_is_its_case(account, sender, at, bit):
    octets = bytearray(SRS.seal(account, sender, at).encode())
    octets[bit // 8 % len(octets)] ^= 1 << bit % 8
    changed = octets.decode("latin-1")
    assert SRS.unseal(changed, at) is None or changed.lower() == SRS.seal(account, sender, at).lower()


@settings(max_examples=20)
@given(accounts, senders)
def test_every_bit_of_the_token_and_of_the_day_counts(account, sender):
    assume(not sender.local.lower().startswith("srs"))
    local = SRS.seal(account, sender, NOW)
    for at in (*range(5, 18), 19, 20):
        for bit in range(5):
            assert SRS.unseal(other_letter(local, at, 1 << bit), NOW) is None


@pytest.mark.parametrize(
    ("later", "read"), [(-1, True), (-2, False), (0, True), (21, True), (22, False), (1_023, True), (1_024, True)]
)
def test_it_is_valid_for_three_weeks(later, read):
    """Of a clock that is a day ahead as well; the day comes back after 1,024 of them."""
    local = SRS.seal(7, parse_address("alice@example.org"), NOW)
    assert (SRS.unseal(local, NOW + later * DAY) is not None) == read
    assert VALID_FOR == 21 * DAY


def test_it_is_the_same_all_day():
    sender = parse_address("alice@example.org")
    assert SRS.seal(7, sender, NOW) == SRS.seal(7, sender, NOW + DAY - 1) != SRS.seal(7, sender, NOW + DAY)


def test_who_comes_after_the_first_leaves_the_others_out():
    """The bounce goes to the first, in its own spelling."""
    first = parse_address("SRS0+Abcd+x9+example.org+alice@one.example")
    once = SRS.seal(7, first, NOW)
    assert once.startswith("SRS1=")
    assert once.endswith("=one.example=+Abcd+x9+example.org+alice")
    assert SRS.unseal(once, NOW) == Rewritten(7, "SRS0+Abcd+x9+example.org+alice@one.example")
    twice = SRS.seal(9, parse_address(f"{once}@two.example"), NOW)
    assert twice.endswith("=one.example=+Abcd+x9+example.org+alice")
    assert SRS.unseal(twice, NOW) == Rewritten(9, "SRS0+Abcd+x9+example.org+alice@one.example")
    for text in ("SRS1=xyzzy=one.example==Abcd=x9=example.org=bob@two.example", "srs1-q=one.example==abcd@b.test"):
        found = SRS.unseal(SRS.seal(7, parse_address(text), NOW), NOW)
        assert found.sender.startswith("SRS0=")
        assert found.sender.endswith("@one.example")


def test_the_kind_is_under_the_mac():
    local = SRS.seal(7, parse_address("SRS0=abcd=x9=example.org=alice@one.example"), NOW)
    token, day, host, rest = local[TOKEN], local[18:20], "one.example", "=abcd=x9=example.org=alice"
    assert local == f"SRS1={token}{day}={host}={rest}"
    assert SRS.unseal(f"SRS0={token}={day}={host}={rest}", NOW) is None


@pytest.mark.parametrize(
    "sender",
    [
        '"a b"@example.org',
        "アリス@example.org",
        "alice@[192.0.2.1]",
        f"{'a' * 30}@{'b' * 8}.example",
        "SRS0=abcd=x9=department.example.co.jp=firstname.lastname@one.example",
    ],
)
def test_what_has_no_such_address(sender):
    assert SRS.seal(7, parse_address(sender), NOW) is None


def test_the_longest_one():
    sender = parse_address(f"{'a' * 25}@{'b' * 8}.example")
    assert len(SRS.seal(2**25 - 1, sender, NOW)) == LONGEST
    assert SRS.seal(2**25, sender, NOW) is None


def test_older_keys_are_read_and_the_last_one_writes():
    sender = parse_address("alice@example.org")
    both = Srs([KEY, b"another"])
    assert both.unseal(SRS.seal(7, sender, NOW), NOW) is not None
    assert both.unseal(both.seal(7, sender, NOW), NOW) is not None
    assert SRS.unseal(both.seal(7, sender, NOW), NOW) is None
    with pytest.raises(ValueError, match="at least one"):
        Srs([])


@given(st.one_of(st.text(max_size=70), st.text(max_size=60).map("SRS0={}".format), st.text().map("SRS1={}".format)))
def test_any_other_local_part_is_none(text):
    assert SRS.unseal(text, NOW) is None
