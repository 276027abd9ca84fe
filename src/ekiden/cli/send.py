"""``ekiden send``: submit mail through a real SMTP listener, one message or many."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ekiden.cli.common import (
    CliError,
    CliUsageError,
    ConfigOption,
    JsonOption,
    error_console,
    error_text,
    load,
    tr,
)
from ekiden.cli.default_sender import default_sender
from ekiden.cli.tables import output, show
from ekiden.core.address import BadAddress, parse_address
from ekiden.core.errors import EkidenError

if TYPE_CHECKING:
    from ekiden.cli.submission import Draft, Result, Server

app = typer.Typer()


def _address(text: str) -> str:
    try:
        return parse_address(text.strip()).text
    except BadAddress as error:
        raise CliUsageError(str(error)) from None


def _read_recipients(path: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError("--to-file: {path} cannot be read: {error}", path=path, error=error) from None
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [_address(line) for line in lines if line]


def _server(config: Path | None, server: str | None, tls: str | None, ca: Path | None, insecure: bool) -> Server:
    """Where to submit."""
    from ekiden.cli.submission import configured_server, given_server

    if server is not None:
        return given_server(server, tls, ca, insecure)
    try:
        loaded = load(config)
    except EkidenError as error:
        raise CliError(
            "name a server with --server HOST:PORT, or a configuration ({error})", error=error_text(error)
        ) from None
    return configured_server(loaded, tls)


def _drafts(
    *,
    sender: str | None,
    to: list[str] | None,
    to_file: Path | None,
    subject: str,
    text: str | None,
    html: Path | None,
    file: Path | None,
    default: Callable[[], str],
) -> list[Draft]:
    """``default``: the sender when none is given."""
    from ekiden.cli.submission import Draft, make_message, read_message

    recipients = [_address(item) for value in to or () for item in value.split(",") if item.strip()]
    each = _read_recipients(to_file) if to_file is not None else []
    if file is not None:
        draft = read_message(file, sender=_address(sender) if sender else None, recipients=recipients + each)
        if each:
            # Whoever is named in a file gets a message alone.
            others = [Draft(draft.sender, [address], draft.content) for address in each]
            return [Draft(draft.sender, recipients, draft.content), *others] if recipients else others
        return [draft]
    if not recipients and not each:
        raise CliUsageError("there is no recipient; give --to or --to-file")
    if text == "-":
        text = sys.stdin.read()
    from_address = _address(sender) if sender else default()
    try:
        html_text = html.read_text("utf-8") if html is not None else None
    except (OSError, UnicodeDecodeError) as error:
        raise CliError("--html: {path} cannot be read: {error}", path=html, error=error) from None
    groups = ([recipients] if recipients else []) + [[address] for address in each]
    return [make_message(from_address, group, subject, text, html_text) for group in groups]


@app.command()
def send(
    to: Annotated[
        list[str] | None, typer.Option("--to", "-t", help="Recipient (repeatable: all in one message).")
    ] = None,
    to_file: Annotated[
        Path | None,
        typer.Option(
            "--to-file", help="A file of recipients, one per line; each gets a message alone. - is standard input."
        ),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option("--from", "-f", help="Sender. Default: postmaster at a domain that may be sent from."),
    ] = None,
    subject: Annotated[str, typer.Option("--subject", "-s", help="The subject.")] = "A message from ekiden send",
    text: Annotated[str | None, typer.Option("--text", help="The text; - is standard input.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="A file with an HTML part.", exists=True)] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A whole message (RFC 5322) instead; - is standard input.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Send everything this many times.")] = 1,
    connections: Annotated[
        int, typer.Option("--connections", min=1, max=100, help="Connections at the same time.")
    ] = 4,
    server: Annotated[
        str | None,
        typer.Option(
            "--server", help="HOST:PORT. Default: the configuration's first listener.", show_default=False
        ),
    ] = None,
    tls: Annotated[
        str | None,
        typer.Option("--tls", help="starttls, tls or none. Default: the listener's mode.", show_default=False),
    ] = None,
    ca: Annotated[Path | None, typer.Option("--ca", help="Trust this certificate.", exists=True)] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not check the server's certificate.")] = False,
    username: Annotated[
        str | None,
        typer.Option(
            "--username", "-u", envvar="EKIDEN_SMTP_USERNAME", help="User name (App: log in with an API key)."
        ),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            "--password",
            "-p",
            envvar="EKIDEN_SMTP_PASSWORD",
            help="Password, which is better given by the environment.",
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit mail over SMTP, as any client would, and print the queue ids."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ekiden.cli.submission import send_all

    if username is not None and password is None:
        if not sys.stdin.isatty():
            raise CliUsageError("--username without a password; set EKIDEN_SMTP_PASSWORD")
        password = str(typer.prompt(tr("Password"), hide_input=True, err=True))
    if file is None and not to and to_file is None:
        raise CliUsageError("there is no recipient; give --to or --to-file")
    where = _server(config, server, tls, ca, insecure)
    drafts = _drafts(
        sender=sender,
        to=to,
        to_file=to_file,
        subject=subject,
        text=text,
        html=html,
        file=file,
        default=lambda: default_sender(config, username, password or "", elsewhere=server is not None),
    )
    login = (username, password or "") if username is not None else None
    total = len(drafts) * count
    progress = Progress(
        TextColumn(tr("sending")),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=error_console(),
        transient=True,
        disable=total < 2 or not sys.stderr.isatty(),
    )
    started = time.monotonic()
    with progress:
        task = progress.add_task("", total=total)
        results, errors = send_all(
            where, login, drafts, count, min(connections, total), lambda: progress.advance(task)
        )
    _report(results, errors, total, time.monotonic() - started, as_json)


def _report(results: list[Result], errors: list[CliError], total: int, seconds: float, as_json: bool) -> None:
    from ekiden.documents.sending import RefusedRecipient, Sent, SentMessage

    accepted = [result for result in results if result.queue_id]
    refused = sum(len(result.refused) for result in results)
    messages = [
        SentMessage(
            result.queue_id or None,
            result.recipients,
            result.reply,
            [RefusedRecipient(recipient, *answer) for recipient, answer in result.refused.items()],
        )
        for result in results
    ]
    left = total - len(results)
    document = Sent(len(accepted), refused, left, [str(error) for error in errors], round(seconds, 3), messages)
    show(as_json, document, lambda: _tell(results, errors, left, seconds))
    if refused or left > 0:
        sys.stdout.flush()
        raise typer.Exit(1)


def _tell(results: list[Result], errors: list[CliError], left: int, seconds: float) -> None:
    accepted = [result for result in results if result.queue_id]
    refused = sum(len(result.refused) for result in results)
    out = output()
    for result in results if len(results) <= 20 else []:
        if result.queue_id:
            recipients = ", ".join(result.recipients)
            out.print(tr("{id}  accepted for {recipients}", id=result.queue_id, recipients=recipients))
    if len(results) > 20:
        rate = len(accepted) / seconds if seconds else 0.0
        text = tr("{count:,} messages accepted in {seconds:.1f} s ({rate:,.0f}/s)")
        out.print(text.format(count=len(accepted), seconds=seconds, rate=rate))
    for result in [item for item in results if item.refused][:20]:
        for recipient, (code, reply) in result.refused.items():
            text = tr("refused for {recipient}: {code} {reply}", recipient=recipient, code=code, reply=reply)
            error_console().print(text, markup=False)
    if refused > 20:
        error_console().print(tr("{count:,} recipients were refused in all", count=refused))
    if len(accepted) == 1 and sys.stdout.isatty():
        out.print(tr("Follow it with: ekiden trace {id}", id=accepted[0].queue_id))
    for error in errors:
        error_console().print(error_text(error), markup=False)
    if left > 0:
        text = tr("1 message was not tried" if left == 1 else "{count:,} messages were not tried", count=left)
        error_console().print(text)
