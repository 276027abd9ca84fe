"""What an account settles about its webhooks: saved first, and in effect once it is applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ekiden.dialects.cmc.event_settings import EVENT, EventSettings, check_event, plan_event
from ekiden.dialects.cmc.setting_rules import Rules, Security

if TYPE_CHECKING:
    from ekiden.access.audit import Actor
    from ekiden.notify.ssrf import Destinations
    from ekiden.notify.staged_settings import Difference, PlannedEndpoint, Setting, StagedSettings

_PLANS: Final[dict[str, Callable[[Mapping[str, Any], Mapping[str, str]], Mapping[str, PlannedEndpoint]]]] = {
    EVENT: plan_event,
}


class WebhookSettings:
    """For commands and the console. ``lab``: endpoints of the lab may be ``http://``."""

    def __init__(self, staged: StagedSettings, destinations: Destinations, *, lab: bool) -> None:
        self._staged = staged
        self._destinations = destinations
        self._lab = lab

    async def save_event(
        self, account_id: int, fields: Mapping[str, Any], *, password: str, api_key: str, actor: Actor
    ) -> None:
        """The event webhook, in the place of what was saved of it. ``fields`` are those of ``EventSettings``.

        Changes nothing that is sent. Raises ``InvalidSettings``.
        """
        settings = EventSettings(**fields)
        security = Security(settings.basic_user, password, api_key, settings.bearer)
        rules = Rules(self._destinations, lab=self._lab)
        check_event(settings, security, rules)
        rules.done()
        document = msgspec.to_builtins(settings)
        await self._staged.save(account_id, EVENT, "", document, security.secrets, actor=actor)

    async def event(self, account_id: int) -> Setting | None:
        """The event webhook as it was saved and as it has effect."""
        return next(iter(await self._staged.records(account_id, EVENT)), None)

    async def differences(self, account_id: int) -> list[Difference]:
        """What has not the effect that was saved; none: everything has."""
        return [each for item in await self._staged.records(account_id) for each in item.differences]

    async def apply(self, account_id: int, *, actor: Actor) -> Sequence[Difference]:
        """Everything that is saved has effect from now on; what changed by that."""
        return await self._staged.apply(account_id, _plan, actor=actor)


def _plan(
    kind: str, _name: str, document: Mapping[str, Any], secrets: Mapping[str, str]
) -> Mapping[str, PlannedEndpoint]:
    return _PLANS[kind](document, secrets)
