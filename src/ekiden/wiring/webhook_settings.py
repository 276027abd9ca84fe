"""The settings of webhooks, for commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ekiden.access.console_users import ConsoleUser, verify_console_user
from ekiden.dialects.cmc.webhook_settings import WebhookSettings
from ekiden.notify.ssrf import Destinations
from ekiden.notify.staged_settings import StagedSettings

if TYPE_CHECKING:
    from ekiden.access.vault import Vault
    from ekiden.config.model import Config
    from ekiden.core.clock import Clock
    from ekiden.store.api import Store


__all__ = ["WebhookSettings", "make_webhook_settings"]


def make_webhook_settings(config: Config, store: Store, clock: Clock, vault: Vault) -> WebhookSettings:
    lab = config.lab.enabled
    destinations = Destinations(config.callbacks.allowed_networks, loopback_only=lab)

    async def prove(login: str, password: str) -> ConsoleUser | None:
        return await verify_console_user(store, login, password, clock.now())

    return WebhookSettings(StagedSettings(store, clock, vault), destinations, prove, lab=lab)
