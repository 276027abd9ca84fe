"""The whole configuration: sections of this package, composed with those that the other rooms define.

What each key means is in ``config.help``, which ``ekiden init`` and ``docs/configuration.md`` are written
from. Reading and checking is ``config.load``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

from ekiden.access.config import AccessConfig
from ekiden.core.duration import Duration
from ekiden.delivery.config import DeliveryConfig
from ekiden.dns.config import DnsConfig
from ekiden.domains.config import DomainsConfig
from ekiden.domains.names import return_path_host
from ekiden.inbound.config import InboundConfig
from ekiden.intake.config import TrackingConfig
from ekiden.limits.journal import BURST
from ekiden.listeners.http_config import HttpConfig
from ekiden.listeners.smtp_config import MAX_MESSAGE, MAX_RECIPIENTS, SmtpConfig
from ekiden.networks.config import NetworkConfig
from ekiden.notify.config import CallbacksConfig
from ekiden.senders.config import RegionConfig
from ekiden.store.retention import RetentionConfig
from ekiden.web.dialect import Dialect

T = TypeVar("T", bound=msgspec.Struct)

Role = Literal["smtp", "inbound", "http", "delivery", "notify", "housekeeping"]
Mode = Literal["starttls", "tls", "plain", "inbound"]
LineLevel = Literal["off", "debug", "info", "warning", "error"]
ALL_ROLES: tuple[Role, ...] = get_args(Role)

_Positive = Annotated[int, msgspec.Meta(ge=1)]


class StoreConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str = "sqlite:///ekiden.db"


class WorkersConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    count: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    roles: tuple[Role, ...] = ALL_ROLES
    lease: Annotated[Duration, msgspec.Meta(ge=1, extra={"unit": "duration"})] = 15.0
    drain_timeout: Duration = 30.0
    hang_timeout: Annotated[Duration, msgspec.Meta(ge=1, extra={"unit": "duration"})] = 8.0
    memory: Annotated[int, msgspec.Meta(ge=0)] = 0


class CertificateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    certificate: str
    key: str


class ListenerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    addresses: tuple[str, ...]
    mode: Mode = "starttls"
    region: str = ""
    endpoint: Literal["public", "private"] = "public"
    certificates: tuple[CertificateConfig, ...] = ()
    proxy_from: tuple[str, ...] = ()
    trusted_networks: tuple[str, ...] = ()
    trusted_account: str = ""
    restricted: bool = False
    max_size: Annotated[int, msgspec.Meta(ge=0, le=MAX_MESSAGE)] = 0
    max_recipients: Annotated[int, msgspec.Meta(ge=0, le=MAX_RECIPIENTS)] = 0


class IntakeSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    show_client: bool = True
    max_received: _Positive = 100
    carrier_addresses: bool = True
    short_lines: bool = True
    seven_bit: bool = True
    max_header: Annotated[int, msgspec.Meta(ge=4_096, le=1_048_576)] = 262_144
    max_header_fields: Annotated[int, msgspec.Meta(ge=100, le=10_000)] = 1_000
    max_header_field: Annotated[int, msgspec.Meta(ge=998, le=262_144)] = 65_536


class LabConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    enabled: bool = False


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"
    file: str = ""
    accepted: LineLevel = "info"
    delivered: LineLevel = "info"
    failed: LineLevel = "info"
    refused: LineLevel = "info"
    logins: LineLevel = "info"
    requests: LineLevel = "debug"
    sample: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    burst: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = BURST


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything but the sections of dialects (``config_type``). Paths are absolute once ``load_config`` has
    returned."""

    hostname: str = ""
    data_dir: str = "."
    store: StoreConfig = StoreConfig()
    workers: WorkersConfig = WorkersConfig()
    listeners: tuple[ListenerConfig, ...] = ()
    smtp: SmtpConfig = SmtpConfig()
    intake: IntakeSection = IntakeSection()
    inbound: InboundConfig = InboundConfig()
    http: HttpConfig = HttpConfig()
    access: AccessConfig = AccessConfig()
    networks: NetworkConfig = NetworkConfig()
    regions: tuple[RegionConfig, ...] = ()
    domains: DomainsConfig = DomainsConfig()
    tracking: TrackingConfig = TrackingConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    callbacks: CallbacksConfig = CallbacksConfig()
    dns: DnsConfig = DnsConfig()
    retention: RetentionConfig = RetentionConfig()
    lab: LabConfig = LabConfig()
    log: LogConfig = LogConfig()

    @property
    def receives(self) -> bool:
        """Whether a listener takes mail from other servers."""
        return any(listener.mode == "inbound" for listener in self.listeners)

    @property
    def return_path(self) -> str:
        """The installation's own host of envelope senders that bounces come back to; empty: there is none."""
        return self.delivery.return_path or (return_path_host(self.hostname) if self.receives else "")

    @property
    def served(self) -> tuple[ListenerConfig, ...]:
        """The listeners that are for the roles of these workers."""
        roles = self.workers.roles
        return tuple(item for item in self.listeners if ("inbound" if item.mode == "inbound" else "smtp") in roles)

    def store_url(self) -> str:
        """The URL for ``store.open.open_store``."""
        return self.store.url

    def of(self, section: type[T]) -> T:
        """The section of a dialect; its defaults where this configuration has none."""
        found = (getattr(self, name) for name in self.__struct_fields__)
        return next((value for value in found if isinstance(value, section)), None) or section()


@cache
def config_type(dialects: Sequence[Dialect[Any]]) -> type[Config]:
    """A configuration with a section for each of them, which come last."""
    sections = [(dialect.name, dialect.config, dialect.config()) for dialect in dialects]
    made: Any = msgspec.defstruct(
        "Config", sections, bases=(Config,), frozen=True, forbid_unknown_fields=True, kw_only=True
    )
    return made  # type: ignore[no-any-return]
