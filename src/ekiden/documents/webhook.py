"""Settings of webhooks: as they were saved, and as they have effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from ekiden.core.display import iso
from ekiden.documents.document import Document, Time, says

if TYPE_CHECKING:
    from ekiden.notify.staged_settings import Difference, Setting, Version


class SettingDifference(Document, frozen=True):
    """A field whose effect is not what was saved."""

    kind: Annotated[str, says("`event` or `inbound`")]
    name: Annotated[str, says("of an inbound route; else empty")]
    field: Annotated[str, says("its name")]
    applied: Annotated[Any, says("what has effect; null: nothing")]
    saved: Annotated[Any, says("what was saved; null: nothing")]
    secret: Annotated[bool, says("it is a secret, so that only this is told of it")]

    @classmethod
    def of(cls, item: Difference) -> Self:
        return cls.like(item)


class SettingsState(Document, frozen=True):
    """Whether the settings of an account's webhooks have effect as they were saved."""

    account: Annotated[str, says("the account's name")]
    state: Annotated[str, says("`applied`, or `changed`: something was saved and not applied")]
    differences: Annotated[list[SettingDifference], says("what `cmc apply` changes, or has just changed")]

    @classmethod
    def of(cls, differences: Sequence[Difference], account: str, *, changed: bool) -> Self:
        return cls(
            account, "changed" if changed else "applied", [SettingDifference.of(item) for item in differences]
        )


class EventWebhook(Document, frozen=True):
    """The settings of an event webhook."""

    url: Annotated[str, says("where events are sent to")]
    bounces: Annotated[bool, says("whether bounces are told")]
    deliveries: Annotated[bool, says("whether deliveries are told")]
    blocks: Annotated[bool, says("whether blocks are told")]
    version: Annotated[int, says("of the events: 1 or 2")]
    timezone: Annotated[str, says("of their times")]
    format: Annotated[str, says("`form` or `json`")]
    basic_user: Annotated[str, says("user name of BASIC authentication; empty: there is none")]
    password: Annotated[bool, says("whether there is a password for it")]
    api_key: Annotated[bool, says("whether there is an API key")]
    bearer: Annotated[bool, says("the key is sent as Authorization: Bearer, not in the body")]
    interval: Annotated[int, says("seconds for which events gather")]
    max: Annotated[int, says("events in a request, at most")]
    timeout: Annotated[int, says("seconds that an answer may take")]
    revision: Annotated[int, says("counts what was saved")]
    at: Annotated[Time | None, says("when it was saved, or took effect")]
    by: Annotated[str, says("who did it")]

    @classmethod
    def of(cls, item: Version) -> Self | None:
        if item.document is None:
            return None
        return cls(
            **item.document,
            password="password" in item.secrets,
            api_key="api_key" in item.secrets,
            revision=item.revision,
            at=iso(item.at),
            by=item.by,
        )


class EventWebhookState(Document, frozen=True):
    """The event webhook of an account."""

    account: Annotated[str, says("the account's name")]
    saved: Annotated[EventWebhook | None, says("as it was saved; null: it never was")]
    applied: Annotated[EventWebhook | None, says("as it has effect; null: it has none")]
    differences: Annotated[list[SettingDifference], says("what `cmc apply` changes")]

    @classmethod
    def of(cls, item: Setting | None, account: str) -> Self:
        if item is None:
            return cls(account, None, None, [])
        differences = [SettingDifference.of(each) for each in item.differences]
        return cls(account, EventWebhook.of(item.saved), EventWebhook.of(item.applied), differences)


class WebhookCondition(Document, frozen=True):
    """What a mail has to meet."""

    header: Annotated[str, says("a header field; `To` is the envelope's recipient")]
    pattern: Annotated[str, says("what is found in it (RE2)")]


class InboundWebhook(Document, frozen=True):
    """The settings of an inbound webhook."""

    target: Annotated[str, says("`https`: an application")]
    url: Annotated[str, says("where mail is sent to")]
    conditions: Annotated[list[WebhookCondition], says("all of which must be met")]
    format: Annotated[str, says("`multipart` or `json`")]
    basic_user: Annotated[str, says("user name of BASIC authentication; empty: there is none")]
    password: Annotated[bool, says("whether there is a password for it")]
    api_key: Annotated[bool, says("whether there is an API key")]
    bearer: Annotated[bool, says("the key is sent as Authorization: Bearer, not in the body")]
    retry_interval: Annotated[int, says("seconds between two requests that fail")]
    retry_days: Annotated[int, says("days after which a mail is given up")]
    timeout: Annotated[int, says("seconds that an answer may take")]
    paused: Annotated[bool, says("nothing is sent, and what comes in waits")]
    revision: Annotated[int, says("counts what was saved")]
    at: Annotated[Time | None, says("when it was saved, or took effect")]
    by: Annotated[str, says("who did it")]

    @classmethod
    def of(cls, item: Version) -> Self | None:
        if item.document is None:
            return None
        conditions = [WebhookCondition(**each) for each in item.document["conditions"]]
        return cls(
            **{**item.document, "conditions": conditions},
            password="password" in item.secrets,
            api_key="api_key" in item.secrets,
            revision=item.revision,
            at=iso(item.at),
            by=item.by,
        )


class InboundWebhookState(Document, frozen=True):
    """An inbound webhook of an account."""

    account: Annotated[str, says("the account's name")]
    name: Annotated[str, says("its name, which the application is told as `filter`")]
    saved: Annotated[InboundWebhook | None, says("as it was saved; null: it is to be removed")]
    applied: Annotated[InboundWebhook | None, says("as it has effect; null: it has none")]
    differences: Annotated[list[SettingDifference], says("what `cmc apply` changes")]

    @classmethod
    def of(cls, item: Setting | None, account: str, name: str) -> Self:
        if item is None:
            return cls(account, name, None, None, [])
        differences = [SettingDifference.of(each) for each in item.differences]
        return cls(account, name, InboundWebhook.of(item.saved), InboundWebhook.of(item.applied), differences)
