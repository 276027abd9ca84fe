"""What an account settles about its webhooks: saved first, and in effect once it is applied."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ekiden.core.texts import TranslatedError
from ekiden.dialects.cmc.event_settings import EVENT, EventSettings, check_event, plan_event
from ekiden.dialects.cmc.inbound_settings import InboundSettings, check_inbound, plan_inbound
from ekiden.dialects.cmc.setting_rules import TEXTS, Rules, Security
from ekiden.inbound.conditions import Condition
from ekiden.inbound.routes import KIND, MAX_ROUTES

if TYPE_CHECKING:
    from ekiden.access.audit import Actor
    from ekiden.access.console_users import ConsoleUser
    from ekiden.notify.ssrf import Destinations
    from ekiden.notify.staged_settings import Difference, PlannedEndpoint, Setting, StagedSettings

Prove = Callable[[str, str], Awaitable["ConsoleUser | None"]]
"""The console's user of a login and a password, if it is right."""
_MAY_REMOVE: Final = ("owner", "admin", "operator")


class NoSuchWebhook(TranslatedError, LookupError):
    """The account has no inbound webhook of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(TEXTS, "there is no inbound webhook {name}", name=repr(name))


class NotProven(TranslatedError):
    """Who wants to remove something has not shown that they may. Nothing was changed."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)


class WebhookSettings:
    """For commands and the console. ``lab``: endpoints of the lab may be ``http://``."""

    def __init__(self, staged: StagedSettings, destinations: Destinations, prove: Prove, *, lab: bool) -> None:
        self._staged = staged
        self._destinations = destinations
        self._prove = prove
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

    async def save_inbound(
        self,
        account_id: int,
        name: str,
        fields: Mapping[str, Any],
        conditions: Iterable[tuple[str, str]],
        *,
        password: str,
        api_key: str,
        actor: Actor,
        new: bool = False,
    ) -> None:
        """An inbound webhook. ``fields`` are the others of ``InboundSettings``; ``conditions``: names of header
        fields, each with a pattern; ``new``: there is none of the name yet.

        Changes nothing of what is received. Raises ``InvalidSettings``, and what ``StagedSettings.save`` raises.
        """
        settings = InboundSettings(conditions=tuple(Condition(*each) for each in conditions), **fields)
        security = Security(settings.basic_user, password, api_key, settings.bearer)
        rules = Rules(self._destinations, lab=self._lab)
        check_inbound(name, settings, security, rules)
        rules.done()
        document, secrets = msgspec.to_builtins(settings), security.secrets
        await self._staged.save(account_id, KIND, name, document, secrets, actor=actor, new=new, most=MAX_ROUTES)

    async def inbound(self, account_id: int) -> list[Setting]:
        """The inbound webhooks as they were saved and as they have effect, by name."""
        return await self._staged.records(account_id, KIND)

    async def inbound_named(self, account_id: int, name: str) -> Setting:
        """One of them, also if it is to be removed. Raises ``NoSuchWebhook``."""
        for item in await self.inbound(account_id):
            if item.name == name:
                return item
        raise NoSuchWebhook(name)

    async def pause_inbound(self, account_id: int, name: str, *, paused: bool, actor: Actor) -> Setting:
        """Save that what it takes waits, or goes. Raises ``NoSuchWebhook``."""
        saved = (await self.inbound_named(account_id, name)).saved
        if saved.document is None:
            raise NoSuchWebhook(name)
        document = {**saved.document, "paused": paused}
        if document != saved.document:
            await self._staged.save(account_id, KIND, name, document, saved.secrets, actor=actor)
        return await self.inbound_named(account_id, name)

    async def remove_inbound(self, account_id: int, name: str, *, login: str, password: str, actor: Actor) -> None:
        """Save that it is removed. ``login``, ``password``: of a user of the account's console who may.

        Raises ``NotProven``, ``NoSuchWebhook``.
        """
        user = await self._prove(login, password)
        if user is None or user.account_id != account_id:
            raise NotProven("the login or the password is wrong")
        if user.role not in _MAY_REMOVE:
            raise NotProven("the role {role} may not remove it", role=user.role)
        if not await self._staged.remove(account_id, KIND, name, actor=actor):
            raise NoSuchWebhook(name)

    async def differences(self, account_id: int) -> list[Difference]:
        """What has not the effect that was saved; none: everything has."""
        return [each for item in await self._staged.records(account_id) for each in item.differences]

    async def apply(self, account_id: int, *, actor: Actor) -> Sequence[Difference]:
        """Everything that is saved has effect from now on; what changed by that."""
        return await self._staged.apply(account_id, _plan, actor=actor)


def _plan(
    kind: str, name: str, document: Mapping[str, Any], secrets: Mapping[str, str]
) -> Mapping[str, PlannedEndpoint]:
    return plan_inbound(name, document, secrets) if kind == KIND else plan_event(document, secrets)
