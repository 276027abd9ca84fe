"""How much of the machine a worker may use: descriptors for each kind of connection, octets of memory.

Bounds of the configuration are what an operator wants; what the system gives may be less. Every kind of connection
then gets a part of its own, so that all of them together leave a reserve of descriptors for the store, its files,
logs, listening sockets and DNS. No kind can take what another needs, and there is nothing to count at run time
beside the bound of each kind.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ekiden.config.model import Config
from ekiden.limits.memory import LEAST, MOST, machine_memory

# Parts of the descriptors, when there are too few for everybody.
_WEIGHTS = {"smtp": 4, "inbound": 2, "http": 3, "delivery": 3, "callbacks": 1}
_LEAST_RESERVE = 80
_MOST_RESERVE = 1024


def reserve(descriptors: int) -> int:
    """How many of a worker's descriptors are not for connections: a quarter, from 80 to 1,024.

    A worker that does nothing has some 30 open; readers of PostgreSQL, questions to DNS servers and what a
    listener accepts only to refuse it come on top.
    """
    return min(_MOST_RESERVE, max(_LEAST_RESERVE, descriptors // 4))


def divide(total: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """``total`` among kinds by weight: nobody gets more than wanted, and what one does not want goes to the others.

    Each gets one at least.
    """
    given: dict[str, int] = {}
    open_kinds = dict(wanted)
    left = max(total, len(wanted))
    while open_kinds:
        weights = sum(_WEIGHTS[kind] for kind in open_kinds)
        modest = [kind for kind in open_kinds if open_kinds[kind] * weights <= left * _WEIGHTS[kind]]
        if not modest:
            return given | {kind: max(1, left * _WEIGHTS[kind] // weights) for kind in open_kinds}
        for kind in modest:
            given[kind] = open_kinds.pop(kind)
            left -= given[kind]
    return given


def fit(config: Config, descriptors: int) -> tuple[Config, dict[str, tuple[int, int]]]:
    """The configuration with bounds on connections that so many descriptors are enough for.

    Also by kind, what was configured and what is left of it; empty when everything fits.
    """
    smtp, http, delivery, callbacks = config.smtp, config.http, config.delivery, config.callbacks
    inbound = config.inbound
    reserves = 2 if http.monitoring_addresses else 1  # health and metrics have one on each kind of address
    wanted = {
        "smtp": smtp.max_connections,
        "http": http.max_connections + http.reserve * reserves,
        "delivery": delivery.max_connections,
        "callbacks": callbacks.endpoints * callbacks.concurrency,
    }
    if config.receives:
        wanted["inbound"] = inbound.max_connections
    room = descriptors - reserve(descriptors)
    if sum(wanted.values()) <= room:
        return config, {}
    given = divide(room, wanted)
    http_reserve = min(http.reserve, max(1, given["http"] // 4))
    concurrency = min(callbacks.concurrency, max(1, given["callbacks"] // 16))
    fitted = msgspec.structs.replace(
        config,
        smtp=msgspec.structs.replace(smtp, max_connections=given["smtp"]),
        inbound=msgspec.structs.replace(inbound, max_connections=given.get("inbound", inbound.max_connections)),
        http=msgspec.structs.replace(
            http,
            max_connections=max(1, given["http"] - http_reserve * reserves),
            reserve=http_reserve,
        ),
        delivery=msgspec.structs.replace(delivery, max_connections=given["delivery"]),
        callbacks=msgspec.structs.replace(
            callbacks,
            concurrency=concurrency,
            endpoints=min(callbacks.endpoints, max(1, given["callbacks"] // concurrency)),
        ),
    )
    return fitted, {kind: (wanted[kind], given[kind]) for kind in wanted if given[kind] < wanted[kind]}


def memory_of_worker(config: Config, workers: int) -> int:
    """Octets of the budget of each of so many workers: as configured, or what the machine has for it."""
    return config.workers.memory or default_memory(workers, machine_memory())


def default_memory(workers: int, machine: int) -> int:
    """A worker's budget on a machine of so many octets: a quarter of it for all workers, within bounds.

    A quarter, because an octet that is counted here is copied once or twice on its way (encoding, TLS, the store),
    and the processes and the file cache of the store need room of their own.
    """
    return max(LEAST, min(MOST, (machine or 4 * MOST) // 4 // max(1, workers)))
