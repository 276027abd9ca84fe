"""Metrics, bounces and the status of a message over HTTP (contract §6)."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response

from ekiden.core.clock import SECOND
from ekiden.core.ids import parse_id
from ekiden.core.states import State
from ekiden.delivery.statistics import METRICS, Bounce, Question
from ekiden.dialects.ibm.call import Call
from ekiden.dialects.ibm.errors import ApiError
from ekiden.dialects.ibm.http import answer, paging, text_parameter, time_parameter, timestamp

MAX_ADDRESS: Final = 320
MAX_SUBJECT: Final = 998
_ELSEWHERE: Final = ("destination_type", "destination_id", "subscription_id", "source_id")


async def get_metrics(call: Call) -> Response[Any]:
    """Metrics: four series; ``opened`` is not among them, as mail from SMTP clients is not tracked."""
    question = await _question(call)
    series = {} if question is None else await call.services.statistics.series(question)
    metrics = []
    for key in METRICS:
        found = series.get(key)
        buckets = found.periods.items() if found is not None else ()
        metrics.append(
            {
                "key": key,
                "doc_count": found.total if found is not None else 0,
                "histogram": {
                    "buckets": [
                        {"doc_count": number, "key_as_string": timestamp(start)} for start, number in buckets
                    ]
                },
            }
        )
    return answer(call.request, {"metrics": metrics})


async def get_bounces(call: Call) -> Response[Any]:
    """BounceMetrics: the latest first."""
    offset, limit = paging(call.request)
    question = await _question(call)
    bounces: list[Bounce] = []
    total = 0
    if question is not None:
        bounces, total = await call.services.statistics.bounces(question, offset=offset, limit=limit)
    metrics = [
        {
            "email_address": item.recipient,
            "subject": item.subject,
            "error_message": item.reason,
            "timestamp": timestamp(item.at),
            "ip_address": item.client,
        }
        for item in bounces
    ]
    return answer(call.request, {"metrics": metrics, "total_count": total, "offset": offset, "limit": limit})


async def _question(call: Call) -> Question | None:
    """What the query asks for; ``None``: for nothing that there could be. Raises ``ApiError``: 400, 404."""
    request, services = call.request, call.services
    start, end = time_parameter(request, "gte"), time_parameter(request, "lte")
    if start > end:
        raise ApiError(400, "gte in the query is later than lte")
    for name in _ELSEWHERE:
        if text_parameter(request, name, 256) is not None:
            raise ApiError(400, "{name}: only mail submitted over SMTP is measured here", name=name)
    configuration_id = text_parameter(request, "smtp_config_id", 256)
    if configuration_id is not None:
        configuration_id = (await services.configurations.get(call.project.id, configuration_id)).id
    message = text_parameter(request, "notification_id", 256)
    message_id = None
    if message is not None:
        try:
            message_id = parse_id(message)
        except ValueError:
            return None
    return Question(
        call.account_id,
        call.project.id,
        start,
        end - end % SECOND + SECOND,  # lte names a second, and means it to its end
        configuration_id,
        text_parameter(request, "email_to", MAX_ADDRESS),
        text_parameter(request, "subject", MAX_SUBJECT),
        message_id,
    )


async def get_status(call: Call) -> Response[Any]:
    """What became of a message, by the queue id that the 250 gave; ``recipients`` is an addition of ours."""
    text = call.parameter("id")
    try:
        message_id = parse_id(text)
    except ValueError:
        raise _no_message(text) from None
    trace = await call.services.statistics.message(call.account_id, call.project.id, message_id)
    if trace is None or not trace.deliveries:
        raise _no_message(text)
    # The recipient that decides: one that waits, else one that was lost, else any.
    deliveries = sorted(trace.deliveries, key=lambda item: (item.state.final, item.state is State.DELIVERED))
    return answer(
        call.request,
        {
            "status": _status(deliveries[0].state),
            "details": {"status_code": deliveries[0].code, "status_message": deliveries[0].reason},
            "recipients": [
                {
                    "email_address": item.recipient,
                    "status": _status(item.state),
                    "state": item.state.name.lower(),
                    "status_code": item.code,
                    "status_message": item.reason,
                    "attempts": item.attempt_count,
                    "updated_at": timestamp(item.updated_at),
                }
                for item in trace.deliveries
            ],
        },
    )


def _status(state: State) -> str:
    if not state.final:
        return "inprogress"
    return "success" if state is State.DELIVERED else "failure"


def _no_message(text: str) -> ApiError:
    return ApiError(404, "there is no message {id!r} of this instance", id=text)
