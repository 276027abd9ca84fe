"""``/send-block``: whether an address is blocked, and what was done about that (contract §9).

Where the contract is silent: an account sees its own blocks, nobody else's. A block is whatever stops mail but that
the recipient unsubscribed. What Ekiden registered of a bounce was about the account's own mail, so it is told as
CUSTOMER; what ended by itself, as SYSTEM; what the operator did, as ADMIN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from litestar import Response

from ekiden.core.diagnosis import Diagnosis
from ekiden.dialects.naver.addresses import address
from ekiden.dialects.naver.codes import result_code
from ekiden.dialects.naver.http import answer
from ekiden.dialects.naver.labels import label, labelled
from ekiden.dialects.naver.paging import Order, read_page
from ekiden.dialects.naver.times import nes_date
from ekiden.web.operation import reads

if TYPE_CHECKING:
    from ekiden.dialects.naver.call import Call
    from ekiden.dialects.naver.translations import Language
    from ekiden.recipients.suppression_history import Entry

_ACTIONS: Final = {"registered": "C", "removed": "D"}
_REQUESTERS: Final = {
    ("removed", "platform"): "SYSTEM",
    ("registered", "operator"): "ADMIN",
    ("removed", "operator"): "ADMIN",
}


async def get_send_block(call: Call) -> Response[bytes]:
    """Of one address."""
    target = address("targetAddress", call.query.needed("targetAddress"))
    page = read_page(call.query, ("createUtc",), Order("createUtc", True))
    blocks = call.services.blocks
    found = await blocks.history(
        call.account_id, target, oldest=not page.sort[0].descending, offset=page.offset, limit=page.size
    )
    state = await blocks.state(call.account_id, target)
    content = [_item(entry, call.language) for entry in found.items]
    shape = page.shape(
        content,
        found.total,
        registerStatus=label("block_status", "BLOCKED" if state.blocked else "NOT_BLOCKED", call.language),
        expectedDeleteDate=nes_date(state.until),
    )
    return answer(shape)


OPERATIONS: Final = (reads("/send-block", get_send_block),)


def _item(entry: Entry, language: Language) -> dict[str, Any]:
    requester = _REQUESTERS.get((entry.action, entry.done_by), "CUSTOMER")
    bounced = entry.diagnosis is not Diagnosis.NONE
    return {
        "targetAddress": entry.address,
        "actionType": labelled("block_action", _ACTIONS[entry.action], language),
        "actionRequesterType": labelled("block_requester", requester, language),
        "requestDate": nes_date(entry.at),
        "historySid": entry.id,
        "sendResultCode": result_code(entry.diagnosis, final=True) if bounced else None,
        "sendResultMessage": f"{entry.told()}\n" if bounced else None,
    }
