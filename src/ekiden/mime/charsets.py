"""Text from octets of mail, whatever charset they claim to have (RFC 2045 §5.1, RFC 2978).

Senders leave the charset out, name it wrongly, and use characters that theirs does not have. So:

- a label means what mail programs mean by it, as browsers do (https://encoding.spec.whatwg.org/#names-and-labels):
  ISO-8859-1 is windows-1252, Shift_JIS is windows-31j, GB2312 is GB18030, ks_c_5601-1987 is windows-949;
- ISO-2022-JP and EUC-JP may have what windows-31j adds to JIS X 0208 (numbers in circles, names of people) and
  half-width katakana (code pages 50220 and 51932);
- where octets cannot be what the label says, or it says nothing of octets above 127, they are judged: UTF-8, the
  escape sequences of ISO-2022-JP, then EUC-JP, Shift_JIS and GB 18030 if they are valid and look like text in it,
  else windows-1252;
- UTF-7 is never decoded: it hides markup from whoever looks at the octets.

Only codecs of a table are looked up: the registry of the standard library remembers every name that it is asked
for, and some of its codecs take a time that grows with the square of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from encodings.aliases import aliases
from functools import lru_cache

_ASCII = bytes(range(0x80))
_SAMPLE = 16_384
"""Octets that are looked at to judge which of the East Asian charsets it may be."""
_PIECES = 10_000

_SINGLE = (
    *(f"iso8859_{number}" for number in (*range(2, 9), *range(10, 12), *range(13, 17))),
    *(f"cp125{number}" for number in range(9)),
    *(f"cp{number}" for number in (437, 737, 775, 850, 852, 855, 857, 858, *range(860, 867), 869, 874)),
    *("koi8_r", "koi8_t", "koi8_u", "kz1048", "ptcp154", "hp_roman8"),
    *(f"mac_{name}" for name in ("roman", "cyrillic", "greek", "iceland", "latin2", "turkish")),
)
_WIDE = ("utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le")
_DOUBLE = ("big5hkscs", "johab", "iso2022_kr", "shift_jis_2004", "euc_jis_2004")
_MEANT = {
    "utf_8": "utf_8",
    "latin_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "iso2022_jp": "iso2022_jp",
    "iso2022_jp_1": "iso2022_jp",
    "iso2022_jp_2": "iso2022_jp",
    "iso2022_jp_3": "iso2022_jp",
    "iso2022_jp_2004": "iso2022_jp",
    "iso2022_jp_ext": "iso2022_jp",
    "shift_jis": "cp932",
    "cp932": "cp932",
    "shift_jisx0213": "shift_jis_2004",
    "euc_jp": "euc_jp",
    "euc_jisx0213": "euc_jis_2004",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "hz": "hz",
    "euc_kr": "cp949",
    "cp949": "cp949",
    "big5": "cp950",
    "cp950": "cp950",
    **{codec: codec for codec in (*_SINGLE, *_WIDE, *_DOUBLE)},
}
"""What is decoded with which codec, by the name of the standard library's module."""
_MORE = {
    "utf_8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8 utf8mb4 cp65001",
    "cp1252": "iso88591 x-cp1252 x-windows-1252 ansi windows1252 latin iso-ir-100",
    "cp1251": "x-cp1251 windows1251 win-1251",
    "cp1250": "x-cp1250 windows1250 win-1250",
    "cp874": "dos-874 windows-874 thai iso-ir-166",
    "cp866": "cp-866 dos-866",
    "koi8_r": "koi koi8 koi8r",
    "koi8_u": "koi8-ru",
    "iso8859_8": "iso-8859-8-i iso-8859-8-e visual logical",
    "iso8859_6": "iso-8859-6-e iso-8859-6-i",
    "mac_roman": "macintosh x-mac-roman",
    "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "iso2022_jp": "jis csjisencoding iso-2022-jp-ms cp50220 cp50221 cp50222 x-windows-iso2022jp",
    "cp932": "x-sjis x-ms-cp932 windows-31j cswindows31j ms932 ms-kanji shift-jis x-sjis-jp windows-932 sjis-win",
    "euc_jp": "x-euc-jp x-euc eucjp-ms eucjp-win cp51932 euc-jp-ms csiso13jisc6220jp ujis eucjp",
    "gb18030": "gb-2312 gb2312-80 gb-2312-80 csgb231280 x-gbk cp936 ms936 windows-936 gb-18030 x-gb2312 euc-cn "
    "csiso58gb231280 chinese iso-ir-58",
    "hz": "hz-gb-2312 hz-gb2312 hzgb",
    "cp949": "ks-c-5601-1987 ks-c-5601 ks-c-5601-1989 ksc-5601 ksc5601 windows-949 korean x-windows-949 uhc ms949 "
    "iso-ir-149 csksc56011987",
    "cp950": "x-x-big5 cn-big5 csbig5 x-big5 windows-950 big5-eten",
    "big5hkscs": "big5-hkscs",
    "utf_16": "utf16 unicode ucs-2 iso-10646-ucs-2 csunicode",
}
_CODECS = {
    **{alias.replace("_", "-"): _MEANT[module] for alias, module in aliases.items() if module in _MEANT},
    **{module.replace("_", "-"): codec for module, codec in _MEANT.items()},
    **{label: codec for codec, labels in _MORE.items() for label in labels.split()},
}
_NOT_IN_LABELS = re.compile(r"[\s;,(*\"'].*", re.DOTALL)
_LONGEST_LABEL = 80
_OPEN_LABELS = frozenset({"", "cp1252"})
"""Codecs that any octets are valid in, and which stand for what nobody has thought about."""


def decode_text(octets: bytes, charset: str = "") -> str:
    """The text; ``charset`` is what its sender calls it, any or none.

    Never fails: what is no character shows U+FFFD, and so does a NUL. The text has no lone surrogates. Line ends
    stay as they are; a byte order mark goes. Takes a time that is linear in ``octets``.
    """
    codec = codec_of(charset)
    if codec not in _WIDE and codec != "hz" and octets.isascii() and b"\x1b" not in octets:
        text = octets.decode("ascii")
    else:
        text = _decoded(octets, codec).removeprefix("\ufeff")
    return text.replace("\0", "\ufffd") if "\0" in text else text


def codec_of(charset: str) -> str:
    """The codec that a label of mail stands for; empty: it says nothing, or nothing that is known."""
    return _codec(charset[:_LONGEST_LABEL])


@lru_cache(maxsize=256)
def _codec(charset: str) -> str:
    label = _NOT_IN_LABELS.sub("", charset.strip(" \t\"'")).lower().replace("_", "-")
    return _CODECS.get(label, "")


def is_utf8(octets: bytes) -> bool:
    """Whether all of it is."""
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded(octets: bytes, codec: str) -> str:
    if codec in _WIDE:
        return octets.decode(_ordered(octets, codec), "replace")
    if b"\x1b$" in octets and codec != "iso2022_kr" and _JIS.search(octets) is not None:
        return _from_iso2022_jp(octets)
    if codec not in _OPEN_LABELS:
        try:
            return octets.decode(codec)
        except UnicodeError:
            pass
        if codec == "euc_jp" and _is_euc(octets[:_SAMPLE], cut=True):
            return "".join(_joined(_from_euc(octets)))
    judged = _judged(octets)
    if judged is not None:
        return judged
    if codec == "euc_jp":
        return "".join(_joined(_from_euc(octets)))
    return octets.decode("cp1252" if codec in ("", "iso2022_jp") else codec, "replace")


def _ordered(octets: bytes, codec: str) -> str:
    """UTF-16 or UTF-32 with the order of its octets, which nobody has to say (RFC 2781 §4.3)."""
    if (
        codec not in ("utf_16", "utf_32")
        or octets[:4] == b"\0\0\xfe\xff"
        or octets[:2] in (b"\xff\xfe", b"\xfe\xff")
    ):
        return codec
    sample = octets[: _SAMPLE & ~3]
    return f"{codec}_le" if sample[-1::-2].count(0) > sample[0::2].count(0) else f"{codec}_be"


def _joined(pieces: Iterable[str]) -> Iterator[str]:
    """Fewer and longer ones: millions of short ones would take far more memory than their text."""
    some: list[str] = []
    for piece in pieces:
        some.append(piece)
        if len(some) >= _PIECES:
            yield "".join(some)
            some.clear()
    yield "".join(some)


# --- Japanese with what Windows adds ------------------------------------------------------------------------------

_JIS = re.compile(rb"\x1b\$(?:[@B]|\([@BDOPQ])")
_ESCAPE = re.compile(rb"\x1b(\$[@B]|\$\([@BDOPQ]|\([A-Z])")
_PAIRS = re.compile(rb"[\x21-\x7e]+")
_EUC = re.compile(rb"[\xa1-\xfe]+|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}|[\x00-\x7f]+|[\x80-\xff]")
_SEVEN_BIT = bytes(octet & 0x7F for octet in range(0x100))
_EIGHT_BIT = bytes(octet | 0x80 for octet in range(0x100))


def _lead(row: int) -> int:
    lead = ((row - 0x21) >> 1) + 0x81
    return lead if lead <= 0x9F else lead + 0x40


_LEADS = bytes(_lead(row) & 0xFF if 0x21 <= row <= 0x7E else 0xFF for row in range(0x100))
_ODD_TRAILS = bytes((cell + (0x20 if cell >= 0x60 else 0x1F)) & 0xFF for cell in range(0x100))
_EVEN_TRAILS = bytes((cell + 0x7E) & 0xFF for cell in range(0x100))
_ODD_ROWS = bytes(0xFF if row & 1 else 0 for row in range(0x100))


def _from_jis(pairs: bytes) -> str:
    """Characters of two octets from 0x21 to 0x7E each (JIS X 0208 and the rows that NEC and IBM have added).

    They become Shift_JIS, whose codec in the standard library is the only one that knows those rows. All at once:
    what is done to single octets is done by ``translate``, and which trail belongs to a row by long integers.
    """
    size = len(pairs) // 2
    rows, cells = pairs[0 : size * 2 : 2], pairs[1 : size * 2 : 2]
    odd = int.from_bytes(rows.translate(_ODD_ROWS), "big")
    even = odd ^ ((1 << size * 8) - 1)
    trails = (int.from_bytes(cells.translate(_ODD_TRAILS), "big") & odd) | (
        int.from_bytes(cells.translate(_EVEN_TRAILS), "big") & even
    )
    octets = bytearray(size * 2)
    octets[0::2] = rows.translate(_LEADS)
    octets[1::2] = trails.to_bytes(size, "big")
    return octets.decode("cp932", "replace") + ("\ufffd" if len(pairs) & 1 else "")


def _from_iso2022_jp(octets: bytes) -> str:
    try:
        return octets.decode("iso2022_jp")
    except UnicodeDecodeError:
        return "".join(_joined(_segments(octets)))


def _segments(octets: bytes) -> Iterator[str]:
    """What stands between escape sequences (RFC 1468; half-width katakana as code page 50221 has them)."""
    start, kind = 0, b"(B"
    for escape in _ESCAPE.finditer(octets):
        if escape.start() > start:
            yield from _segment(octets[start : escape.start()], kind)
        start, kind = escape.end(), escape[1]
    yield from _segment(octets[start:], kind)


def _segment(octets: bytes, kind: bytes) -> Iterator[str]:
    if kind == b"(I":
        yield octets.translate(_EIGHT_BIT).decode("cp932", "replace") if octets.isascii() else _single(octets)
    elif kind[:1] == b"(":
        yield _single(octets)
    else:
        at = 0
        for run in _PAIRS.finditer(octets):
            if run.start() > at:
                yield _single(octets[at : run.start()])
            at = run.end()
            yield _supplementary(run[0]) if kind == b"$(D" else _from_jis(run[0])
        if at < len(octets):
            yield _single(octets[at:])


def _single(octets: bytes) -> str:
    return octets.decode("cp932", "replace")


def _supplementary(pairs: bytes) -> str:
    """JIS X 0212."""
    size = len(pairs) // 2
    octets = bytearray(b"\x8f" * (size * 3))
    high = pairs.translate(_EIGHT_BIT)
    octets[1::3], octets[2::3] = high[0 : size * 2 : 2], high[1 : size * 2 : 2]
    return octets.decode("euc_jp", "replace")


def _from_euc(octets: bytes) -> Iterator[str]:
    """EUC-JP, as code page 51932 has it."""
    for run in _EUC.finditer(octets):
        found = run[0]
        if found[0] < 0x80:
            yield found.decode("ascii")
        elif found[0] >= 0xA1:
            yield _from_jis(found.translate(_SEVEN_BIT))
        else:
            yield found.decode("euc_jp", "replace")


# --- judging ------------------------------------------------------------------------------------------------------

_EUC_CHARACTER = re.compile(rb"[\xa1-\xfe]{2}|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}")
_SJIS_CHARACTER = re.compile(rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]|[\xa1-\xdf]")
_SJIS_RUN = re.compile(rb"(?:[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]){2,200}+")
_SJIS_KANA = re.compile(rb"\x82[\x9f-\xf1]|\x83[\x40-\x7e\x80-\x96]")
_GB_CHARACTER = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]|[\x81-\xfe][0-9][\x81-\xfe][0-9]")


def _span(*ranges: tuple[int, int]) -> bytes:
    return bytes(octet for first, last in ranges for octet in range(first, last + 1))


_KANA_LEADS = _span((0xA4, 0xA5))
_COMMON_LEADS = _span((0xA1, 0xA1), (0xA3, 0xA5), (0xB0, 0xCF))
"""Of EUC-JP: punctuation, letters, kana and the kanji of the first level."""
_LATE_LEADS = _span((0xD0, 0xD7))
"""Of GB 2312: a fourth of Chinese text. In EUC-JP they are kanji of the second level, one of a hundred."""
_GB_LEADS = _span((0xA1, 0xA1), (0xA3, 0xA3), (0xB0, 0xF7))
_SJIS_LEADS = _span((0x81, 0x83), (0x88, 0x97))


def _judged(octets: bytes) -> str | None:
    """The text, if it is clear what it is."""
    text = _utf8(octets)
    if text is not None:
        return text
    if octets[:2] in (b"\xff\xfe", b"\xfe\xff") and 0 in octets[:_SAMPLE]:
        return octets.decode("utf_16", "replace")
    # From where it begins to be anything but ASCII.
    high = _HIGH.search(octets)
    start = 0 if high is None else high.start()
    sample = octets[start : start + _SAMPLE]
    codec = _east_asian(sample, cut=len(octets) > start + _SAMPLE)
    if codec == "euc_jp":
        return "".join(_joined(_from_euc(octets)))
    return None if codec is None else octets.decode(codec, "replace")


_HIGH = re.compile(rb"[\x80-\xff]")


def _utf8(octets: bytes) -> str | None:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        pass
    # Cut within a character, or with a few octets of something else in it.
    text = octets.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = len(text) - bad - _count(octets, _ASCII)
    return text if good >= 10 * bad or (good and bad == 1 and text.endswith("\ufffd")) else None


def _east_asian(sample: bytes, *, cut: bool) -> str | None:
    if _is_euc(sample, cut=cut):
        return _euc_or_gb(sample)
    if _is_valid(_SJIS_CHARACTER, sample, cut=cut) and _looks_sjis(sample):
        return "cp932"
    if _is_valid(_GB_CHARACTER, sample, cut=cut):
        found = b"".join(each for each in _GB_CHARACTER.findall(sample) if len(each) == 2)
        leads, trails = found[0::2], found[1::2]
        usual = _count(leads, _GB_LEADS)
        if len(leads) >= 2 and usual * 10 >= len(leads) * 8 and _count(trails, _span((0xA1, 0xFE))) == len(leads):
            return "gb18030"
    return None


def _is_euc(sample: bytes, *, cut: bool) -> bool:
    return _is_valid(_EUC_CHARACTER, sample, cut=cut)


def _is_valid(character: re.Pattern[bytes], sample: bytes, *, cut: bool) -> bool:
    """Whether nothing but ASCII is left without the characters; of a sample that is cut, the last may be half."""
    rest = character.sub(b"", sample)
    return rest.isascii() or (cut and rest[:-3].isascii() and not sample[-3:].isascii())


def _euc_or_gb(sample: bytes) -> str | None:
    found = b"".join(each for each in _EUC_CHARACTER.findall(sample) if each[0] >= 0xA1)
    leads = found[0::2]
    if len(leads) < 2:
        return None
    if _count(leads, _KANA_LEADS) * 10 >= len(leads):
        return "euc_jp"
    if _count(leads, _LATE_LEADS) * 8 >= len(leads) and _count(leads, _GB_LEADS) * 10 >= len(leads) * 8:
        return "gb18030"
    return "euc_jp" if _count(leads, _COMMON_LEADS) * 10 >= len(leads) * 8 else None


def _looks_sjis(sample: bytes) -> bool:
    found = _SJIS_CHARACTER.findall(sample)
    leads = b"".join(found_[:1] for found_ in found if len(found_) == 2)
    if not leads or _count(leads, _SJIS_LEADS) * 10 < len(found) * 6:
        return False
    # A quotation mark of windows-1252 and the letter behind it are a character, too, but they stand alone.
    in_runs = sum(len(run) for run in _SJIS_RUN.findall(sample)) // 2
    return in_runs * 2 >= len(leads) or len(_SJIS_KANA.findall(sample)) * 2 >= len(leads)


def _count(octets: bytes, kind: bytes) -> int:
    return len(octets) - len(octets.translate(None, kind))
