"""Routes: what becomes of mail that an account receives.

Each has a name, conditions that must all be met, and a target. They are records of the account's settings
(``notify.staged_settings``), and those that are applied count. Every route fires whose conditions a recipient of a
mail meets, whatever the others do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import msgspec

from ekiden.inbound.conditions import Condition, compiled

KIND: Final = "inbound"
"""Of the records in ``staged_setting``."""
PART: Final = "https"
"""Of a record: the endpoint at which an application is told."""
MAX_ROUTES: Final = 100
"""Of an account."""


class HttpsRecord(msgspec.Struct, frozen=True, tag_field="target", tag="https"):
    """A route to an application, as its record has it. How its endpoint is reached is for whoever saves it."""

    conditions: tuple[Condition, ...]


Record = HttpsRecord
"""What a record may be; another kind of target is another struct with a tag of its own."""
read_record: Final = msgspec.json.Decoder(Record).decode


@dataclass(frozen=True, slots=True)
class Https:
    """It is told to the endpoint, as a notice of the outbox."""

    endpoint_id: int


Target = Https


@dataclass(frozen=True, slots=True)
class Route:
    """A route that has effect."""

    name: str
    conditions: tuple[Condition, ...]
    target: Target

    @property
    def recipients(self) -> tuple[str, ...]:
        """The patterns that the envelope's recipient has to meet."""
        return tuple(each.pattern for each in self.conditions if each.of_recipient)

    @property
    def of_header(self) -> bool:
        """Whether its conditions ask for more than the recipient."""
        return any(not each.of_recipient for each in self.conditions)

    def takes(self, recipient: str, header: Mapping[str, Sequence[bytes]], until: float) -> bool | None:
        """Whether all conditions are met; ``None``: it is not known at ``until`` (``perf_counter``).

        ``header``: the values of fields for people in UTF-8, by names in lower case.
        """
        for each in self.conditions:
            if perf_counter() > until:
                return None
            values = (recipient.encode(),) if each.of_recipient else header.get(each.header.lower(), ())
            if not compiled(each.pattern).found_in(values):
                return False
        return True
