"""``GET /email/{1,4}/reports``: delivery reports that are handed out once (contract §3.1, §3.2).

Both versions take from the same store: what one has told, the other does not tell again. Where the contract is
silent: a report that was pushed to ``notifyUrl`` is here as well, intermediate reports are only pushed, the oldest
come first, and a ``limit`` out of bounds is a 400, so that nobody takes 1,000 reports for all there were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Response

from ekiden.core.notices import Happening
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.http import Query, answer
from ekiden.dialects.infobip.news.reports import report_v1, report_v4, reportable
from ekiden.dialects.infobip.value_rules import Checks
from ekiden.limits.loop_slices import in_turns
from ekiden.notify.reports import ReportFilter


async def reports(call: Call) -> Response[bytes]:
    """``/email/1/reports``."""
    return await _reports(call, report_v1)


async def reports_v4(call: Call) -> Response[bytes]:
    """``/email/4/reports``."""
    return await _reports(call, report_v4)


async def _reports(call: Call, entry: Callable[[Happening], Any]) -> Response[bytes]:
    checks = Checks()
    query = Query(call.request, checks)
    wanted = ReportFilter(
        bulk=query.line("bulkId", fields.MAX_BULK_ID) or None,
        message=query.line("messageId") or None,
        application=query.line("applicationId", fields.MAX_PLATFORM_ID) or None,
        entity=query.line("entityId", fields.MAX_PLATFORM_ID) or None,
        campaign=query.line("campaignReferenceId", fields.MAX_CAMPAIGN) or None,
    )
    limit = query.limit()
    checks.done()
    found = await call.services.reports.fetch(call.account_id, await call.reports_endpoint(), wanted, limit)
    return answer({"results": await in_turns(entry, filter(reportable, found))})
