"""``ekiden init``: what it makes, and that it never overwrites."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ekiden.config.load import load_config
from ekiden.net.tls import describe_certificate
from ekiden.wiring.dialects import DIALECTS
from support.commands import run_command

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("EKIDEN_")}


def init(directory: Path, *options: str, lang: str = "en") -> subprocess.CompletedProcess[str]:
    done = run_command(["init", "--dir", str(directory), *options], ENVIRONMENT | {"EKIDEN_LANG": lang})
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_new_installation(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "place"
    done = init(directory, "--hostname", "mail.example.com")
    assert done.returncode == 0, done.stderr
    assert "ekiden serve --config" in done.stdout
    config = load_config(directory / "ekiden.toml", {}, dialects=DIALECTS)
    assert config.hostname == "mail.example.com"
    assert [(listener.mode, listener.addresses) for listener in config.listeners] == [
        ("starttls", ("0.0.0.0:587", "[::]:587")),
        ("tls", ("0.0.0.0:465", "[::]:465")),
    ]
    for name in ("instance.key", "tls/key.pem", "ekiden.toml"):
        assert (directory / name).stat().st_mode & 0o777 == 0o600, name
    assert len(bytes.fromhex((directory / "instance.key").read_text())) == 32
    assert "mail.example.com" in describe_certificate(config.listeners[0].certificates[0].certificate).names
    assert (directory / "ekiden.db").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    assert init(tmp_path, "--hostname", "mail.example.com").returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.suffix in (".toml", ".key", ".pem")}
    done = init(tmp_path, "--hostname", "other.example.com")
    assert done.returncode == 1
    assert done.stderr == f"ekiden: {tmp_path}/ekiden.toml exists already; nothing was changed\n"
    (tmp_path / "ekiden.toml").unlink()
    done = init(tmp_path, lang="ja")
    assert done.returncode == 1
    assert done.stderr == f"ekiden: {tmp_path}/instance.key はすでにあります。何も変更していません\n"
    for path, data in before.items():
        assert path.name == "ekiden.toml" or path.read_bytes() == data


def test_in_japanese(tmp_path: Path) -> None:
    done = init(tmp_path, "--hostname", "mail.example.com", lang="ja")
    assert "次にすること:" in done.stdout
    assert "# データベース。" in (tmp_path / "ekiden.toml").read_text("utf-8")


def test_for_programs(tmp_path: Path) -> None:
    done = init(tmp_path, "--hostname", "mail.example.com", "--json")
    made = json.loads(done.stdout)
    assert set(made) == {"config", "instance_key", "certificate", "certificate_key"}
    assert all(Path(path).is_file() for path in made.values())


@pytest.mark.parametrize("name", ["mail server", "-x.example", "a..b"])
def test_a_name_that_is_none(tmp_path: Path, name: str) -> None:
    done = init(tmp_path, f"--hostname={name}")
    assert done.returncode == 2
    assert done.stderr == f"ekiden: --hostname: {name!r} is not a domain name\n"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = init(tmp_path / "file", "--hostname", "mail.example.com")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
