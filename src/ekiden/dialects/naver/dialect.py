"""NAVER Cloud Outbound Mailer, as a value (``web.dialect``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ekiden.core.texts import Help
from ekiden.dialects.naver.config import NaverConfig
from ekiden.dialects.naver.config_help import KEYS, SECTION
from ekiden.web.curl import curl_command
from ekiden.web.dialect import DemoClient, Dialect, Shown, ToSign

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ekiden.web.operation import Api
    from ekiden.web.platform import Platform


def _load() -> None:
    import ekiden.dialects.naver.routes  # noqa: F401


def _api(services: Platform, settings: NaverConfig) -> Api:
    from ekiden.dialects.naver.routes import naver_api

    return naver_api(services, settings)


def _demo(client: DemoClient) -> Shown:
    base = f"{client.http}/api/v1"
    rows = (
        (Help("NAVER clients: base URL", "NAVER クライアント: ベース URL"), base),
        (Help("NAVER clients: access key", "NAVER クライアント: アクセスキー"), client.access_key),
        (Help("NAVER clients: secret key", "NAVER クライアント: シークレットキー"), client.secret_key),
    )
    return Shown(rows, _examples(client, f"{base}/mails"))


def _examples(client: DemoClient, url: str) -> Sequence[tuple[Help, str]]:
    """How mail is sent."""
    from ekiden.dialects.naver.signing import signed_headers

    recipient = '{"address":"anything@accept.lab.test","type":"R","parameters":{"name":"A"}}'
    texts = '"title":"Hi ${name}","body":"Hello ${name}"'
    body = f'{{"senderAddress":"you@{client.domain}",{texts},"recipients":[{recipient}]}}'
    headers = signed_headers(ToSign("POST", urlsplit(url).path, client.access_key, client.secret_key, client.now))
    keys = f"--access-key {client.access_key} --secret-key {client.secret_key}"
    return (
        (
            Help(
                "Send with curl, signed (good for five minutes, and once):",
                "curl で送る（署名付き。5 分以内に一度だけ使えます）:",
            ),
            f"  {curl_command('POST', url, headers, body)}",
        ),
        (
            Help("The same, signed anew each time:", "同じものを、毎回署名して:"),
            f"  {client.command} sign naver POST {url} {keys} -d '{body}' | sh",
        ),
    )


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
    demo=_demo,
    sign=_sign,
)
