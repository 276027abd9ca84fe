"""``ekiden doctor``: what in DNS, ports, clock, disk, certificates and store would stop mail from flowing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from ekiden.cli.common import ConfigOption, JsonOption, lang, load, run_async
from ekiden.cli.tables import make_table, output, show
from ekiden.core.errors import EkidenError
from ekiden.core.language import Language
from ekiden.core.texts import TranslatedError
from ekiden.doctor.translations import TEXTS

if TYPE_CHECKING:
    from ekiden.doctor import checks

app = typer.Typer()


_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


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
    from ekiden.documents.installation import Finding, Health

    language = lang()
    findings = _findings(config, language, outbound)
    failed = any(finding.level == "fail" for finding in findings)
    shapes = [Finding(item.check, item.level, *item.told(language)) for item in findings]
    show(as_json, Health(not failed, shapes), lambda: _print(findings, language))
    if failed:
        raise typer.Exit(1)


def _findings(config: Path | None, language: Language, outbound: str) -> list[checks.Finding]:
    from ekiden.doctor.checks import find
    from ekiden.doctor.examine import examine

    try:
        loaded = load(config)
    except EkidenError as error:
        why = error.text(language) if isinstance(error, TranslatedError) else str(error)
        return [find("config", "fail", "Configuration", "{why}", "correct the configuration", why=why)]
    return run_async(examine(loaded, outbound))


def _print(findings: list[checks.Finding], language: Language) -> None:
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
