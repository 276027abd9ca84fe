"""What a file may be called where somebody saves it (``extensions``), and a name that is safe for that.

Receivers' systems change names, and do not agree how.

Who keeps files of some kinds out has to look at the name that is written at the end, not at the one that came. So
all names are told that a mail reader or a file system in use makes of a given one:

- encoded words (RFC 2047) are decoded by readers even where they must not stand;
- compatibility forms become plain: full-width letters and dots (``.ｅｘｅ``), as Windows' best fit does, and
  letters with marks lose them (``.exé``), as the ASCII name beside an extended one does;
- control and format characters go, among them those that turn the reading direction round, and a NUL ends a name;
- NTFS takes what stands behind a colon as a stream: ``a.exe::$DATA`` is ``a.exe``; others make a ``_`` of it;
- what cannot be in a name of Windows (``<>"|?*``) is left out or replaced; dots and blanks at the end are dropped;
- old servers end a name at a semicolon (``a.exe;1``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from ekiden.mime.header import decode_words

_LONGEST = 4_096
"""Characters that are looked at; no file system has longer names."""
_LONGEST_SAVED = 255
# Control characters, line ends of Unicode, what turns the reading direction round, and halves of characters.
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_KEPT = re.compile(r"[<>\"|?*']")
_FOLDERS = re.compile(r"[/\\]")
_ENDS = re.compile(r"[:;\0]")


def extensions(name: str) -> frozenset[str]:
    """What follows the last dot in each name that ``name`` may become, in lower case; without a dot: none."""
    return frozenset(
        extension
        for written in _written(name[-_LONGEST:])
        for stem, dot, extension in (written.rpartition("."),)
        if dot and extension
    )


def safe_name(given: str) -> str:
    """The last part of a path, without control characters, shortened from the middle if it is very long."""
    name = _NOT_IN_NAMES.sub("_", given.replace("\\", "/").rpartition("/")[2]).strip()
    if len(name) > _LONGEST_SAVED:
        stem, dot, extension = name.rpartition(".")
        kept = dot + extension if stem and len(extension) <= 10 else ""
        name = name[: _LONGEST_SAVED - len(kept)] + kept
    return name


def _written(name: str) -> Iterator[str]:
    for spelt in {name, decode_words(name)}:
        wide = unicodedata.normalize("NFKC", spelt)
        bare = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()
        for form in {spelt, wide, bare}:
            # Each part between what some system ends a name at, and the name as a whole.
            for part in {form, *_ENDS.split(form)}:
                shown = "".join(char for char in part if unicodedata.category(char) not in _UNSEEN)
                for kept in {shown, _NOT_KEPT.sub("", shown), _NOT_KEPT.sub("_", shown)}:
                    yield _last(kept)


_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def _last(path: str) -> str:
    """The last of the names in a path, without dots and blanks at its end, in lower case."""
    for part in reversed(_FOLDERS.split(path)):
        found = _trimmed(part)
        if found:
            return found
    return ""


def _trimmed(name: str) -> str:
    end = len(name)
    while end and (name[end - 1] == "." or name[end - 1].isspace()):
        end -= 1
    return name[:end].casefold()
