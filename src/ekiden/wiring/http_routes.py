"""What a worker answers over HTTP: the APIs of the dialects, and the pages that recipients of mail reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ekiden.access.accounts import begin_reporting
from ekiden.access.sessions import Sessions
from ekiden.access.tokens import Tokens
from ekiden.content.landing_pages import LandingPages
from ekiden.content.templates import Templates
from ekiden.content.uploads import Uploads
from ekiden.delivery.bulks import Bulks
from ekiden.delivery.logs import Logs
from ekiden.delivery.statistics import Statistics
from ekiden.dialects.ibm.call import IbmServices
from ekiden.dialects.ibm.routes import ibm_handlers
from ekiden.dialects.infobip.auth import Logins
from ekiden.dialects.infobip.call import InfobipServices
from ekiden.dialects.infobip.routes import infobip_handlers
from ekiden.landing.routes import LandingServices, landing_handlers
from ekiden.networks.rules import Rules
from ekiden.networks.zones import Zones
from ekiden.notify.reports import Reports
from ekiden.recipients.recipient_events import RecipientEvents
from ekiden.recipients.tracking_recorder import Recorder
from ekiden.senders.projects import Projects
from ekiden.senders.smtp_configurations import SmtpConfigurations
from ekiden.senders.smtp_users import SmtpUsers
from ekiden.web.throttle import Throttles

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
    ) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._ids = ids
        self._services = services
        self._mailer = mailer
        self._tokens = Tokens(services.vault, clock)
        self._pages = LandingPages(store, clock)
        self._events = RecipientEvents(store, worker)
        self._recorder = Recorder(self._events, clock)

    def routers(self) -> list[Router]:
        """For ``listeners.http_app.make_app``."""
        services = self._services
        landing = LandingServices(
            services.tokens, self._recorder, services.suppressions, self._pages, services.bodies
        )
        return [*ibm_handlers(self._ibm()), *infobip_handlers(self._infobip()), *landing_handlers(landing)]

    def renewed(self, worker: int) -> None:
        """This process has another registration in the store."""
        self._events.renewed(worker)

    async def close(self) -> None:
        """Write what is not written yet."""
        await self._recorder.close()

    def _ibm(self) -> IbmServices:
        config, store, clock, services = self._config, self._store, self._clock, self._services
        return IbmServices(
            clock=clock,
            authenticator=services.authenticator,
            tokens=self._tokens,
            gate=services.gate,
            projects=Projects(store, clock),
            configurations=SmtpConfigurations(store, clock),
            users=SmtpUsers(store, clock, limit=config.ibm.users_per_configuration),
            domains=services.domains,
            statistics=Statistics(store),
            config=config.ibm,
            zones=Zones(store, clock),
            rules=Rules(store, clock),
            networks=config.networks,
            regions=config.regions,
            bodies=services.bodies,
        )

    def _infobip(self) -> InfobipServices:
        config, store, clock, services = self._config, self._store, self._clock, self._services
        sessions = Sessions(
            store, clock, services.directory, config.infobip.session_ttl, config.infobip.session_lifetime
        )
        uploads = Uploads(store, clock)

        async def keep_reports(account: str, endpoint: int) -> bool:
            return await begin_reporting(store, account, clock.now(), reports_endpoint=endpoint)

        return InfobipServices(
            clock=clock,
            config=config.infobip,
            carriers=config.intake.carrier_addresses,
            logins=Logins(services.authenticator, self._tokens, sessions),
            throttles=Throttles(config.infobip.throttles(), clock),
            keep_reports=keep_reports,
            mailer=self._mailer,
            endpoints=services.endpoints,
            templates=Templates(store, clock, uploads),
            uploads=uploads,
            landing_pages=self._pages,
            reports=Reports(store, clock),
            logs=Logs(store, clock),
            bulks=Bulks(store, clock, self._ids),
            domains=services.domains,
            suppressions=services.suppressions,
            checks=services.address_checks,
            check_requests=services.address_check_requests,
            bodies=services.bodies,
        )
