"""What a dialect works with: the services of a worker, made once in ``wiring``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ekiden.access.access_keys import AccessKeys
    from ekiden.access.audit import AuditLog
    from ekiden.access.authenticate import Authenticator
    from ekiden.access.directory import Directory
    from ekiden.access.seen_signatures import SeenSignatures
    from ekiden.access.sessions import Sessions
    from ekiden.access.tokens import Tokens
    from ekiden.content.address_book import AddressBooks
    from ekiden.content.landing_pages import LandingPages
    from ekiden.content.template_categories import TemplateCategories
    from ekiden.content.template_exports import TemplateExports
    from ekiden.content.template_imports import TemplateImports
    from ekiden.content.templates import Templates
    from ekiden.content.uploads import Uploads
    from ekiden.core.clock import Clock
    from ekiden.delivery.bulks import Bulks
    from ekiden.delivery.logs import Logs
    from ekiden.delivery.statistics import Statistics
    from ekiden.domains.service import Domains
    from ekiden.intake.mailer import Mailer
    from ekiden.intake.sender_rights import Gate
    from ekiden.mailings.reading import MailReading
    from ekiden.mailings.requests import MailRequests
    from ekiden.networks.config import NetworkConfig
    from ekiden.networks.rules import Rules
    from ekiden.networks.zones import Zones
    from ekiden.notify.endpoints import Endpoints
    from ekiden.notify.history import History
    from ekiden.notify.reports import Reports
    from ekiden.recipients.send_blocks import SendBlocks
    from ekiden.recipients.suppressions import Suppressions
    from ekiden.recipients.validation.address_check import AddressChecks
    from ekiden.recipients.validation.address_check_requests import AddressCheckRequests
    from ekiden.senders.config import RegionConfig
    from ekiden.senders.projects import Projects
    from ekiden.senders.smtp_configurations import SmtpConfigurations
    from ekiden.senders.smtp_users import SmtpUsers
    from ekiden.web.body import Bodies


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """``sessions(ttl, lifetime)`` and ``smtp_users(limit of each configuration)`` are made as a dialect wants them.

    ``keep_reports(account's name, endpoint)`` has the reports of an account kept to be fetched, and addresses that
    bounce suppressed, unless somebody has said how it is to be; it tells whether reports are kept. ``carriers`` is
    ``core.address.parse_address``'s, for recipients.
    """

    clock: Clock
    bodies: Bodies
    authenticator: Authenticator
    access_keys: AccessKeys
    audit: AuditLog
    seen_signatures: SeenSignatures
    tokens: Tokens
    sessions: Callable[[float, float], Sessions]
    gate: Gate
    zones: Zones
    rules: Rules
    networks: NetworkConfig
    regions: Sequence[RegionConfig]
    projects: Projects
    configurations: SmtpConfigurations
    smtp_users: Callable[[int], SmtpUsers]
    domains: Domains
    mailer: Mailer
    mail_requests: MailRequests
    mail_reading: MailReading
    carriers: bool
    templates: Templates
    template_categories: TemplateCategories
    template_exports: TemplateExports
    template_imports: TemplateImports
    uploads: Uploads
    landing_pages: LandingPages
    address_books: AddressBooks
    bulks: Bulks
    logs: Logs
    history: History
    statistics: Statistics
    endpoints: Endpoints
    reports: Reports
    keep_reports: Callable[[str, int], Awaitable[bool]]
    suppressions: Suppressions
    blocks: SendBlocks
    checks: AddressChecks
    check_requests: AddressCheckRequests

    @property
    def directory(self) -> Directory:
        """Facts of accounts and credentials."""
        return self.authenticator.directory
