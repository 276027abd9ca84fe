"""What the dialect of Customers Mail Cloud says is known in both languages, and its codes have one meaning each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import ekiden.dialects.cmc
from ekiden.core.diagnosis import Diagnosis
from ekiden.dialects.cmc import errors
from ekiden.dialects.cmc.codes import OF_DIAGNOSIS, OF_SUPPRESSION, STATUSES, bounce_status
from ekiden.dialects.cmc.translations import TEXTS
from ekiden.recipients.suppressions import KINDS

ROOT = Path(ekiden.dialects.cmc.__file__).parent
SENTENCE = re.compile(r"[A-Za-z{][^\n]* [^\n]*")
SAYS = ("add", "refused", "entry", "Told")


def said() -> Iterator[str]:
    """The sentences of errors, wherever they stand in a call."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in SAYS:
                    for argument in node.args:
                        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                            yield argument.value


def test_every_sentence_has_its_japanese() -> None:
    sentences = {text for text in said() if SENTENCE.fullmatch(text)}
    assert len(sentences) > 20
    assert sorted(sentences - set(TEXTS.japanese)) == []


def test_codes_are_of_one_form_and_different() -> None:
    codes = [value for name, value in vars(errors).items() if name.isupper() and re.match(r"\d", str(value))]
    assert len(codes) == len(set(codes)) == 20
    assert all(re.fullmatch(r"\d\d-\d{3}", code) for code in codes)


def test_every_diagnosis_has_a_status() -> None:
    assert set(OF_DIAGNOSIS) == set(Diagnosis)
    assert set(OF_SUPPRESSION) == set(KINDS)
    assert set(OF_DIAGNOSIS.values()) | set(OF_SUPPRESSION.values()) == set(STATUSES)
    assert bounce_status(Diagnosis.NO_MAILBOX) == 2
    assert bounce_status(Diagnosis.NO_MAILBOX, suppression="bounce") == 10
    assert bounce_status(Diagnosis.FULL, expired=True) == 3
    assert bounce_status(Diagnosis.NONE, suppression="unsubscribe") == 11
