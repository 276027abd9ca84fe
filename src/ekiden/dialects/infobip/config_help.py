"""What ``[infobip]`` and each of its keys mean, in English and Japanese."""

from __future__ import annotations

from typing import Final

from ekiden.core.texts import Help

SECTION: Final = Help(
    "The e-mail HTTP API of Infobip and NTT CPaaS. Throttles are of each account and worker; 0 is none.",
    "Infobip / NTT CPaaS のメール HTTP API。流量制限はアカウントとワーカーごとの値で、0 なら無制限です。",
)

KEYS: Final = {
    "max_recipients": Help(
        "Recipients of a request: to, cc and bcc together.", "1 リクエストの宛先数（to、cc、bcc の合計）。"
    ),
    "session_ttl": Help(
        "How long a session of /auth/1/session is good for after its last use.",
        "/auth/1/session のセッションが最後に使われてから有効な期間。",
    ),
    "session_lifetime": Help(
        "After which such a session ends however often it is used.",
        "使われ続けていてもセッションが終わるまでの期間。",
    ),
    "sends_per_second": Help(
        "Requests of each of /email/3/send, /email/4/messages and /email/4/mime.",
        "/email/3/send、/email/4/messages、/email/4/mime それぞれのリクエスト数。",
    ),
    "uploads_per_second": Help("/email/1/content.", "/email/1/content のリクエスト数。"),
    "reports_per_minute": Help("/email/1/reports.", "/email/1/reports のリクエスト数。"),
    "logs_per_minute": Help("/email/1/logs.", "/email/1/logs のリクエスト数。"),
    "reports_v4_per_minute": Help("/email/4/reports.", "/email/4/reports のリクエスト数。"),
    "logs_v4_per_minute": Help("/email/4/logs.", "/email/4/logs のリクエスト数。"),
    "bulks_per_minute": Help("/email/1/bulks.", "/email/1/bulks のリクエスト数。"),
    "validations_per_second": Help("/email/2/validation.", "/email/2/validation のリクエスト数。"),
    "bulk_validations_per_second": Help("/email/2/validations.", "/email/2/validations のリクエスト数。"),
    "domains_per_second": Help(
        "/email/1/domains; five of them may come at once.", "/email/1/domains のリクエスト数。一度に 5 件まで。"
    ),
    "suppressions_per_second": Help("/email/1/suppressions.", "/email/1/suppressions のリクエスト数。"),
    "template_reads_per_second": Help("GET of /email/1/templates.", "/email/1/templates の GET の数。"),
    "template_writes_per_second": Help(
        "Other requests to /email/1/templates.", "/email/1/templates の GET 以外の数。"
    ),
}
