"""What the bench does with the HTTP API of Infobip: its requests, its own figures, and how they are judged."""

from __future__ import annotations

import json
import os
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path

import pytest
from bench.__main__ import main, parser
from bench.attachments import Attached
from bench.callbacks import Told
from bench.ekiden_server import Ekiden
from bench.flatness import Asked
from bench.infobip_client import form_body, json_body, name_of
from bench.parts import ALL, PARTS, document, names, results_of
from bench.process import high_water, parse_status, reset_high_water, resident
from bench.proof import MESSAGES
from bench.rendering import Rendered, texts
from bench.request import CONNECTIONS, FORM, JSON, Requested, check_personal, servers
from bench.tools import BenchError, find_program

from bench import attachments, callbacks, parts, rendering, report, request

needs_sink = pytest.mark.skipif(find_program("smtp-sink") is None, reason="smtp-sink is not installed")


# --- what is asked for ---------------------------------------------------------------------------------------


def test_a_request_in_json_has_values_for_each_recipient() -> None:
    body = json_body(3, "dst.test", tracked=True)
    content = json.loads(body.octets)
    assert content["options"] == {"tracking": {"track": True}}
    [message] = content["messages"]
    [group] = message["destinations"]
    assert [to["destination"] for to in group["to"]] == [f"taro.{number}@dst.test" for number in (1, 2, 3)]
    assert [json.loads(to["placeholders"])["name"] for to in group["to"]] == [name_of(n) for n in (1, 2, 3)]
    assert body.messages == 3
    assert all("{{name}}" in message["content"][part] for part in ("subject", "text", "html"))


def test_a_form_has_its_recipients_and_files() -> None:
    body = form_body(2, "dst.test", {"a.bin": b"\0\r\n--x"}, {"sendAt": "2026-12-01T10:00:00.000+00:00"})
    form = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {body.content_type}\r\n\r\n".encode() + body.octets)
    found = [
        (part.get_param("name", header="content-disposition"), part.get_payload(decode=True))
        for part in form.iter_parts()
    ]
    assert [json.loads(value)["to"] for name, value in found if name == "to"] == [
        "taro.1@dst.test",
        "taro.2@dst.test",
    ]
    assert dict(found)["attachment"] == b"\0\r\n--x"
    assert dict(found)["sendAt"] == b"2026-12-01T10:00:00.000+00:00"
    assert dict(found)["html"].decode() == texts("English")[2]


def test_the_html_of_a_message_has_four_kilobytes() -> None:
    for language in ("English", "Japanese"):
        _, _, html = texts(language)
        assert 3_800 <= len(html.encode()) <= 4_096


def test_a_message_without_its_recipients_name_makes_a_row_worthless() -> None:
    right = [f"Subject: Hello {name_of(number)}, order\r\n\r\n".encode() for number in range(1, MESSAGES + 1)]
    check_personal(right, 1)
    with pytest.raises(BenchError, match="2 messages are to"):
        check_personal([*right, right[0]], 1)
    with pytest.raises(BenchError, match="0 messages are to"):
        check_personal(right[1:], 1)


# --- what is measured ----------------------------------------------------------------------------------------


@needs_sink
@pytest.mark.parametrize("signing", ["no", "rsa"])
def test_a_request_and_smtp_on_one_server(tmp_path: Path, signing) -> None:
    result = Requested("ekiden1", "Ekiden", 20)
    request.measure(Ekiden("ekiden1", workers=1, signing=signing), result, 1, tmp_path)
    assert set(result.seconds) == {*request.bodies(1), *CONNECTIONS}
    assert {len(seconds) for seconds in result.seconds.values()} == {1}
    # HTML and a little more.
    assert 4_000 < result.octets < 8_000
    assert list(tmp_path.iterdir()) == []


@needs_sink
def test_a_file_for_many_is_kept_once(tmp_path: Path) -> None:
    result = Attached("a few recipients", 5, 300_000, 1, kept=True)
    attachments.measure(result, tmp_path)
    assert 0.9 < result.once < 1.5
    assert result.memory >= 0
    assert list(tmp_path.iterdir()) == []


def test_events_are_told_beside_a_dead_endpoint(tmp_path: Path) -> None:
    with callbacks.receiver() as port:
        took, cpu = callbacks.measure(tmp_path, [f"http://127.0.0.1:{port}/reports"], 20, 1)
    assert took > 0
    assert cpu > 0
    assert list(tmp_path.iterdir()) == []


def test_the_high_water_mark_of_a_process() -> None:
    status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t     100 kB\n"
    assert parse_status(status, "VmHWM") == 2048 * 1024
    assert parse_status("", "VmHWM") == 0
    pid = os.getpid()
    assert 0 < resident(pid) <= high_water(pid)
    reset_high_water(pid)
    before = high_water(pid)
    octets = b"x" * 30_000_000
    del octets
    assert high_water(pid) > before + 25_000_000


# --- how it is judged ----------------------------------------------------------------------------------------


def words(rows: list[list[str]]) -> list[str]:
    return [row[-1] for row in rows]


def test_a_request_is_judged_by_smtp_with_eight_connections() -> None:
    smtp = dict(zip(CONNECTIONS, ([2.0, 3.0, 2.0], [4.0, 9.0, 8.0]), strict=True))
    results = [
        Requested("ekiden", "Ekiden", 1000, 5000, {JSON: [1.0, 1.0, 1.0], FORM: [2.5, 2.9, 2.1], **smtp}),
        Requested("ekiden-pg", "PostgreSQL", 1000, 5000, dict(smtp), "it failed"),
    ]
    assert request.verdicts(results) == [
        [f"{JSON}, Ekiden", "> 1 × SMTP, 8 connections", "2.00/2.00/3.00", "met"],
        [f"{FORM}, Ekiden", "> 1 × SMTP, 8 connections", "0.80/0.95/1.03", "NOT MET"],
    ]
    [table] = request.tables(results)
    assert table.rows[0] == [f"ekiden: {JSON}", "1000", "1000", "2.00/2.00/3.00", "4.00/8.00/9.00"]
    assert len(table.rows) == 4
    assert request.tables([]) == []
    assert {server.name for server in servers()} >= {"ekiden", "ekiden-dkim", "ekiden-pg"}


def test_attachments_are_judged() -> None:
    results = [
        Attached("one, kept", 1, 20_000_000, 3, True, 0.3, 50_000_000, 27_000_000, 1.0),
        Attached("one, delivered", 1, 20_000_000, 3, False, 0.3, 61_000_000, 27_000_000),
        Attached("many, kept", 1000, 1_000_000, 1, True, 0.3, 10_000_000, 900_000_000, 600.0),
        Attached("many, delivered", 1000, 1_000_000, 1, False, error="it failed"),
    ]
    assert words(attachments.verdicts(results)) == ["met", "NOT MET", "NOT MET"]
    assert [row[4] for row in attachments.tables(results)[0].rows] == ["50.0", "61.0", "10.0"]


def test_callbacks_are_judged_by_their_rate_and_by_what_the_dead_cost() -> None:
    results = [
        Told("alone", 100, True, 0, [4000.0, 6000.0, 5000.0], [0.1, 0.1, 0.1]),
        Told("beside one", 100, True, 1, [3900.0, 6000.0, 5000.0], [0.1, 0.1, 0.1]),
        Told("beside many", 100, True, 100, [2000.0, 2500.0, 4000.0], [0.1, 0.1, 0.1]),
        Told("each its own", 100, False, 0, [100.0], [1.0]),
    ]
    assert words(callbacks.verdicts(results)) == ["met", "met", "met", "NOT MET", "NOT MET"]
    [table] = callbacks.tables(results)
    assert [row[-1] for row in table.rows] == ["1.00", "0.97/1.00/1.00", "0.42/0.50/0.80", "–"]


def test_messages_are_judged_by_the_rate_of_rendering_them() -> None:
    results = [
        Rendered("message, English", 6000, [5000.0]),
        Rendered("message, Japanese", 9000, [4999.0]),
        Rendered("compile the HTML", 1, [10.0]),
    ]
    assert words(rendering.verdicts(results)) == ["met", "NOT MET"]


# --- how it is kept ------------------------------------------------------------------------------------------


def test_words_of_the_command_line() -> None:
    assert set(names(ALL)) == PARTS.keys() - {"mails", "mailings", "groups", "fairness"}
    assert names("fairness") == ("fairness",)
    assert names("request") == ("request",)
    assert names("compare") == ()
    assert set(report.KINDS) == {ALL, *PARTS}
    assert parser().parse_args(["infobip", "--quick"]).what == ALL


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "results"
    monkeypatch.setattr(report, "_RESULTS", folder)
    return folder


def test_what_was_measured_is_kept_and_printed_again(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> list[object]:
        raise RuntimeError("no such luck")

    found = {
        "rendering": [Rendered("message, English", 6000, [6000.0, 7000.0, 8000.0])],
        "logs": [Asked("sqlite", 1000, error="it failed\nin many lines")],
    }
    for name, kept in found.items():
        monkeypatch.setitem(parts.PARTS, name, PARTS[name]._replace(run=lambda *_, kept=kept: kept))
    for name in PARTS.keys() - found.keys():
        monkeypatch.setitem(parts.PARTS, name, PARTS[name]._replace(run=broken))
    assert main(["infobip", "--quick", "--dir", str(tmp_path)]) == 1
    capsys.readouterr()
    [path] = results.glob("*-infobip.json")
    content = report.load(path)
    assert results_of(content) == found
    text = path.with_suffix(".md").read_text()
    assert text == document(content)
    assert "| rendering on one core: message, English | ≥ 5,000 /s | 6000/7000/8000 | met |" in text
    assert "logs failed: it failed\n" in text
    assert "pull failed: RuntimeError: no such luck" in text
    assert "nothing to be judged by" in text
    assert main(["report", str(path), "--markdown"]) == 0
    assert capsys.readouterr().out.strip() == text.strip()
    assert main(["report", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "6000/7000/8000" in printed
    assert "in many lines" in printed


def test_a_file_of_another_bench_is_refused(results: Path) -> None:
    for content in ({"results": []}, {"parts": {}, "kind": "unknown"}):
        path = report.save("logs", content)
        with pytest.raises(BenchError, match="no file of results"):
            report.load(path)
