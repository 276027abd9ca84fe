"""Network zones, rules and what they decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Self

from ekiden.documents.document import Document, Time, says

if TYPE_CHECKING:
    from ekiden.networks import rules, zones
    from ekiden.networks.rule_evaluation import Decision


class Zone(Document, frozen=True):
    """A network zone."""

    id: Annotated[str, says("its id")]
    account: Annotated[str, says("the account's name")]
    name: Annotated[str, says("for people, unique in the account")]
    description: Annotated[str, says("for people")]
    addresses: Annotated[list[str], says("addresses, ranges, subnets, services and CRNs that belong to it")]
    excluded: Annotated[list[str], says("what of them does not")]
    created_at: Annotated[Time, says("when it was made")]
    created_by: Annotated[str, says("by whom")]
    updated_at: Annotated[Time, says("when it was last changed")]
    updated_by: Annotated[str, says("by whom")]

    @classmethod
    def of(cls, zone: zones.Zone, account: str) -> Self:
        addresses, excluded = [str(item) for item in zone.addresses], [str(item) for item in zone.excluded]
        return cls.like(zone, account=account, addresses=addresses, excluded=excluded)


class Rule(Document, frozen=True):
    """A network rule."""

    id: Annotated[str, says("its id")]
    account: Annotated[str, says("the account's name")]
    description: Annotated[str, says("for people")]
    mode: Annotated[str, says("`enabled`, `disabled`, `report`")]
    contexts: Annotated[list[dict[str, str]], says("who may pass: alternatives, each by attribute; none: nobody")]
    resource: Annotated[dict[str, str], says("what it protects, by attribute")]
    tags: Annotated[dict[str, str], says("likewise, by tag")]
    api_types: Annotated[tuple[str, ...], says("the operations that it protects; none: all")]
    created_at: Annotated[Time, says("when it was made")]
    created_by: Annotated[str, says("by whom")]
    updated_at: Annotated[Time, says("when it was last changed")]
    updated_by: Annotated[str, says("by whom")]

    @classmethod
    def of(cls, rule: rules.Rule, account: str) -> Self:
        return cls.like(
            rule,
            account=account,
            contexts=[{item.name: item.value for item in context.attributes} for context in rule.contexts],
            resource={item.name: item.value for item in rule.resource.attributes},
            tags={item.name: item.value for item in rule.resource.tags},
        )


class RuleReport(Document, frozen=True):
    """What a rule in report mode would have done."""

    rule: Annotated[str, says("its id")]
    why: Annotated[str, says("why it would have refused")]


class RuleTest(Document, frozen=True):
    """Whether an address may use an instance."""

    address: Annotated[str, says("the IP address")]
    instance: Annotated[str, says("the UUID of the instance")]
    endpoint: Annotated[str, says("`public`, `private`")]
    allowed: Annotated[bool, says("whether it may")]
    rule: Annotated[str | None, says("id of the first rule that refused")]
    why: Annotated[str, says("`passed`, `no_rule`, `no_context`, `address`, `endpoint`, `mfa`")]
    rules: Annotated[tuple[str, ...], says("ids of the enabled rules that apply")]
    reports: Annotated[list[RuleReport], says("what rules in report mode would have refused")]

    @classmethod
    def of(cls, decision: Decision, address: str, instance: str, endpoint: str, enforced: Sequence[str]) -> Self:
        return cls.like(
            decision,
            address=address,
            instance=instance,
            endpoint=endpoint,
            rule=decision.rule or None,
            rules=tuple(enforced),
            reports=[RuleReport.like(item) for item in decision.reports],
        )
