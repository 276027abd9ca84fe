"""Charsets as mail uses them: what labels mean, what is judged, and that nothing raises."""

from __future__ import annotations

import encodings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime import charsets
from ekiden.mime.charsets import codec_of, decode_text

JAPANESE = [
    "会議資料の件",
    "請求書",
    "お世話になっております。山田です。",
    "株式会社テスト御中",
    "東京都",
    "メール",
    "添付ファイル.pdf",
    "Re: 見積書 (2026年)",
    "第１回",
    "送信",
    "予約確認",
]
CHINESE = ["会议资料", "发票", "您好，请查收附件。谢谢", "中国北京市", "我们的产品", "订单确认", "新年快乐"]
WESTERN = [
    "café",
    "naïve façade",
    "Grüße aus Köln",
    "élève à l'école",
    "It’s “quoted” – really…",
    "Ação não é",
    "España mañana",
    "Größe ÄÖÜ",
    "don’t",
    "He said “Hello” and “Bye”",
    "£5 – 10€",
]


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("UTF-8", "utf_8"),
        ("utf8", "utf_8"),
        ("ISO-8859-1", "cp1252"),
        ("latin1", "cp1252"),
        ("iso_8859-1:1987", "cp1252"),
        ("us-ascii", ""),
        ("unknown-8bit", ""),
        ("utf-7", ""),
        ("unicode-1-1-utf-7", ""),
        ("", ""),
        ("nonsense", ""),
        ("punycode", ""),
        ("idna", ""),
        ("rot13", ""),
        ("unicode_escape", ""),
        ("iso-2022-jp", "iso2022_jp"),
        ("ISO-2022-JP*ja", "iso2022_jp"),
        ("Shift_JIS", "cp932"),
        ("x-sjis", "cp932"),
        ("Windows-31J", "cp932"),
        ("EUC-JP", "euc_jp"),
        ("x-euc-jp", "euc_jp"),
        ("gb2312", "gb18030"),
        ("GBK", "gb18030"),
        ("ks_c_5601-1987", "cp949"),
        ("euc-kr", "cp949"),
        ("big5", "cp950"),
        ("koi8-r", "koi8_r"),
        ("windows-1251", "cp1251"),
        ("iso-8859-8-i", "iso8859_8"),
        ("iso-8859-9", "cp1254"),
        ("tis-620", "cp874"),
        ('"utf-8"', "utf_8"),
        ("utf-8; format=flowed", "utf_8"),
        ("utf-8 (comment)", "utf_8"),
        ("x" * 100_000, ""),
    ],
)
def test_what_labels_mean(label: str, codec: str) -> None:
    assert codec_of(label) == codec


def test_no_codec_is_looked_up_by_a_name_from_outside() -> None:
    """The library keeps every name for good, and some of its codecs are slow."""
    known = vars(encodings)["_cache"]
    for name in ("some_unheard_of_charset", "punycode"):
        before = name in known  # others of the library's users may have asked for it
        assert decode_text(b"\xe9", name) == "é"
        assert (name in known) is before


@pytest.mark.parametrize(
    ("octets", "label", "text"),
    [
        (b"plain", "", "plain"),
        (b"a\0b", "us-ascii", "a\ufffdb"),
        (b"\xef\xbb\xbfa", "utf-8", "a"),
        (b"caf\xe9", "iso-8859-1", "café"),
        (b"\x93x\x94 \x80", "iso-8859-1", "“x” €"),
        (b"caf\xe9", "us-ascii", "café"),
        (b"\x81", "windows-1252", "\ufffd"),
        (b"+ADw-script+AD4-", "utf-7", "+ADw-script+AD4-"),
        (b"\xa4\xb5", "iso-8859-15", "€µ"),
        # What Windows adds: ① and 髙 in double octets, half-width katakana by its own escape sequence.
        (b"\x1b$B-!5\x68|b\x1b(B \x1b(I\x43=D\x1b(B!", "iso-2022-jp", "①笈髙 ﾃｽﾄ!"),
        (b"\x1b$B5s\x1b(J~", "iso-2022-jp", "挙‾"),
        (b"\x1b$B\x46\x7c\x4b", "iso-2022-jp", "日\ufffd"),
        (b"\x1b$(D\x30\x21\x1b(B", "iso-2022-jp", "丂"),
        (b"\x1b$B\x46\x7c\x4b\x5c\x1b(B", "us-ascii", "日本"),
        (b"\x1b$B\x46\x7c\x4b\x5c\x1b(B", "utf-8", "日本"),
        (b"\x87\x40\xfb\xfc", "shift_jis", "①髙"),
        (b"\x81\x60", "shift_jis", "～"),
        (b"\xad\xa1\xfc\xe2\xc6\xfc \x8e\xc3", "euc-jp", "①髙日 ﾃ"),
        (b"\x8f\xb0\xa1", "euc-jp", "丂"),
        ("日本".encode("utf-16"), "utf-16", "日本"),
        ("ABC日本語".encode("utf-16-le"), "utf-16", "ABC日本語"),
        ("ABC日本語".encode("utf-16-be"), "utf-16", "ABC日本語"),
        (b"\x00\xd8a\x00", "utf-16-le", "\ufffda"),
        ("안녕하세요".encode("cp949"), "ks_c_5601-1987", "안녕하세요"),
        ("안녕".encode("iso2022_kr"), "iso-2022-kr", "안녕"),
        ("会议".encode("hz"), "hz-gb-2312", "会议"),
        ("中國".encode("big5"), "big5", "中國"),
        ("€".encode("gb18030"), "gb2312", "€"),
        ("Привет".encode("koi8-r"), "koi8-r", "Привет"),
        # A mistake among much that is right.
        ("日本語のメールです。".encode("cp932") + b"\x82 ", "shift_jis", "日本語のメールです。\ufffd "),
        ("日本語のメールです。".encode()[:-1], "utf-8", "日本語のメールです\ufffd"),
        ("日本語のメールです。".encode()[:-1], "", "日本語のメールです\ufffd"),
    ],
)
def test_declared(octets: bytes, label: str, text: str) -> None:
    assert decode_text(octets, label) == text


@pytest.mark.parametrize(
    ("codec", "texts"),
    [
        ("utf-8", JAPANESE + CHINESE + WESTERN),
        ("iso2022_jp", JAPANESE),
        ("euc_jp", JAPANESE),
        ("cp932", JAPANESE),
        ("gb18030", CHINESE),
        ("cp1252", WESTERN),
    ],
)
@pytest.mark.parametrize("label", ["", "us-ascii", "x-unknown", "iso-8859-1"])
def test_judged(codec: str, texts: list[str], label: str) -> None:
    for text in texts:
        assert decode_text(text.encode(codec), label) == text
    whole = "\r\n".join(texts) * 300
    assert decode_text(whole.encode(codec), label) == whole


@pytest.mark.parametrize(
    "label", ["shift_jis", "euc-jp", "gb2312", "ks_c_5601-1987", "big5", "koi8-r", "windows-1251"]
)
def test_utf8_with_a_wrong_label_is_noticed(label: str) -> None:
    for text in JAPANESE + CHINESE:
        assert decode_text(text.encode(), label) == text


def test_the_two_codings_of_japanese_are_told_apart_whatever_the_label() -> None:
    for text in JAPANESE:
        assert decode_text(text.encode("euc_jp"), "shift_jis") == text
        assert decode_text(text.encode("cp932"), "euc-jp") == text


def test_all_of_jis_is_what_windows_has_for_it() -> None:
    """Each row and cell, against the codec of Shift_JIS, of which it is another coding."""
    for row in range(0x21, 0x7F):
        for cell in range(0x21, 0x7F):
            lead = ((row - 0x21) >> 1) + 0x81
            trail = cell + 0x7E if row % 2 == 0 else cell + 0x1F + (cell >= 0x60)
            expected = bytes((lead + 0x40 * (lead > 0x9F), trail)).decode("cp932", "replace")
            assert charsets._from_jis(bytes((row, cell))) == expected


LABELS = st.sampled_from([*sorted(charsets._CODECS), "", "utf-7", "x", "us-ascii"]) | st.text(max_size=20)
PIECES = st.sampled_from(
    [b"\x1b$B", b"\x1b(B", b"\x1b(I", b"\x1b$(D", b"\x8f", b"\x8e", b"\xa4\xa2", b"\x82\xa0", b"~{", b"\x0e"]
)


@given(st.lists(PIECES | st.binary(max_size=8), max_size=12).map(b"".join), LABELS)
def test_any_octets_are_text(octets: bytes, label: str) -> None:
    text = decode_text(octets, label)
    assert "\0" not in text
    text.encode()  # no lone surrogates
    assert len(text) <= len(octets) + 1


@given(
    st.text(st.characters(codec="iso2022_jp", exclude_characters="\x1b\0\ufeff")),
    st.sampled_from(["iso2022_jp", "euc_jp", "utf-8"]),
)
def test_what_is_declared_truly_comes_back(text: str, codec: str) -> None:
    assert decode_text(text.encode(codec), codec) == text
