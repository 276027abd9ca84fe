"""Reading the configuration: a TOML file, then the environment, then the rules.

Every key can be given by the environment too: ``EKIDEN_STORE__URL`` is ``store.url``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ekiden.config.check import check_config, resolve_paths
from ekiden.config.environment import apply_environment
from ekiden.config.model import Config, config_type
from ekiden.config.reader import Problem, Problems, is_bad, read_struct
from ekiden.config.translations import TEXTS
from ekiden.core.language import Language
from ekiden.core.texts import TranslatedError
from ekiden.web.dialect import Dialect

SEARCHED = ("ekiden.toml", "/etc/ekiden/ekiden.toml")


class ConfigError(TranslatedError):
    """The configuration cannot be used; ``problems`` has everything that is wrong with it."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        super().__init__(TEXTS, "{source} cannot be used:", source=source)

    def text(self, lang: Language) -> str:
        lines = [super().text(lang), *(f"  {problem.text(lang)}" for problem in self.problems)]
        return "\n".join(lines)


class NoConfig(TranslatedError):
    """There is no configuration file and none in the environment."""


def find_config(given: str | Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file to read: the given one, ``EKIDEN_CONFIG``, or the first that exists of the usual ones."""
    if given is not None:
        return Path(given)
    if environ.get("EKIDEN_CONFIG"):
        return Path(environ["EKIDEN_CONFIG"])
    return next((Path(name) for name in SEARCHED if Path(name).is_file()), None)


def load_config(
    given: str | Path | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    dialects: Sequence[Dialect[Any]],
) -> Config:
    """Read, override from the environment, check. ``ConfigError`` lists all problems; ``NoConfig``: none found.

    ``dialects``: whose sections there may be.
    """
    path = find_config(given, environ)
    raw: dict[str, Any] = {}
    if path is not None:
        try:
            raw = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise NoConfig(TEXTS, "{path} cannot be read: {why}", path=path, why=error.strerror) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            problem = Problem("TOML", "{error}", {"error": error})
            raise ConfigError(str(path), [problem]) from None
    base = path.parent.absolute() if path is not None else Path.cwd()
    return build_config(raw, base, environ, dialects=dialects, source=str(path) if path is not None else "")


def build_config(
    raw: dict[str, Any],
    base: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    dialects: Sequence[Dialect[Any]],
    source: str = "",
) -> Config:
    """The configuration of the raw tables; relative paths are relative to ``base``."""
    problems = Problems()
    known = config_type(tuple(dialects))
    from_environment = apply_environment(known, raw, environ, problems)
    if not source and not from_environment:
        raise NoConfig(
            TEXTS, "there is no configuration; make one with: ekiden init (or name it with --config FILE)"
        )
    config = read_struct(known, raw, (), problems)
    if not is_bad(config):
        check_config(config, raw, problems)
    if problems.found:
        raise ConfigError(source or "the environment", problems.found)
    return resolve_paths(config, base)
