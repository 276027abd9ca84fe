"""What ``ekiden init`` makes: configuration, instance key, certificates, database. Nothing is ever overwritten."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ekiden.core.texts import Language, TranslatedError
from ekiden.net.tls import make_self_signed
from ekiden.server.config import Config
from ekiden.server.config_load import load_config
from ekiden.server.config_write import write_toml
from ekiden.server.texts import TEXTS
from ekiden.store.open import open_store

CONFIG_NAME = "ekiden.toml"
KEY_NAME = "instance.key"
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


def write_files(directory: Path, settings: Mapping[str, Any], names: list[str], lang: Language) -> Made:
    """Configuration, instance key (mode 0600) and a self-signed certificate for ``names``.

    Raises ``AlreadySetUp`` before anything is written.
    """
    made = Made(directory / CONFIG_NAME, directory / KEY_NAME, directory / CERTIFICATE, directory / CERTIFICATE_KEY)
    for path in made:
        if path.exists():
            raise AlreadySetUp(TEXTS, "{path} exists already; nothing was changed", path=path)
    try:
        made.certificate.parent.mkdir(parents=True, exist_ok=True)
        _write_new(made.instance_key, secrets.token_hex(32).encode() + b"\n", 0o600)
        make_self_signed(names).write(made.certificate, made.certificate_key)
        # Readable by its owner only: the URL of a database has a password in it.
        _write_new(made.config, write_toml(settings, lang).encode(), 0o600)
    except OSError as error:
        raise AlreadySetUp(
            TEXTS, "{path} cannot be written: {why}", path=error.filename, why=error.strerror
        ) from None
    return made


async def prepare_store(config: Config) -> None:
    """Make the database, or bring it up to date."""
    store = await open_store(config.store_url(), migrate=True)
    await store.close()


async def set_up(directory: Path, hostname: str, lang: Language, environ: Mapping[str, str] = os.environ) -> Made:
    """All of it for a real installation."""
    made = write_files(directory, default_settings(hostname), [hostname], lang)
    await prepare_store(load_config(made.config, environ))
    return made


def _write_new(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
