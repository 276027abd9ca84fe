"""The shapes of SMTP configurations and their users on the wire, as contract §2.2 has them: never a null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from ekiden.core.clock import Millis
from ekiden.dialects.ibm.http import timestamp
from ekiden.domains.model import Domain, Record
from ekiden.senders.smtp_configurations import SmtpConfiguration
from ekiden.senders.smtp_users import NewSmtpUser, SmtpUser

Verification = Literal["PENDING", "SUCCESSFUL", "FAILED"]
"""IBM publishes no list of values; these are this dialect's (contract §2.4)."""
_OF_PROOF: Final[dict[str, Verification]] = {
    "pending": "PENDING",
    "successful": "SUCCESSFUL",
    "failed": "FAILED",
}
_OF_APPROVAL: Final[dict[str, Verification]] = {
    "none": "SUCCESSFUL",  # nobody has to agree
    "pending": "PENDING",
    "approved": "SUCCESSFUL",
    "refused": "FAILED",
}
VERIFICATION_TYPES: Final = ("spf", "dkim", "en_authorization")


_Text = Annotated[str, msgspec.Meta(max_length=1_000)]
"""Longer than any may be (contract §2.2); how long each may be is said by the service that keeps it."""


class NewConfiguration(msgspec.Struct):
    """Body of POST /smtp/config."""

    name: _Text
    domain: _Text
    description: _Text = ""


class ChangedText(msgspec.Struct):
    """Body of PATCH /smtp/config/{id}: what is not there stays."""

    name: _Text | None = None
    description: _Text | None = None


class Description(msgspec.Struct):
    """Body of POST and PATCH of users; without it a new user has an empty one, and an old one keeps its."""

    description: _Text | None = None


class Subnets(msgspec.Struct):
    """Body of PATCH /smtp/config/{id}/allowed_ips."""

    subnets: Annotated[list[_Text], msgspec.Meta(max_length=1_000)]


def verification(domain: Domain, kind: str) -> Verification:
    """How far ``spf``, ``dkim`` or ``en_authorization`` is; nothing is missing where an operator vouches."""
    if domain.vouched and domain.usable:
        return "SUCCESSFUL"
    if kind == "en_authorization":
        return _OF_APPROVAL[domain.approval]
    return _OF_PROOF[domain.spf if kind == "spf" else domain.dkim]


def smtp_config(domain: Domain, records: Sequence[Record]) -> dict[str, Any]:
    """SMTPConfig: what to publish, and how far each verification is."""
    found: dict[str, Any] = {}
    for kind in ("dkim", "spf"):
        found[kind] = {"verification": verification(domain, kind)}
        # While keys change there are several for DKIM: the newest is the one to publish.
        published = [item for item in records if item.kind == kind and item.status != "retired"]
        if published:
            found[kind] = {"txt_name": published[-1].name, "txt_value": published[-1].value, **found[kind]}
    found["en_authorization"] = {"verification": verification(domain, "en_authorization")}
    return found


def created(configuration: SmtpConfiguration, config: dict[str, Any]) -> dict[str, Any]:
    """SMTPCreateResponse."""
    return {**_configuration(configuration, config), "created_at": timestamp(configuration.created_at)}


def read(configuration: SmtpConfiguration, config: dict[str, Any]) -> dict[str, Any]:
    """SMTPConfiguration."""
    return {**_configuration(configuration, config), "updated_at": timestamp(configuration.updated_at)}


def _configuration(configuration: SmtpConfiguration, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": configuration.id,
        "name": configuration.name,
        "description": configuration.description,
        "domain": configuration.domain,
        "config": config,
    }


def smtp_user(user: SmtpUser, domain: str) -> dict[str, Any]:
    """SMTPUser."""
    return {**new_smtp_user(user, domain), "updated_at": timestamp(user.updated_at)}


def new_smtp_user(made: SmtpUser | NewSmtpUser, domain: str) -> dict[str, Any]:
    """SMTPUserResponse: the one place where the password is told; a clone has none to tell."""
    user = made.user if isinstance(made, NewSmtpUser) else made
    shape = {
        "id": user.id,
        "smtp_config_id": user.configuration_id,
        "description": user.description,
        "domain": domain,
        "username": user.username,
        "created_at": timestamp(user.created_at),
    }
    if isinstance(made, NewSmtpUser):
        shape["password"] = made.password
    return shape


def allowed_ips(configuration: SmtpConfiguration, until: Millis | None) -> dict[str, Any]:
    """SMTPAllowedIPs, and that its time is ending."""
    shape: dict[str, Any] = {
        "subnets": list(configuration.allowed_subnets),
        "updated_at": timestamp(configuration.allowed_at or configuration.updated_at),
        "deprecated": True,
    }
    if until is not None:
        shape["honoured_until"] = timestamp(until)
    return shape


def record(item: Record, language: Literal["en", "ja"]) -> dict[str, Any]:
    """A record to publish, with the outcome of its last check and what to do about it."""
    shape: dict[str, Any] = {
        "kind": item.kind,
        "name": item.name,
        "type": item.type,
        "value": item.value,
        "required": item.required,
        "status": item.status,
        "reason": item.why,
    }
    if item.check is not None:
        shape |= {
            "message": item.check.text(language),
            "advice": item.check.advice(language),
            "answers": list(item.check.answered),
            "checked_at": timestamp(item.check.at),
        }
    if item.until is not None:
        shape["needed_until"] = timestamp(item.until)
    return shape
