"""``ekiden domain``: from adding a domain to its removal, against the lab's DNS."""

from __future__ import annotations

import ast
import inspect
import io
import json
import string
from collections.abc import Iterator
from typing import Any

import dns.rdatatype
import dns.zone
import pytest
from installation import Installation, loop_apart

from ekiden.cli import domain, domain_view
from ekiden.cli.domain_translations import TEXTS
from ekiden.domains.questionnaire import QUESTIONS
from ekiden.lab.lab import Lab

ANSWERS = {
    "nature": "transactional",
    "website": "https://shop.example/",
    "usage": "receipts",
    "subscribers": "customers",
    "bounces": "removed",
    "unsubscribing": "by a link",
    "rate": "orders",
    "cleaning": True,
    "contacts": ["ops@shop.example"],
    "reply_to": True,
    "consent": True,
    "unsubscribe_link": True,
    "html": False,
}


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab on a loop of its own, as another process would be."""
    with loop_apart() as apart:
        made = Lab(catalogue={})
        apart(made.start())
        made.set_dns("mail.test.example", "A", ["127.0.0.1"])
        made.set_dns("mail.test.example", "TXT", ["v=spf1 a -all"])
        yield made
        apart(made.close())


@pytest.fixture
def acme(ekiden: Installation, lab: Lab) -> Installation:
    """An installation on the lab's name server, with an account."""
    ekiden.ask(lab.dns_address[1])
    ekiden.run("account", "create", "acme")
    return ekiden


def publish(lab: Lab, text: str, origin: str) -> None:
    """Put what ``ekiden domain`` printed into the DNS, as a name server would read its zone file."""
    lines = "\n".join(line for line in text.splitlines() if line.startswith(";") or " IN " in line)
    zone = dns.zone.from_text(lines, origin=f"{origin}.", relativize=False, check_origin=False)
    for name, node in zone.items():
        for records in node:
            assert records.rdtype in (dns.rdatatype.TXT, dns.rdatatype.MX)
            rdtype = dns.rdatatype.to_text(records.rdtype)
            lab.set_dns(name.to_text(), rdtype, [record.to_text() for record in records])


def test_what_is_printed_can_be_published(acme: Installation, lab: Lab) -> None:
    added = acme.run("domain", "add", "Shop.Example", "--account", "acme")
    assert added.status == 0, added.err
    assert "then: ekiden domain verify shop.example" in added.out
    lab.set_dns("shop.example", "A", ["127.0.0.1"])
    failed = acme.run("domain", "verify", "shop.example")
    assert failed.status == 1
    assert "there is no such TXT record at shop.example" in failed.out
    publish(lab, failed.out, "shop.example")
    verified = acme.run("domain", "verify", "shop.example")
    assert (verified.status, verified.out.splitlines()[0]) == (0, "shop.example of acme: verified")
    shown = acme.run("domain", "show", "shop.example").out
    assert "; SPF: published" in shown
    assert "Last checks:" in shown
    told = acme.json("domain", "show", "shop.example", "--checks", "100")
    assert (told["status"], told["spf"], told["dkim"], told["reason"]) == (
        "verified",
        "successful",
        "successful",
        "",
    )
    assert [record["kind"] for record in told["records"]] == ["spf", "dkim", "ed25519", "dmarc", "address"]
    assert {check["result"] for check in told["checks"] if check["kind"] == "spf"} == {"fail", "pass"}
    assert "verified" in acme.run("domain", "list").out
    assert [item["name"] for item in acme.json("domain", "list", "--account", "acme")] == ["shop.example"]
    assert acme.json("domain", "list", "--status", "suspended") == []
    assert [item["name"] for item in acme.json("domain", "list", "--status", "verified")] == ["shop.example"]
    wrong = acme.run("domain", "list", "--status", "lost")
    assert wrong.status == 2
    assert "'lost' is not a status" in wrong.err
    assert acme.json("audit", "list")[0]["actor"].startswith("cli:")


def test_return_paths(acme: Installation, lab: Lab) -> None:
    """Of a domain, and of the installation with a domain of its own."""
    host = "mail.test.example"
    acme.config.write_text(acme.config.read_text() + f'\n[delivery]\nreturn_path = "rp.{host}"\n')
    added = acme.run("domain", "add", host, "--platform")
    assert added.status == 0, added.err
    assert f"{host} of (this installation): pending" in added.out
    assert "CNAME" not in added.out
    publish(lab, added.out, host)
    assert acme.run("domain", "verify", host).status == 0
    added = acme.run("domain", "add", "shop.example", "--account", "acme")
    assert f"; or, in the place of all records of that name: rp.shop.example. 3600 IN CNAME rp.{host}." in added.out
    publish(lab, added.out, "shop.example")
    lab.set_dns("shop.example", "A", ["127.0.0.1"])
    verified = acme.run("domain", "verify", "shop.example")
    assert verified.status == 0
    assert "; return path, MX (recommended): published" in verified.out
    assert "bounces: to Ekiden, by a return path of its own" in verified.out
    own, shop = acme.json("domain", "list")
    assert (own["account"], own["rp"]) == ("", "successful")
    assert (shop["rp"], shop["receive_bounces"]) == ("successful", True)
    changed = acme.run("domain", "bounces", "shop.example", "--no-receive")
    assert "go to its envelope senders" in changed.out
    assert "rp.shop.example" not in changed.out
    assert acme.json("domain", "bounces", "shop.example", "--receive")["receive_bounces"]
    assert acme.json("domain", "show", host, "--account", "")["id"] == own["id"]
    for wrong, why in (
        (("add", "other.example", "--platform"), f"its hostname, {host}"),
        (("add", "other.example"), "either --account NAME or --platform"),
        (("add", host, "--platform", "--account", "acme"), "either --account NAME or --platform"),
    ):
        refused = acme.run("domain", *wrong)
        assert refused.status
        assert why in refused.err


def test_one_record_at_a_time(acme: Installation, lab: Lab) -> None:
    acme.run("domain", "add", "shop.example", "--account", "acme")
    publish(lab, acme.run("domain", "show", "shop.example").out, "shop.example")
    lab.set_dns("shop.example", "A", ["127.0.0.1"])
    once = acme.run("domain", "verify", "shop.example", "--only", "spf", "--json")
    assert (once.status, json.loads(once.out)["spf"], json.loads(once.out)["dkim"]) == (1, "successful", "pending")
    assert acme.json("domain", "verify", "shop.example", "--only", "spf, dkim")["status"] == "verified"
    wrong = acme.run("domain", "verify", "shop.example", "--only", "mx")
    assert "choose one of spf, dkim, ed25519, dmarc, address" in wrong.err


def test_rotation(acme: Installation, lab: Lab) -> None:
    acme.run("domain", "add", "shop.example", "--account", "acme", "--vouch")
    rotated = acme.run("domain", "rotate", "shop.example").out
    assert "they begin to sign when their records are seen" in rotated
    publish(lab, rotated, "shop.example")
    acme.run("domain", "verify", "shop.example")
    records = acme.json("domain", "show", "shop.example")["records"]
    assert [item["status"] for item in records if item["kind"] == "dkim"] == ["successful", "retired"]
    assert "retired; keep the record until" in acme.run("domain", "show", "shop.example").out


def test_a_questionnaire_and_its_answer(acme: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    acme.run("domain", "add", "shop.example", "--account", "acme", "--approval")
    assert "not answered" in acme.run("domain", "show", "shop.example").out
    assert "--file" in acme.run("domain", "answer", "shop.example").err
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({**ANSWERS, "consent": False}))
    assert "consent: this has to be affirmed" in acme.run("domain", "answer", "shop.example", "-f", str(file)).err
    file.write_text("[]")
    assert "not a JSON object" in acme.run("domain", "answer", "shop.example", "-f", str(file)).err
    assert "cannot be read" in acme.run("domain", "answer", "shop.example", "-f", str(tmp_path / "none")).err
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(ANSWERS)))
    told = acme.json("domain", "answer", "shop.example", "--file", "-")
    assert told["questionnaire"] == ANSWERS
    shown = acme.run("domain", "show", "shop.example").out
    assert "the questionnaire is answered" in shown
    assert QUESTIONS[0].en in shown
    refused = acme.run("domain", "refuse", "shop.example", "--reason", "no website")
    assert "no website" in refused.out
    assert acme.json("domain", "show", "shop.example")["approval_reason"] == "no website"
    assert acme.run("domain", "refuse", "shop.example", "--reason", " ").err.endswith("a refusal needs a reason\n")
    approved = acme.json("domain", "approve", "shop.example")
    assert (approved["approval"], approved["status"]) == ("approved", "pending")
    assert "approval: given by cli:" in acme.run("domain", "show", "shop.example").out


def test_files_that_support_the_answers(acme: Installation, tmp_path: Any) -> None:
    """And the rest of IBM's support case: a category, and who is to be kept informed."""
    acme.run("domain", "add", "shop.example", "--account", "acme", "--approval")
    answers, report, picture = tmp_path / "answers.json", tmp_path / "報告.pdf", tmp_path / "shop.png"
    case = {"category": "Event Notifications / other", "watch_list": ["boss@shop.example", "law@shop.example"]}
    answers.write_text(json.dumps({**ANSWERS, **case, "watch_list": "boss@shop.example, law@shop.example"}))
    report.write_bytes(b"%PDF\x00\xff\r\n")
    picture.write_bytes(b"\x89PNG")
    given = ("domain", "answer", "shop.example", "--file", str(answers))
    told = acme.json(*given, "--attach", str(report), "--attach", str(picture))
    assert told["questionnaire"] == ANSWERS | case
    files = [(item["number"], item["name"], item["media_type"], item["size"]) for item in told["attachments"]]
    assert files == [(1, "報告.pdf", "application/pdf", 8), (2, "shop.png", "image/png", 4)]
    shown = acme.run("domain", "show", "shop.example").out
    for text in (case["category"], "boss@shop.example, law@shop.example", "1. 報告.pdf (application/pdf, 8)"):
        assert str(text) in shown
    out = tmp_path / "back"
    acme.run("domain", "attachment", "shop.example", "1", "--output", str(out))
    assert out.read_bytes() == report.read_bytes()
    assert "has no attachment 3" in acme.run("domain", "attachment", "shop.example", "3", "-o", str(out)).err
    # New answers leave them; new files take their place, if none is refused.
    assert len(acme.json(*given)["attachments"]) == 2
    picture.write_bytes(b"x" * 10_485_761)
    assert "10485760 octets together" in acme.run(*given, "--attach", str(picture)).err
    assert "there may be 10 files" in acme.run(*given, *(["--attach", str(report)] * 11)).err
    assert "cannot be read" in acme.run(*given, "--attach", str(tmp_path / "none")).err
    assert len(acme.json("domain", "show", "shop.example")["attachments"]) == 2
    assert [item["name"] for item in acme.json(*given, "--attach", str(report))["attachments"]] == ["報告.pdf"]
    # They go with their domain.
    acme.run("domain", "remove", "shop.example")
    acme.run("domain", "add", "shop.example", "--account", "acme")
    assert acme.json("domain", "show", "shop.example")["attachments"] == []


def test_tracking_and_return_path(acme: Installation) -> None:
    acme.run("domain", "add", "shop.example", "--account", "acme")
    assert "tracking: opens, clicks" in acme.run("domain", "show", "shop.example").out
    set_ = acme.run("domain", "tracking", "shop.example", "--no-opens", "--host", "links.shop.example")
    assert set_.out.startswith("tracking of domain shop.example set")
    assert "tracking: clicks, by links.shop.example" in set_.out
    told = acme.json("domain", "return-path", "shop.example", "bounces@shop.example")
    assert told["return_path"] == "bounces@shop.example"
    assert told["tracking"] == {"opens": False, "clicks": True, "unsubscribes": False, "host": "links.shop.example"}
    assert "return path: bounces@shop.example" in acme.run("domain", "show", "shop.example").out
    nothing = acme.run("domain", "tracking", "shop.example", "--no-clicks", "--host", "")
    assert "tracking: nothing" in nothing.out
    assert acme.json("domain", "return-path", "shop.example", "")["return_path"] == ""
    wrong = acme.run("domain", "return-path", "shop.example", "a@other.example")
    assert (wrong.status, "is not at shop.example" in wrong.err) == (2, True)


def test_a_domain_of_several_accounts(acme: Installation) -> None:
    acme.run("account", "create", "other")
    for account in ("acme", "other"):
        acme.run("domain", "add", "shop.example", "--account", account)
    several = acme.run("domain", "show", "shop.example")
    assert several.status == 1
    assert "(acme, other); choose one with --account" in several.err
    assert acme.json("domain", "show", "shop.example", "--account", "other")["account"] == "other"
    assert acme.json("domain", "remove", "shop.example", "-a", "other")["account"] == "other"
    assert "removed" in acme.run("domain", "remove", "shop.example").out
    assert "no domains" in acme.run("domain", "list").err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("show", "none.example"), "there is no domain none.example"),
        (("verify", "localhost"), "at least two labels"),
        (("add", "192.0.2.1", "--account", "acme"), "is an address, not a domain"),
        (("add", "shop.example", "--account", "nobody"), "there is no account 'nobody'"),
    ],
)
def test_mistakes(acme: Installation, args: tuple[str, ...], words: str) -> None:
    ran = acme.run("domain", *args)
    assert ran.status == (1 if words.startswith("there is no") else 2)
    assert words in ran.err
    assert acme.run("domain", "list", "--status", "good").status == 2


def test_the_instance_key_is_needed(acme: Installation) -> None:
    (acme.config.parent / "instance.key").unlink()
    assert "instance key" in acme.run("domain", "add", "shop.example", "--account", "acme").err
    assert acme.json("domain", "list") == []


def test_japanese(acme: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    added = acme.run("domain", "add", "shop.example", "--account", "acme").out
    assert added.startswith("ドメイン shop.example を追加しました")
    assert "まだ確認されていません" in added
    failed = acme.run("domain", "verify", "shop.example").out
    assert "shop.example に TXT レコードがありません" in failed
    assert "acme の shop.example: 未検証" in failed
    assert acme.run("domain", "list").out.split()[:3] == ["ドメイン", "アカウント", "状態"]


def spoken() -> set[str]:
    """Every text constant of the commands that is a text of the catalogue, or is given to ``say``."""
    found: set[str] = set()
    for module in (domain, domain_view):
        tree = ast.parse(inspect.getsource(module))
        constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        found |= {text for text in constants if isinstance(text, str) and text in TEXTS.japanese}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            names = ("say", "DomainCommandError", "DomainUsageError")
            if node.func.id in names and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    return found


def test_every_sentence_is_translated_and_no_other() -> None:
    values = {"pending", "verified", "failed", "suspended", "pass", "fail", "temporary", "advice"}
    assert sorted(spoken() - set(TEXTS.japanese)) == []
    assert sorted(set(TEXTS.japanese) - spoken() - values) == []
    for english, japanese in TEXTS.japanese.items():
        names = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, japanese)]
        assert names[0] == names[1]
