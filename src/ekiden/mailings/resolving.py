"""The people of the groups that a request names are added to it, before anything of it is sent.

They are read in pages and written in pieces, so a million of them are never in memory. Nobody is mailed twice:
whoever is named is not added. Those whose mail waits for them (``Content.unplaced``) come first. Who is killed in
the middle leaves pieces that the next one removes and makes again: no message is made of a request whose groups are
still being read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ekiden.core.address import parse_address
from ekiden.limits.loop_slices import Turns
from ekiden.mailings.numbers import PublicId
from ekiden.mailings.queries import RequestRow, cancel_pieces, change_request, named_pieces, remove_pieces
from ekiden.mailings.requests import Pieces, write_pieces
from ekiden.mailings.values import MAX_TOGETHER, Person, RequestState, decode_content, decode_mails

if TYPE_CHECKING:
    from ekiden.content.address_book import AddressBooks
    from ekiden.store.api import Store

log = structlog.get_logger()

_PATIENCE = 30.0
"""Seconds to wait for what is just being added to the groups."""
_PAGE = 50 * MAX_TOGETHER


async def resolve_groups(store: Store, books: AddressBooks, row: RequestRow) -> None:
    """Add them to the request that this worker has claimed for it."""
    content = decode_content(row.content)
    groups = content.groups
    assert groups is not None, "only requests with groups are resolved"
    await remove_pieces(store, row.account_id, row.id, row.pieces)
    named = await _named(store, row)
    pieces = Pieces(row.individual, row.subject, content.html, content.parameters, row.pieces)
    pieces.add(content.unplaced)
    await books.settle(row.account_id, _PATIENCE)
    turns = Turns()
    gone: list[str] = []
    pages = books.resolve(row.account_id, groups.names, all_of=groups.all, limit=_PAGE, gone=gone)
    async for page in pages:
        for member in page.members:
            await turns.next()
            if hash(member.key) not in named:
                pieces.add((Person(member.address),))
        if pieces.full:
            async with store.write() as connection:
                await write_pieces(connection, row.account_id, row.id, pieces.take())
    if gone:
        # Somebody has removed them since the request came.
        log.warning("groups of a mail request are gone", request=PublicId(row.day, row.number).text, groups=gone)
    pieces.place_lone_copies()
    async with store.write() as connection:
        await write_pieces(connection, row.account_id, row.id, pieces.take(everything=True))
        done = {
            "resolving": 0,
            "owner": None,
            "mails": row.mails + pieces.mails,
            "recipients": row.recipients + pieces.people,
            "pieces": row.pieces + pieces.count,
        }
        states = (RequestState.HELD, RequestState.DUE)
        if not await change_request(connection, row.account_id, row.id, states, **done):
            await cancel_pieces(connection, row.account_id, row.id)


async def _named(store: Store, row: RequestRow) -> set[int]:
    """Of whom the request names: hashes, which are less than addresses."""
    found: set[int] = set()
    async for data in named_pieces(store, row.account_id, row.id, row.pieces):
        for mail in decode_mails(data):
            found.update(hash(parse_address(person.address).key) for person in mail)
    found.update(hash(parse_address(person.address).key) for person in decode_content(row.content).unplaced)
    return found
