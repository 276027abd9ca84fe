"""The configuration as people see it: a commented TOML file, and the reference for the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from ekiden.config.help import Explained
from ekiden.config.model import Config, config_type
from ekiden.config.reader import field_types, is_duration, is_struct, show, unwrap
from ekiden.core.duration import format_duration
from ekiden.core.language import Language
from ekiden.web.dialect import Dialect

_EXAMPLES = {
    # What stands in a comment where there is no default.
    "listeners.name": '"submission"',
    "listeners.addresses": '["0.0.0.0:587", "[::]:587"]',
    "delivery.routes.domain": '"example.com"',
    "delivery.routes.hosts": '["192.0.2.1:25"]',
    "regions.name": '"us-south"',
    "regions.smtp_public": '"smtp.example.com"',
}


class Key(NamedTuple):
    """One key: ``section`` and ``name``; ``default`` as TOML, empty when it is required; ``kind`` for people."""

    section: str
    name: str
    default: str
    kind: str

    @property
    def dotted(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name


def keys(dialects: Sequence[Dialect[Any]]) -> Iterator[Key]:
    """Every key of the configuration, table by table."""
    yield from _keys(config_type(tuple(dialects)), "")


def _keys(struct: type[msgspec.Struct], section: str) -> Iterator[Key]:
    inner: list[tuple[str, type[msgspec.Struct]]] = []
    hints = field_types(struct)
    for info in msgspec.structs.fields(struct):
        annotation = hints[info.name]
        nested = _nested(annotation)
        name = f"{section}.{info.name}" if section else info.name
        if nested is not None:
            inner.append((name, nested))
        else:
            default = "" if info.required else to_toml(annotation, _default(info))
            yield Key(section, info.name, default, _kind(annotation))
    for name, nested in inner:
        yield from _keys(nested, name)


def _default(info: msgspec.structs.FieldInfo) -> Any:
    return info.default_factory() if info.default is msgspec.NODEFAULT else info.default


def to_toml(annotation: Any, value: Any) -> str:
    """A value of that type, as it is written in a configuration."""
    kind, meta, _ = unwrap(annotation)
    if is_duration(meta) and value is not None:
        return show(format_duration(value))
    if get_origin(kind) in (list, tuple):
        return "[" + ", ".join(to_toml(get_args(kind)[0], item) for item in value) + "]"
    return show(value)


def is_table_array(section: str) -> bool:
    """Whether the section is written as ``[[section]]``; those of dialects are not."""
    struct: Any = Config
    array = False
    for part in section.split("."):
        if part not in field_types(struct):
            return False
        annotation = field_types(struct)[part]
        array = get_origin(unwrap(annotation)[0]) in (list, tuple)
        struct = _nested(annotation)
    return array


def _nested(annotation: Any) -> Any:
    kind = unwrap(annotation)[0]
    if get_origin(kind) in (list, tuple):
        kind = unwrap(get_args(kind)[0])[0]
    return kind if is_struct(kind) else None


_KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def _kind(annotation: Any) -> str:
    kind, meta, _ = unwrap(annotation)
    if is_duration(meta):
        return "duration"
    if get_origin(kind) is Literal:
        return " \\| ".join(show(value) for value in get_args(kind))
    if get_origin(kind) in (list, tuple):
        return f"list of: {_kind(get_args(kind)[0])}"
    if get_origin(kind) is dict:
        return "table"
    return _KINDS.get(kind, "value")


def write_toml(given: Mapping[str, Any], dialects: Sequence[Dialect[Any]], lang: Language = "en") -> str:
    """A configuration with ``given`` (nested as in TOML) set, and everything else as comments with its default."""
    lines = [
        _comment("Ekiden. Lines that begin with # and a key show its default.", lang, _HEADER_JA[0]),
        _comment("Every key can come from the environment: EKIDEN_STORE__URL is store.url.", lang, _HEADER_JA[1]),
        _comment(
            'Durations are texts such as "90s", "5m", "1h", "5d". To apply changes: SIGHUP.', lang, _HEADER_JA[2]
        ),
    ]
    by_section: dict[str, list[Key]] = {}
    help_ = Explained.of(dialects)
    tables = {"regions": [region for dialect in dialects for region in dialect.regions]}
    for key in keys(dialects):
        by_section.setdefault(key.section, []).append(key)
    for section, members in by_section.items():
        if section.startswith("listeners."):
            continue  # written as inline tables of the listener
        lines += ["", f"# {help_.sections[section].text(lang)}"]
        values: Any = given
        for part in section.split(".") if section else ():
            values = values.get(part, {}) if isinstance(values, Mapping) else {}
        if not section:
            lines += _members(help_, members, given, lang)
        elif is_table_array(section):
            if values:
                for number, item in enumerate(values):
                    lines += ["", f"[[{section}]]"] if number else [f"[[{section}]]"]
                    lines += _members(help_, members, item, lang, explain=number == 0)
            else:
                for number, item in enumerate(tables.get(section) or ({},)):
                    lines.append(f"#[[{section}]]")
                    example = _members(help_, members, item, lang, explain=number == 0)
                    lines += [line if line.startswith("#") else f"#{line}" for line in example]
        else:
            lines.append(f"[{section}]")
            lines += _members(help_, members, values, lang)
    return "\n".join(lines) + "\n"


_HEADER_JA = (
    "Ekiden の設定。# に続くキーは既定値を示します。",
    "どのキーも環境変数で与えられます。EKIDEN_STORE__URL は store.url です。",
    '時間の長さは "90s"、"5m"、"1h"、"5d" のように書きます。変更を反映するには SIGHUP を送ります。',
)


def _comment(english: str, lang: Language, japanese: str) -> str:
    return f"# {japanese if lang == 'ja' else english}"


def _members(
    help_: Explained, members: list[Key], values: Mapping[str, Any], lang: Language, *, explain: bool = True
) -> list[str]:
    lines = []
    for key in members:
        if explain:
            lines.append(f"# {help_.keys[key.dotted].text(lang)}")
        if key.name in values:
            lines.append(f"{key.name} = {show(values[key.name])}")
        elif explain:
            lines.append(f"#{key.name} = {key.default or _EXAMPLES[key.dotted]}")
    if "certificates" in values:  # the one list of tables inside a table
        if explain:
            lines.append(f"# {help_.sections['listeners.certificates'].text(lang)}")
        lines.append(f"certificates = {show(values['certificates'])}")
    return lines


def write_reference(dialects: Sequence[Dialect[Any]]) -> str:
    """The table of every key, in Markdown, for ``docs/configuration.md``."""
    lines: list[str] = []
    section: str | None = None
    help_ = Explained.of(dialects)
    for key in keys(dialects):
        if key.section != section:
            section = key.section
            title = (
                "Top level" if not section else f"`[[{section}]]`" if is_table_array(section) else f"`[{section}]`"
            )
            lines += ["", f"### {title}", "", help_.sections[section].en, ""]
            lines += ["| key | kind | default | meaning |", "| --- | --- | --- | --- |"]
        default = f"`{key.default}`" if key.default else "required"
        lines.append(f"| `{key.name}` | {key.kind} | {default} | {help_.keys[key.dotted].en} |")
    return "\n".join(lines).strip() + "\n"
