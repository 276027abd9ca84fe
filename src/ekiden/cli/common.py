"""What every command needs: the configuration, the store, output for people and for programs, one way to fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeVar

import typer

from ekiden.cli.terminal import Terminal, say_folded
from ekiden.cli.translations import TEXTS
from ekiden.core.errors import EkidenError, UsageProblem
from ekiden.core.language import Language, language
from ekiden.core.texts import Texts, TranslatedError
from ekiden.core.visible import visible_json

if TYPE_CHECKING:
    from ekiden.access.accounts import Account
    from ekiden.access.audit import Actor
    from ekiden.access.vault import Vault
    from ekiden.config.model import Config
    from ekiden.core.clock import Millis
    from ekiden.store.api import Store

T = TypeVar("T")
HELP: Final = Texts("cli/help")
"""What typer and the commands say when they are asked for help or used wrongly."""

LARGEST: Final = (1 << 63) - 1
"""The largest number that a database holds."""
MOST_ROWS: Final = 1_000_000_000
"""What ``--limit`` takes at most."""

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration file. Default: $EKIDEN_CONFIG, ./ekiden.toml, /etc/ekiden/ekiden.toml.",
        show_default=False,
    ),
]
"""``config: ConfigOption = None`` in a command; give it to ``load``."""

AccountOption = Annotated[str, typer.Option("--account", "-a", help="The account's name.")]
"""In whose name something is done."""

OfAccountOption = Annotated[
    str | None, typer.Option("--account", "-a", help="Only of this account.", show_default=False)
]
"""Of a list. ``Opened.account_id`` makes a condition of it."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
"""``as_json: JsonOption = False`` in a command."""


def row_number(value: str | int) -> int:
    """The parser of a number by which the database knows something."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST):
        raise CliUsageError("{value!r} is not a number such as lists show", value=value)
    return int(text)


class CliError(TranslatedError):
    """A command cannot do what it was asked to; the text, of its ``catalogue``, is the line that the user sees."""

    catalogue: ClassVar[Texts] = TEXTS

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(self.catalogue, template, **values)


class CliUsageError(CliError, UsageProblem):
    """Wrong usage: what was given on the command line cannot be right, whatever the installation has."""


def error_console() -> Terminal:
    """Where progress and remarks go, so that standard output stays usable in a pipe."""
    return Terminal(stderr=True)


def lang() -> Language:
    """The language of the person at the terminal: ``EKIDEN_LANG``, else the locale."""
    return language(os.environ)


def tr(text: str, **values: Any) -> str:
    """A text of ``cli.translations`` in the language of the person at the terminal."""
    return TEXTS(text, lang(), **values)


def print_json(value: Any) -> None:
    """One JSON document: indented for a terminal, one line for a pipe. It is exact: what hides is escaped."""
    import json

    import msgspec

    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # lone surrogates, which JSON can say and UTF-8 cannot
        text = json.dumps(msgspec.to_builtins(value), separators=(",", ":"))
    if sys.stdout.isatty():
        text = msgspec.json.format(text, indent=2)
    sys.stdout.write(visible_json(text) + "\n")
    sys.stdout.flush()


def error_text(error: EkidenError) -> str:
    """The error as the user reads it."""
    return error.text(lang()) if isinstance(error, TranslatedError) else str(error)


def exit_status(error: EkidenError) -> int:
    """2 for wrong usage, 1 for everything else. A value that no installation would take is wrong usage."""
    return 2 if isinstance(error, (UsageProblem, ValueError)) else 1


def show_error(error: EkidenError) -> None:
    """The error as the user reads it, on standard error."""
    for number, line in enumerate(error_text(error).split("\n")):
        say_folded(line if number else f"ekiden: {line}", stderr=True)


def load(config: Path | None) -> Config:
    """The configuration, or a ``ConfigError`` that says what is wrong with it."""
    import structlog

    from ekiden.config.load import load_config
    from ekiden.process.logging import configure_for_commands
    from ekiden.wiring.dialects import DIALECTS

    if not structlog.is_configured():
        configure_for_commands()  # what a service logs on the way is not what the command prints
    return load_config(config, dialects=DIALECTS)


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine of a command to its end. Ctrl-Z does not stop it while it changes the database."""
    import asyncio

    from ekiden.store.sqlite.turn import suspendable

    suspendable()
    return asyncio.run(main)


def now_ms() -> Millis:
    """The wall clock."""
    from ekiden.net.clock import SystemClock

    return SystemClock().now()


class Opened:
    """What a command works with: the store of a configuration, the clock, and who sits at the terminal."""

    def __init__(self, config: Config, store: Store) -> None:
        from ekiden.net.clock import SystemClock

        self.config = config
        self.store = store
        self.clock = SystemClock()

    @property
    def now(self) -> Millis:
        return self.clock.now()

    @property
    def actor(self) -> Actor:
        from ekiden.access.audit import local_actor

        return local_actor()

    async def account(self, name: str) -> Account:
        """The account of that name; there has to be one."""
        from ekiden.access.accounts import get_account

        return await get_account(self.store, name)

    async def account_id(self, name: str | None) -> int | None:
        """The id of the account that an option names. ``None``: it was not given, all of them are meant."""
        return None if name is None else (await self.account(name)).id

    async def account_name(self, account_id: int) -> str:
        """What an account is called; empty when there is none."""
        from ekiden.access.accounts import find_account

        found = await find_account(self.store, account_id)
        return "" if found is None else found.name

    async def account_names(self) -> dict[int, str]:
        """What the accounts are called, by id."""
        from ekiden.access.accounts import list_accounts

        return {item.id: item.name for item in await list_accounts(self.store)}

    async def vault(self) -> Vault:
        """What opens secrets, if the instance key is that of the database."""
        from ekiden.process.instance_key import checked_vault

        return await checked_vault(self.config, self.store)


def on_store(config: Config | Path | None, work: Callable[[Opened], Awaitable[T]]) -> T:
    """Do it with the store of the configuration; ``SchemaOutdated`` tells to run ``ekiden db upgrade``."""
    loaded = load(config) if config is None or isinstance(config, Path) else config

    async def main() -> T:
        from ekiden.store.open import open_store

        store = await open_store(loaded.store_url())
        try:
            return await work(Opened(loaded, store))
        finally:
            await store.close()

    return run_async(main())


def of_accounts(
    config: Path | None, account: str | None, read: Callable[[Opened, int | None], Awaitable[Sequence[T]]]
) -> tuple[Sequence[T], dict[int, str]]:
    """What there is of one account or of all, which ``read`` tells by the account's id; and their names by id."""

    async def work(on: Opened) -> tuple[Sequence[T], dict[int, str]]:
        return await read(on, await on.account_id(account)), await on.account_names()

    return on_store(config, work)
