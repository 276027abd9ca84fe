"""``ekiden doctor``: what in DNS, ports, clock, disk, certificates and store would stop mail from flowing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from ekiden.cli.common import ConfigOption, JsonOption, lang, load, print_json, run_async
from ekiden.cli.doctor_callbacks import check_callbacks, check_links
from ekiden.cli.doctor_checks import (
    Check,
    Finding,
    Patient,
    check_certificates,
    check_clock,
    check_configuration,
    check_disk,
    find,
)
from ekiden.cli.doctor_delivery import check_deliveries
from ekiden.cli.doctor_dns import check_hostname, check_resolver
from ekiden.cli.doctor_domains import check_domains, check_sender_record, check_senders
from ekiden.cli.doctor_files import check_files, check_limits
from ekiden.cli.doctor_nodes import check_nodes
from ekiden.cli.doctor_outbound import check_outbound
from ekiden.cli.doctor_ports import check_ports
from ekiden.cli.doctor_proxies import check_proxies
from ekiden.cli.doctor_store import check_database, check_key, check_rows
from ekiden.cli.doctor_texts import TEXTS
from ekiden.cli.doctor_workers import check_queue, check_workers
from ekiden.cli.tables import make_table, output
from ekiden.core.errors import EkidenError
from ekiden.core.texts import Language, TranslatedError

if TYPE_CHECKING:
    from ekiden.server.config import Config

app = typer.Typer()

CHECKS: Final[tuple[Check, ...]] = (
    check_configuration,
    check_disk,
    check_files,
    check_limits,
    check_database,
    check_key,
    check_rows,
    check_nodes,
    check_clock,
    check_certificates,
    check_ports,
    check_proxies,
    check_resolver,
    check_hostname,
    check_sender_record,
    check_senders,
    check_domains,
    check_outbound,
    check_links,
    check_queue,
    check_deliveries,
    check_callbacks,
    check_workers,
)

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


async def examine(config: Config, outbound: str = "") -> list[Finding]:
    """Run every check. One that fails by itself is a finding, too, and does not keep the others from running."""
    from ekiden.net.clock import SystemClock
    from ekiden.store.api import SchemaOutdated, StoreError
    from ekiden.store.open import open_store

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


def _examine(config: Path | None, language: Language, outbound: str) -> list[Finding]:
    try:
        loaded = load(config)
    except EkidenError as error:
        why = error.text(language) if isinstance(error, TranslatedError) else str(error)
        return [find("config", "fail", "Configuration", "{why}", "correct the configuration", why=why)]
    return run_async(examine(loaded, outbound))


@app.command()
def doctor(
    outbound: Annotated[
        str,
        typer.Option(
            "--outbound",
            metavar="HOST",
            help="Also connect to the mail server of this domain or address (port 25), as delivery would.",
            show_default=False,
        ),
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for what would stop mail from flowing, and say what to do. Exits with 1 when something does."""
    language = lang()
    findings = _examine(config, language, outbound)
    failed = any(finding.level == "fail" for finding in findings)
    if as_json:
        told = [(finding, finding.told(language)) for finding in findings]
        print_json(
            {
                "healthy": not failed,
                "findings": [
                    {"check": item.check, "level": item.level, "title": title, "what": what, "fix": fix}
                    for item, (title, what, fix) in told
                ],
            }
        )
    else:
        _print(findings, language)
    if failed:
        raise typer.Exit(1)


def _print(findings: list[Finding], language: Language) -> None:
    table = make_table("", *(TEXTS(name, language) for name in ("what", "found")))
    for finding in findings:
        title, what, fix = finding.told(language)
        cell: RenderableType = what
        if fix and finding.level != "ok":
            cell = Group(Text(what), Text(f"→ {fix}", "bold"))
        table.add_row(Text(TEXTS(finding.level, language), _COLOURS[finding.level]), title, cell)
    out = output()
    out.print(table)
    counts = {level: sum(item.level == level for item in findings) for level in ("fail", "warn")}
    if counts["fail"]:
        out.print(TEXTS("mail cannot flow; in its way: {count}", language, count=counts["fail"]), style="bold red")
    elif counts["warn"]:
        out.print(TEXTS("mail can flow; to be looked at: {count}", language, count=counts["warn"]))
    else:
        out.print(TEXTS("nothing stands in the way of mail", language), style="green")
