"""Why a delivery waits and who holds it become columns; what Ekiden says of it, code and facts.

Sentences of older versions are recognised here, once. What they held was the operator's unless its sender had
paused it or a row could not be read.
"""

from __future__ import annotations

import json
import time

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# As core.states had them when this was written.
_HELD, _SCHEDULED, _QUEUED, _DEFERRED, _DROPPED, _CANCELLED = 1, 2, 3, 5, 13, 14
_RATE = 4
_DUE, _AT_ITS_TIME, _QUOTA, _RETRY, _SITE_DOWN, _PACED, _SHARE, _WORKER_LOST, _STOPPED = 0, 1, 2, 3, 4, 5, 6, 8, 9
_OPERATOR, _SENDER, _UNREADABLE = 1, 2, 4

_PAUSED = "paused by its sender"
_PAUSED_OVER_QUOTA = "paused by its sender; over the quota"
_RESUMED_OVER_QUOTA = "resumed by its sender; over the quota"
_TURN = "waits for its turn at "
_SUPPRESSED = "the address is on the account's suppression list ("
# What a reason says of deliveries that wait: why, and by which code. None: another column tells why.
_REASONS: dict[str, tuple[int | None, str]] = {
    "waits: its account has its share of the worker": (_SHARE, "account_share"),
    "the worker is stopping": (_STOPPED, "worker_stopping"),
    "the worker that had it ended before it reported; the outcome of that attempt is unknown": (
        _WORKER_LOST,
        "worker_lost",
    ),
    _RESUMED_OVER_QUOTA: (_QUOTA, "resumed_by_sender"),
    "resumed by its sender": (None, "resumed_by_sender"),
    "released by an operator": (None, "released_by_operator"),
    "rescheduled by its sender": (None, "rescheduled_by_sender"),
    "the account's quota is used up: waits for the next window with room": (None, "over_quota"),
}


def upgrade() -> None:
    # Without a batch: SQLite would copy the whole queue.
    zero, empty = sa.text("0"), sa.text("''")
    small = {
        "wait": "core.states.Wait, below any holds",
        "holds": "core.states.Hold; 0 unless HELD",
    }
    texts = {
        "held": "JSON object: of each hold who, when and why (store.holds); empty: nothing is known",
        "said": "core.said: reason as code and facts; empty: others' words",
    }
    for name, comment in small.items():
        op.add_column(
            "delivery", sa.Column(name, sa.SmallInteger(), nullable=False, server_default=zero, comment=comment)
        )
    for name, comment in texts.items():
        op.add_column("delivery", sa.Column(name, sa.Text(), nullable=False, server_default=empty, comment=comment))
    comment = "core.said: reply as code and facts; empty: the peer's"
    op.add_column("attempt", sa.Column("said", sa.Text(), nullable=False, server_default=empty, comment=comment))
    _held()
    _waiting()
    _ended()


def _held() -> None:
    now = time.time_ns() // 1_000_000
    below = _case(
        (f"reason = '{_PAUSED_OVER_QUOTA}'", _QUOTA),
        ("attempts > 0", _RETRY),
        (f"due_at > {now}", _AT_ITS_TIME),
        otherwise=_DUE,
    )
    paused = f"reason IN ('{_PAUSED}', '{_PAUSED_OVER_QUOTA}')"
    unwritable, unreadable = "reason LIKE 'unwritable: %'", "reason LIKE 'unreadable: %: %'"
    what = "substr(reason, 13)"
    known = f"reason IN ('', 'held by an operator') OR {paused} OR {unwritable} OR {unreadable}"
    reason = _object("operator", _object("reason", "reason"))
    _update(
        {
            "wait": below,
            "holds": _case((paused, _SENDER), (f"{unwritable} OR {unreadable}", _UNREADABLE), otherwise=_OPERATOR),
            "held": _case((known, "''"), otherwise=reason + _as_text()),
            "said": _case(
                (paused, _code("paused_by_sender")),
                ("reason = 'held by an operator'", _code("held_by_operator")),
                (unwritable, _code("unwritable")),
                (unreadable, _said("unreadable", table=_before(": ", what), why=_behind(": ", what))),
                otherwise="said",
            ),
        },
        f"state = {_HELD}",
    )


def _waiting() -> None:
    turn = f"reason LIKE '{_TURN}%'"
    over_quota = f"state = {_SCHEDULED} AND cause = {_RATE}"
    # 451 4.4.1 is what Ekiden gives itself when nobody could be talked to.
    site_down = f"state = {_DEFERRED} AND code = 451 AND enhanced = '4.4.1'"
    told = [(f"reason = {_quoted(reason)}", wait, _code(code)) for reason, (wait, code) in _REASONS.items()]
    known = ", ".join(map(_quoted, _REASONS))
    _update(
        {
            "wait": _case(
                *((condition, wait) for condition, wait, _ in told if wait is not None),
                (turn, _PACED),
                (over_quota, _QUOTA),
                (site_down, _SITE_DOWN),
                otherwise="wait",
            ),
            "said": _case(
                *((condition, code) for condition, _, code in told),
                (turn, _said("turn", site=f"substr(reason, {len(_TURN) + 1})")),
                otherwise="said",
            ),
        },
        f"state IN ({_SCHEDULED}, {_QUEUED}, {_DEFERRED}) "
        f"AND (reason IN ({known}) OR {turn} OR ({over_quota}) OR ({site_down}))",
    )


def _ended() -> None:
    rest = f"substr(reason, {len(_SUPPRESSED) + 1})"
    suppressed = f"state = {_DROPPED} AND reason LIKE {_quoted(_SUPPRESSED + '%): %')}"
    operator = f"state = {_CANCELLED} AND reason = 'cancelled by an operator'"
    sender = f"state = {_CANCELLED} AND reason = 'cancelled by its sender'"
    _update(
        {
            "said": _case(
                (suppressed, _said("suppressed", kind=_before("): ", rest), reason=_behind("): ", rest))),
                (operator, _code("cancelled_by_operator")),
                (sender, _code("cancelled_by_sender")),
                otherwise="said",
            )
        },
        f"({suppressed}) OR ({operator}) OR ({sender})",
    )


def _case(*cases: tuple[str, object], otherwise: object) -> str:
    whens = " ".join(f"WHEN {condition} THEN {value}" for condition, value in cases)
    return f"CASE {whens} ELSE {otherwise} END"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _code(code: str) -> str:
    return _quoted(json.dumps([code, {}], separators=(",", ":")))


def _said(code: str, **facts: str) -> str:
    """SQL of what is said; the facts are SQL."""
    parts = [part for name, value in facts.items() for part in (name, value)]
    return f"json_{_build()}array('{code}', {_object(*parts)}){_as_text()}"


def _object(*names_and_values: str) -> str:
    parts = [f"'{part}'" if number % 2 == 0 else part for number, part in enumerate(names_and_values)]
    return f"json_{_build()}object({', '.join(parts)})"


def _before(mark: str, text: str) -> str:
    return f"substr({text}, 1, {_position(mark, text)} - 1)"


def _behind(mark: str, text: str) -> str:
    return f"substr({text}, {_position(mark, text)} + {len(mark)})"


def _position(mark: str, text: str) -> str:
    return f"strpos({text}, '{mark}')" if _build() else f"instr({text}, '{mark}')"


def _build() -> str:
    return "build_" if op.get_bind().dialect.name == "postgresql" else ""


def _as_text() -> str:
    return "::text" if _build() else ""


def _update(values: dict[str, str], condition: str) -> None:
    changed = ", ".join(f"{name} = {value}" for name, value in values.items())
    # Not as text(): reasons have colons.
    op.get_bind().exec_driver_sql(f"UPDATE delivery SET {changed} WHERE {condition}")  # noqa: S608
