"""``auditlogs``: who changed what (contract §4.8).

Where the contract is silent: of logins nothing is kept that could be listed (the log of the service has those that
were refused), so ``login`` has no entries. Of a change ``account`` is the login or label of the credential,
``operator`` or ``system``; ``name`` what was changed, ``function`` its kind, ``operation`` what was done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from ekiden.access.audit import SYSTEM
from ekiden.access.credential_scopes import DOWNLOAD, MANAGE
from ekiden.core.zones import local_text
from ekiden.dialects.cmc.call import Call, operations
from ekiden.dialects.cmc.downloads import MOST, answer_csv
from ekiden.dialects.cmc.http import answer_list
from ekiden.dialects.cmc.params import Params
from ekiden.web.need import Need
from ekiden.web.problem import NoScope

if TYPE_CHECKING:
    from litestar import Response

    from ekiden.access.audit import Entry

NEED: Final = Need(65_536, 200)
MAX_ROWS: Final = 1_000
DEFAULT_ROWS: Final = 10
MAX_DAYS: Final = 31
LOGIN, OPERATION = "login", "operation"
_LOGIN: Final = ("created", "account", "ipaddress", "code", "result", "reason")
_OPERATION: Final = ("created", "account", "name", "function", "operation")
OPERATOR_NAME, SYSTEM_NAME = "operator", "system"
_PIECE: Final = 1_000


class _Asked:
    """What a request asks for."""

    def __init__(self, call: Call, params: Params) -> None:
        self._call = call
        self.type = params.choice("type", (LOGIN, OPERATION), needed=True)
        self._account = params.line("account").lower()
        self._since, self._until = params.days(call.zone, most=MAX_DAYS)

    async def find(self, names: Mapping[str, str], offset: int, limit: int) -> list[Entry]:
        """Some of the changes. ``names``: of credentials."""
        actors = None
        if self._account:
            actors = [actor for actor, name in names.items() if self._account in name.lower()]
        return await self._call.services.audit.find(
            self._call.account_id,
            actors=actors,
            since=self._since,
            until=self._until,
            offset=offset,
            limit=limit,
        )

    async def names(self) -> Mapping[str, str]:
        """Who there is."""
        return await self._call.services.audit.actors(self._call.account_id)


async def list_logs(call: Call, params: Params) -> Response[bytes]:
    """A page of them."""
    asked = _Asked(call, params)
    offset, rows = params.page(MAX_ROWS, DEFAULT_ROWS)
    params.done()
    if asked.type == LOGIN:
        return answer_list(call.is_xml, "loginlogs", "loginlog", ())
    names = await asked.names()
    found = await asked.find(names, offset, rows)
    return answer_list(call.is_xml, "operationlogs", "operationlog", [_entry(call, each, names) for each in found])


async def download_logs(call: Call, params: Params) -> Response[bytes]:
    """All of them, as a file."""
    if MANAGE not in call.caller.scopes:
        raise NoScope(MANAGE)
    asked = _Asked(call, params)
    params.done()

    async def pieces() -> AsyncIterator[list[list[str]]]:
        names = await asked.names()
        for offset in range(0, MOST, _PIECE) if asked.type == OPERATION else ():
            found = await asked.find(names, offset, _PIECE)
            yield [list(_entry(call, each, names).values()) for each in found]
            if len(found) < _PIECE:
                return

    header = _LOGIN if asked.type == LOGIN else _OPERATION
    return await answer_csv(call, f"{asked.type}logs", header, pieces())


def _entry(call: Call, entry: Entry, names: Mapping[str, str]) -> dict[str, Any]:
    function, _, operation = entry.action.partition(".")
    account = names.get(entry.actor) or (SYSTEM_NAME if entry.actor == SYSTEM.name else OPERATOR_NAME)
    values = (local_text(entry.at, call.zone), account, entry.target, function, operation)
    return dict(zip(_OPERATION, values, strict=True))


OPERATIONS: Final = (
    *operations("/transaction/{version}/auditlogs/list", list_logs, MANAGE, NEED, much=True),
    *operations("/transaction/{version}/auditlogs/download", download_logs, DOWNLOAD, NEED, much=True),
)
