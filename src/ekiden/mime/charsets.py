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
from codecs import register_error
from encodings.aliases import aliases
from functools import lru_cache

_ASCII = bytes(range(0x80))
_SAMPLE = 16_384
"""Octets that are looked at to judge which of the East Asian charsets it may be."""
_SHORT = 4_096
"""Characters that are looked at to see whether a label can be true."""

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
_HYPHENS = {ord("_"): "-", ord(":"): "-"}
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
    label = _NOT_IN_LABELS.sub("", charset.strip(" \t\"'")).lower().translate(_HYPHENS)
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
    if b"\x1b" in octets and codec != "iso2022_kr" and _JIS.search(octets) is not None:
        return _from_iso2022_jp(octets)
    if codec not in _OPEN_LABELS:
        text = _as_declared(octets, codec)
        if text is not None:
            return text
    judged = _judged(octets)
    if judged is not None:
        return judged
    return octets.decode("cp1252" if codec in ("", "iso2022_jp") else codec, "replace")


def _as_declared(octets: bytes, codec: str) -> str | None:
    """``None``: it cannot be that, or is far more likely something else that its octets would allow as well."""
    if codec != "utf_8" and _is_rather_utf8(octets):
        return None
    try:
        text = _strict_utf8(octets) if codec == "utf_8" else octets.decode(codec)
    except UnicodeError:
        if codec == "euc_jp" and _is_valid(_EUC_CHARACTER, octets[:_SAMPLE], cut=len(octets) > _SAMPLE):
            return _from_euc(octets)
        return None
    if codec == "cp932":  # of the octets of EUC-JP, too, but that is half-width katakana with rare kanji
        sample = text[:_SHORT]
        if len(_HALF_WIDTH.findall(sample)) * 3 >= _wide(sample) and _judged_codec(octets) == "euc_jp":
            return None
    return text


def _strict_utf8(octets: bytes) -> str:
    """Without NUL: a text of UTF-8 may take four times its octets, and should not be in memory twice."""
    if b"\0" in octets:
        octets = octets.replace(b"\0", b"\xef\xbf\xbd")
    return octets.decode()


def _is_rather_utf8(octets: bytes) -> bool:
    """By chance, other text is UTF-8 for some characters only, and those are of two octets."""
    try:
        sample = octets.decode()[:_SHORT]
    except UnicodeDecodeError:
        return False
    wide = _wide(sample)
    return wide >= 8 or sum(char >= "\u0800" for char in sample) * 2 >= wide > 0


def _ordered(octets: bytes, codec: str) -> str:
    """UTF-16 or UTF-32 with the order of its octets, which nobody has to say (RFC 2781 §4.3)."""
    unit = {"utf_16": 2, "utf_32": 4}.get(codec)
    if unit is None or octets[:4] == b"\0\0\xfe\xff" or octets[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return codec
    sample = octets[:_SAMPLE]
    # A text has fewer rows of characters than cells.
    return f"{codec}_le" if len(set(sample[unit - 1 :: unit])) < len(set(sample[0::unit])) else f"{codec}_be"


# --- Japanese with what Windows adds ------------------------------------------------------------------------------

_JIS = re.compile(rb"\x1b(?:\$[@B]|\$\([@BDOPQ]|\(I)")
_JIS_RUN = re.compile(rb"(?:[\x21-\x7e]{2})++")
_EUC_RUN = re.compile(rb"(?:[\xa1-\xfe]{2})++")
_SEVEN_BIT = bytes(octet & 0x7F for octet in range(0x100))
_CAREFUL = 1_048_576
"""Octets of a text in which rows of Windows are looked for: some microseconds for each that the library lacks."""
_MAX_RUN = 65_536
_WINDOWS_ROWS = "ekiden-windows-rows"


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


@lru_cache(maxsize=8_836)
def _one_from_jis(pair: bytes) -> str:
    return _from_jis(pair)


def _windows_rows(error: UnicodeError) -> tuple[str, int]:
    """Answers the library's codecs about what they do not know (``codecs.register_error``): text, and where on."""
    assert isinstance(error, UnicodeDecodeError)
    octets, start = error.object, error.start
    run = (_EUC_RUN if error.encoding == "euc_jp" else _JIS_RUN).match(octets, start, start + _MAX_RUN)
    if run is not None:
        pairs = run[0].translate(_SEVEN_BIT)
        return _one_from_jis(pairs) if len(pairs) == 2 else _from_jis(pairs), run.end()
    if error.encoding != "euc_jp" and 0xA1 <= octets[start] <= 0xDF:  # half-width katakana as eight bits
        return chr(octets[start] - 0xA1 + 0xFF61), start + 1
    return "\ufffd", error.end


register_error(_WINDOWS_ROWS, _windows_rows)


def _from_iso2022_jp(octets: bytes) -> str:
    try:
        return octets.decode("iso2022_jp_2004" if b"\x1b$(" in octets else "iso2022_jp")
    except UnicodeDecodeError:
        return octets.decode("iso2022_jp_ext", _errors(octets))


def _from_euc(octets: bytes) -> str:
    return octets.decode("euc_jp", _errors(octets))


def _errors(octets: bytes) -> str:
    return _WINDOWS_ROWS if len(octets) <= _CAREFUL else "replace"


# --- judging ------------------------------------------------------------------------------------------------------

_EUC_CHARACTER = re.compile(rb"[\xa1-\xfe]{2}|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}")
_SJIS_CHARACTER = re.compile(rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]|[\xa1-\xdf]")
_SJIS_RUN = re.compile(rb"(?:[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]){2,200}+")
_SJIS_KANA = re.compile(rb"\x82[\x9f-\xf1]|\x83[\x40-\x7e\x80-\x96]")
_EUC_KANJI = re.compile(rb"(?<!\x8e)[\xa1-\xfe]")
_HIGH = re.compile(rb"[\x80-\xff]")
_GB_CHARACTER = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]|[\x81-\xfe][0-9][\x81-\xfe][0-9]")
_HALF_WIDTH_RUN = re.compile(rb"[\xa6-\xdf]{3}")
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_SJIS_LEADS = bytes((*range(0x81, 0x84), *range(0x88, 0x98)))
"""Punctuation, letters, kana, and the kanji of the first level."""
# What is most frequent in mail, in both languages; of any thousand characters it is one in twenty.
_JAPANESE = frozenset(
    "、。「」・（）：／！？　年月日時分秒円本人一二三四五六七八九十百千万第回号件名前後間上下中大小高新東西南北京都"
    "市区町村県山川田木水金土火会社株式有限御様部課長員者者事務所業務議資料請求書見積報告確認連絡担当送信返信添付"
    "予約注文商品発売買店完了案内通知登録変更申込受付開催参加場店契約支払銀行番号情報重要更新利用料金用的性化不無可"
    "能作成仕設計開始終止試験結果対応問合質答依頼承認済未最価格表覧画像写真簿外取引先納期在庫出荷到着配達運営入力出"
    "学校生先電話自動車国語英米子女男父母家族友名私何今来行見聞言思食飲休世界関係管理者以内外方法場合必要全体保存"
    "期限今後貴弊宜敷願致申上度"
)
_CHINESE = frozenset(
    "，。、：；！？（）的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过"
    "发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实"
    "日者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应向头文体相见被利什二等"
    "产或新己制身果加西月话合回特代内信表化老给世位次度门任常先海通教原东提立及比员解水名真论处各入几口认条平系气"
    "题活更别打变四总何电数安少报才结反受目太量再感建务做接必场件计管期市直资命山金指许统区保至形社便空决展科司五"
    "基书非则听白界达光放强即难且权思完设式色路记南品住告类求据程北边张该交规万取格望术领共确传师观清今切院让识带"
    "导运订单票附请您谢查收邮客户价款银账号密码登录验证注册通快递购买优惠免费京"
)


def _judged(octets: bytes) -> str | None:
    """The text, if it is clear what it is."""
    text = _utf8(octets)
    if text is not None:
        return text
    if octets[:2] in (b"\xff\xfe", b"\xfe\xff") and 0 in octets[:_SAMPLE]:
        return octets.decode("utf_16", "replace")
    codec = _judged_codec(octets)
    if codec == "euc_jp":
        return _from_euc(octets)
    return None if codec is None else octets.decode(codec, "replace")


def _judged_codec(octets: bytes) -> str | None:
    """Which of the East Asian charsets it is, judged from where it begins to be anything but ASCII."""
    high = _HIGH.search(octets)
    start = 0 if high is None else high.start()
    return _east_asian(octets[start : start + _SAMPLE], cut=len(octets) > start + _SAMPLE)


def _utf8(octets: bytes) -> str | None:
    try:
        return _strict_utf8(octets)
    except UnicodeDecodeError:
        pass
    # Cut within a character, or with a few octets of something else in it.
    text = octets.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = len(text) - bad - (len(octets) - len(octets.translate(None, _ASCII)))
    return text if good >= 10 * bad or (good >= 3 and bad == 1 and text.endswith("\ufffd")) else None


def _east_asian(sample: bytes, *, cut: bool) -> str | None:
    if _is_valid(_EUC_CHARACTER, sample, cut=cut):
        return _euc_or_gb(sample)
    if _is_valid(_SJIS_CHARACTER, sample, cut=cut) and _looks_sjis(sample):
        return "cp932"
    if _is_valid(_GB_CHARACTER, sample, cut=cut):
        text = sample.decode("gb18030", "replace")
        count = _wide(text)
        # As in GB 2312: letters of windows-1252 are half of a character with an ASCII letter.
        high = sum(each[1] >= 0xA1 for each in _GB_CHARACTER.findall(sample))
        if count >= 2 and high * 10 >= count * 8 and _known(text, _CHINESE) * 6 >= count:
            return "gb18030"
    return None


def _is_valid(character: re.Pattern[bytes], sample: bytes, *, cut: bool) -> bool:
    """Whether nothing but ASCII is left without the characters; of a sample that is cut, the last may be half."""
    rest = character.sub(b"", sample)
    return rest.isascii() or (cut and rest[:-3].isascii() and not sample[-3:].isascii())


def _euc_or_gb(sample: bytes) -> str | None:
    """All three of EUC-JP, GB 2312 and an even number of letters of windows-1252 can look so."""
    text = _from_euc(sample)
    count = _wide(text)
    if len(_KANA.findall(text)) * 10 >= count or text.count("\ufffd") == 0 == len(_EUC_KANJI.findall(sample)):
        return "euc_jp"
    if count < 2:
        return None
    japanese, chinese = _known(text, _JAPANESE), _known(sample.decode("gb18030", "replace"), _CHINESE)
    if max(japanese, chinese) * 6 < count:
        return None
    return "euc_jp" if japanese >= chinese else "gb18030"


def _looks_sjis(sample: bytes) -> bool:
    found = _SJIS_CHARACTER.findall(sample)
    leads = b"".join(each[:1] for each in found if len(each) == 2)
    if not leads:
        return _HALF_WIDTH_RUN.search(sample) is not None
    if (len(leads) - len(leads.translate(None, _SJIS_LEADS))) * 10 < len(found) * 6:
        return False
    # A quotation mark of windows-1252 and the letter behind it are a character, too, but they stand alone.
    in_runs = sum(len(run) for run in _SJIS_RUN.findall(sample)) // 2
    return in_runs * 2 >= len(leads) or len(_SJIS_KANA.findall(sample)) * 2 >= len(leads)


def _wide(text: str) -> int:
    """Characters that are not ASCII."""
    return len(text) - sum(map(str.isascii, text))


def _known(text: str, frequent: frozenset[str]) -> int:
    return sum(char in frequent for char in text)
