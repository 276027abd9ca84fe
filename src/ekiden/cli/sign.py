"""``ekiden sign``: the signature of a request, for those who try an API by hand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote, urlsplit

import typer

from ekiden.cli.common import CliError, CliUsageError, ConfigOption, JsonOption, Opened, on_store
from ekiden.cli.tables import show
from ekiden.cli.terminal import say
from ekiden.web.curl import curl_command
from ekiden.web.dialect import ToSign
from ekiden.wiring.dialects import DIALECTS

if TYPE_CHECKING:
    from pathlib import Path

    from ekiden.web.dialect import Dialect

app = typer.Typer()

_ON_THE_WIRE: Final = "/?#:@!$&'()*+,;=%-._~"
"""What stays as it is in a target; anything else is percent-encoded, as clients do it."""


def _dialect(name: str) -> Dialect[Any]:
    signing = [item for item in DIALECTS if item.sign is not None]
    found = next((item for item in signing if item.name == name), None)
    if found is None:
        known = ", ".join(item.name for item in signing)
        raise CliUsageError("requests of {name!r} are not signed; choose one of {known}", name=name, known=known)
    return found


def _target(text: str) -> tuple[str, str]:
    """What is signed, and the URL; empty: only a path was given."""
    if text.startswith("/"):
        return quote(text, _ON_THE_WIRE).partition("#")[0], ""
    try:
        url = urlsplit(text)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in ("http", "https") or not url.netloc:
        raise CliUsageError("{target!r} is neither a path such as /api/v1/mails nor a URL", target=text)
    target = quote(url.path or "/", _ON_THE_WIRE) + (f"?{quote(url.query, _ON_THE_WIRE)}" if url.query else "")
    return target, f"{url.scheme}://{url.netloc}{target}"


def _secret(config: Path | None, id: str) -> str:
    """Of an access key of the installation."""

    async def work(on: Opened) -> str:
        from ekiden.access.access_keys import AccessKeys

        known = await AccessKeys(on.store, await on.vault()).find(id)
        if known is None:
            raise CliError(
                "there is no access key {id!r} here; --secret-key takes the secret of another one", id=id
            )
        return known.secret.decode()

    return on_store(config, work)


@app.command()
def sign(
    dialect: Annotated[str, typer.Argument(help="Whose API it is: naver.", metavar="DIALECT")],
    method: Annotated[str, typer.Argument(help="The method: GET, POST, PUT or DELETE.", metavar="METHOD")],
    target: Annotated[
        str,
        typer.Argument(
            help="The path with its query, such as /api/v1/mails; or a URL, for a curl command.", metavar="PATH"
        ),
    ],
    access_key: Annotated[str, typer.Option("--access-key", help="The id of the access key.")],
    secret_key: Annotated[
        str | None,
        typer.Option(
            "--secret-key",
            help="Its secret; - reads a line of standard input. Default: that of the installation.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", "-d", help="The JSON body of the curl command; @FILE as curl has it.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the header fields that sign a request with an access key; for a URL, a curl command.

    A signature is good for five minutes, and for one request if that creates something.
    """
    from ekiden.cli.common import now_ms
    from ekiden.documents.account import SignedRequest

    chosen = _dialect(dialect)
    assert chosen.sign is not None
    if not (method.isascii() and method.isalpha()):
        raise CliUsageError("{method!r} is not a method such as GET", method=method)
    signed, url = _target(target)
    if secret_key == "-":  # noqa: S105
        secret_key = sys.stdin.readline().rstrip("\r\n")
    secret = secret_key or _secret(config, access_key)
    headers = dict(chosen.sign(ToSign(method.upper(), signed, access_key, secret, now_ms())))
    curl = curl_command(method.upper(), url, headers, data) if url else ""

    def told() -> None:
        for line in [curl] if curl else [f"{name}: {value}" for name, value in headers.items()]:
            say(line)

    show(as_json, SignedRequest(method.upper(), signed, headers, curl or None), told)
