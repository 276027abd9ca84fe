"""``/address-book``: addresses and recipient groups (contract §6, operations 9 to 15).

Where the contract is silent: a request has at most ``addresses.MOST`` addresses in all and ``MOST_GROUPS`` groups,
and one address that is none refuses it as a whole. Addresses that are not there are passed over where they are to
be removed; a group that is not there is a 400 with 77103.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Response

from ekiden.content.address_book import MAX_GROUP_NAME, MAX_GROUPS, BookState, GroupAddresses
from ekiden.content.errors import BadField
from ekiden.dialects.naver.addresses import LISTS, MOST, read_addresses
from ekiden.dialects.naver.errors import BadRequest
from ekiden.dialects.naver.http import answer, is_letter
from ekiden.web.need import NO_BODY
from ekiden.web.operation import changes, reads

if TYPE_CHECKING:
    from ekiden.dialects.naver.call import Call

MOST_GROUPS: Final = MAX_GROUPS
_PATH: Final = "/address-book"
_SIGNS: Final = frozenset("._-")


class _Group(msgspec.Struct):
    groupName: str
    emailAddresses: list[str] = []


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Addresses(msgspec.Struct):
    emailAddresses: list[str]


class _Members(msgspec.Struct):
    groupName: str
    emailAddresses: list[str]


async def add(call: Call) -> Response[bytes]:
    """What is given goes into the book by and by; the answer is the state before. 201."""
    given = (await call.json(_Groups)).groups
    if not 1 <= len(given) <= MOST_GROUPS:
        raise BadRequest(
            "{field} has {lowest} to {highest} elements", field="groups", lowest=1, highest=MOST_GROUPS
        )
    if sum(len(group.emailAddresses) for group in given) > MOST:
        raise BadRequest("{field} has more than {most} addresses", field="groups", most=MOST)
    additions: list[GroupAddresses] = []
    names: set[str] = set()
    for number, group in enumerate(given):
        name = _name(f"groups[{number}].groupName", group.groupName)
        if name in names:
            raise BadRequest("the group {name} is named twice", name=name)
        names.add(name)
        addresses = await read_addresses(f"groups[{number}].emailAddresses", group.emailAddresses)
        additions.append(GroupAddresses(name, addresses))
    before = await call.services.address_books.add(call.account_id, additions, actor=call.caller.actor)
    return answer(_state(before), 201)


async def get(call: Call) -> Response[bytes]:
    """How many addresses there are, and which groups."""
    return answer(_state(await call.services.address_books.state(call.account_id)))


async def reset(call: Call) -> Response[bytes]:
    """All of it goes."""
    count = await call.services.address_books.reset(call.account_id, actor=call.caller.actor)
    return answer({"deletedAddressCount": count})


async def remove_addresses(call: Call) -> Response[bytes]:
    """Out of the book and of all groups."""
    given = await call.json(_Addresses)
    addresses = await _some(given.emailAddresses)
    book = call.services.address_books
    return answer(_state(await book.remove_addresses(call.account_id, addresses, actor=call.caller.actor)))


async def remove_members(call: Call) -> Response[bytes]:
    """Out of one group; they stay in the book."""
    given = await call.json(_Members)
    addresses = await _some(given.emailAddresses)
    book = call.services.address_books
    with _told_as():
        state = await book.remove_members(call.account_id, given.groupName, addresses, actor=call.caller.actor)
    return answer(_state(state))


async def remove_group(call: Call) -> Response[bytes]:
    """Its addresses stay in the book."""
    name = call.query.needed("groupName")
    with _told_as():
        state = await call.services.address_books.remove_group(call.account_id, name, actor=call.caller.actor)
    return answer(_state(state))


async def empty_group(call: Call) -> Response[bytes]:
    """The group stays, and so do the addresses, in the book."""
    name = call.query.needed("groupName")
    with _told_as():
        state = await call.services.address_books.empty_group(call.account_id, name, actor=call.caller.actor)
    return answer(_state(state))


OPERATIONS: Final = (
    changes("POST", _PATH, add, need=LISTS),
    reads(_PATH, get),
    changes("DELETE", _PATH, reset, need=NO_BODY),
    changes("DELETE", f"{_PATH}/address", remove_addresses, need=LISTS),
    changes("DELETE", f"{_PATH}/recipient-groups", remove_group, need=NO_BODY),
    changes("DELETE", f"{_PATH}/recipient-groups/address", remove_members, need=LISTS),
    changes("DELETE", f"{_PATH}/recipient-groups/address/empty", empty_group, need=NO_BODY),
)


async def _some(given: list[str]) -> list[str]:
    if not given:
        raise BadRequest("{field} is missing", field="emailAddresses")
    return await read_addresses("emailAddresses", given)


@contextmanager
def _told_as() -> Iterator[None]:
    """What the service says of a group's name is told of the member that has it."""
    try:
        yield
    except BadField as error:
        error.values["field"] = "groupName"
        raise


def _name(field: str, text: str) -> str:
    """Of a group: letters (of any script, with the marks that some write in them), digits, and three signs."""
    name = unicodedata.normalize("NFC", text.strip())
    if not 1 <= len(name) <= MAX_GROUP_NAME or not all(is_letter(char) or char in _SIGNS for char in name):
        raise BadRequest(
            "{field} must have 1 to {longest} letters, digits, periods, underscores and hyphens",
            field=field,
            longest=MAX_GROUP_NAME,
        )
    return name


def _state(state: BookState) -> dict[str, Any]:
    return {
        "totalAddressCount": state.address_count,
        "groups": [
            {"sid": group.id, "groupName": group.name, "addressCount": group.address_count}
            for group in state.groups
        ],
    }
