"""SMTP configurations and their users over HTTP (contract §2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

from litestar import Response

from ekiden.core.clock import SECOND, Millis
from ekiden.dialects.ibm import shapes as models
from ekiden.dialects.ibm.call import Call
from ekiden.dialects.ibm.errors import ApiError
from ekiden.dialects.ibm.http import answer, no_content, page_links, paging, text_parameter
from ekiden.domains.errors import DomainInUse, DomainTaken, NoSuchDomain
from ekiden.domains.model import Domain, Kind
from ekiden.senders.smtp_configurations import SmtpConfiguration
from ekiden.web.problem import language_of

MAX_SEARCH: Final = 100
_KINDS: Final[dict[str, tuple[Kind, ...]]] = {
    "spf": ("spf", "address"),
    "dkim": ("dkim", "ed25519"),
    "en_authorization": (),  # what an administrator said is known
}
_DEPRECATED_SINCE = 1_723_161_600
"""2024-08-09, when IBM's client lost the operation that sets allowed subnets."""


async def create_configuration(call: Call) -> Response[Any]:
    """Makes the domain the account's, too, if it is not yet: an administrator has to agree to it."""
    body = await call.json(models.NewConfiguration)
    services = call.services
    domain, added = await _add_domain(call, body.domain)
    try:
        made = await services.configurations.create(
            call.project,
            domain.id,
            body.name,
            body.description,
            attachments=call.settings.attachments,
            max_recipients=call.settings.max_recipients,
            actor=call.caller.actor,
        )
    except Exception:
        if added:
            with suppress(DomainInUse, NoSuchDomain):  # another request was quicker, either way
                await services.domains.remove(domain.id, call.caller.actor)
        raise
    return answer(call.request, models.created(made, await _config(call, domain)), 201)


async def _add_domain(call: Call, name: str) -> tuple[Domain, bool]:
    """The account's domain of that name, and whether it is a new one."""
    domains, account_id = call.services.domains, call.account_id
    try:
        return await domains.add(account_id, name, approval=True, actor=call.caller.actor), True
    except DomainTaken:
        return await domains.get(account_id, name), False


def _asked(call: Call) -> tuple[int, int, str]:
    """``(offset, limit, search)`` of the query of a list."""
    return *paging(call.request), text_parameter(call.request, "search", MAX_SEARCH) or ""


def _page(call: Call, offset: int, limit: int, total: int, items: dict[str, Any]) -> Response[Any]:
    page = {"total_count": total, "offset": offset, "limit": limit, **items}
    return answer(call.request, page | page_links(call.request, offset, limit, total))


async def list_configurations(call: Call) -> Response[Any]:
    """SMTPConfigurationsList."""
    offset, limit, search = _asked(call)
    page = await call.services.configurations.list(call.project.id, offset=offset, limit=limit, search=search)
    items = [await _read(call, item) for item in page.items]
    return _page(call, offset, limit, page.total, {"smtp_configurations": items})


async def get_configuration(call: Call) -> Response[Any]:
    """SMTPConfiguration."""
    return answer(call.request, await _read(call, await _configuration(call)))


async def update_configuration(call: Call) -> Response[Any]:
    """Name and description; the domain stays what it is."""
    body = await call.json(models.ChangedText)
    changed = await call.services.configurations.update(
        call.project.id,
        call.parameter("id"),
        name=body.name,
        description=body.description,
        actor=call.caller.actor,
    )
    return answer(call.request, await _read(call, changed))


async def delete_configuration(call: Call) -> Response[Any]:
    """Its users go with it."""
    await call.services.configurations.delete(call.project.id, call.parameter("id"), actor=call.caller.actor)
    return no_content(call.request)


async def verify(call: Call) -> Response[Any]:
    """Looks at the DNS now. One status for each type that was asked for, in that order."""
    text = text_parameter(call.request, "type", 255, required=True) or ""
    types = [item.strip() for item in text.split(",")]
    if any(item not in _KINDS for item in types):
        raise ApiError(
            400,
            "type in the query names any of {known}, with commas between",
            known=", ".join(models.VERIFICATION_TYPES),
        )
    configuration = await _configuration(call)
    kinds = {kind for item in types for kind in _KINDS[item]}
    domains = call.services.domains
    if kinds:
        domain = await domains.verify(configuration.domain_id, call.caller.actor, kinds)
    else:
        domain = await domains.by_id(configuration.domain_id)
    status = [{"type": item, "verification": models.verification(domain, item)} for item in dict.fromkeys(types)]
    return answer(call.request, {"status": status})


async def create_user(call: Call) -> Response[Any]:
    """With a password that is told this once, or the clone of a user of another configuration, without."""
    body = await call.json(models.Description)
    configuration = await _configuration(call)
    username = text_parameter(call.request, "username_to_clone", 20)
    users, actor, description = call.api.users, call.caller.actor, body.description or ""
    if username is None:
        made = models.new_smtp_user(
            await users.create(configuration, description, actor=actor), configuration.domain
        )
    else:
        clone = await users.clone(configuration, username, description, actor=actor)
        made = models.new_smtp_user(clone, configuration.domain)
    return answer(call.request, made, 201, {"Cache-Control": "no-store"})


async def list_users(call: Call) -> Response[Any]:
    """SMTPUsersList."""
    offset, limit, search = _asked(call)
    configuration = await _configuration(call)
    page = await call.api.users.list(configuration.id, offset=offset, limit=limit, search=search)
    users = [models.smtp_user(item, configuration.domain) for item in page.items]
    return _page(call, offset, limit, page.total, {"users": users})


async def get_user(call: Call) -> Response[Any]:
    """SMTPUser."""
    configuration = await _configuration(call)
    user = await call.api.users.get(configuration.id, call.parameter("user_id"))
    return answer(call.request, models.smtp_user(user, configuration.domain))


async def update_user(call: Call) -> Response[Any]:
    """The description."""
    body = await call.json(models.Description)
    configuration = await _configuration(call)
    user = await call.api.users.update(
        configuration.id, call.parameter("user_id"), description=body.description, actor=call.caller.actor
    )
    return answer(call.request, models.smtp_user(user, configuration.domain))


async def delete_user(call: Call) -> Response[Any]:
    """Nobody logs in with it any more, unless it has clones."""
    configuration = await _configuration(call)
    await call.api.users.delete(configuration.id, call.parameter("user_id"), actor=call.caller.actor)
    return no_content(call.request)


async def get_allowed_ips(call: Call) -> Response[Any]:
    """The deprecated list, which says so."""
    return _allowed_ips(call, await _configuration(call))


async def update_allowed_ips(call: Call) -> Response[Any]:
    """As IBM's clients up to 0.6.0 set the list; a change begins its last period anew."""
    if not call.settings.legacy_allowlist:
        raise ApiError(400, "allowed subnets are not honoured any more: use access rules")
    body = await call.json(models.Subnets)
    changed = await call.services.configurations.set_allowed_subnets(
        call.project.id, call.parameter("id"), body.subnets, actor=call.caller.actor
    )
    return _allowed_ips(call, changed)


def _allowed_ips(call: Call, configuration: SmtpConfiguration) -> Response[Any]:
    until: Millis | None = None
    # RFC 9745; the end is told as RFC 8594 has it.
    headers = {"Deprecation": f"@{_DEPRECATED_SINCE}"}
    if configuration.allowed_at is not None:
        until = configuration.allowed_at + round(call.settings.legacy_allowlist * SECOND)
        headers["Sunset"] = format_datetime(datetime.fromtimestamp(until // SECOND, UTC), usegmt=True)
    return answer(call.request, models.allowed_ips(configuration, until), headers=headers)


async def get_records(call: Call) -> Response[Any]:
    """Everything to publish for the domain, with what the last checks found. An addition of ours."""
    configuration = await _configuration(call)
    domain = await call.services.domains.by_id(configuration.domain_id)
    language = language_of(call.request)
    records = await call.services.domains.records(domain)
    return answer(
        call.request,
        {
            "domain": domain.name,
            "status": domain.status,
            "reason": domain.reason,
            "records": [models.record(item, language) for item in records],
        },
    )


async def get_questionnaire(call: Call) -> Response[Any]:
    """The answers that an administrator decides by, and the decision. An addition of ours."""
    configuration = await _configuration(call)
    return await _questionnaire(call, await call.services.domains.by_id(configuration.domain_id))


async def put_questionnaire(call: Call) -> Response[Any]:
    """Answers by the id of their question (``domains.questionnaire``). An addition of ours."""
    body = await call.json(dict[str, Any])
    configuration = await _configuration(call)
    domain = await call.services.domains.answer(configuration.domain_id, body, call.caller.actor)
    return await _questionnaire(call, domain)


async def _questionnaire(call: Call, domain: Domain) -> Response[Any]:
    files = await call.services.domains.attachments(domain)
    shape: Mapping[str, Any] = {
        "domain": domain.name,
        "answers": dict(domain.questionnaire),
        "attachments": [{"name": item.name, "media_type": item.media_type, "size": item.size} for item in files],
        "en_authorization": {
            "verification": models.verification(domain, "en_authorization"),
            "reason": domain.approval_reason,
        },
    }
    return answer(call.request, shape)


async def _configuration(call: Call) -> SmtpConfiguration:
    return await call.services.configurations.get(call.project.id, call.parameter("id"))


async def _read(call: Call, configuration: SmtpConfiguration) -> dict[str, Any]:
    domain = await call.services.domains.by_id(configuration.domain_id)
    return models.read(configuration, await _config(call, domain))


async def _config(call: Call, domain: Domain) -> dict[str, Any]:
    return models.smtp_config(domain, await call.services.domains.records(domain))
