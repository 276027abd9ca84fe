"""``ekiden inbound``: mail that comes in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ekiden.cli import inbound_domain, received
from ekiden.cli.common import lang, show_error
from ekiden.cli.inbound_translations import InboundCliError, tr
from ekiden.cli.terminal import say

if TYPE_CHECKING:
    from ekiden.core.report import Reading, Report

app = typer.Typer(no_args_is_help=True)
app.add_typer(inbound_domain.app, name="domain")
app.command("list")(received.list_mails)
app.command("show")(received.show_mail)

MAX_FILE: Final = 30_000_000
"""Octets of a mail that is read from a file: no more is received either."""


@app.callback()
def _group() -> None:
    """Mail that comes in: for which domains, what it says, and what followed."""


@app.command()
def classify(
    files: Annotated[list[Path], typer.Argument(help="Mails as they were received (RFC 5322).", metavar="FILE...")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs, a line for each file.")] = False,
) -> None:
    """Say what received mails are: bounces, complaints, automatic replies; and whom they are about.

    Needs no installation. Nothing is changed.
    """
    from ekiden.inbound.reports.read import read_report

    failed = False
    for path in files:
        try:
            content = _content(path)
        except InboundCliError as error:
            show_error(error)
            failed = True
            continue
        reading = read_report(content)
        if as_json:
            _print_line(path, reading)
        else:
            _tell(path, reading)
    if failed:
        raise typer.Exit(1)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise InboundCliError("{path} cannot be read: {error}", path=path, error=error.strerror) from None
    if len(content) > MAX_FILE:
        raise InboundCliError("{path} is larger than {most} octets", path=path, most=MAX_FILE)
    return content


def _print_line(path: Path, reading: Reading) -> None:
    import msgspec

    from ekiden.core.visible import visible_json
    from ekiden.documents.inbound import Classified

    typer.echo(visible_json(msgspec.json.encode(Classified.of(str(path), reading)).decode()))


def _tell(path: Path, reading: Reading) -> None:
    say(f"{path}: {tr(reading.kind.value)}")
    for report in reading.reports:
        say(f"  {_report_line(report)}")
        if report.text:
            say(f"    {report.text}")


def _report_line(report: Report) -> str:
    from ekiden.core.diagnosis import Diagnosis
    from ekiden.delivery.explain import cause_name

    told = [report.recipient or tr("(recipient not told)")]
    if report.diagnosis is not Diagnosis.NONE:
        told.append(f"{report.diagnosis.label} ({tr('cause')}: {cause_name(report.cause, lang())})")
        if report.hard:
            told.append(tr("hard"))
    if report.shown_code:
        told.append(report.shown_code)
    if report.expired:
        told.append(tr("given up after a while"))
    return "  ".join(told)
