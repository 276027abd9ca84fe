"""What a worker lacks to serve, as ``/readyz`` tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ekiden.process.instance_key import identity
from ekiden.store.migrations import HEAD

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

    from ekiden.access.vault import Vault
    from ekiden.store.api import Store


def missing(*, draining: bool, leased: bool, database: DatabaseWatch) -> list[str]:
    """``leased``: the store has renewed the worker's lease lately."""
    found = []
    if draining:
        found.append("draining")
    if not leased:
        found.append("store")
    return [*found, *database.missing]


class DatabaseWatch:
    """Whether the database is still the one that a worker began with: another may be put in its place while it
    runs, and a newer Ekiden may change its tables."""

    def __init__(self, store: Store, vault: Vault, log: BoundLogger) -> None:
        self._store = store
        self._fingerprint = vault.fingerprint
        self._log = log
        self.missing: tuple[str, ...] = ()
        """For ``/readyz``: ``instance_key`` when it is not the database's, ``schema`` when the tables changed."""

    async def look(self) -> None:
        """What is wrong is logged once. Raises what the store raises."""
        revision, fingerprint = await identity(self._store)
        missing = []
        if revision != HEAD:
            missing.append("schema")
            if "schema" not in self.missing:
                self._log.error(
                    "the tables of the database are those of another Ekiden now: restart this one as that version",
                    revision=revision,
                    needed=HEAD,
                )
        if fingerprint != self._fingerprint:
            missing.append("instance_key")
            if "instance_key" not in self.missing:
                self._log.error(
                    "the database is another one now, and instance.key is not its key: stop, put the two that "
                    "belong together in place (ekiden doctor), start"
                )
        self.missing = tuple(missing)
