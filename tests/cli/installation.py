"""The command line as people start it, on a configuration of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from ekiden.cli.main import run
from ekiden.cli.reference import PRINTED
from ekiden.core.clock import Millis
from ekiden.documents import message
from ekiden.net.tls import make_self_signed
from ekiden.store.open import open_store
from support.queue_rows import Rows

T = TypeVar("T")
DOCUMENTS: dict[str, Any] = {
    **{command: list[item.document] for item in PRINTED for command in item.lists()},
    **{command: item.document for item in reversed(PRINTED) for command in item.commands()},
}
"""By command. ``trace`` may print a refusal instead."""


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


@dataclass
class Installation:
    """A configuration with a database, and the command in this process."""

    config: Path
    url: str
    capsys: pytest.CaptureFixture[str]
    now: Millis

    def run(self, *args: str) -> Ran:
        with pytest.raises(SystemExit) as ended:
            run([*args, "--config", str(self.config)])
        captured = self.capsys.readouterr()
        return Ran(int(ended.value.code or 0), captured.out, captured.err)

    def json(self, *args: str) -> Any:
        """What is printed for programs, which is the document that ``cli.reference`` says."""
        value = self.run(*args, "--json").json
        command = next(name for count in (3, 2, 1) if (name := " ".join(args[:count])) in DOCUMENTS)
        msgspec.convert(value, DOCUMENTS[command] if "refused" not in value else message.Refusal)
        return value

    def ask(self, port: int) -> None:
        """From now on the name server there is asked, which is waited for."""
        text = self.config.read_text("utf-8")
        assert NO_DNS in text
        self.config.write_text(text.replace(NO_DNS, f'port = {port}\ntimeout = "2s"\nlifetime = "5s"'), "utf-8")

    def fill(self, work: Callable[[Rows], Awaitable[Any]]) -> Any:
        """Put rows into the database through the store."""

        async def main() -> Any:
            store = await open_store(self.url)
            try:
                rows = await Rows.make(store, self.now)
                return await work(rows)
            finally:
                await store.close()

        return asyncio.run(main())


# Nobody listens there: whoever asks is not kept waiting for what cannot come.
NO_DNS = 'port = 9\ntimeout = "20ms"\nlifetime = "50ms"'

CONFIG = """
hostname = "mail.test.example"
[store]
url = "{url}"
[http]
addresses = ["127.0.0.1:0"]
[dns]
nameservers = ["127.0.0.1"]
{dns}
[lab]
enabled = true
[[listeners]]
name = "submission"
addresses = ["127.0.0.1:0"]
mode = "starttls"
certificates = [{{certificate = "cert.pem", key = "key.pem"}}]
"""


@contextmanager
def loop_apart() -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """An event loop in a thread, as another process would have; the value runs a coroutine there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def write_config(folder: Path, url: str) -> Path:
    make_self_signed(["mail.test.example"]).write(folder / "cert.pem", folder / "key.pem")
    (folder / "instance.key").write_text("0f" * 32)
    (folder / "instance.key").chmod(0o600)
    config = folder / "ekiden.toml"
    config.write_text(CONFIG.format(url=url, dns=NO_DNS), "utf-8")
    return config
