"""Parts of the bench with one shape: they measure, have tables, and are judged. Each may be run alone; ``infobip``
runs those of the HTTP API one after the other and judges them together.

What was measured is kept as JSON; its tables as Markdown, to be pasted into docs/benchmarks.md, stand beside it.
"""

from __future__ import annotations

import argparse
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bench import (
    attachments,
    callbacks,
    fairness,
    flatness,
    groups,
    logs,
    mail_request,
    mailings,
    pull,
    rendering,
    report,
    request,
)
from bench.report import Table


class Part(NamedTuple):
    """``result`` is the dataclass of what ``run`` returns; one with an ``error`` that is not empty failed."""

    result: type[Any]
    run: Callable[[argparse.Namespace, Path], list[Any]]
    tables: Callable[[list[Any]], list[Table]]
    verdicts: Callable[[list[Any]], list[list[str]]]


def _flat(subject: flatness.Subject) -> Part:
    return Part(
        flatness.Asked,
        partial(flatness.run, subject),
        partial(flatness.tables, subject),
        partial(flatness.verdicts, subject),
    )


PARTS: Mapping[str, Part] = {
    "request": Part(request.Requested, request.run, request.tables, request.verdicts),
    "rendering": Part(rendering.Rendered, rendering.run, rendering.tables, rendering.verdicts),
    "attachments": Part(attachments.Attached, attachments.run, attachments.tables, attachments.verdicts),
    "callbacks": Part(callbacks.Told, callbacks.run, callbacks.tables, callbacks.verdicts),
    "logs": _flat(logs.SUBJECT),
    "pull": _flat(pull.SUBJECT),
    "mailings": _flat(mailings.SUBJECT),
    "mails": Part(mail_request.Asked, mail_request.run, mail_request.tables, mail_request.verdicts),
    "groups": Part(groups.Resolved, groups.run, groups.tables, groups.verdicts),
    "fairness": Part(fairness.Beside, fairness.run, fairness.tables_of, fairness.verdicts),
}
ALL = "infobip"
_OF_ITS_OWN = {"mails", "mailings", "groups", "fairness"}
"""Parts that have nothing to do with ``ALL``."""
Results = Mapping[str, list[Any]]
"""What parts found, by their names."""


def names(what: str) -> Sequence[str]:
    """The parts that a word of the command line means; none: it is another kind of word."""
    if what == ALL:
        return tuple(name for name in PARTS if name not in _OF_ITS_OWN)
    return (what,) if what in PARTS else ()


def run(what: str, options: argparse.Namespace, base: Path) -> bool:
    """Run the parts, keep and print what they found. False: something could not be measured."""
    found: dict[str, list[Any]] = {}
    broken: dict[str, str] = {}
    for name in names(what):
        begin = time.monotonic()
        try:
            found[name] = PARTS[name].run(options, base)
        except Exception as error:  # whatever it is: minutes of other parts must not be lost with it
            traceback.print_exc()
            broken[name] = f"{type(error).__name__}: {error}"
        print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)
    parts = {name: [asdict(each) for each in results] for name, results in found.items()}
    path = report.save(what, {"quick": options.quick, "parts": parts, "broken": broken})
    content = report.load(path)
    markdown = path.with_suffix(".md")
    markdown.write_text(document(content))
    print_content(content, options.markdown)
    print(f"written to {path} and {markdown}")
    return not _failures(content)


def results_of(content: Mapping[str, Any]) -> Results:
    """What ``run`` kept in a file of results."""
    return {name: [PARTS[name].result(**each) for each in kept] for name, kept in content["parts"].items()}


def all_tables(results: Results) -> list[Table]:
    """Those of each part, then the targets."""
    found = [table for name, kept in results.items() for table in PARTS[name].tables(kept)]
    judged = [row for name, kept in results.items() for row in PARTS[name].verdicts(kept)]
    return [*found, Table("Targets", report.VERDICT_HEADER, judged)] if judged else found


def _failures(content: Mapping[str, Any]) -> list[str]:
    """What could not be measured, and why."""
    texts = {name: [each.get("error", "") for each in kept] for name, kept in content["parts"].items()}
    for name, text in content["broken"].items():
        texts[name] = [text]
    return [f"{name} failed: {text}" for name, errors in texts.items() for text in errors if text]


def print_content(content: Mapping[str, Any], as_markdown: bool) -> None:
    """What a file of results has: every table, and what failed."""
    if as_markdown:
        print(document(content))
        return
    for table in all_tables(results_of(content)):
        report.print_table(*table, as_markdown=False)
    for text in _failures(content):
        print(text)


def document(content: Mapping[str, Any]) -> str:
    """A section of docs/benchmarks.md with all that a file of results has."""
    machine = content["machine"]
    lines = [
        f"### `make bench ARGS={content['kind']}`, {machine['time'][:10]}",
        "",
        f"Taken on {machine['cores']} × {machine['cpu'] or 'an unknown processor'}, Python {machine['python']}, "
        f"the code of commit `{machine['commit']}`; min/median/max over the rounds.",
    ]
    if content["quick"]:
        lines += ["", "A first look (`--quick`): nothing to be judged by."]
    for table in all_tables(results_of(content)):
        lines += ["", f"{table.title}:", "", report.markdown(table.header, table.rows)]
    for text in _failures(content):
        lines += ["", text.splitlines()[0]]
    return "\n".join(lines) + "\n"
