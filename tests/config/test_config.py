"""The configuration: what it says to mistakes, what the environment changes, what it means."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.config.check import is_inside
from ekiden.config.help import Explained
from ekiden.config.load import ConfigError, NoConfig, build_config, find_config, load_config
from ekiden.config.model import ALL_ROLES, Config
from ekiden.config.translations import TEXTS
from ekiden.config.write import is_table_array, keys, write_reference, write_toml
from ekiden.process.setup import default_settings
from ekiden.process.translations import TEXTS as SERVER_TEXTS
from ekiden.wiring.dialects import DIALECTS

ROOT = Path(__file__).parents[2]
CERTIFICATES = '[{certificate = "a.pem", key = "a.key"}]'
GOOD = f"""
hostname = "mail.example.com"
[[listeners]]
name = "submission"
addresses = ["0.0.0.0:587", "[::]:587"]
certificates = {CERTIFICATES}
"""


def build(text: str, environ: dict[str, str] | None = None) -> Config:
    return build_config(tomllib.loads(text), Path("/srv"), environ or {}, source="ekiden.toml", dialects=DIALECTS)


def problems(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        build(text, environ)
    return [problem.text("en") for problem in caught.value.problems]


def test_defaults() -> None:
    config = build(GOOD)
    assert config.hostname == "mail.example.com"
    assert config.workers.roles == ALL_ROLES
    assert config.listeners[0].mode == "starttls"
    assert config.listeners[0].certificates[0].certificate == "/srv/a.pem"
    assert config.store_url() == "sqlite:////srv/ekiden.db"
    assert config.data_dir == "/srv"
    assert config.smtp.max_size == 20_971_520
    assert config.delivery.expire_after == 5 * 86_400
    assert not config.lab.enabled


def test_a_database_elsewhere() -> None:
    assert build('[store]\nurl = "postgresql://e@db/e"').store_url() == "postgresql://e@db/e"
    assert build('data_dir = "data"\n[store]\nurl = "sqlite:///x/y.db"').store_url() == "sqlite:////srv/data/x/y.db"
    assert build('[store]\nurl = "sqlite:////var/y.db"').store_url() == "sqlite:////var/y.db"


def test_hostname_of_the_machine_when_none_is_given() -> None:
    assert build('data_dir = "."').hostname


LISTENER = '[[listeners]]\nname = "a"\naddresses = ["127.0.0.1:0"]\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stroe = 1", 'stroe: unknown key; did you mean "store"?'),
        ("[smtp]\nzzzzz = 1", "smtp.zzzzz: unknown key; allowed are "),
        ("hostname = 5", "hostname: 5 is not a text"),
        ('hostname = "mail server"', 'hostname: "mail server" is not a domain name'),
        ("store = 1", "store: 1 is not a table"),
        ('[workers]\ncount = "2"', 'workers.count: "2" is not a whole number'),
        ("[workers]\ncount = true", "workers.count: true is not a whole number"),
        ("[workers]\ncount = -1", "workers.count: -1 is too small; the least allowed is 0"),
        ("[workers]\ncount = 1000", "workers.count: 1000 is too large; the most allowed is 256"),
        ("[workers]\nroles = []", "workers.roles: must not be empty"),
        ('[workers]\nroles = "smtp"', 'workers.roles: "smtp" is not a list, which is written as ["smtp"]'),
        (
            '[workers]\nroles = ["smpt"]',
            'workers.roles[0]: "smpt" is not allowed; allowed are "smtp", "inbound", "http", ',
        ),
        (
            '[workers]\nlease = "5 parsecs"',
            'workers.lease: "5 parsecs" is not a duration; allowed are texts such as "90s", "5m", "1h", "5d", or '
            "seconds",
        ),
        ('[workers]\nlease = "10ms"', 'workers.lease: "10ms" is too small; the least allowed is 1'),
        ('[store]\nurl = "mysql://x"', 'store.url: "mysql:…" is not allowed; allowed are "sqlite:///'),
        ('[store]\nurl = "sqlite://"', "store.url: a path follows sqlite:///"),
        (
            LISTENER + 'mode = "startls"\ncertificates = ' + CERTIFICATES,
            'listeners[0].mode: "startls" is not allowed; allowed are "starttls", "tls", "plain", "inbound"',
        ),
        ('[[listeners]]\naddresses = ["127.0.0.1:0"]', "listeners[0].name: is missing"),
        ('[[listeners]]\nname = "a"\naddresses = []\nmode = "tls"', "listeners[0].addresses: must not be empty"),
        (LISTENER, 'listeners[0].certificates: is missing: mode "starttls" needs at least one'),
        (
            LISTENER + "certificates = [{certificate = 'a'}]",
            "listeners[0].certificates[0].key: is missing",
        ),
        (
            '[[listeners]]\nname = "a"\naddresses = ["mail.example.com:587"]\nmode = "tls"',
            'listeners[0].addresses[0]: "mail.example.com:587" is not an address to listen on; allowed are texts '
            'such as "0.0.0.0:587", "[::]:587"',
        ),
        (
            GOOD + '[http]\naddresses = ["0.0.0.0:587"]',
            'listeners[0].addresses[0]: "0.0.0.0:587" is already used by http.addresses[0]',
        ),
        (LISTENER + 'mode = "plain"', 'listeners[0].mode: "plain" is allowed only together with trusted_networks'),
        (
            LISTENER + 'mode = "plain"\ntrusted_networks = ["127.0.0.0/8"]',
            "listeners[0].trusted_account: is missing: whose mail is it",
        ),
        (
            LISTENER + 'trusted_account = "x"\ncertificates = ' + CERTIFICATES,
            "listeners[0].trusted_networks: is missing: trusted_account has no meaning without it",
        ),
        (
            LISTENER + 'mode = "plain"\ntrusted_networks = ["0.0.0.0/0"]\ntrusted_account = "x"',
            'listeners[0].trusted_networks[0]: "0.0.0.0/0" is not allowed: only loopback and private networks',
        ),
        (
            LISTENER + 'proxy_from = ["balancer"]\ncertificates = ' + CERTIFICATES,
            'listeners[0].proxy_from[0]: "balancer" is not a network; allowed are texts such as ',
        ),
        ('[http]\nproxy_from = ["*"]', 'http.proxy_from[0]: "*" is not a network; allowed are texts such as '),
        (GOOD + GOOD.replace("587", "588").replace('hostname = "mail.example.com"', ""), "another listener"),
        ("[delivery]\njitter = 0.9", "delivery.jitter: 0.9 is too large; the most allowed is 0.5"),
        ("[delivery]\nretry = []", "delivery: retry needs at least one wait"),
        ('[delivery]\nhelo = "a b"', 'delivery.helo: "a b" is not a domain name'),
        ('[delivery]\nsource_address = "eth0"', 'delivery.source_address[0]: "eth0" is not an IP address'),
        (
            '[delivery]\nsource_address = ["192.0.2.1", "192.0.2.2"]',
            'delivery.source_address[1]: "192.0.2.2" is a second address of its family',
        ),
        (
            '[delivery]\nipv6 = false\nsource_address = ["192.0.2.1", "2001:db8::1"]',
            'delivery.source_address[1]: "2001:db8::1" is not used: delivery.ipv6 is false',
        ),
        ("[delivery]\nsource_address = 4", "delivery.source_address: 4 is not a list"),
        (
            '[[delivery.routes]]\ndomain = "*"\nhosts = ["192.0.2.1"]',
            "",
        ),
        (
            '[[delivery.routes]]\ndomain = "*"\nhosts = ["192.0.2.1:99999"]',
            'delivery.routes[0].hosts[0]: "192.0.2.1:99999" is not an address of a next hop',
        ),
        ('[dns]\nnameservers = ["ns.example.com"]', 'dns.nameservers[0]: "ns.example.com" is not an IP address'),
        (
            '[lab]\nenabled = true\n[dns]\nnameservers = ["192.0.2.53"]',
            'dns.nameservers[0]: "192.0.2.53" is not allowed: with lab.enabled everything stays on loopback',
        ),
        ("[lab]\nenabled = true", "dns.nameservers: must not be empty"),
        ('[log]\nlevel = "verbose"', 'log.level: "verbose" is not allowed; allowed are "debug"'),
    ],
)
def test_a_mistake_is_named(text: str, expected: str) -> None:
    if not expected:
        build(text)
        return
    found = problems(text)
    assert any(expected in problem for problem in found), found


def test_all_mistakes_at_once() -> None:
    text = 'hostname = "a b"\nstroe = 1\n' + LISTENER + 'mode = "startls"\n[workers]\ncount = "x"'
    found = problems(text)
    assert len(found) >= 4
    assert len({problem.split(":", 1)[0] for problem in found}) >= 4


def test_mistakes_in_japanese() -> None:
    with pytest.raises(ConfigError) as caught:
        build(LISTENER + 'mode = "startls"\ncertificates = ' + CERTIFICATES)
    text = caught.value.text("ja")
    assert (
        'listeners[0].mode: "startls" は使えません。使えるのは "starttls", "tls", "plain", "inbound" です' in text
    )
    assert "は使えません:" in text.splitlines()[0]


def test_a_password_in_a_url_is_not_repeated() -> None:
    found = problems('[store]\nurl = "mysql://root:hunter2@db/x"')
    assert found
    assert all("hunter2" not in problem for problem in found)


@pytest.mark.parametrize(
    ("variable", "value", "key", "expected"),
    [
        ("EKIDEN_HOSTNAME", "mx.example.org", "hostname", "mx.example.org"),
        ("EKIDEN_STORE__URL", "postgresql://h/d", "store.url", "postgresql://h/d"),
        ("EKIDEN_DELIVERY__SMTP_PORT", "2525", "delivery.smtp_port", 2525),
        ("EKIDEN_DELIVERY__STARTTLS", "off", "delivery.starttls", False),
        ("EKIDEN_DELIVERY__JITTER", "0.25", "delivery.jitter", 0.25),
        ("EKIDEN_DELIVERY__RETRY", "1m,1h", "delivery.retry", (60.0, 3600.0)),
        ("EKIDEN_DELIVERY__RETRY", '["1m", 30]', "delivery.retry", (60.0, 30.0)),
        ("EKIDEN_WORKERS__LEASE", "1m30s", "workers.lease", 90.0),
        ("EKIDEN_WORKERS__ROLES", "smtp, http", "workers.roles", ("smtp", "http")),
        ("EKIDEN_HTTP__ADDRESSES", "[]", "http.addresses", ()),
        ("EKIDEN_LISTENERS__0__REGION", "tokyo", "listeners.0.region", "tokyo"),
        ("EKIDEN_LISTENERS__0__ADDRESSES__1", "127.0.0.1:588", "listeners.0.addresses.1", "127.0.0.1:588"),
        (
            "EKIDEN_DELIVERY__ROUTES",
            '[{domain = "*", hosts = ["127.0.0.1:25"]}]',
            "delivery.routes.0.hosts",
            ("127.0.0.1:25",),
        ),
        (
            "EKIDEN_DELIVERY__ROUTES",
            '[{"domain": "*", "hosts": ["127.0.0.1:25"]}]',
            "delivery.routes.0.domain",
            "*",
        ),
        ("EKIDEN_LOG__LEVEL", "debug", "log.level", "debug"),
    ],
)
def test_the_environment_wins(variable: str, value: str, key: str, expected: Any) -> None:
    found: Any = build(GOOD, {variable: value})
    for part in key.split("."):
        found = found[int(part)] if part.isdigit() else getattr(found, part)
    assert found == expected


@pytest.mark.parametrize(
    "key",
    [key for key in keys(DIALECTS) if not key.section or not is_table_array(key.section)],
    ids=lambda key: key.dotted,
)
def test_every_default_can_come_from_the_environment(key: Any) -> None:
    """Setting a key to its own default changes nothing; for lists of tables, in their TOML form."""
    if not key.default or key.dotted == "hostname":
        return
    variable = "EKIDEN_" + key.dotted.upper().replace(".", "__")
    value = tomllib.loads(f"v = {key.default}")["v"]
    text = value if isinstance(value, str) else key.default
    assert build(GOOD, {variable: text}) == build(GOOD)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"EKIDEN_WORKERS__COUNT": "many"}, 'EKIDEN_WORKERS__COUNT: "many" is not a whole number'),
        ({"EKIDEN_WORKERS__CUONT": "1"}, 'EKIDEN_WORKERS__CUONT: unknown key; did you mean "count"?'),
        ({"EKIDEN_HOSTNAM": "x"}, 'EKIDEN_HOSTNAM: unknown key; did you mean "hostname"?'),
        ({"EKIDEN_LISTENERS__7__MODE": "tls"}, "EKIDEN_LISTENERS__7__MODE: there are only 1 entries before it"),
        ({"EKIDEN_HOSTNAME__X": "1"}, "EKIDEN_HOSTNAME__X: there is no such setting"),
        (
            {"EKIDEN_LISTENERS__0__MODE": "x"},
            'EKIDEN_LISTENERS__0__MODE: "x" is not allowed; allowed are "starttls", "tls", "plain", "inbound"',
        ),
        (
            {"EKIDEN_LISTENERS__0__CERTIFICATES": "[{}]"},
            "EKIDEN_LISTENERS__0__CERTIFICATES ([0].certificate): is missing",
        ),
    ],
)
def test_a_mistake_in_the_environment_is_named(environ: dict[str, str], expected: str) -> None:
    found = problems(GOOD, environ)
    assert expected in found


def test_variables_of_others_are_left_alone() -> None:
    # What Kubernetes sets in every pod beside a service named "ekiden".
    others = {"EKIDEN_SERVICE_HOST": "10.0.0.1", "EKIDEN_PORT_587_TCP": "tcp://10.0.0.1:587", "EKIDEN_LANG": "ja"}
    assert build(GOOD, others) == build(GOOD)


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("x.toml", {"EKIDEN_CONFIG": "y.toml"}) == Path("x.toml")
    assert find_config(None, {"EKIDEN_CONFIG": "y.toml"}) == Path("y.toml")
    (tmp_path / "ekiden.toml").write_text(GOOD)
    assert find_config(None, {}) == Path("ekiden.toml")
    assert load_config(None, {}, dialects=DIALECTS).listeners[0].certificates[0].key == str(tmp_path / "a.key")


def test_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoConfig, match="ekiden init"):
        load_config(None, {}, dialects=DIALECTS)
    with pytest.raises(NoConfig, match=r"x\.toml cannot be read: No such file"):
        load_config("x.toml", {}, dialects=DIALECTS)
    assert load_config(None, {"EKIDEN_HOSTNAME": "a.example"}, dialects=DIALECTS).hostname == "a.example"


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "ekiden.toml"
    path.write_text("hostname = mail")
    with pytest.raises(ConfigError, match=r"TOML: .*line 1"):
        load_config(path, {}, dialects=DIALECTS)


@pytest.mark.parametrize(
    ("network", "inside"),
    [
        ("127.0.0.1", True),
        ("10.1.0.0/16", True),
        ("192.168.0.0/16", True),
        ("172.16.0.0/12", True),
        ("172.0.0.0/8", False),
        ("0.0.0.0/0", False),
        ("8.8.8.8", False),
        ("192.0.2.0/24", False),
        ("100.64.0.0/10", False),
        ("::1", True),
        ("fd00::/8", True),
        ("::/0", False),
        ("2001:db8::/32", False),
        ("fe80::/10", True),
    ],
)
def test_networks_that_can_be_trusted(network: str, inside: bool) -> None:
    import ipaddress

    assert is_inside(ipaddress.ip_network(network)) is inside


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NAMES = sorted({name for key in keys(DIALECTS) for name in key.dotted.split(".")})
_RAW = st.recursive(
    _JSON,
    lambda inner: st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=12,
)


@given(raw=st.dictionaries(st.sampled_from(_NAMES), _RAW, max_size=5))
def test_whatever_is_written_leads_to_a_configuration_or_a_named_problem(raw: dict[str, Any]) -> None:
    try:
        build_config(raw, Path("/srv"), {}, source="x", dialects=DIALECTS)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.text("en")
            assert problem.text("ja")


@given(value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12))
def test_any_text_in_the_environment(value: str) -> None:
    names = ["EKIDEN_" + key.dotted.upper().replace(".", "__") for key in keys(DIALECTS)]
    try:
        build_config({}, Path("/srv"), dict.fromkeys(names, value), dialects=DIALECTS)
    except ConfigError as error:
        assert str(error)


def test_every_key_and_section_is_explained_in_both_languages() -> None:
    dotted = {key.dotted for key in keys(DIALECTS)}
    sections = {key.section for key in keys(DIALECTS)}
    explained = Explained.of(DIALECTS)
    assert set(explained.keys) == dotted
    assert set(explained.sections) == sections
    for text in (*explained.keys.values(), *explained.sections.values()):
        assert text.en
        assert text.ja != text.en


def test_every_message_is_translated() -> None:
    for texts in (TEXTS, SERVER_TEXTS):
        for english, japanese in texts.japanese.items():
            assert set(_fields(english)) == set(_fields(japanese)), english


def _fields(text: str) -> list[str]:
    import string

    return [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]


def test_the_written_file_is_the_default_configuration() -> None:
    text = write_toml(default_settings("mail.example.com"), DIALECTS, "en")
    written = build(text)
    assert written.workers == Config().workers
    assert written.delivery == Config().delivery
    assert [listener.mode for listener in written.listeners] == ["starttls", "tls"]


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_commented_default_is_the_default(lang: Any) -> None:
    """With every default uncommented the configuration is the same, but for the example of a route."""
    text = write_toml(default_settings("mail.example.com"), DIALECTS, lang)
    lines = [line[1:] if line.startswith("#") and not line.startswith("# ") else line for line in text.splitlines()]
    uncommented = build("\n".join(lines))
    given_config = build(text)
    assert len(uncommented.delivery.routes) == 1
    for section in ("workers", "smtp", "http", "access", "dns", "log", "lab", "store", "listeners"):
        assert getattr(uncommented, section) == getattr(given_config, section), section


def test_the_documentation_has_every_key() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert write_reference(DIALECTS) in page, "run: python tools/configuration_reference.py"
