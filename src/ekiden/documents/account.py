"""Accounts and what belongs to them: credentials, users of the console, projects, the audit log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from msgspec import UNSET, UnsetType

from ekiden.documents.document import Document, Time, says

if TYPE_CHECKING:
    from ekiden.access import accounts, audit, console_users
    from ekiden.access.credentials import Credential as AnyCredential
    from ekiden.core.states import State
    from ekiden.domains.model import Domain
    from ekiden.senders import projects


class Quota(Document, frozen=True):
    """How many recipients an account may send to; null: as many as it likes."""

    minute: Annotated[int | None, says("limit in each minute")]
    hour: Annotated[int | None, says("limit in each hour")]
    day: Annotated[int | None, says("limit in each day (UTC)")]
    action: Annotated[str, says("what becomes of what is over it: `delay`, `reject`")]


class Account(Document, frozen=True):
    """An account."""

    id: Annotated[int, says("its number in this installation")]
    uid: Annotated[str, says("what other services' clients take for an account id: 32 hexadecimal digits")]
    name: Annotated[str, says("what commands call it")]
    priority: Annotated[str, says("default of its messages: `high`, `standard`, `low`")]
    region: Annotated[str, says("the region that serves it, or empty")]
    senders: Annotated[str, says("`verified`: it sends from its verified domains only; `any`: it relays")]
    quota: Annotated[Quota, says("how many recipients it may send to; null: no limit")]
    reports: Annotated[bool, says("whether its delivery reports are kept to be fetched")]
    suppress_bounces: Annotated[bool, says("whether addresses that bounce for good are suppressed")]
    block_hours: Annotated[int | None, says("for how many hours a hard bounce blocks an address; null: not set")]
    created_at: Annotated[Time, says("when it was made")]
    suspended_at: Annotated[Time | None, says("since when nothing is accepted from it")]

    @classmethod
    def of(cls, account: accounts.Account, **members: Any) -> Self:
        quota, reports = Quota.like(account.quota), account.reports_endpoint is not None
        return cls.like(account, quota=quota, reports=reports, **members)


class QuotaUse(Document, frozen=True):
    """The quota of an account, and what it has used."""

    account: Annotated[str, says("the account's name")]
    minute: Annotated[int | None, says("limit in each minute; null: none")]
    hour: Annotated[int | None, says("limit in each hour")]
    day: Annotated[int | None, says("limit in each day (UTC)")]
    action: Annotated[str, says("what becomes of what is over it: `delay`, `reject`")]
    used: Annotated[dict[str, int], says("recipients in the `minute`, `hour`, `day` of now")]


class Credential(Document, frozen=True):
    """A credential, never with its secret."""

    id: Annotated[int, says("its number, by which commands know it")]
    account: Annotated[str, says("the account's name")]
    kind: Annotated[str, says("`password`, `smtp_user`, `api_key`, `access_key`, `api_user`")]
    name: Annotated[str, says("the user name, or the label of a key")]
    scopes: Annotated[
        tuple[str, ...], says("what it is good for (`send`, `read`, `download`, `manage`); none: all")
    ]
    networks: Annotated[tuple[str, ...], says("where it may be used from; none: anywhere")]
    created_at: Annotated[Time, says("when it was made")]
    last_used_at: Annotated[Time | None, says("when it was last used")]
    revoked_at: Annotated[Time | None, says("since when it is good for nothing")]
    access_key: Annotated[str | UnsetType, says("the id of an access key; other kinds have none")] = UNSET
    time_zone: Annotated[str | UnsetType, says("of times that an API user gives and is told")] = UNSET

    @classmethod
    def of(cls, credential: AnyCredential, account: str, **members: Any) -> Self:
        known = {"access_key": credential.access_key or UNSET, "time_zone": credential.time_zone or UNSET}
        return cls.like(credential, account=account, **known, **members)


class PasswordMade(Credential, frozen=True, kw_only=True):
    """A new password. It is shown this once."""

    username: Annotated[str, says("to log in with")]
    password: Annotated[str | UnsetType, says("unless it was given with `--ask`")] = UNSET


class ApiKeyMade(Credential, frozen=True, kw_only=True):
    """A new API key. It is shown this once."""

    username: Annotated[str, says("to log in with: `App`")]
    api_key: Annotated[str, says("the password of that user name, and the key of HTTP")]


class AccessKeyMade(Credential, frozen=True, kw_only=True):
    """A new access key. Its secret is shown this once."""

    secret: Annotated[str, says("signs requests")]


class ApiUserMade(Credential, frozen=True, kw_only=True):
    """A new API user, or a new key of one. It is shown this once."""

    api_user: Annotated[str, says("its id")]
    api_key: Annotated[str | UnsetType, says("unless it was given with `--ask`")] = UNSET


class SignedRequest(Document, frozen=True):
    """What shows who sends a request."""

    method: Annotated[str, says("in upper case")]
    target: Annotated[str, says("path and query that are signed")]
    headers: Annotated[dict[str, str], says("header fields by name")]
    curl: Annotated[str | None, says("a command line; null: no URL was given")]


class AccountDomain(Document, frozen=True):
    """A domain of an account in short."""

    name: Annotated[str, says("in A-labels")]
    status: Annotated[str, says("`pending`, `verified`, `failed`, `suspended`")]
    created_at: Annotated[Time, says("when it was added")]
    verified_at: Annotated[Time | None, says("when it last became usable")]


class AccountDetails(Account, frozen=True):
    """An account with what belongs to it."""

    credentials: Annotated[list[Credential], says("its credentials, revoked ones, too")]
    domains: Annotated[list[AccountDomain], says("its domains")]
    queue: Annotated[dict[str, int], says("how many of its deliveries are in the queue, by state")]

    @classmethod
    def with_all(
        cls,
        account: accounts.Account,
        owned: Iterable[AnyCredential],
        domains: Iterable[Domain],
        queue: Mapping[State, int],
    ) -> Self:
        return cls.of(
            account,
            credentials=[Credential.of(item, account.name) for item in owned],
            domains=[AccountDomain.like(item) for item in domains],
            queue=by_state(queue),
        )


def by_state(counts: Mapping[State, int]) -> dict[str, int]:
    """Counts by the names of states, in their order."""
    return {state.name.lower(): count for state, count in sorted(counts.items())}


class ConsoleUser(Document, frozen=True):
    """A user of the console."""

    id: Annotated[int, says("its number in this installation")]
    account: Annotated[str, says("the account's name")]
    login: Annotated[str, says("an e-mail address")]
    role: Annotated[str, says("`owner`, `admin`, `operator`, `viewer`")]
    created_at: Annotated[Time, says("when it was made")]
    last_used_at: Annotated[Time | None, says("when it last logged in")]
    revoked_at: Annotated[Time | None, says("since when it cannot log in any more")]
    password: Annotated[str | UnsetType, says("where one was made; it is shown this once")] = UNSET

    @classmethod
    def of(cls, user: console_users.ConsoleUser, account: str, password: str = "") -> Self:
        return cls.like(user, account=account, password=password or UNSET)


class Project(Document, frozen=True):
    """A project of an account."""

    id: Annotated[str, says("what clients give as the instance id")]
    account: Annotated[str, says("the account's name")]
    name: Annotated[str, says("for people")]
    region: Annotated[str, says("the region that serves it, or empty")]
    created_at: Annotated[Time, says("when it was made")]

    @classmethod
    def of(cls, project: projects.Project, account: str) -> Self:
        return cls.like(project, id=project.uid, account=account)


class AuditEntry(Document, frozen=True):
    """A change to an account, or to what belongs to it."""

    id: Annotated[int, says("its number")]
    at: Annotated[Time, says("when it was made")]
    account: Annotated[str, says("the account's name; empty: it concerns the installation")]
    actor: Annotated[str, says("who made it")]
    source: Annotated[str, says("the IP address that it came from; empty: this machine")]
    action: Annotated[str, says("what was done, such as `account.create`")]
    target: Annotated[str, says("what it was done to")]
    data: Annotated[dict[str, Any], says("details, which depend on the action")]

    @classmethod
    def of(cls, entry: audit.Entry, account: str) -> Self:
        return cls.like(entry, account=account)
