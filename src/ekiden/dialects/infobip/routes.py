"""Which operation answers which request (contract §2 to §4), and in which envelope it tells of errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from litestar.types import Method

from ekiden.access.credential_scopes import SEND
from ekiden.dialects.infobip.call import InfobipApi
from ekiden.dialects.infobip.errors import handle_content, handle_legacy, handle_platform
from ekiden.dialects.infobip.form_reader import FORM
from ekiden.dialects.infobip.operations import (
    bulks,
    content,
    domains,
    logs,
    reports,
    send_form,
    send_json,
    send_mime,
    sessions,
    suppressions,
    templates,
    validations,
)
from ekiden.web.need import NO_BODY, Need
from ekiden.web.operation import Answer, Operation, changes, reads

if TYPE_CHECKING:
    from ekiden.dialects.infobip.config import InfobipConfig
    from ekiden.web.platform import Platform


def _template(method: Method, path: str, answer: Answer, need: Need = FORM) -> Operation:
    path = templates.PATH + path
    if method == "GET":
        return reads(path, answer, "template_reads")
    return changes(method, path, answer, "template_writes", need)


def _send(path: str, answer: Answer, need: Callable[[InfobipConfig], Need]) -> Operation:
    return Operation("POST", path, answer, SEND, need, "sends")


def _suppressions(method: Method, answer: Answer) -> Operation:
    return changes(method, _SUPPRESSIONS, answer, "suppressions", suppressions.LISTS, much=True)


_DOMAIN: Final = "/email/1/domains/{domain:str}"
_SUPPRESSIONS: Final = "/email/1/suppressions"
_TEMPLATE: Final = "/{template:str}"
_ATTACHMENTS: Final = f"{_TEMPLATE}/attachments"
_ATTACHMENT: Final = f"{_ATTACHMENTS}/{{attachment:str}}"

OPERATIONS: Final = (
    _send("/email/1/send", send_form.send, send_form.need),
    _send("/email/2/send", send_form.send_v2, send_form.need),
    _send("/email/3/send", send_form.send, send_form.need),
    _send("/email/4/messages", send_json.send, send_json.need),
    _send("/email/4/mime", send_mime.send, send_mime.need),
    Operation("POST", "/email/1/content", content.upload, SEND, content.FILE, "uploads"),
    reads("/email/1/reports", reports.reports, "reports"),
    reads("/email/4/reports", reports.reports_v4, "reports_v4"),
    reads("/email/1/logs", logs.logs, "logs"),
    reads("/email/4/logs", logs.logs_v4, "logs_v4"),
    reads("/email/1/bulks", bulks.get_schedule, "bulks"),
    changes("PUT", "/email/1/bulks", bulks.reschedule, "bulks", much=True),
    reads("/email/1/bulks/status", bulks.get_status, "bulks"),
    changes("PUT", "/email/1/bulks/status", bulks.update_status, "bulks", much=True),
    changes("POST", "/email/2/validation", validations.validate, "validations"),
    changes(
        "POST",
        "/email/2/validations",
        validations.validate_many,
        "bulk_validations",
        validations.MANY,
    ),
    reads("/email/2/validations", validations.results, "bulk_validations"),
    reads("/email/1/domains", domains.list_domains, "domains"),
    changes("POST", "/email/1/domains", domains.add_domain, "domains"),
    reads(_DOMAIN, domains.get_domain, "domains"),
    changes("DELETE", _DOMAIN, domains.delete_domain, "domains", NO_BODY),
    changes("PUT", f"{_DOMAIN}/tracking", domains.update_tracking, "domains"),
    changes("PUT", f"{_DOMAIN}/return-path", domains.update_return_path, "domains"),
    changes("POST", f"{_DOMAIN}/verify", domains.verify_domain, "domains", NO_BODY),
    reads(_SUPPRESSIONS, suppressions.list_suppressions, "suppressions"),
    _suppressions("POST", suppressions.add_suppressions),
    _suppressions("DELETE", suppressions.delete_suppressions),
    reads(f"{_SUPPRESSIONS}/domains", suppressions.list_domains, "suppressions"),
    _template("GET", "", templates.list_templates),
    _template("POST", "", templates.create_template),
    _template("GET", _TEMPLATE, templates.get_template),
    _template("PUT", _TEMPLATE, templates.replace_template),
    _template("PATCH", _TEMPLATE, templates.patch_template),
    _template("DELETE", _TEMPLATE, templates.delete_template, NO_BODY),
    _template("POST", f"{_TEMPLATE}/preview", templates.preview, templates.PREVIEW),
    _template("GET", _ATTACHMENTS, templates.list_attachments),
    _template("POST", _ATTACHMENTS, templates.add_attachment),
    _template("DELETE", _ATTACHMENT, templates.delete_attachment, NO_BODY),
    _template("GET", f"{_ATTACHMENT}/download", templates.download_attachment),
)


ENVELOPES: Final = {
    "/auth/1": handle_legacy,
    "/email": handle_legacy,
    "/email/1/content": handle_content,
    "/email/1/suppressions": handle_platform,
    templates.PATH: handle_platform,
    # Nothing answers there: nobody has addresses of his own to manage here (contract §4.5).
    "/email/1/ip-management": handle_platform,
    "/email/2/validations": handle_platform,
    "/email/4": handle_platform,
    "/email/4/mime": handle_legacy,
}


def infobip_api(services: Platform, settings: InfobipConfig) -> InfobipApi:
    """``web.dialect.Dialect.api``."""
    return InfobipApi(services, settings, (*OPERATIONS, *sessions.OPERATIONS), ENVELOPES)
