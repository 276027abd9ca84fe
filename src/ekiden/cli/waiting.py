"""What a delivery waits for and who holds it, as lists and traces show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ekiden.core.language import Language
from ekiden.core.said import tell
from ekiden.core.texts import Texts
from ekiden.core.waits import SHOWN_AS
from ekiden.delivery.explain import wait_name

if TYPE_CHECKING:
    from ekiden.delivery.queue_queries import QueueRow
    from ekiden.delivery.trace_queries import TracedDelivery
    from ekiden.store.holds import HeldBy

_TEXTS = Texts("cli/waiting")


def wait_text(row: QueueRow | TracedDelivery, lang: Language) -> str:
    """What it waits for, or everybody who holds it; empty: it does not wait."""
    if row.holds:
        return " + ".join(wait_name(SHOWN_AS[held.hold], lang) for held in row.holds)
    return "" if row.wait is None else wait_name(row.wait, lang)


def reason_text(row: QueueRow | TracedDelivery, lang: Language) -> str:
    """Why it stands as it does; of what is held, of each hold why and by whom."""
    if len(row.holds) > 1 or (row.holds and row.holds[0].by):
        return _TEXTS("; ", lang).join(_hold_text(row, held, lang) for held in row.holds)
    return tell(row.said, row.reason, lang)


def _hold_text(row: QueueRow | TracedDelivery, held: HeldBy, lang: Language) -> str:
    why = held.text(lang) or (tell(row.said, row.reason, lang) if held is row.holds[0] else "")
    return _TEXTS("{why} (by {who})", lang, why=why, who=held.by) if held.by else why
