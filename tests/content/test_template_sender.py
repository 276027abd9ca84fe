"""Who a template is from, as one line and apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.content.errors import BadField
from ekiden.content.template_sender import Sender, read_sender
from ekiden.content.template_text import TemplateText, check_template

ADDRESS = "a@x.example"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("", ADDRESS),
        ("Shop", f"Shop <{ADDRESS}>"),
        ("이름", f"이름 <{ADDRESS}>"),
        ("山田 太郎", f"山田 太郎 <{ADDRESS}>"),
        ('이름, "별명" \\ <b>', f'"이름, \\"별명\\" \\\\ <b>" <{ADDRESS}>'),
        (" A  b.", f'" A  b." <{ADDRESS}>'),
        ("이" * 200, f"{'이' * 200} <{ADDRESS}>"),
    ],
)
def test_it_is_written_for_people(name: str, line: str) -> None:
    """Other languages tell the line as it is: nobody is to read encoded words there."""
    assert Sender(ADDRESS, name).line() == line
    assert read_sender(line) == (ADDRESS, name)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=60))
def test_whatever_the_name_is_it_is_read_again(name: str) -> None:
    line = Sender(ADDRESS, name).line()
    assert read_sender(line) == (ADDRESS, name)
    check_template(TemplateText("t", "<p>", sender=line))


@pytest.mark.parametrize("sender", [("none", ""), (ADDRESS, "a\nb"), (f"A <{ADDRESS}>", "")])
def test_what_is_none(sender: tuple[str, str]) -> None:
    with pytest.raises(BadField, match="sender is one"):
        Sender(*sender).line()
