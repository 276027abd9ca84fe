"""Clients that customers really use, unmodified, each in a process of its own: Infobip's for Python (the older one,
and both generations of the later one) and for Node, that of Customers Mail Cloud for Python, and Nodemailer.

``make clients`` sets them up under the virtual environment. A conftest imports the fixtures that its tests need.
Every method blocks; a test whose server runs on the test's own loop awaits ``…_async`` instead. The processes get
no proxy and nothing else of the environment.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

DRIVERS = Path(__file__).parents[1] / "clients"
PLACE = Path(sys.prefix) / "clients"
PATIENCE = 60.0  # seconds for one call; a client that waits longer is ended


class ClientError(Exception):
    """What the client raised, or returned as an error. ``body`` is the answer's text, ``data`` what the client made
    of it; ``headers`` have lower-case names; ``status`` is HTTP's or SMTP's, None when there was no answer."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__(f"{facts['type']}: {facts['text']}")
        self.type: str = facts["type"]
        self.bases: list[str] = facts.get("bases", [])
        self.text: str = facts["text"]
        self.code: str | None = facts.get("code")
        self.command: str | None = facts.get("command")
        self.status: int | None = facts.get("status")
        self.reason: str | None = facts.get("reason")
        self.headers: dict[str, str] = facts.get("headers", {})
        self.body: str | None = facts.get("body")
        self.data: Any = facts.get("data")


def new(name: str, /, *args: Any, **fields: Any) -> dict[str, Any]:
    """An object of a class of ``infobip_api_client.models`` (or ``FileParameter``), made in the driver."""
    return {"$new": name, "args": args, "fields": fields}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    raise TypeError(f"no word for {type(value).__name__}")


def _revived(value: dict[str, Any]) -> Any:
    match value:
        case {"$bytes": str(text)}:
            return base64.b64decode(text)
        case {"$time": str(text)}:
            return datetime.fromisoformat(text)
    return value


class Program:
    """A driver: JSON lines in and out. It runs from the first question until ``close``; threads take turns."""

    def __init__(self, command: Sequence[str], **environment: str) -> None:
        self._command = command
        self._environment = environment | {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the program
        self._read = b""

    def ask(self, request: Mapping[str, Any]) -> Any:
        """The result. Raises ``ClientError``; ``RuntimeError`` when the driver itself failed or was too slow: the
        next question is for a new one."""
        with self._turn:
            process = self._process = self._process or self._start()
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps(request, default=_plain).encode() + b"\n")
                process.stdin.flush()
                answer = json.loads(self._line(process), object_hook=_revived)
            except (BrokenPipeError, TimeoutError, EOFError) as error:
                self._end()
                self._complaints.seek(0)
                said = self._complaints.read().decode(errors="replace")
                raise RuntimeError(f"{type(error).__name__}; the driver said: {said[-4000:]}") from error
        if "error" in answer:
            raise ClientError(answer["error"])
        return answer.get("result")

    def _start(self) -> subprocess.Popen[bytes]:
        self._read = b""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self._command, stdin=pipe, stdout=pipe, stderr=self._complaints, env=self._environment
        )

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        file = process.stdout.fileno()
        end = time.monotonic() + PATIENCE
        while b"\n" not in self._read:
            if not select.select([file], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError
            if not (data := os.read(file, 1 << 20)):
                raise EOFError
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # It has nothing to lose, and its input may be open elsewhere: in what others of this process have forked.
        process.kill()
        process.communicate()

    def close(self) -> None:
        """End the driver."""
        self._end()
        self._complaints.close()


def _place(name: str) -> Path:
    found = PLACE / name
    if not (found / ".ready").exists():
        pytest.fail(f"{found} is not set up; run: make clients")
    return found


class InfobipPython(Program):
    """Infobip's client for Python; ``generation`` 5 (`/email/3/send`) or 6 (`/email/4/messages`)."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        # -S: only what was locked for this client, nothing of our own environment.
        command = [sys.executable, "-S", str(DRIVERS / "infobip_driver.py")]
        super().__init__(command, PYTHONPATH=str(_place(f"infobip-{generation}")), PYTHONDONTWRITEBYTECODE="1")

    def client(self, host: str, key: str, *, scheme: str = "App", ca: str | Path | None = None) -> PythonClient:
        """A configured ``EmailApi`` of the server ``host`` (a URL). ``scheme``: the word before ``key`` in the
        header field Authorization; ``ca``: a file with the certificates to trust."""
        settings: dict[str, Any] = {"host": host, "api_key": {"APIKeyHeader": key}}
        settings["api_key_prefix"] = {"APIKeyHeader": scheme}
        if self.generation == 6 and scheme == "App":
            # As its users write it.
            settings = {"host": host, "api_key": key}
        if ca is not None:
            settings["ssl_ca_cert"] = str(ca)
        return PythonClient(self, settings)


class PythonClient:
    """A configured client. ``settings``: the arguments of its ``Configuration``."""

    def __init__(self, program: InfobipPython, settings: Mapping[str, Any]) -> None:
        self.program = program
        self.settings = settings

    def call(self, method: str, /, *args: Any, **fields: Any) -> Any:
        """Call a method of ``EmailApi``; arguments are values, and objects by ``new``. Results are as the client's
        ``to_dict`` says, keys as on the wire and times as ``datetime``. ``METHOD_with_http_info`` gives
        ``status_code``, ``headers``, ``data`` and ``raw_data``. Raises ``ClientError``."""
        request = {"configuration": self.settings, "call": method, "args": args, "fields": fields}
        return self.program.ask(request)

    async def call_async(self, method: str, /, *args: Any, **fields: Any) -> Any:
        """``call``, in a thread."""
        return await asyncio.to_thread(self.call, method, *args, **fields)


class InfobipSdk(Program):
    """Infobip's older client for Python, ``infobip-api-python-sdk``."""

    def __init__(self) -> None:
        command = [sys.executable, "-S", str(DRIVERS / "infobip_sdk_driver.py")]
        super().__init__(command, PYTHONPATH=str(_place("infobip-sdk")), PYTHONDONTWRITEBYTECODE="1")

    async def call(self, host: str, key: str, method: str, *args: Any) -> Any:
        """Call a method of its ``EmailChannel``, in a thread: ``class`` and ``value`` of what it returns,
        ``status`` and ``text`` of the answer. A file of a message is ``{"$file": [name, octets in base64]}``."""
        settings = {"base_url": host, "api_key": key}
        return await asyncio.to_thread(self.ask, {"settings": settings, "call": method, "args": args})


class CmcPython(Program):
    """Customers Mail Cloud's client for Python; it can only send."""

    def __init__(self) -> None:
        command = [sys.executable, "-S", str(DRIVERS / "cmc_driver.py")]
        super().__init__(command, PYTHONPATH=str(_place("cmc")), PYTHONDONTWRITEBYTECODE="1")

    async def send(self, host: str, api_user: str, api_key: str, **mail: Any) -> Any:
        """What its ``send`` returns, in a thread; ``mail`` as the driver has it. Raises ``ClientError``."""
        who = {"host": host, "api_user": api_user, "api_key": api_key, "plan": "trial", "fields": {}}
        return await asyncio.to_thread(self.ask, who | mail)


class NodeProgram(Program):
    """A driver of ``clients/node``; ``ca``: a file with certificates to trust besides the usual ones."""

    def __init__(self, driver: str, ca: str | Path | None = None) -> None:
        node = shutil.which("node")
        if node is None:
            pytest.fail("node is missing; run: make clients")
        extra = {} if ca is None else {"NODE_EXTRA_CA_CERTS": str(ca)}
        command = [node, str(DRIVERS / "node" / driver)]
        super().__init__(command, EKIDEN_TEST_CLIENTS=str(_place("node")), **extra)


class InfobipNode(NodeProgram):
    """Infobip's client for Node."""

    def __init__(self, ca: str | Path | None = None) -> None:
        super().__init__("infobip_driver.mjs", ca)

    def client(self, host: str, key: str = "", **settings: str) -> NodeClient:
        """A client of the server ``host`` (a URL). Without a key ``settings`` say ``authType`` (Basic, IBSSO,
        Bearer) and its credential (``username`` and ``password``, ``ibssoToken``, ``oauthToken``)."""
        given = {"authType": "App", "apiKey": key} if key else {}
        return NodeClient(self, {"baseUrl": host} | given | settings)


class NodeClient:
    """A configured client."""

    def __init__(self, program: InfobipNode, settings: Mapping[str, str]) -> None:
        self.program = program
        self.settings = settings

    def call(self, method: str, *args: Any) -> Any:
        """Call a method by its path (``channels.email.send``); the result has ``status``, ``headers``, ``data``.
        Raises ``ClientError``."""
        return self.program.ask({"client": self.settings, "call": method, "args": args})

    async def call_async(self, method: str, *args: Any) -> Any:
        """``call``, in a thread."""
        return await asyncio.to_thread(self.call, method, *args)


class Nodemailer(NodeProgram):
    """Nodemailer."""

    def __init__(self) -> None:
        super().__init__("nodemailer_driver.mjs")

    def send(self, transport: Mapping[str, Any], message: Mapping[str, Any]) -> Any:
        """What ``createTransport(transport).sendMail(message)`` says: ``response``, ``accepted``, ``envelope``….
        Raises ``ClientError``."""
        return self.ask({"transport": transport, "message": message})

    async def send_async(self, transport: Mapping[str, Any], message: Mapping[str, Any]) -> Any:
        """``send``, in a thread."""
        return await asyncio.to_thread(self.send, transport, message)


@pytest.fixture(scope="session")
def infobip_5() -> Iterator[InfobipPython]:
    """Version 5.1.1."""
    program = InfobipPython(5)
    yield program
    program.close()


@pytest.fixture(scope="session")
def infobip_6() -> Iterator[InfobipPython]:
    """Version 6.0.0."""
    program = InfobipPython(6)
    yield program
    program.close()


@pytest.fixture(scope="session")
def infobip_sdk() -> Iterator[InfobipSdk]:
    """Version 5.0.1."""
    program = InfobipSdk()
    yield program
    program.close()


@pytest.fixture(scope="session")
def cmc_python() -> Iterator[CmcPython]:
    """Version 1.2.2."""
    program = CmcPython()
    yield program
    program.close()


@pytest.fixture(scope="session")
def infobip_node() -> Iterator[InfobipNode]:
    """For servers without TLS, or with a certificate that the system trusts."""
    program = InfobipNode()
    yield program
    program.close()


@pytest.fixture(scope="session")
def nodemailer() -> Iterator[Nodemailer]:
    program = Nodemailer()
    yield program
    program.close()
