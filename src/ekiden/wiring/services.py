"""The services of a worker, made once and shared by its listeners, its HTTP and its duties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ekiden.access.authenticate import Authenticator
from ekiden.access.quotas import Quotas
from ekiden.access.refusals import Refusals
from ekiden.access.remembered import Remembered
from ekiden.content.address_book import AddressBooks
from ekiden.content.template_categories import TemplateCategories
from ekiden.content.template_exports import TemplateExports
from ekiden.content.template_imports import TemplateImports
from ekiden.content.templates import Templates
from ekiden.content.uploads import Uploads
from ekiden.core.clock import SECOND
from ekiden.core.return_path import PURPOSE, ReturnPaths
from ekiden.core.srs import PURPOSE as SRS_PURPOSE
from ekiden.core.srs import Srs
from ekiden.delivery.envelope_senders import EnvelopeSenders, HostWatch
from ekiden.dns.resolver import DnsResolver
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.queries import bounces_to, sending_settings
from ekiden.domains.return_paths import Incoming
from ekiden.domains.service import Domains
from ekiden.domains.signing_keys import KeyRing, OwnKeys
from ekiden.inbound.authentication import MailAuthentication
from ekiden.inbound.lookups import RememberedLookup
from ekiden.inbound.loops import Loops
from ekiden.inbound.mailboxes import Mailboxes, Use
from ekiden.inbound.reader import MailReader, Reader
from ekiden.inbound.reception import Reception
from ekiden.inbound.report_mail import ReportMail
from ekiden.inbound.returned_mail import ReturnedMail
from ekiden.inbound.route_directory import RouteDirectory
from ekiden.inbound.route_mail import RouteMail
from ekiden.inbound.unsubscribe_mail import UnsubscribeMail
from ekiden.intake.config import IntakeConfig
from ekiden.intake.door import Door, Handover
from ekiden.intake.doorstep import Doorstep
from ekiden.intake.mailer import Mailer
from ekiden.intake.policy import Policy
from ekiden.intake.sender_rights import Gate
from ekiden.intake.signer import ReportSigner, Signer
from ekiden.intake.tracking import Tracker
from ekiden.limits.memory import Memory
from ekiden.limits.workshop import Workshop
from ekiden.mime.scan import HeaderBounds
from ekiden.net.listen import Networks
from ekiden.notify.contents import Contents
from ekiden.notify.endpoints import Endpoints
from ekiden.notify.formats import Format, by_name
from ekiden.notify.outbox import Outbox
from ekiden.notify.ssrf import Destinations
from ekiden.notify.staged_settings import AppliedSettings
from ekiden.recipients.suppressing import Suppressing
from ekiden.recipients.suppressions import Suppressions
from ekiden.recipients.tracking_tokens import TrackingTokens
from ekiden.recipients.validation.address_check import AddressChecks
from ekiden.recipients.validation.address_check_requests import AddressCheckRequests
from ekiden.sender_auth.dkim_sign import SigningKey
from ekiden.web.body import Bodies
from ekiden.web.dialect import DoorParts
from ekiden.wiring.capacity import memory_of_worker
from ekiden.wiring.dialects import DIALECTS

if TYPE_CHECKING:
    from ekiden.access.vault import Vault
    from ekiden.config.model import Config
    from ekiden.core.clock import Clock
    from ekiden.core.ids import IdFactory
    from ekiden.notify.metrics import OutboxMetrics
    from ekiden.store.api import Connection, Store
    from ekiden.store.standing import Standing
    from ekiden.web.dialect import Dialect


def make_domains(config: Config, store: Store, clock: Clock, vault: Vault) -> Domains:
    """For commands and workers alike."""
    resolver = DnsResolver(config.dns, clock, loopback_only=config.lab.enabled)
    versions = config.delivery.families().versions
    own, host = config.domains, config.hostname
    incoming = incoming_of(config)
    return Domains(store, clock, vault, DnsLookup(resolver), own, host, versions, incoming)


def incoming_of(config: Config) -> Incoming | None:
    """Where bounces are received; ``None``: clients' envelope senders go out as they are."""
    if config.delivery.verp == "off" or not config.return_path:
        return None
    return Incoming(config.return_path, (config.domains.mx or config.hostname).lower().rstrip("."))


MAX_COMPOSED = 41_943_040
"""Octets of a message that is composed here: 25 MB of texts and files, in base64."""


def _legacy_allowlist(config: Config, dialects: Sequence[Dialect[Any]]) -> float:
    """Seconds."""
    given = [
        item.legacy_allowlist(config.of(item.config)) for item in dialects if item.legacy_allowlist is not None
    ]
    return max(given, default=0.0)


class Services:
    """Close it at the end."""

    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Clock,
        ids: IdFactory,
        worker: int,
        vault: Vault,
        memory: Memory | None = None,
        dialects: Sequence[Dialect[Any]] = DIALECTS,
    ) -> None:
        """``worker`` is the registration in the store; ``vault`` opens the secrets in it; ``memory`` is the budget
        that all rooms of it share."""
        self.memory = memory or Memory(memory_of_worker(config, 1))
        self.workshop = Workshop()
        self.bodies = Bodies(self.memory, self.workshop)
        self.dialects = dialects
        self._ids = ids
        self._worker = worker
        self._config = config
        self._store = store
        self._clock = clock
        self.vault = vault
        proxies = Networks(
            [*config.http.proxy_from, *(net for item in config.listeners for net in item.proxy_from)]
        )
        self.authenticator = Authenticator(store, clock, config.access, proxies=proxies)
        self.directory = self.authenticator.directory
        groups = config.networks.groups
        legacy = int(_legacy_allowlist(config, dialects) * SECOND)
        self.gate = Gate(store, clock, self.directory, groups=groups, legacy_period=legacy)
        self.doorstep = Doorstep(store, clock, groups=groups, legacy_period=legacy)
        self.quotas = Quotas(store, clock)
        self.refusals = Refusals(store, clock, ids)
        self.keyring = KeyRing(store, self.vault)
        self.signer = Signer()
        self.domains = make_domains(config, store, clock, self.vault)
        lab = config.lab.enabled
        self.resolver = DnsResolver(config.dns, clock, loopback_only=lab)
        self._destinations = Destinations(config.callbacks.allowed_networks, loopback_only=lab)
        self.endpoints = Endpoints(store, clock, self.vault, self._destinations)
        self.tokens = TrackingTokens(self.vault)
        self.routes = RouteDirectory(store)
        self.return_paths = ReturnPaths([self.vault.derive(PURPOSE)])
        self.srs = Srs([self.vault.derive(SRS_PURPOSE)])
        self._intake = _intake(config)
        self._tracker = Tracker(
            clock,
            ids,
            self.directory,
            Remembered(store, sending_settings),
            self.tokens,
            config.tracking.base_url or f"https://{config.hostname}",
            self._intake.max_size,
            self.workshop,
            paths=self.return_paths,
            mail_host=config.return_path if config.receives else "",
        )
        at_the_door = DoorParts(self.endpoints, self._tracker, AppliedSettings(store))
        self._annotators = [item for dialect in dialects for item in dialect.annotators(at_the_door)]
        self.address_checks = AddressChecks(store, clock, self.resolver, carriers=config.intake.carrier_addresses)
        self.address_check_requests = AddressCheckRequests(store, clock, ids, worker, self.address_checks)
        self.suppressions = Suppressions(store, clock)
        self.suppressing = Suppressing(self.directory, self.suppressions)
        self.address_books = AddressBooks(store, clock)
        self.uploads = Uploads(store, clock)
        self.templates = Templates(store, clock, self.uploads)
        self.template_categories = TemplateCategories(store, clock)
        tree = self.templates, self.template_categories, self.uploads, self.workshop
        self.template_exports = TemplateExports(store, clock, worker, *tree)
        self.template_imports = TemplateImports(*tree)
        self.policy = Policy(
            self.directory,
            self.gate,
            self.quotas,
            self.refusals,
            self.suppressions,
            Remembered(store, self._keys),
            self.workshop,
        )

    def door(self, handover: Handover) -> Door:
        """``handover`` delivers within this process."""
        return Door(
            self._store,
            self._clock,
            self._ids,
            self._worker,
            self._intake,
            handover,
            directory=self.directory,
            policy=self.policy,
            signer=self.signer,
            annotators=self._annotators,
            workshop=self.workshop,
        )

    def envelope_senders(self) -> EnvelopeSenders | None:
        """Of what goes out; ``None``: those of the clients."""
        config = self._config
        host, delivery = config.return_path.lower(), config.delivery
        if not host:
            return None
        return EnvelopeSenders(
            self.return_paths,
            host,
            self.directory,
            Remembered(self._store, bounces_to),
            self.srs,
            verp=delivery.verp != "off",
            alone=delivery.verp == "recipient",
            watch=None if delivery.return_path else HostWatch(host, self.resolver, self._clock),
        )

    def reception(self, worker: Callable[[], int], queued: Callable[[], None]) -> tuple[Reader, Reception]:
        """Of mail that comes in. ``worker``: this worker's registration; ``queued``: see ``Reader``."""
        config, clock, store = self._config, self._clock, self._store
        own = {config.hostname, config.return_path}
        mailboxes = Mailboxes(clock, self.return_paths, self.srs, own, self.routes)
        reports = ReportMail(store, clock, self.return_paths, self.suppressing, self.workshop)
        readers: dict[Use, MailReader] = {
            Use.BOUNCE: reports,
            Use.OPERATOR: reports,
            Use.UNSUBSCRIBE: UnsubscribeMail(store, clock, self.suppressing),
            Use.FORWARDED: ReturnedMail(store, clock, self._ids, config.delivery.expire_after),
            Use.ROUTE: RouteMail(clock, self.routes, self.workshop),
        }
        reader = Reader(store, clock, worker, mailboxes, readers, self.memory, queued)
        authentication = MailAuthentication(
            RememberedLookup(self.resolver),
            self.workshop,
            config.hostname.lower(),
            arc_trusted=config.inbound.arc_trusted,
        )
        return reader, Reception(
            store,
            clock,
            self._ids,
            worker,
            config.hostname,
            config.inbound,
            mailboxes,
            authentication,
            reader,
            Loops(clock),
        )

    def report_signer(self) -> ReportSigner:
        """For what the installation writes in its own name."""
        return ReportSigner(OwnKeys(self._store, self._clock, self.keyring, self._config.hostname), self.signer)

    def mailer(self, door: Door) -> Mailer:
        """For what is composed here."""
        return Mailer(door, self._tracker, memory=self.memory, workshop=self.workshop)

    def formats(self) -> dict[str, Format]:
        """Of callbacks, by name."""
        config = self._config
        return by_name(item for dialect in self.dialects for item in dialect.formats(config.of(dialect.config)))

    def outbox(self, metrics: OutboxMetrics, standing: Standing | None = None) -> Outbox:
        """Sends what the events of messages are routed to."""
        return Outbox(
            self._store,
            self._clock,
            self._ids,
            self._worker,
            self._config.callbacks,
            self.formats(),
            self.vault,
            self.resolver,
            self._destinations,
            metrics,
            standing,
            Contents(self._store, self.memory, self.workshop),
        )

    def renewed(self, worker: int) -> None:
        """This process has another registration in the store."""
        self._worker = worker
        self.address_check_requests.renewed(worker)
        self.template_exports.renewed(worker)

    async def _keys(self, connection: Connection, _: int, domain_id: int) -> tuple[SigningKey, ...]:
        return await self.keyring.load(connection, domain_id)

    async def close(self) -> None:
        """Write what is not written yet."""
        await self.authenticator.close()
        await self.doorstep.close()
        await self.quotas.close()
        await self.refusals.close()
        await self.suppressions.close()
        await self.address_books.close()
        self.signer.close()


def _intake(config: Config) -> IntakeConfig:
    own = config.intake
    return IntakeConfig(
        hostname=config.hostname,
        # Listeners hold clients to their own limit; what is composed here is bounded by its dialect.
        max_size=max((config.smtp.max_size, MAX_COMPOSED, *(of.max_size for of in config.listeners))),
        max_recipients=max((config.smtp.max_recipients, *(of.max_recipients for of in config.listeners))),
        expire_after=config.delivery.expire_after,
        show_client=own.show_client,
        max_received=own.max_received,
        short_lines=own.short_lines,
        seven_bit=own.seven_bit,
        header=HeaderBounds(own.max_header, own.max_header_fields, own.max_header_field),
    )
