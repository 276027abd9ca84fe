"""Tracked links and pixels: which links are found, and that nothing else changes."""

from __future__ import annotations

from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.html_links import Html, PixelPosition, link_target
from ekiden.mime.html_tokens import DOCTYPE, END, attributes, tags

_PIXEL = '<img src="https://t.example/o" width="1" height="1" alt="">'


def _tracked(url: str) -> str:
    return f"T({url})"


def _clicks(html: str, **values: str) -> str:
    return Html.compile(html, clicks=True).render(values, _tracked)


@pytest.mark.parametrize(
    ("html", "rendered"),
    [
        ('<a href="https://x.example/">x</a>', '<a href="T(https://x.example/)">x</a>'),
        ("<a href='https://x.example/'>x</a>", "<a href='T(https://x.example/)'>x</a>"),
        ("<a href=https://x.example/a/>x</a>", '<a href="T(https://x.example/a/)">x</a>'),
        ("<A\r\n CLASS=b\tHREF = 'HTTPS://X.example' >x</A >",
         "<A\r\n CLASS=b\tHREF = 'T(HTTPS://X.example)' >x</A >"),
        ('<area shape="rect" href="http://x.example">', '<area shape="rect" href="T(http://x.example)">'),
        ('<a/href="http://x.example"/>', '<a/href="T(http://x.example)"/>'),
        ('<a title=">" href="http://x.example">', '<a title=">" href="T(http://x.example)">'),
        ('<a title="<a href=http://y.example>" href="http://x.example">',
         '<a title="<a href=http://y.example>" href="T(http://x.example)">'),
        ('<a title=a"b href="http://x.example">', '<a title=a"b href="T(http://x.example)">'),
        ('<a data-href="http://x.example" xhref=http://x.example>',
         '<a data-href="http://x.example" xhref=http://x.example>'),
        ('<a href="http://x.example" href="http://y.example">', '<a href="T(http://x.example)" href="http://y.example">'),
        ("<a =href='http://x.example'>", "<a =href='http://x.example'>"),
        ('<a href="  http://x.example/a\n b  ">', '<a href="T(http://x.example/a%20b)">'),
        # References
        ('<a href="http://x.example/?a=1&amp;b=2">', '<a href="T(http://x.example/?a=1&amp;b=2)">'),
        ('<a href="http://x.example/?a=1&b=2">', '<a href="T(http://x.example/?a=1&amp;b=2)">'),
        ('<a href="http://x.example/?a&copy=1&copy;&copyx&lt&#38;&#x26">',
         '<a href="T(http://x.example/?a&amp;copy=1©&amp;copyx&lt;&amp;&amp;)">'),
        ('<a href="http://x.example/&quot;">', '<a href="T(http://x.example/&quot;)">'),
        ("<a href='http://x.example/&#39;'>", "<a href='T(http://x.example/&#x27;)'>"),
        ("<a href=http://x.example/&quot;>", '<a href="T(http://x.example/&quot;)">'),
        ('<a href="http://x.example/日本">', '<a href="T(http://x.example/日本)">'),
        # Not to be tracked
        ('<a href="mailto:a@b.example">', '<a href="mailto:a@b.example">'),
        ("<a href=tel:+81>", "<a href=tel:+81>"),
        ("<a href='#top'><a href='/x'><a href='x.html'><a href='//x.example/'>",
         "<a href='#top'><a href='/x'><a href='x.html'><a href='//x.example/'>"),
        ("<a href='?http://x'><a href=''><a href><a href=>", "<a href='?http://x'><a href=''><a href><a href=>"),
        ("<a href='javascript:alert(1)'><a href='data:text/html,x'><a href='cid:x'><a href='sms:1'><a href='ftp://x'>",
         "<a href='javascript:alert(1)'><a href='data:text/html,x'><a href='cid:x'><a href='sms:1'><a href='ftp://x'>"),
        ("<a href='http://'><a href='http:///x'><a href='https:x'>",
         "<a href='http://'><a href='http:///x'><a href='https:x'>"),
        ("<a href='http://x.example/\x01/'>", "<a href='http://x.example/\x01/'>"),
        ('<link href="http://x.example"><base href="http://x.example/"><abbr href="http://x.example">',
         '<link href="http://x.example"><base href="http://x.example/"><abbr href="http://x.example">'),
        # Switched off
        ('<a clicktracking=off href="http://x.example">', '<a href="http://x.example">'),
        ('<a href="http://x.example" clicktracking="off">', '<a href="http://x.example">'),
        ("<a href='http://x.example' ClickTracking = ' OFF ' class=b>", "<a href='http://x.example' class=b>"),
        ('<a clicktracking="off"href="http://x.example">', '<a href="http://x.example">'),
        ('<a clicktracking=on href="http://x.example">', '<a clicktracking=on href="T(http://x.example)">'),
        # No tags
        ("<!-- <a href='http://x.example'> --><!--><a href='http://x.example'>",
         "<!-- <a href='http://x.example'> --><!--><a href='T(http://x.example)'>"),
        ("<!--[if mso]><a href='http://x.example'><![endif]--><![if !mso]><a href='http://x.example'><![endif]>",
         "<!--[if mso]><a href='http://x.example'><![endif]--><![if !mso]><a href='T(http://x.example)'><![endif]>"),
        ("<!--->a--><a href='http://x.example'>", "<!--->a--><a href='T(http://x.example)'>"),
        ("<!-- --!><a href='http://x.example'>", "<!-- --!><a href='T(http://x.example)'>"),
        ("<!-- <a href='http://x.example'>", "<!-- <a href='http://x.example'>"),
        ("<![CDATA[ > <a href='http://x.example'> ]]><a href='http://x.example'>",
         "<![CDATA[ > <a href='http://x.example'> ]]><a href='T(http://x.example)'>"),
        ("<![CDATA[ > <a href='http://x.example'>", "<![CDATA[ > <a href='T(http://x.example)'>"),
        ("<?php <a href='http://x.example'> ?>", "<?php <a href='http://x.example'> ?>"),
        ("<script>'<a href=\"http://x.example\">'</SCRIPT ><a href=http://x.example>",
         "<script>'<a href=\"http://x.example\">'</SCRIPT ><a href=\"T(http://x.example)\">"),
        ("<style>/*<a href='http://x.example'>*/</styles></style><a href='http://x.example'>",
         "<style>/*<a href='http://x.example'>*/</styles></style><a href='T(http://x.example)'>"),
        ("<title><a href='http://x.example'></title>", "<title><a href='http://x.example'></title>"),
        ("<script><a href='http://x.example'>", "<script><a href='http://x.example'>"),
        ("<plaintext><a href='http://x.example'>", "<plaintext><a href='http://x.example'>"),
        ("a < b <a href='http://x.example'> </ a href='http://x.example'>",
         "a < b <a href='T(http://x.example)'> </ a href='http://x.example'>"),
        ("<a href='http://x.example", "<a href='http://x.example"),
        ("<a href='http://x.example'", "<a href='http://x.example'"),
        ("<a title='><a href=http://x.example>", "<a title='><a href=http://x.example>"),
        ("<İa><a href=http://x.example>", '<İa><a href="T(http://x.example)">'),
    ],
)  # fmt: skip
def test_clicks(html: str, rendered: str) -> None:
    assert _clicks(html) == rendered


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Algorithm=AWS4&X-Amz-Signature=abc",
        "AWSAccessKeyId=A&Expires=1&Signature=abc",
        "Expires=1&Signature=a&Key-Pair-Id=K",
        "Policy=p&Key-Pair-Id=K",
        "x=1&X-Goog-Signature=abc",
        "sv=2024&se=x&sig=abc%3D",
        "x-oss-signature=a",
        "q-signature=a",
        "hdnts=exp=1~hmac=2",
    ],
)
def test_signed_urls_are_left_alone(query: str) -> None:
    html = f'<a href="https://x.example/file?{query.replace("&", "&amp;")}">'
    document = Html.compile(html, clicks=True)
    assert document.render({}, _tracked) == html
    assert document.links == 0


@pytest.mark.parametrize("query", ["signatures=1", "design=x&assign=y", "#sig=1", "a#?sig=1", "q=sig"])
def test_what_only_looks_signed(query: str) -> None:
    assert link_target(f"https://x.example/?{query}") == f"https://x.example/?{query}"


@pytest.mark.parametrize(
    ("html", "url", "rendered"),
    [
        ('<a href="{{url}}">', "https://x.example/", '<a href="T(https://x.example/)">'),
        ("<a href={{ url }}>", "https://x.example/", '<a href="T(https://x.example/)">'),
        ('<a href="{{url}}">', "mailto:a@b.example", '<a href="mailto:a@b.example">'),
        ('<a href="{{url}}">', 'https://x.example/"><script>', '<a href="T(https://x.example/&quot;&gt;&lt;script&gt;)">'),
        ('<a href="https://x.example/{{url}}?a=1&amp;b=2">', "p", '<a href="T(https://x.example/p?a=1&amp;b=2)">'),
        ('<a href="https://x.example/?{{url}}">', "sig=1", '<a href="https://x.example/?sig=1">'),
        ("<a {{url}} href='https://x.example/'>", 'class="b"', "<a class=\"b\" href='T(https://x.example/)'>"),
        ('<p title="{{url}}">{{url}}', '<a href="http://y.example">', '<p title="<a href="http://y.example">"><a href="http://y.example">'),
        ("<!-- {{url}} --><a href='https://x.example/'>", "-->", "<!-- --> --><a href='T(https://x.example/)'>"),
        ("1 <{{url}} <a href='https://x.example/'>", "2", "1 <2 <a href='T(https://x.example/)'>"),
        ("{{<a href='https://x.example/'>}}", "", "{{<a href='https://x.example/'>}}"),
    ],
)  # fmt: skip
def test_placeholders(html: str, url: str, rendered: str) -> None:
    assert _clicks(html, url=url) == rendered


def test_how_many_links() -> None:
    html = (
        "<a href=http://x.example><a href={{url}}><a href=#x><a href='https://x.example/{{a}}'>"
        "<a clicktracking=off href=http://x.example>"
    )
    assert Html.compile(html, clicks=True).links == 3
    assert Html.compile(html).links == 0
    assert Html.compile(html, clicks=True).names == Html.compile(html).names == {"url", "a"}


def test_untouched_urls() -> None:
    document = Html.compile(
        "<a href='https://u.example/?a&amp;b'><a href={{unsubscribe}}><a href=https://x.example>", clicks=True
    )
    rendered = document.render(
        {"unsubscribe": "https://u.example/1"},
        _tracked,
        untouched={"https://u.example/?a&b", "https://u.example/1"},
    )
    assert rendered == (
        "<a href='https://u.example/?a&amp;b'><a href=https://u.example/1><a href=\"T(https://x.example)\">"
    )


def test_clicks_and_placeholders_without_a_link_function() -> None:
    html = "<a href='https://x.example/?a&amp;{{b}}'>"
    assert Html.compile(html, clicks=True).render({"b": "c"}) == "<a href='https://x.example/?a&amp;c'>"


@pytest.mark.parametrize(
    ("html", "top", "bottom"),
    [
        ("<body>x</body>", "<body>@x</body>", "<body>x@</body>"),
        ("<p>x", "@<p>x", "<p>x@"),
        ("", "@", "@"),
        ("<BODY bgcolor='>'>x</BODY ></HTML>", "<BODY bgcolor='>'>@x</BODY ></HTML>",
         "<BODY bgcolor='>'>x@</BODY ></HTML>"),
        ("<!DOCTYPE html><p>x", "<!DOCTYPE html>@<p>x", "<!DOCTYPE html><p>x@"),
        ("<!doctype html>\n<html><head></head><p>x</html>", "<!doctype html>\n<html><head></head>@<p>x</html>",
         "<!doctype html>\n<html><head></head><p>x@</html>"),
        ("<html><p>x</html>\n", "<html>@<p>x</html>\n", "<html><p>x@</html>\n"),
        ("<!-- <body> --><body>x<!-- </body> --></body>", "<!-- <body> --><body>@x<!-- </body> --></body>",
         "<!-- <body> --><body>x<!-- </body> -->@</body>"),
        ("<body>x<p title='", "<body>@x<p title='", "<body>x@<p title='"),
        ("<body>x<!-- ", "<body>@x<!-- ", "<body>x@<!-- "),
        ("<body {{a}}>{{b}}</body>", "<body {{a}}>@{{b}}</body>", "<body {{a}}>{{b}}@</body>"),
    ],
)  # fmt: skip
def test_pixel(html: str, top: str, bottom: str) -> None:
    for position, expected in (("TOP", top), ("BOTTOM", bottom)):
        document = Html.compile(html, pixel=position)  # type: ignore[arg-type]
        assert document.render({}, pixel="https://t.example/o") == expected.replace("@", _PIXEL)
        assert document.render({}) == html


def test_pixel_between_links_and_its_url_is_escaped() -> None:
    html = "<body><a href=http://x.example>{{name}}</a></body>"
    document = Html.compile(html, True, "BOTTOM")
    assert document.render({"name": "N"}, _tracked, 'https://t.example/"&') == (
        '<body><a href="T(http://x.example)">N</a>'
        '<img src="https://t.example/&quot;&amp;" width="1" height="1" alt=""></body>'
    )


_FRAGMENTS = st.sampled_from(
    ["<a ", "<area", "<body", "</body>", ">", "/", " ", "\n", "href", "=", '"', "'", "http://x.example/", "&amp;",
     "&", "<!--", "-->", "<![CDATA[", "]]>", "<script>", "</script", "<title>", "{{a}}", "{{", "}}", "é",
     "clicktracking=off", "<?", "<!doctype html>", "<", "?sig=", "&copy", "x"]
)  # fmt: skip
_HTML = st.lists(_FRAGMENTS | st.text(max_size=3), max_size=40).map("".join)


@given(_HTML, st.sampled_from(["TOP", "BOTTOM", None]))
def test_identity(html: str, position: PixelPosition | None) -> None:
    """With links that stay what they are, nothing changes, whatever the HTML is."""
    html = html.replace("clicktracking", "")
    asked = []

    def link(url: str) -> str:
        asked.append(url)
        return url

    document = Html.compile(html, True, position)
    assert document.render({}, link) == html
    assert len(asked) <= document.links


@given(_HTML)
def test_tokens_are_in_order_and_within(html: str) -> None:
    at = 0
    found = list(tags(html, {"a", "area", "body", "script", "title", "x", DOCTYPE}))
    assert [tag.name for tag in found].index(END) == len(found) - 1
    for tag in found:
        assert at <= tag.start <= tag.end <= len(html)
        at = tag.end
        if tag.name not in (END, DOCTYPE):
            assert html[tag.start] == "<"
            assert html[tag.end - 1] == ">"
        if tag.name != END:
            for attribute in attributes(html, tag):
                assert tag.start < attribute.start < attribute.end <= tag.end
                assert attribute.start <= attribute.value <= attribute.value_end <= attribute.end


class _Reader(HTMLParser):
    """The links as the standard library finds them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value][:1]


_URL = st.from_regex(r"https?://[a-z]{1,5}\.example/[a-z0-9/&=?%\"'<>;]{0,20}", fullmatch=True).filter(
    lambda url: link_target(url.replace("&", "&amp;")) is not None
)


def _quoting(url: str) -> str:
    return f"https://t.example/?u={url}&x='\"<>"


@given(st.lists(st.tuples(_URL, st.sampled_from("\"'"), st.text("ab \n<&;!-", max_size=9)), max_size=6))
def test_readers_find_what_was_put_in(links: list[tuple[str, str, str]]) -> None:
    html = ""
    for url, quote, text in links:
        value = url.replace("&", "&amp;").replace("<", "&lt;").replace(quote, f"&#{ord(quote)};")
        html += f"<p>x</p><a id={quote}{text.replace(quote, '')}{quote} href={quote}{value}{quote}>y</a>"
    document = Html.compile(html, clicks=True)
    assert document.links == len(links)
    reader = _Reader()
    reader.feed(document.render({}, _quoting))
    reader.close()
    assert reader.links == [_quoting(url) for url, _, _ in links]


@pytest.mark.parametrize(
    "html",
    ["<!--" * 200_000, "<![CDATA[" * 100_000, "<a " * 300_000, "<a b='" * 200_000, "</" * 400_000,
     "<script>" * 100_000, "<a href=" * 100_000, "<!" * 300_000, "<a" + " x" * 300_000, "<a" + " " * 500_000,
     "<a x" + " " * 500_000,
     "<a x=" + " " * 500_000, "<a " + "=" * 500_000, "<" * 500_000, "<title></titl" * 50_000,
     "<a href='&" + "&a" * 300_000 + "'>",
     "<![CDATA[>" * 100_000, "<a clicktracking=off" + " " * 300_000 + ">", "<a  clicktracking=off>" * 30_000],
)  # fmt: skip
def test_hostile_html_takes_no_longer(html: str) -> None:
    Html.compile(html, True, "BOTTOM").render({}, _tracked, "https://t.example/o")


def test_unescape_agrees_with_the_library_where_both_are_right() -> None:
    for text in ("&amp;", "&lt;&gt;", "&#x41;&#65", "&notit;", "&eacute;x", "&hellip;"):
        assert link_target(f"http://x.example/{text}") == "http://x.example/" + (
            unescape(text) if text != "&notit;" else "&notit;"
        )
