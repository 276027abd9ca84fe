"""What holds for every command: wrong usage, help."""

from __future__ import annotations

from pathlib import Path

import pytest
from installation import Installation

from ekiden.cli.main import run

ID = "0000000000000"
WRONG = (
    "nonsense",
    "queue nonsense",
    "queue list --nonsense",
    "queue list --state lost",
    "queue list --older-than soon",
    "queue list --due-before tomorrow",
    "queue list --domain a..b",
    "queue list --limit 0",
    "queue list --limit x",
    "queue list xyz",
    "queue show xyz",
    "queue show",
    "queue cancel",
    f"queue cancel {ID} --all",
    f"queue hold {ID}/x",
    "trace",
    "trace xyz",
    f"trace {ID} --refused",
    f"trace {ID} --lang fr",
    "account create",
    "account create acme --priority urgent",
    "account create acme --senders some",
    "account quota acme --day many",
    "account quota acme --action wait",
    "account reporting acme --reports maybe",
    "credential bound 7",
    "credential bound 7 --none --scope read",
    "credential revoke seven",
    "callback retry",
    "callback replay",
    "callback replay --event xyz",
    "callback replay --endpoint 1 --from 1h --to 2h",
    "callback replay --endpoint 1 --from soon",
    f"callback replay --event {ID} --from 1h",
    "domain list --status odd",
    "rule add --account acme",
    "rule test here",
    "suppression add --account acme --domain shop.example",
    "suppression add a@x.example --account acme",
    "suppression add a@x.example --account acme --domain shop.example --kind odd",
    "suppression remove a@x.example --account acme --domain shop.example --kind odd",
    "suppression list --account acme --kind odd",
    "send --to a@x.example --server here",
    "send --to a@x.example --server here:25 --tls maybe",
    "send --to nobody --server h:25",
    "send --server h:25",
    "user add jane@example.com",
    "serve --roles everything",
)


@pytest.mark.parametrize("words", WRONG)
def test_wrong_usage_is_told_before_anything_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """There is no configuration: whoever looks for one before the usage is checked ends with 1."""
    config = [] if words in ("nonsense", "queue nonsense") else ["--config", str(tmp_path / "none.toml")]
    with pytest.raises(SystemExit) as ended:
        run([*words.split(), *config])
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err.strip()
    assert "Traceback" not in told.err


def test_values_that_no_installation_would_take(ekiden: Installation) -> None:
    ekiden.run("account", "create", "acme")
    for words in (
        ("account", "create", ""),
        ("account", "create", " acme"),
        ("credential", "api-key", "create", "acme", "--scope", "fly"),
        ("credential", "api-key", "create", "acme", "--network", "home"),
        ("credential", "password", "create", "acme", "App"),
        ("user", "add", "nobody", "--account", "acme"),
        ("user", "add", "jane@acme.example", "--account", "acme", "--role", "king"),
        ("domain", "add", "a..b", "--account", "acme"),
        ("zone", "add", "office", "here", "--account", "acme"),
        ("project", "add", "", "--account", "acme"),
        ("suppression", "list", "--account", "acme", "--domain", "a..b"),
        ("suppression", "list", "--account", "acme", "--address", "nobody"),
    ):
        ended = ekiden.run(*words)
        assert (ended.status, ended.out) == (2, ""), (words, ended)
        assert ended.err.startswith("ekiden: "), words
    # What is right and cannot be done is not wrong usage.
    for words in (("account", "create", "acme"), ("account", "show", "nobody"), ("domain", "show", "x.example")):
        assert ekiden.run(*words).status == 1, words
