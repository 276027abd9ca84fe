"""What recipients want: suppressions, and the pages on which they unsubscribe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from msgspec import UNSET, UnsetType

from ekiden.documents.document import Document, Time, says

if TYPE_CHECKING:
    from ekiden.content import landing_pages
    from ekiden.recipients import suppressions


class Suppression(Document, frozen=True):
    """An address that a domain does not mail, or no domain of the account."""

    account: Annotated[str, says("the account's name")]
    domain: Annotated[str, says("the sending domain; empty: all of the account's")]
    address: Annotated[str, says("the recipient's")]
    kind: Annotated[str, says("`bounce`, `complaint`, `over_quota`, `unsubscribe`")]
    reason: Annotated[str, says("the reply that led to it, or who asked for it")]
    created_at: Annotated[Time, says("since when")]
    expires_at: Annotated[Time | None, says("until when; null: until it is removed")]
    registered_by: Annotated[str, says("`recipient`, `account`, `platform`, `operator`; empty: it is not known")]

    @classmethod
    def of(cls, item: suppressions.Suppression, account: str) -> Self:
        return cls.like(item, account=account, reason=item.told())


class SuppressionChange(Document, frozen=True):
    """How many suppressions came or went."""

    account: Annotated[str, says("the account's name")]
    domain: Annotated[str, says("the sending domain; empty: all of the account's")]
    kind: Annotated[str, says("as of a suppression; empty: of any")]
    added: Annotated[int | UnsetType, says("of `suppression add`: how many")] = UNSET
    removed: Annotated[int | UnsetType, says("of `suppression remove`: how many")] = UNSET


class LandingPage(Document, frozen=True):
    """An account's own page to unsubscribe."""

    id: Annotated[str, says("what requests call it")]
    account: Annotated[str, says("the account's name")]
    name: Annotated[str, says("for people")]
    created_at: Annotated[Time, says("when it was made")]
    updated_at: Annotated[Time, says("when it was last changed")]
    html: Annotated[str | UnsetType, says("the page; of `landing-page show` only")] = UNSET

    @classmethod
    def of(cls, page: landing_pages.LandingPage, account: str, html: str | UnsetType = UNSET) -> Self:
        return cls.like(page, id=page.uid, account=account, html=html)
