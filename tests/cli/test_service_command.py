"""``ekiden service print``: a unit that says what this configuration needs, and that systemd understands."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from installation import Installation


def printed(ekiden: Installation, *options: str) -> dict[str, list[str]]:
    """The lines by key."""
    found: dict[str, list[str]] = {}
    for line in ekiden.json("service", "print", *options)["unit"].splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_what_a_service_needs(ekiden: Installation) -> None:
    unit = printed(ekiden, "--command", "/opt/ekiden/bin/ekiden")
    assert unit["ExecStart"] == [f"/opt/ekiden/bin/ekiden serve --config {ekiden.config}"]
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert (unit["User"], unit["Group"]) == (["ekiden"], ["ekiden"])
    assert unit["LimitNOFILE"] == ["65536"]
    assert unit["ReadWritePaths"] == [str(ekiden.config.parent)]
    assert unit["TimeoutStopSec"] == ["45"]  # longer than workers.drain_timeout
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectKernelModules"):
        assert unit[key] == ["yes"], key
    assert unit["ProtectSystem"] == ["strict"]
    # No port below 1024 is listened on: no capability at all.
    assert "AmbientCapabilities" not in unit
    assert unit["CapabilityBoundingSet"] == [""]


@pytest.mark.parametrize("place", ['addresses = ["127.0.0.1:0"]\nmode', 'addresses = ["127.0.0.1:0"]'])
def test_ports_below_1024_need_one_capability(ekiden: Installation, place: str) -> None:
    text = ekiden.config.read_text()
    ekiden.config.write_text(text.replace(place, place.replace(":0", ":587"), 1))
    unit = printed(ekiden, "--user", "mail-relay")
    assert unit["User"] == ["mail-relay"]
    assert unit["AmbientCapabilities"] == unit["CapabilityBoundingSet"] == ["CAP_NET_BIND_SERVICE"]


def test_names_that_systemd_would_read_otherwise(ekiden: Installation) -> None:
    """Blanks end a word, ``%`` begins a specifier, ``$`` a variable."""
    odd = ekiden.config.parent / 'a 50% "$HOME"'
    odd.mkdir()
    for item in ekiden.config.parent.iterdir():
        if item.is_file():
            shutil.copy(item, odd / item.name)
    moved = Installation(odd / "ekiden.toml", ekiden.url, ekiden.capsys, ekiden.now)
    (start,) = printed(moved, "--command", "/usr/bin/ekiden")["ExecStart"]
    assert start == f'/usr/bin/ekiden serve --config "{ekiden.config.parent}/a 50%% \\"$$HOME\\"/ekiden.toml"'


def test_a_user_that_is_none(ekiden: Installation) -> None:
    for name in ("two words", "", "-x", "a\nb", "x" * 40):
        assert ekiden.run("service", "print", f"--user={name}").status == 2


def test_people_are_told_of_the_user_in_both_languages(
    ekiden: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ekiden.run("service", "print", "--user", "nobody-yet")
    assert told.out.startswith("# Written by: ekiden service print.")
    assert "there is no user nobody-yet yet" in told.err
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    assert "ユーザー nobody-yet がまだありません" in ekiden.run("service", "print", "--user", "nobody-yet").err


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_has_nothing_to_say(ekiden: Installation, tmp_path: Path) -> None:
    file = tmp_path / "ekiden.service"
    file.write_text(ekiden.json("service", "print", "--user", "root")["unit"])
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "ekiden.service" in line] == []
