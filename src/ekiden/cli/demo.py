"""``ekiden demo``: try the platform without touching anything, and without leaving anything behind."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ekiden.cli.common import CliError, lang, now_ms
from ekiden.cli.terminal import say
from ekiden.core.texts import Texts
from ekiden.web.dialect import DemoClient, Shown
from ekiden.wiring.dialects import DIALECTS

if TYPE_CHECKING:
    from ekiden.documents.installation import DemoFacts

app = typer.Typer()

TEXTS = Texts("cli/demo")


class Engine(StrEnum):
    """Which store the demo uses."""

    sqlite = "sqlite"
    postgresql = "postgresql"


class _Stopped(BaseException):
    """A signal asked for the end."""


def _stop(_number: int, _frame: object) -> None:
    raise _Stopped


@app.command()
def demo(
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one line of JSON when everything is ready, send nothing, and stay."),
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Number of workers. 0: one per core.", show_default=False)
    ] = None,
    store: Annotated[
        Engine | None,
        typer.Option(
            "--store",
            help="The database engine. Default: the one in the directory, else sqlite.",
            show_default=False,
        ),
    ] = None,
    watch_stdin: Annotated[bool, typer.Option("--watch-stdin", help="Stop when standard input ends.")] = False,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Keep everything here, and resume from it.", show_default=False)
    ] = None,
    free_ports: Annotated[
        bool,
        typer.Option("--free-ports", help="Take any free ports, so that several demos can run beside each other."),
    ] = False,
) -> None:
    """Run the platform and a lab around it on loopback, with an account to try it with.

    Everything lives in a temporary folder and ends with Ctrl-C. Ports are 2525 (SMTP without TLS and login, from
    127.0.0.1), 2587 (STARTTLS), 2465 (TLS), 2526 (mail of other servers), 8080 (HTTP) and 8025 (what arrived: a
    page for your browser), or free ones where these are taken.

    The line of --json has: smtp.plain (without TLS), smtp.starttls, smtp.tls, smtp.private (with STARTTLS) and
    smtp.reception (where other servers deliver; each is host and port), http (APIs, health, metrics), naver (base
    URL of NAVER's API), cmc (of Customers Mail Cloud's), lab (its API, and pages at /inbox), lab_http (its receiver
    of callbacks), ca (certificate to trust), account (name, username, password, api_key, domain, instance_id,
    iam_apikey, naver.access_key, naver.secret_key, cmc.api_user, cmc.api_key, cmc.server_composition,
    return_path_domain, inbound_domain), trace (command line; put an id for {id}), config and log (files).
    """
    from ekiden.lab.demo import Demo

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    running = Demo(
        directory, workers=workers, store=None if store is None else store.value, free_ports=free_ports, lang=lang()
    )
    try:
        if not as_json:
            _say("Starting the platform and the lab ...")
        facts = running.start()
        if as_json:
            import msgspec

            sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
            sys.stdout.flush()
        else:
            _first_message(facts)
            _explain(facts)
        running.watch(0 if watch_stdin else None)
    except _Stopped:
        pass
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if not as_json:
            _say("Stopping ...")
        running.stop()


def _say(text: str, **values: Any) -> None:
    typer.echo(TEXTS(text, lang(), **values))


def _first_message(facts: DemoFacts) -> None:
    import smtplib
    import ssl
    from email.message import EmailMessage
    from email.utils import formatdate

    host, port = facts.smtp.starttls
    account = facts.account
    recipient = "hello@accept.lab.test"
    _say("Sending a first message through port {port} (STARTTLS, AUTH) ...", port=port)
    message = EmailMessage()
    message["From"] = f"Ekiden <hello@{account.domain}>"
    message["To"] = recipient
    message["Subject"] = "The first runner / 第一走者"
    message["Date"] = formatdate()
    message.set_content("The sash is on its way.\r\nたすきをつなぎます。\r\n")
    with smtplib.SMTP(host, port, timeout=30) as client:
        client.starttls(context=ssl.create_default_context(cafile=facts.ca))
        client.login(account.username, account.password)
        client.mail(f"hello@{account.domain}")
        client.rcpt(recipient)
        code, reply = client.data(message.as_bytes())
    text = f"{code} {reply.decode(errors='replace')}"
    _say("The server answered: {reply}", reply=text)
    if code != 250:
        raise CliError("the first message was not accepted: {error}", error=text)
    queue_id = text.rsplit(maxsplit=1)[-1]
    query = urllib.parse.urlencode({"to": recipient, "count": 1, "wait": 30})
    with urllib.request.urlopen(f"{facts.lab}/mail?{query}", timeout=60) as response:  # noqa: S310 (loopback)
        if response.read().strip() == b"[]":
            raise CliError("the first message did not arrive within 30 s; see {log}", log=facts.log)
    _say("This is what arrived:")
    _show_mail(facts, recipient)
    _say("Delivered. This is its trace:")
    command = facts.trace.replace("{id}", queue_id)
    deadline = time.monotonic() + 10
    while True:
        # The lab has the message a moment before its 250 has been written down here.
        shown = subprocess.run([*shlex.split(command), "--json"], capture_output=True, check=False)  # noqa: S603
        if b'"delivered"' in shown.stdout.lower() or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    sys.stdout.flush()
    subprocess.run(shlex.split(command), check=False)  # noqa: S603


def _show_mail(facts: DemoFacts, recipient: str) -> None:
    query = urllib.parse.urlencode({"to": recipient, "lang": lang()})
    with urllib.request.urlopen(f"{facts.lab}/mail/last/text?{query}", timeout=60) as response:  # noqa: S310
        text = response.read().decode()
    for line in text.splitlines():
        say(f"    {line}")
    say("")


def _explain(facts: DemoFacts) -> None:
    account = facts.account
    starttls, tls = facts.smtp.starttls, facts.smtp.tls
    typer.echo("")
    _say("Everything is up, on loopback only. Ctrl-C ends it.")
    plain = "{}:{}".format(*facts.smtp.plain)
    rows = [
        ("Your mail, in a browser", facts.lab),
        ("SMTP without TLS and login, from this machine", plain),
        ("SMTP with STARTTLS", f"{starttls[0]}:{starttls[1]}"),
        ("SMTP with TLS", f"{tls[0]}:{tls[1]}"),
        ("Health and metrics", f"{facts.http}/healthz  /readyz  /metrics"),
        ("Lab (its API)", f"{facts.lab}/mail"),
        ("Callbacks may go to", f"{facts.lab_http}/anything  ({facts.lab}/http)"),
        ("User name", account.username),
        ("Password", account.password),
        ("API key (user name: App)", account.api_key),
    ]
    shown = _of_dialects(facts)
    told = [(TEXTS(name, lang()), value) for name, value in rows]
    told += [(name.text(lang()), value) for item in shown for name, value in item.rows]
    told += [(TEXTS("Certificate to trust", lang()), facts.ca), (TEXTS("Log", lang()), facts.log)]
    for label, value in told:
        typer.echo(f"  {label}: {value}")
    sender = f"you@{account.domain}"
    _heading("Send with curl, by SMTP:")
    typer.echo(
        f"  printf 'From: {sender}\\nTo: anything@accept.lab.test\\nSubject: Hi\\n\\nHello\\n' |"
        f" curl smtp://{plain} --mail-from {sender} --mail-rcpt anything@accept.lab.test --upload-file -"
    )
    _heading("Send with swaks:")
    typer.echo(
        f"  swaks --server {starttls[0]}:{starttls[1]} --tls --auth PLAIN --auth-user {account.username}"
        f" --auth-password {account.password} --from {sender} --to anything@accept.lab.test"
    )
    _heading("Send with Python:")
    typer.echo(f"""  import smtplib, ssl
  with smtplib.SMTP("{starttls[0]}", {starttls[1]}) as client:
      client.starttls(context=ssl.create_default_context(cafile="{facts.ca}"))
      client.login("{account.username}", "{account.password}")
      client.sendmail("{sender}", ["anything@accept.lab.test"], "Subject: Hi\\r\\n\\r\\nHello\\r\\n")""")
    for heading, commands in [example for item in shown for example in item.examples]:
        typer.echo(f"\n{heading.text(lang())}\n{commands}")
    _heading("See what arrived:")
    spoken = "?lang=ja" if lang() == "ja" else ""
    typer.echo(f"  {facts.lab}/inbox")
    typer.echo(f"  curl {shlex.quote(facts.lab + '/mail/last/text' + spoken)}")
    typer.echo(f"  curl {shlex.quote(facts.lab + '/mail?to=anything@accept.lab.test')}")
    _heading("Why was this not delivered?")
    typer.echo(f"  {facts.trace.replace('{id}', 'QUEUE-ID')}")
    _say("Other recipients to try: anything@greylist.lab.test, anything@reject.lab.test; all are in docs/lab.md")
    sys.stdout.flush()


def _of_dialects(facts: DemoFacts) -> list[Shown]:
    from ekiden.lab.demo import ekiden_command

    account = facts.account
    client = DemoClient(
        facts.http,
        facts.lab,
        facts.lab_http,
        account.domain,
        account.api_key,
        account.instance_id,
        account.iam_apikey,
        account.naver.access_key,
        account.naver.secret_key,
        account.cmc.api_user,
        account.cmc.api_key,
        account.cmc.server_composition,
        ekiden_command(),
        now_ms(),
    )
    return [dialect.demo(client) for dialect in DIALECTS]


def _heading(text: str) -> None:
    typer.echo("")
    _say(text)
