"""What a worker answers over HTTP: the APIs of the dialects, and the pages that recipients of mail reach."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ekiden.access.access_keys import AccessKeys
from ekiden.access.accounts import begin_reporting
from ekiden.access.audit import AuditLog
from ekiden.access.seen_signatures import SeenSignatures
from ekiden.access.sessions import Sessions
from ekiden.access.tokens import Tokens
from ekiden.content.landing_pages import LandingPages
from ekiden.core.clock import SECOND
from ekiden.delivery.bulks import Bulks
from ekiden.delivery.logs import Logs
from ekiden.delivery.statistics import Statistics
from ekiden.landing.routes import LandingServices, landing_handlers
from ekiden.mailings.reading import MailReading
from ekiden.mailings.requests import MailRequests
from ekiden.networks.rules import Rules
from ekiden.networks.zones import Zones
from ekiden.notify.history import History
from ekiden.notify.reports import Reports
from ekiden.recipients.recipient_events import RecipientEvents
from ekiden.recipients.send_blocks import SendBlocks
from ekiden.recipients.tracking_recorder import Recorder
from ekiden.senders.projects import Projects
from ekiden.senders.smtp_configurations import SmtpConfigurations
from ekiden.senders.smtp_users import SmtpUsers
from ekiden.web.operation import Api, routers
from ekiden.web.platform import Platform

if TYPE_CHECKING:
    from litestar import Router

    from ekiden.config.model import Config
    from ekiden.core.clock import Clock
    from ekiden.core.ids import IdFactory
    from ekiden.intake.mailer import Mailer
    from ekiden.store.api import Store
    from ekiden.wiring.services import Services


class Faces:
    """One per worker; close it at the end. ``worker`` is its registration in the store."""

    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Clock,
        ids: IdFactory,
        worker: int,
        services: Services,
        mailer: Mailer,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """``wake`` is called when there are mail requests to be worked on."""
        self._config = config
        self._store = store
        self._clock = clock
        self._ids = ids
        self._services = services
        self._mailer = mailer
        self._wake = wake
        self._pages = LandingPages(store, clock)
        self._events = RecipientEvents(store, worker)
        self._recorder = Recorder(self._events, clock)
        self._seen = SeenSignatures(store, clock)

    def routers(self) -> list[Router]:
        """For ``listeners.http_app.make_app``."""
        services = self._services
        landing = LandingServices(
            services.tokens, self._recorder, services.suppressions, self._pages, services.bodies
        )
        return [*(router for api in self.apis().values() for router in routers(api)), *landing_handlers(landing)]

    def apis(self) -> dict[str, Api]:
        """By the names of their dialects."""
        platform = self._platform()
        return {item.name: item.api(platform, self._config.of(item.config)) for item in self._services.dialects}

    def renewed(self, worker: int) -> None:
        """This process has another registration in the store."""
        self._events.renewed(worker)

    async def close(self) -> None:
        """Write what is not written yet."""
        await self._recorder.close()
        await self._seen.close()

    def _platform(self) -> Platform:
        """What dialects work with."""
        config, store, clock, services = self._config, self._store, self._clock, self._services

        async def keep_reports(account: str, endpoint: int) -> bool:
            return await begin_reporting(store, account, clock.now(), reports_endpoint=endpoint)

        return Platform(
            clock=clock,
            bodies=services.bodies,
            authenticator=services.authenticator,
            access_keys=AccessKeys(store, services.vault),
            audit=AuditLog(store),
            seen_signatures=self._seen,
            tokens=Tokens(services.vault, clock),
            sessions=partial(Sessions, store, clock, services.directory),
            gate=services.gate,
            zones=Zones(store, clock),
            rules=Rules(store, clock),
            networks=config.networks,
            regions=config.regions,
            projects=Projects(store, clock),
            configurations=SmtpConfigurations(store, clock),
            smtp_users=lambda limit: SmtpUsers(store, clock, limit=limit),
            domains=services.domains,
            mailer=self._mailer,
            mail_requests=MailRequests(
                store,
                clock,
                self._mailer,
                services.gate,
                services.directory,
                services.uploads,
                services.address_books,
                self._wake,
            ),
            mail_reading=MailReading(store, clock),
            carriers=config.intake.carrier_addresses,
            templates=services.templates,
            template_categories=services.template_categories,
            template_exports=services.template_exports,
            template_imports=services.template_imports,
            uploads=services.uploads,
            landing_pages=self._pages,
            address_books=services.address_books,
            bulks=Bulks(store, clock, self._ids),
            logs=Logs(store, clock),
            history=History(store, round(config.delivery.expire_after * SECOND)),
            statistics=Statistics(store),
            endpoints=services.endpoints,
            reports=Reports(store, clock),
            keep_reports=keep_reports,
            suppressions=services.suppressions,
            blocks=SendBlocks(store, clock, services.suppressions),
            checks=services.address_checks,
            check_requests=services.address_check_requests,
        )
