"""What ``ekiden init`` makes: configuration, instance key, certificates, database. Nothing is ever overwritten."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from ekiden.access.vault import Vault
from ekiden.config.load import build_config, load_config
from ekiden.config.model import Config
from ekiden.config.write import write_toml
from ekiden.core.language import Language
from ekiden.core.texts import TranslatedError
from ekiden.net.clock import SystemClock
from ekiden.net.tls import make_self_signed
from ekiden.process.instance_key import KEY_NAME, confirm, fits, has_owner
from ekiden.process.translations import TEXTS
from ekiden.store.open import current_revision, open_store
from ekiden.store.url import parse_url
from ekiden.wiring.dialects import DIALECTS

CONFIG_NAME = "ekiden.toml"
CERTIFICATE = "tls/certificate.pem"
CERTIFICATE_KEY = "tls/key.pem"


class AlreadySetUp(TranslatedError):
    """There is something already where a file was to be written."""


class Made(NamedTuple):
    """The files that now exist."""

    config: Path
    instance_key: Path
    certificate: Path
    certificate_key: Path


def default_settings(hostname: str) -> dict[str, Any]:
    """The settings that ``init`` writes for a real installation: ports 587 and 465 on every address."""
    certificates = [{"certificate": CERTIFICATE, "key": CERTIFICATE_KEY}]
    return {
        "hostname": hostname,
        "listeners": [
            {
                "name": "submission",
                "addresses": ["0.0.0.0:587", "[::]:587"],
                "mode": "starttls",
                "certificates": certificates,
            },
            {
                "name": "submissions",
                "addresses": ["0.0.0.0:465", "[::]:465"],
                "mode": "tls",
                "certificates": certificates,
            },
        ],
    }


class NotThisKey(TranslatedError):
    """The database that is there belongs to another instance key."""


def write_files(
    directory: Path, settings: Mapping[str, Any], names: list[str], lang: Language, vault: Vault | None = None
) -> Made:
    """Configuration, instance key (mode 0600; a new one unless there is a ``vault``) and a self-signed certificate
    for ``names``.

    Raises ``AlreadySetUp`` before anything is written.
    """
    made = _free_places(directory)
    try:
        made.certificate.parent.mkdir(parents=True, exist_ok=True)
        _write_new(made.instance_key, (vault or Vault(secrets.token_bytes(32))).text() + b"\n", 0o600)
        make_self_signed(names).write(made.certificate, made.certificate_key)
        # Readable by its owner only: the URL of a database has a password in it.
        _write_new(made.config, write_toml(settings, DIALECTS, lang).encode(), 0o600)
    except OSError as error:
        raise AlreadySetUp(
            TEXTS, "{path} cannot be written: {why}", path=error.filename, why=error.strerror
        ) from None
    return made


def _free_places(directory: Path) -> Made:
    made = Made(directory / CONFIG_NAME, directory / KEY_NAME, directory / CERTIFICATE, directory / CERTIFICATE_KEY)
    for path in made:
        if path.exists():
            raise AlreadySetUp(TEXTS, "{path} exists already; nothing was changed", path=path)
    return made


async def prepare_store(config: Config) -> None:
    """Make the database, or bring it up to date; it belongs to this instance key then."""
    store = await open_store(config.store_url(), migrate=True)
    try:
        await confirm(config, store, SystemClock())
    finally:
        await store.close()


async def set_up(
    directory: Path,
    hostname: str,
    lang: Language,
    environ: Mapping[str, str] = os.environ,
    *,
    store_url: str = "",
    instance_key: Path | None = None,
) -> Made:
    """All of it for a real installation. ``instance_key``: of the installation that the database belongs to.

    Raises ``NotThisKey`` before anything is written, when there is a database that has its key already and it is
    not this one; and what the store raises.
    """
    settings = default_settings(hostname)
    if store_url:
        settings["store"] = {"url": store_url}
    _free_places(directory)
    vault = None if instance_key is None else Vault.from_file(instance_key)
    await _check_key(
        build_config(deepcopy(settings), directory, environ, source=CONFIG_NAME, dialects=DIALECTS), vault
    )
    made = write_files(directory, settings, [hostname], lang, vault)
    await prepare_store(load_config(made.config, environ, dialects=DIALECTS))
    return made


async def _check_key(config: Config, vault: Vault | None) -> None:
    """A new key on a database that has one would be a second key, and what either seals is closed to the other."""
    url = config.store_url()
    if await current_revision(url) is None:
        return
    store = await open_store(url)
    try:
        if vault is None and await has_owner(store):
            raise NotThisKey(
                TEXTS,
                "the database {url} belongs to an installation already, and a new instance key would open nothing "
                "in it; nothing was changed. Give the key of that installation: --instance-key FILE",
                url=parse_url(url).safe,
            )
        if vault is not None and not await fits(store, vault):
            raise NotThisKey(
                TEXTS,
                "this is not the instance key of the database {url}; nothing was changed",
                url=parse_url(url).safe,
            )
    finally:
        await store.close()


def _write_new(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
