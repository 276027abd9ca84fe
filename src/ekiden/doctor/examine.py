"""All that ``ekiden doctor`` looks at, one after the other. Loaded when it looks, not for its help."""

from __future__ import annotations

from typing import Final

from ekiden.config.model import Config
from ekiden.doctor.callbacks import check_callbacks, check_links
from ekiden.doctor.certificates import check_certificates
from ekiden.doctor.checks import Check, Finding, Patient, find
from ekiden.doctor.clock import check_clock
from ekiden.doctor.configuration import check_configuration
from ekiden.doctor.delivery import check_deliveries
from ekiden.doctor.disk import check_disk
from ekiden.doctor.domains import check_domains, check_sender_record, check_senders
from ekiden.doctor.files import check_files, check_limits
from ekiden.doctor.hostname import check_hostname, check_resolver
from ekiden.doctor.outbound_port import check_outbound
from ekiden.doctor.ports import check_ports
from ekiden.doctor.postgresql import check_postgresql
from ekiden.doctor.proxies import check_proxies
from ekiden.doctor.return_path import check_return_path
from ekiden.doctor.store import check_database, check_key, check_rows
from ekiden.doctor.workers import check_queue, check_workers
from ekiden.net.clock import SystemClock
from ekiden.store.api import SchemaOutdated, StoreError
from ekiden.store.open import open_store

CHECKS: Final[tuple[Check, ...]] = (
    check_configuration,
    check_disk,
    check_files,
    check_limits,
    check_database,
    check_key,
    check_rows,
    check_postgresql,
    check_clock,
    check_certificates,
    check_ports,
    check_proxies,
    check_resolver,
    check_hostname,
    check_sender_record,
    check_senders,
    check_domains,
    check_return_path,
    check_outbound,
    check_links,
    check_queue,
    check_deliveries,
    check_callbacks,
    check_workers,
)


async def examine(config: Config, outbound: str = "") -> list[Finding]:
    """Run every check. One that fails by itself is a finding, too, and does not keep the others from running."""
    patient = Patient(config, SystemClock(), outbound=outbound)
    found: list[Finding] = []
    try:
        patient.store = await open_store(config.store_url())
    except SchemaOutdated as error:
        found.append(find("database", "fail", "Database", "{why}", "ekiden db upgrade", why=error))
    except StoreError as error:
        fix = "correct store.url, or start the database"
        found.append(find("database", "fail", "Database", "it cannot be used: {why}", fix, why=error))
    try:
        for check in CHECKS:
            try:
                found += await check(patient)
            except Exception as error:
                # Whatever it is: a doctor who faints helps nobody.
                name = check.__name__.removeprefix("check_")
                what = "this check could not be carried out: {why}"
                found.append(find(name, "fail", name, what, why=str(error) or type(error).__name__))
    finally:
        if patient.store is not None:
            await patient.store.close()
    return found
