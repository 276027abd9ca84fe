"""Regions and dialogues of the Infobip SMTP API (contract §7.1 to §7.4)."""

from __future__ import annotations

import base64
import json
import ssl
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from listener_harness import HOST, PASSWORD, Client, Harness

from ekiden.config.write import write_toml
from ekiden.dialects.infobip.example_regions import EXAMPLE_REGIONS
from ekiden.net.tls import client_context, make_self_signed
from ekiden.senders.config import RegionConfig
from ekiden.wiring.dialects import DIALECTS

ROOT = Path(__file__).parents[2]


def test_the_table_of_the_seed() -> None:
    regions = [RegionConfig(**{**row, "ports": tuple(row["ports"])}) for row in EXAMPLE_REGIONS]
    assert {region.smtp_public: region.ports for region in regions} == {
        "smtp-api.infobip.com": (587, 465),
        "smtp-api-gb1.infobip.com": (587, 465),
        "smtp-api-mum.infobip.com": (587, 465),
        "smtp-api-id.infobip.com": (587, 465),
        "smtp-api-ae2.infobip.com": (587,),
        "smtp-api-pk2.infobip.com": (587,),
        "smtp-api-qa1.infobip.com": (587,),
        "smtp-api-sa3.infobip.com": (587,),
        "smtp-api-tr1.infobip.com": (587,),
        "smtp-api-us.infobip.com": (587, 465),
        "smtp-api-eu.infobip.com": (587, 465),
    }
    assert len({region.name for region in regions}) == len(regions)


def test_the_table_stands_in_the_file_of_a_new_installation() -> None:
    written = write_toml({}, DIALECTS)
    for row in EXAMPLE_REGIONS:
        assert f'#smtp_public = "{row["smtp_public"]}"' in written


def test_the_example_of_the_documentation_can_be_read() -> None:
    page = (ROOT / "docs" / "smtp.md").read_text("utf-8").partition("## Regions")[2]
    example = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])
    assert {item["region"] for item in example["listeners"]} == {item["name"] for item in example["regions"]}


NAMES = {"eu": ("smtp-api-eu.example.com", "smtp-api.example.com"), "tr1": ("smtp-api-tr1.example.com",)}


@pytest.fixture(scope="module")
def regions(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[dict[str, tuple[Harness, dict[str, ssl.SSLContext]]]]:
    """A listener for each region, with a certificate for each of its names; clients trust one certificate each."""
    with ExitStack() as stack:
        made = {}
        for region, names in NAMES.items():
            folder = tmp_path_factory.mktemp(region)
            files = {name: make_self_signed([name]).write(folder / name, folder / f"{name}.key") for name in names}
            harness = stack.enter_context(
                Harness(
                    folder,
                    sqlite_template,
                    region=region,
                    name=f"listener {region}",
                    certificates=[*files.values()],
                )
            )
            contexts = {name: client_context(verify=True, ca=item.certificate) for name, item in files.items()}
            made[region] = (harness, contexts)
        yield made


def connect(harness: Harness, context: ssl.SSLContext, name: str) -> Client:
    client = Client(harness.port)
    assert client.reply().startswith("220 ")
    assert client.ask("STARTTLS").startswith("220 ")
    client.start_tls(context, name)
    return client


@pytest.mark.parametrize(("region", "name"), [(region, name) for region in NAMES for name in NAMES[region]])
def test_the_name_chooses_the_certificate_and_the_listener_the_region(
    regions: dict[str, tuple[Harness, dict[str, ssl.SSLContext]]], region: str, name: str
) -> None:
    harness, contexts = regions[region]
    to = f"{region}.{name}@example.net"
    with connect(harness, contexts[name], name) as client:
        assert client.ask("EHLO client.example.com").startswith("250 ")
        assert client.ask("AUTH PLAIN " + encoded(f"\0App\0{harness.api_key}")).startswith("235 ")
        client.send(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n")
        assert [client.reply()[:3] for _ in range(4)] == ["250", "250", "354", "250"]
    (found,) = [item for item in harness.mailbox.deliveries if item.recipient == to]
    origin = json.loads(found.message.origin)
    assert (origin["region"], origin["listener"], origin["endpoint"]) == (region, f"listener {region}", "public")
    # Nobody gets a certificate of another name.
    for other, context in contexts.items():
        if other != name:
            with pytest.raises(ssl.SSLCertVerificationError):
                connect(harness, context, name)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def session(regions: dict[str, tuple[Harness, dict[str, ssl.SSLContext]]]) -> Iterator[tuple[Harness, Client]]:
    """Inside TLS, before EHLO."""
    harness, contexts = regions["eu"]
    (name, context), *_ = contexts.items()
    with connect(harness, context, name) as client:
        yield harness, client


def test_what_ehlo_offers_after_tls(session: tuple[Harness, Client]) -> None:
    _, client = session
    client.send("EHLO client.example.com\r\n")
    offered = []
    while (line := client.line())[3] == "-":
        offered.append(line[4:])
    assert offered[0].split()[0] == HOST
    # All that the contract lists, but STARTTLS (RFC 3207 §4.2) and the last line, which is no extension.
    assert {"8BITMIME", "SIZE 20971520", "ENHANCEDSTATUSCODES", "PIPELINING"} <= set(offered)
    (auth,) = [line for line in offered if line.startswith("AUTH ")]
    assert set(auth.split()[1:]) == {"PLAIN", "LOGIN"}


@pytest.mark.parametrize("blanks", ["", " ", "   ", "\t"])
@pytest.mark.parametrize("user", ["App", "mailer"])
def test_login_with_blanks_before_base64(session: tuple[Harness, Client], user: str, blanks: str) -> None:
    harness, client = session
    password = harness.api_key if user == "App" else PASSWORD
    client.ask("EHLO client.example.com")
    assert client.ask("AUTH LOGIN") == "334 VXNlcm5hbWU6"
    assert client.ask(blanks + encoded(user)) == "334 UGFzc3dvcmQ6"
    assert client.ask(blanks + encoded(password)).startswith("235 2.7.0 ")


@pytest.mark.parametrize("initial", [True, False])
def test_plain_with_blanks_before_base64(session: tuple[Harness, Client], initial: bool) -> None:
    harness, client = session
    client.ask("EHLO client.example.com")
    response = encoded(f"\0App\0{harness.api_key}")
    if initial:
        assert client.ask(f"AUTH PLAIN   {response}").startswith("235 2.7.0 ")
    else:
        assert client.ask("AUTH PLAIN").startswith("334")
        assert client.ask(f"  {response}").startswith("235 2.7.0 ")


def test_the_wrong_key(session: tuple[Harness, Client]) -> None:
    _, client = session
    client.ask("EHLO client.example.com")
    client.ask("AUTH LOGIN")
    client.ask(encoded("App"))
    assert client.ask(encoded("0" * 32 + "-nobody")).startswith("535 5.7.8 ")
    assert client.ask("MAIL FROM:<a@example.com>").startswith("530 5.7.0 ")


def test_every_command_of_the_contract(session: tuple[Harness, Client]) -> None:
    harness, client = session
    client.send("HELP\r\n")
    helped = ""
    while (line := client.line())[3] == "-":
        helped += line + "\n"
    helped += line
    for verb in ("HELP", "HELO", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "QUIT", "NOOP"):
        assert verb in helped
    assert client.ask("HELO client.example.com").startswith("250 ")
    assert client.ask("EHLO client.example.com").startswith("250 ")
    assert client.ask("NOOP").startswith("250 ")
    assert client.ask("AUTH PLAIN " + encoded(f"\0App\0{harness.api_key}")).startswith("235 ")
    assert client.ask(f"MAIL FROM:<a@example.com> SIZE={20_971_521}").startswith("552 5.3.4 ")
    assert client.ask("MAIL FROM:<a@example.com> SIZE=20971520").startswith("250 ")
    assert client.ask("RCPT TO:<forgotten@example.net>").startswith("250 ")
    # Sender and recipients are forgotten, connection and login stay.
    assert client.ask("RSET").startswith("250 ")
    assert client.ask("RCPT TO:<b@example.net>").startswith("503 5.5.1 ")
    assert client.ask("MAIL FROM:<a@example.com>").startswith("250 ")
    for recipient in ("to@regions.example", "cc@regions.example", "bcc@regions.example"):
        assert client.ask(f"RCPT TO:<{recipient}>").startswith("250 ")
    assert client.ask("DATA").startswith("354 ")
    assert client.ask("To: to@regions.example, only-named@regions.example\r\n\r\nx\r\n.").startswith("250 ")
    assert client.ask("QUIT").startswith("221 ")
    mailed = {item.recipient for item in harness.mailbox.deliveries if item.recipient.endswith("@regions.example")}
    assert mailed == {"to@regions.example", "cc@regions.example", "bcc@regions.example"}
    assert "forgotten@example.net" not in harness.mailbox.contents
