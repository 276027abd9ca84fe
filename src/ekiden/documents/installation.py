"""The installation: its files, its processes, its database, and what the doctor finds."""

from __future__ import annotations

from typing import Annotated

from ekiden.documents.document import Document, Time, says

Address = tuple[str, int]
_KEY_STATES = "`fits`, `unbound` (the database has no key yet), `other`, `unreadable`"


class Files(Document, frozen=True):
    """The files of a new installation."""

    config: Annotated[str, says("path of the configuration")]
    instance_key: Annotated[str, says("path of the instance key")]
    certificate: Annotated[str, says("path of the self-signed certificate")]
    certificate_key: Annotated[str, says("path of its private key")]


class Serving(Document, frozen=True):
    """Where it listens, once everything is ready."""

    smtp: Annotated[dict[str, list[Address]], says("[host, port] of each address, by listener")]
    http: Annotated[list[str], says("URLs")]
    monitoring: Annotated[list[str], says("URLs of health and metrics")]
    pid: Annotated[int, says("of the supervisor")]


class ServiceUnit(Document, frozen=True):
    """A service of the system."""

    unit: Annotated[str, says("the unit of systemd")]
    user: Annotated[str, says("whom it runs as")]
    command: Annotated[str, says("the program")]


class DemoSmtp(Document, frozen=True):
    """Where the demo listens for SMTP."""

    plain: Annotated[Address, says("[host, port], without TLS and login")]
    starttls: Annotated[Address, says("with STARTTLS")]
    tls: Annotated[Address, says("with TLS from the start")]
    private: Annotated[Address, says("with STARTTLS; its endpoint is private")]
    reception: Annotated[Address, says("where other servers deliver; with STARTTLS")]


class DemoAccessKey(Document, frozen=True):
    """An access key of the demo's account."""

    access_key: Annotated[str, says("its id")]
    secret_key: Annotated[str, says("what it signs with")]


class DemoApiUser(Document, frozen=True):
    """An API user of the demo's account."""

    api_user: Annotated[str, says("its id")]
    api_key: Annotated[str, says("its key")]
    server_composition: Annotated[str, says("the server configuration that its requests name")]


class DemoAccount(Document, frozen=True):
    """The account of the demo."""

    name: Annotated[str, says("of the account")]
    username: Annotated[str, says("to log in with")]
    password: Annotated[str, says("to log in with")]
    api_key: Annotated[str, says("for the user name `App`, and for clients that show an API key")]
    domain: Annotated[str, says("that it may send from")]
    instance_id: Annotated[str, says("of its project, for clients that ask for an instance")]
    iam_apikey: Annotated[str, says("of its project, to get bearer tokens with")]
    naver: Annotated[DemoAccessKey, says("for clients of NAVER Cloud Outbound Mailer")] = DemoAccessKey("", "")
    cmc: Annotated[DemoApiUser, says("for clients of Customers Mail Cloud")] = DemoApiUser("", "", "")
    return_path_domain: Annotated[str, says("to which bounces of its mail come")] = ""
    inbound_domain: Annotated[str, says("whose mail it receives, as its routes want it")] = ""


class DemoFacts(Document, frozen=True):
    """Where everything is, once it is ready. Nothing is sent then."""

    smtp: Annotated[DemoSmtp, says("where it listens for SMTP")]
    http: Annotated[str, says("URL of APIs, health and metrics")]
    naver: Annotated[str, says("base URL of NAVER Cloud Outbound Mailer, up to and including `/api/v1`")]
    cmc: Annotated[str, says("base URL of Customers Mail Cloud: its host, in the place of all of them")]
    lab: Annotated[str, says("URL of the lab's API")]
    lab_http: Annotated[str, says("URL of its receiver of callbacks")]
    ca: Annotated[str, says("path of the certificate to trust")]
    account: Annotated[DemoAccount, says("an account to try it with")]
    trace: Annotated[str, says("a command line; put an id for `{id}`")]
    config: Annotated[str, says("path of the configuration")]
    log: Annotated[str, says("path of the log")]


class DatabaseUpgrade(Document, frozen=True):
    """What an upgrade came to."""

    before: Annotated[str | None, says("revision; null: no tables")]
    after: Annotated[str | None, says("revision")]
    head: Annotated[str, says("the revision that this Ekiden needs")]
    needed: Annotated[bool, says("whether an upgrade was")]
    changed: Annotated[bool, says("whether there was one")]
    instance_key: Annotated[str | None, says(f"{_KEY_STATES}; null: not looked at")]


class DatabaseKey(Document, frozen=True):
    """Whether the instance key is that of the database."""

    path: Annotated[str, says("of the key")]
    state: Annotated[str, says(_KEY_STATES)]
    fingerprint: Annotated[str | None, says("of this key")]
    wanted: Annotated[str | None, says("of the database's")]
    bound_at: Annotated[Time | None, says("since when the database has it")]
    opened: Annotated[
        dict[str, int] | None, says("how many secrets the key opens: `dkim_keys`, `access_keys`, `endpoints`")
    ]
    closed: Annotated[dict[str, int] | None, says("how many it does not")]
    renewed: Annotated[list[str], says("domains that got new DKIM keys")]


class DatabaseStatus(Document, frozen=True):
    """What the database is, and what is in it."""

    url: Annotated[str, says("without its password")]
    engine: Annotated[str, says("`sqlite`, `postgresql`")]
    revision: Annotated[str | None, says("of its tables; null: none")]
    head: Annotated[str, says("the revision that this Ekiden needs")]
    state: Annotated[str, says("`current`, `outdated`, `empty`, `newer`")]
    bytes: Annotated[int | None, says("octets on the disk")]
    queue: Annotated[dict[str, int] | None, says("how many deliveries are in the queue, by state")]
    workers: Annotated[int | None, says("living ones")]


class Finding(Document, frozen=True):
    """What a check of the doctor found."""

    check: Annotated[str, says("names the check")]
    level: Annotated[str, says("`ok`, `warn`, `fail`")]
    title: Annotated[str, says("what was looked at, in the reader's language")]
    what: Annotated[str, says("what was found, in the reader's language")]
    fix: Annotated[str, says("what to do, in the reader's language, or empty")]


class Health(Document, frozen=True):
    """What the doctor found."""

    healthy: Annotated[bool, says("whether mail can flow")]
    findings: Annotated[list[Finding], says("of each check")]
