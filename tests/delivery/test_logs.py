"""The log as a sender asks for it: two days, filters in the sender's words, pages."""

from __future__ import annotations

import pytest

from ekiden.core.clock import HOUR, SECOND, Millis
from ekiden.core.ids import format_id
from ekiden.core.states import State
from ekiden.core.submission import Marks
from ekiden.delivery.logs import KEPT, MOST, BadCursor, LogFilter, Logs
from ekiden.store.api import Store
from ekiden.store.records import NewMessage
from support.queue_rows import Rows


class StoppedClock:
    """The time of the tests."""

    def __init__(self, now: Millis) -> None:
        self.time = now

    def now(self) -> Millis:
        return self.time

    def monotonic(self) -> float:
        return self.time / SECOND


NOW: Millis = 1_800_000_000_000


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(NOW)


@pytest.fixture
def logs(store: Store, clock: StoppedClock) -> Logs:
    return Logs(store, clock)


@pytest.fixture
async def rows(store: Store) -> Rows:
    return await Rows.make(store, NOW)


async def recipients(logs: Logs, rows: Rows, **wanted: object) -> list[str]:
    page = await logs.find(LogFilter(await rows.account(), **wanted))  # type: ignore[arg-type]
    return [entry.recipient for entry in page.entries]


async def test_the_log_goes_two_days_back_and_shows_what_is(logs: Logs, rows: Rows, clock: StoppedClock) -> None:
    await rows.message("new@x.example", age=HOUR)
    await rows.attempted("bounced@x.example", state=State.BOUNCED, reply="550 5.1.1 no", age=47 * HOUR)
    await rows.message("old@x.example", age=KEPT + SECOND)
    await rows.message("other@x.example", account="other")
    page = await logs.find(LogFilter(await rows.account()))
    assert page.cursor is None
    new, bounced = page.entries
    assert (new.recipient, new.state, new.done_at) == ("new@x.example", State.QUEUED, None)
    assert (bounced.recipient, bounced.state, bounced.code) == ("bounced@x.example", State.BOUNCED, 550)
    assert bounced.done_at == NOW - SECOND
    clock.time += HOUR + SECOND
    assert await recipients(logs, rows) == ["new@x.example"]
    assert await recipients(logs, rows, since=0) == ["new@x.example"]


async def test_deliveries_are_found_by_the_ids_that_clients_were_told(logs: Logs, rows: Rows) -> None:
    own = await rows.message("a@x.example", "b@x.example", "c@x.example")
    marked = await rows.message("d@x.example", "e@x.example", marks=Marks(reference="order-17"))
    name, of_marked = format_id(own.message.id), format_id(marked.message.id)
    assert await recipients(logs, rows, ids=(name,)) == ["a@x.example"]
    assert await recipients(logs, rows, ids=(f"{name}-3",)) == ["c@x.example"]
    assert await recipients(logs, rows, ids=(f"{name}-2", name, name)) == ["b@x.example", "a@x.example"]
    assert await recipients(logs, rows, ids=("order-17",)) == ["e@x.example", "d@x.example"]
    assert await recipients(logs, rows, ids=("order-17", name, "nothing")) == [
        "e@x.example",
        "d@x.example",
        "a@x.example",
    ]
    for page in ({"ids": (f"{name}-2", "order-17")}, {}):
        entries = (await logs.find(LogFilter(await rows.account(), **page))).entries  # type: ignore[arg-type]
        for entry in entries:
            again = await recipients(logs, rows, ids=(entry.external_id,))
            assert entry.recipient in again
    for nobody in (of_marked, f"{name}-1", f"{name}-4", f"{name}-x", f"{name}-99999999999", "", "\0", "\ud800"):
        assert await recipients(logs, rows, ids=(nobody,)) == []


async def test_an_id_means_nothing_to_another_account(logs: Logs, rows: Rows) -> None:
    other = await rows.message("a@x.example", account="other", marks=Marks(bulk="bulk", reference="order-17"))
    await rows.account()
    for wanted in ({"ids": (format_id(other.message.id), "order-17")}, {"bulks": ("bulk",)}, {}):
        assert await recipients(logs, rows, **wanted) == []


async def test_addresses_are_compared_in_both_their_spellings(logs: Logs, rows: Rows) -> None:
    await rows.message("Jane@x.example", sender="Sales@shop.example")
    await rows.message("jane@xn--bcher-kva.example", sender="sales@shop.example")
    assert await recipients(logs, rows, recipient="Jane@X.EXAMPLE") == ["Jane@x.example"]
    assert await recipients(logs, rows, recipient="jane@x.example") == []
    assert await recipients(logs, rows, recipient="jane@bücher.example") == ["jane@xn--bcher-kva.example"]
    assert await recipients(logs, rows, sender="Sales@SHOP.example") == ["Jane@x.example"]
    assert await recipients(logs, rows, recipient="no address") == []


async def test_marks_times_and_states_are_filters(logs: Logs, rows: Rows) -> None:
    first = Marks("b1", "", "shop", "eu", "spring")
    second = Marks("b2", "", "shop", "us", "autumn")
    await rows.message("a@x.example", marks=first, age=2 * HOUR)
    await rows.message("b@x.example", marks=second, age=HOUR, state=State.HELD)
    both = ["b@x.example", "a@x.example"]
    assert await recipients(logs, rows, application="shop") == both
    assert await recipients(logs, rows, application="shop", entity="us") == both[:1]
    assert await recipients(logs, rows, campaigns=("spring", "autumn")) == both
    assert await recipients(logs, rows, campaigns=("spring", "\0")) == both[1:]
    assert await recipients(logs, rows, bulks=("b1",)) == both[1:]
    assert await recipients(logs, rows, bulks=("b1", "b2"), states=frozenset({State.HELD})) == both[:1]
    assert await recipients(logs, rows, states=frozenset()) == []
    assert await recipients(logs, rows, since=NOW - HOUR) == both[:1]
    assert await recipients(logs, rows, until=NOW - HOUR - 1) == both[1:]
    assert await recipients(logs, rows, since=NOW - 2 * HOUR, until=NOW - HOUR) == both
    assert await recipients(logs, rows, since=1 << 45, until=1 << 50) == []
    for nothing in ({"application": "\0"}, {"entity": ""}, {"sender": "\ud800@x"}, {"campaigns": ("",)}):
        assert await recipients(logs, rows, **nothing) == []


async def test_pages_tell_each_entry_once_while_mail_comes_in(logs: Logs, rows: Rows) -> None:
    account_id = await rows.account()
    sent: list[NewMessage] = []
    for number in range(9):
        names = [f"r{number}-{each}@x.example" for each in range(1 + number % 3)]
        sent.append(await rows.message(*names, age=HOUR - number * SECOND))
    seen: list[str] = []
    cursor = None
    while True:
        page = await logs.find(LogFilter(account_id, limit=4, cursor=cursor))
        seen += [entry.recipient for entry in page.entries]
        if page.cursor is None:
            break
        assert len(page.entries) == 4
        cursor = page.cursor
        await rows.message("later@x.example")
    assert seen == [each.recipient for new in reversed(sent) for each in reversed(new.deliveries)]


async def test_a_page_has_a_thousand_entries_at_most(logs: Logs, rows: Rows) -> None:
    await rows.message(*(f"r{number}@x.example" for number in range(MOST + 1)))
    account_id = await rows.account()
    page = await logs.find(LogFilter(account_id, limit=1_000_000))
    assert len(page.entries) == MOST
    page = await logs.find(LogFilter(account_id, limit=0, cursor=page.cursor))
    assert [entry.recipient for entry in page.entries] == ["r0@x.example"]
    assert page.cursor is None


@pytest.mark.parametrize(
    "cursor", ["", "x", "0BSK0H5QG0000", "0BSK0H5QG0000.", "0BSK0H5QG0000.0", "0BSK0H5QG0000.9999999999", "\0.1"]
)
async def test_a_cursor_of_somebody_else_is_refused(logs: Logs, cursor: str) -> None:
    with pytest.raises(BadCursor) as caught:
        await logs.find(LogFilter(1, cursor=cursor))
    assert "カーソル" in caught.value.text("ja")
