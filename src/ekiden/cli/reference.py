"""What commands print with ``--json``, as ``docs/cli.md`` has it: ``python -m ekiden.cli.reference`` writes it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from ekiden.documents import (
    account,
    callback,
    domain,
    inbound,
    installation,
    message,
    network,
    queue,
    recipient,
    sending,
    webhook,
)
from ekiden.documents.document import Document


class Printed(NamedTuple):
    """Who prints a document, and who a list of it: ``queue: hold, cancel`` are two commands, several with ``;``."""

    document: type[Document]
    by: str = ""
    listed_by: str = ""

    def commands(self) -> list[str]:
        return _commands(self.by)

    def lists(self) -> list[str]:
        return _commands(self.listed_by)


def _commands(text: str) -> list[str]:
    found = []
    for part in text.split("; "):
        group, _, names = part.rpartition(": ")
        found += [f"{group} {name}".strip() for name in names.split(", ") if name]
    return found


_CHANGES: Final = "add, show, verify, rotate, tracking, return-path, bounces, answer, approve, refuse"
PRINTED: Final = (
    Printed(installation.Files, "init"),
    Printed(installation.Serving, "serve"),
    Printed(installation.ServiceUnit, "service: print"),
    Printed(installation.DemoFacts, "demo"),
    Printed(
        account.Account,
        "account: create, suspend, resume, set-priority, set-senders, set-region, reporting, block-period",
        "account: list",
    ),
    Printed(account.AccountDetails, "account: show"),
    Printed(account.QuotaUse, "account: quota"),
    Printed(
        account.Credential,
        "credential: bound, revoke; credential password: revoke; credential api-key: revoke; "
        "credential access-key: revoke; credential api-user: revoke, timezone",
        "credential: list; credential password: list; credential api-key: list; credential access-key: list; "
        "credential api-user: list",
    ),
    Printed(account.PasswordMade, "credential password: create"),
    Printed(account.ApiKeyMade, "credential api-key: create"),
    Printed(account.AccessKeyMade, "credential access-key: create"),
    Printed(account.ApiUserMade, "credential api-user: create"),
    Printed(account.SignedRequest, "sign"),
    Printed(account.ConsoleUser, "user: add, set-role, set-password, remove", "user: list"),
    Printed(account.Project, "project: add", "project: list"),
    Printed(account.AuditEntry, "", "audit: list"),
    Printed(domain.Domain, "domain: remove", "domain: list"),
    Printed(domain.DomainDetails, f"domain: {_CHANGES}"),
    Printed(network.Zone, "zone: add, show, remove", "zone: list"),
    Printed(network.Rule, "rule: add, show, remove, enable, disable", "rule: list"),
    Printed(network.RuleTest, "rule: test"),
    Printed(recipient.Suppression, "", "suppression: list"),
    Printed(recipient.SuppressionChange, "suppression: add, remove"),
    Printed(recipient.LandingPage, "landing-page: add, show, remove", "landing-page: list"),
    Printed(sending.Sent, "send"),
    Printed(sending.MailRequest, "bulk: confirm, reject, cancel", "bulk: list"),
    Printed(queue.QueuedDelivery, "", "queue: list"),
    Printed(queue.Shape, "queue: shape"),
    Printed(queue.QueueChange, "queue: retry, hold, release, cancel"),
    Printed(message.Message, "queue: show"),
    Printed(message.Trace, "trace"),
    Printed(message.Refusal, "trace", "trace: --refused"),
    Printed(inbound.ReceivedMailDetails, "trace; inbound: show"),
    Printed(inbound.ReceivedMail, "", "inbound: list"),
    Printed(message.Found, "find"),
    Printed(callback.Endpoint, "", "callback: list"),
    Printed(callback.Request, "", "callback: log"),
    Printed(callback.DeadLetter, "", "callback: dead"),
    Printed(callback.Again, "callback: retry, replay"),
    Printed(inbound.Classified, "inbound: classify"),
    Printed(inbound.InboundDomain, "inbound domain: add, remove", "inbound domain: list"),
    Printed(webhook.EventWebhookState, "cmc event: set, show"),
    Printed(webhook.InboundWebhookState, "cmc inbound: add, pause, resume, remove", "cmc inbound: list"),
    Printed(webhook.SettingsState, "cmc: status, apply"),
    Printed(installation.Health, "doctor"),
    Printed(installation.DatabaseUpgrade, "db: upgrade"),
    Printed(installation.DatabaseStatus, "db: status"),
    Printed(installation.DatabaseKey, "db: key"),
)
"""``trace`` prints a ``Refusal`` or ``ReceivedMailDetails`` when the id is that of one."""


def write_reference() -> str:
    """A table of members for each document, in Markdown, and of those within them where they first are."""
    lines: list[str] = []
    told: set[type] = set()
    for printed in PRINTED:
        by = ", ".join(f"`{name}`" for name in printed.commands())
        lists = ", ".join(f"`{name}`" for name in printed.lists())
        if by and lists:
            by += f"; a list of them by {lists}"
        _write(
            printed.document, f"Printed by {by}." if by else f"A list of them is printed by {lists}.", lines, told
        )
    return "\n".join(lines).strip() + "\n"


def _write(document: Any, where: str, lines: list[str], told: set[type]) -> None:
    told.add(document)
    base = document.__base__
    lines += ["", f"### {document.__name__}", "", f"{inspect.cleandoc(document.__doc__)} {where}".strip()]
    if base is not Document:
        lines[-1] += f" All of [{base.__name__}](#{base.__name__.lower()}), and:"
    lines += ["", "| key | value | meaning |", "| --- | --- | --- |"]
    kind = msgspec.inspect.type_info(document)
    assert isinstance(kind, msgspec.inspect.StructType)
    inner: list[type] = []
    for member in kind.fields:
        inner += _structs(member.type)
        if base is Document or member.name in inspect.get_annotations(document):
            meta = member.type
            assert isinstance(meta, msgspec.inspect.Metadata), f"{document.__name__}.{member.name}"
            missing = "" if member.required else "; or missing"
            meaning = (meta.extra_json_schema or {})["description"]
            lines.append(f"| `{member.name}` | {_kind(meta)}{missing} | {meaning} |")
    for struct in inner:
        if struct not in told and all(struct is not printed.document for printed in PRINTED):
            _write(struct, "", lines, told)


def _structs(kind: Any) -> Iterator[type]:
    """Those of which a value of that type is made."""
    if isinstance(kind, msgspec.inspect.StructType):
        yield kind.cls
    for name in ("type", "types", "item_type", "value_type"):
        found = getattr(kind, name, ())
        for part in found if isinstance(found, tuple) else (found,):
            yield from _structs(part)


_KINDS: Final[Mapping[Any, str]] = {
    msgspec.inspect.StrType: "text",
    msgspec.inspect.IntType: "whole number",
    msgspec.inspect.FloatType: "number",
    msgspec.inspect.BoolType: "true or false",
    msgspec.inspect.NoneType: "null",
    msgspec.inspect.DictType: "object",
    msgspec.inspect.AnyType: "any value",
}


def _kind(kind: Any) -> str:
    match kind:
        case msgspec.inspect.Metadata(extra_json_schema={"format": "date-time"}):
            return "time"
        case msgspec.inspect.Metadata():
            return _kind(kind.type)
        case msgspec.inspect.StructType():
            return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
        case msgspec.inspect.UnionType():
            return " or ".join(_kind(item) for item in kind.types)
        case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
            return f"list of: {_kind(kind.item_type)}"
        case msgspec.inspect.TupleType():
            return f"[{', '.join(map(_kind, kind.item_types))}]"
    return _KINDS[type(kind)]


if __name__ == "__main__":
    print(write_reference(), end="")
