"""A dialect is its folder and a line of the list: this one is a value of the test's own, and all else follows."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Response
from real_worker import RealWorker, real_worker

from ekiden.access.accounts import create_account
from ekiden.access.credentials import API_KEY_USERNAME, create_api_key
from ekiden.access.proof import LoginRefusal, Password
from ekiden.config.load import ConfigError, build_config
from ekiden.config.write import write_toml
from ekiden.core.notices import Happening
from ekiden.core.texts import Help, Texts, TranslatedError
from ekiden.store.api import Store
from ekiden.web.dialect import Dialect
from ekiden.web.need import Need
from ekiden.web.operation import Api, Call, Operation, changes, reads
from ekiden.web.platform import Platform
from ekiden.web.problem import AnyRequest, ApiError, Envelope, Fault, Told
from ekiden.web.proof import Caller, identify
from ekiden.web.throttle import Throttle
from ekiden.wiring.dialects import DIALECTS

TEXTS = Texts({})
_FAULTS = {fault: Told(500, fault.name.lower()) for fault in Fault} | {
    Fault.NO_PATH: Told(404, "no parrot at {path}"),
    Fault.NO_METHOD: Told(405, "not {method}"),
    Fault.NO_SCOPE: Told(403, "no scope {scope}"),
    Fault.TOO_LARGE: Told(413, "more than {most}"),
    Fault.THROTTLED: Told(429, "too often", later=True),
}


class ParrotConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    word: str = "hello"
    longest: int = 100


class ParrotEnvelope(Envelope[ApiError]):
    faults = _FAULTS

    def own(self, request: AnyRequest, error: Exception) -> ApiError | None:
        return error if isinstance(error, ApiError) else None

    def make(self, status: int, template: str, headers: dict[str, str], values: dict[str, Any]) -> ApiError:
        return ApiError(status, TEXTS, template, headers, **values)

    def of(self, status: int, error: TranslatedError) -> ApiError:
        return ApiError(status, error.texts, error.template, **error.values)

    def write(self, request: AnyRequest, error: ApiError) -> Response[bytes]:
        text = f"squawk: {error.text('en')}".encode()
        return Response(text, status_code=error.status, media_type="text/plain", headers=error.headers)


async def _word(call: Call) -> Response[bytes]:
    return Response(call.api.settings.word.encode(), media_type="text/plain")


async def _say(call: Call) -> Response[bytes]:
    said = bytes(await call.body.read()) + call.parameter("times").encode()
    return Response(said + call.caller.account.name.encode(), status_code=201, media_type="text/plain")


class ParrotApi(Api):
    async def authenticate(self, request: AnyRequest) -> Caller:
        shown = Password(API_KEY_USERNAME, request.headers.get("x-parrot", ""))
        found = await identify(request, self.services.authenticator, shown)
        if isinstance(found, LoginRefusal):
            raise ApiError(401, TEXTS, "who are you?")
        return found


def _api(services: Platform, settings: ParrotConfig) -> Api:
    operations = (
        reads("/parrot/1/word", _word, "words"),
        changes("POST", "/parrot/1/say/{times:str}", _say, need=Need(settings.longest)),
        Operation("GET", "/parrot/1/open", _word),
    )
    throttles = {"words": Throttle(1, 60, 2)}
    return ParrotApi(services, settings, operations, {"/parrot": ParrotEnvelope()}, Call, throttles)


class ParrotLines:
    name = "parrot-lines"
    content_type = "text/plain"
    batch = 1

    def wants(self, happening: Happening) -> bool:
        return True

    def encode(self, happenings: Sequence[Happening]) -> bytes:
        return b"".join(happening.recipient.encode() for happening in happenings)


PARROT = Dialect(
    name="parrot",
    config=ParrotConfig,
    section=Help("Parrots.", "オウム。"),
    keys={"word": Help("What it says.", "話す言葉。"), "longest": Help("Octets.", "オクテット数。")},
    load=lambda: None,
    api=_api,
    formats=lambda _: (ParrotLines(),),
)
ALL = (*DIALECTS, PARROT)


LOADED_LATER = """
import ast, inspect, sys
from ekiden.wiring.dialects import DIALECTS
for dialect in DIALECTS:
    dialect.load()
for dialect in DIALECTS:
    tree = ast.parse(inspect.getsource(sys.modules[dialect.api.__module__]))
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom) and node.module not in sys.modules:
                print(node.module)
"""


def test_workers_share_what_dialects_load() -> None:
    """What is loaded behind the fork is in the memory of each worker."""
    done = subprocess.run([sys.executable, "-c", LOADED_LATER], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_its_section_is_read_explained_and_overridden() -> None:
    raw: dict[str, Any] = {"parrot": {"word": "good day"}}
    config = build_config(raw, Path("/srv"), {"EKIDEN_PARROT__LONGEST": "7"}, source="x", dialects=ALL)
    assert config.of(ParrotConfig) == ParrotConfig(word="good day", longest=7)
    assert '[parrot]\n# 話す言葉。\n#word = "hello"\n' in write_toml({}, ALL, "ja")
    with pytest.raises(ConfigError, match=r'parrot\.wrod: unknown key; did you mean "word"\?'):
        build_config({"parrot": {"wrod": 1}}, Path("/srv"), {}, source="x", dialects=ALL)
    with pytest.raises(ConfigError, match="parrot: unknown key"):
        build_config({"parrot": {}}, Path("/srv"), {}, source="x", dialects=DIALECTS)


async def asked(
    worker: RealWorker, method: str, path: str, key: str = "", body: bytes | None = None
) -> tuple[int, str, str | None]:
    def ask() -> tuple[int, str, str | None]:
        connection = HTTPConnection("127.0.0.1", worker.port, timeout=20)
        try:
            connection.request(method, path, body, {"X-Parrot": key} if key else {})
            found = connection.getresponse()
            return found.status, found.read().decode(), found.headers["retry-after"]
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def test_it_is_spoken_by_the_real_app(store: Store) -> None:
    async with real_worker(store, dialects=ALL, parrot=ParrotConfig(longest=10)) as worker:
        account = await create_account(store, "acme", worker.platform.clock.now())
        now = worker.platform.clock.now()
        key = (await create_api_key(store, account.id, "all", now)).key
        reader = (await create_api_key(store, account.id, "reads", now, scopes=("read",))).key
        said = [
            await asked(worker, "GET", "/parrot/1/word"),
            await asked(worker, "GET", "/parrot/1/open"),
            await asked(worker, "POST", "/parrot/1/say/3", reader, b"x"),
            await asked(worker, "POST", "/parrot/1/say/3", key, b"x" * 11),
            await asked(worker, "POST", "/parrot/1/say/3", key, b"cracker"),
            await asked(worker, "POST", "/parrot/1/word", key),
            await asked(worker, "GET", "/parrot/2", key),
            *[await asked(worker, "GET", "/parrot/1/word", reader) for _ in range(3)],
        ]
        assert [(status, text) for status, text, _ in said] == [
            (401, "squawk: who are you?"),
            (200, "hello"),
            (403, "squawk: no scope manage"),
            (413, "squawk: more than 10"),
            (201, "cracker3acme"),
            (405, "squawk: not POST"),
            (404, "squawk: no parrot at /parrot/2"),
            (200, "hello"),
            (200, "hello"),
            (429, "squawk: too often"),
        ]
        assert said[-1][2] is not None
        # The others are spoken beside it, and callbacks know its format.
        assert (await asked(worker, "GET", "/regions"))[0] == 200
        assert set(worker.services.formats()) >= {"parrot-lines", "infobip-report-json"}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
async def test_every_fault_is_told_in_every_envelope(store: Store, dialect: Dialect[Any]) -> None:
    async with real_worker(store) as worker:
        for envelope in worker.apis[dialect.name].envelopes.values():
            assert set(envelope.faults) == set(Fault)
