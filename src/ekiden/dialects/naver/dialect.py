"""NAVER Cloud Outbound Mailer, as a value (``web.dialect``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ekiden.dialects.naver.config import NaverConfig
from ekiden.dialects.naver.config_help import KEYS, SECTION
from ekiden.web.dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ekiden.web.dialect import ToSign
    from ekiden.web.operation import Api
    from ekiden.web.platform import Platform


def _load() -> None:
    import ekiden.dialects.naver.routes  # noqa: F401


def _api(services: Platform, settings: NaverConfig) -> Api:
    from ekiden.dialects.naver.routes import naver_api

    return naver_api(services, settings)


def _sign(request: ToSign) -> Mapping[str, str]:
    from ekiden.dialects.naver.signing import signed_headers

    return signed_headers(request)


NAVER: Final = Dialect(
    name="naver",
    config=NaverConfig,
    section=SECTION,
    keys=KEYS,
    load=_load,
    api=_api,
    sign=_sign,
)
