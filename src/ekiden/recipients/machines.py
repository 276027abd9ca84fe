"""Whether a person asked for a picture or a link, or a machine did: as far as the request tells.

Opens and clicks of machines are recorded as events like all others, with ``machine`` and the reason: whoever counts
can leave them out, and whoever doubts can look. Each rule names where its mark is documented.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ekiden.core.clock import SECOND, Millis

SOON: Final[Millis] = 2 * SECOND
"""After its acceptance nobody has read a message. Scanners at the door of a mailbox have."""
BURST: Final[Millis] = SECOND
"""Nobody follows two different links of a message within this time."""


class Judgement(NamedTuple):
    """``why``: a code of this module for what gave the machine away, or empty. ``hidden``: a proxy asked for a
    person, so the User-Agent field tells nothing of the person's device."""

    machine: bool
    why: str = ""
    hidden: bool = False


# Who says openly that it is no person, in lower case:
# - robots, by the convention of product tokens (RFC 9309 §2.2.1), such as Slackbot (https://api.slack.com/robots);
# - link previews of messengers, such as https://developers.facebook.com/docs/sharing/webmasters/web-crawlers;
# - security products that put their name into the field;
# - browsers that nobody looks at, which sandboxes use, and libraries that programs use.
_SCANNERS: Final = re.compile(
    r"(?<!cu)bot\b|crawler|spider|barracuda|proofpoint|mimecast|symantec|bitdefender|kaspersky|sophos|trendmicro|fireeye"
    r"|cloudmark|zscaler|messagelabs|forcepoint|vade ?secure|ironport|fortiguard|bluecoat|paloalto|ms-?safelinks"
    r"|linkexpanding|facebookexternalhit|whatsapp|skypeuripreview|headlesschrome|phantomjs|puppeteer|playwright"
    r"|^(?:curl|wget|python|go-http-client|java|okhttp|libwww-perl|apache-httpclient|axios|node-fetch|ruby|php)\b"
)

# Proxies that fetch a picture when a person opens the message:
# - Gmail: "(via ggpht.com GoogleImageProxy)", https://support.google.com/mail/answer/145919
# - Yahoo: "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
_PROXIES: Final = re.compile(r"googleimageproxy|yahoomailproxy")

# Apple's Mail Privacy Protection fetches every picture when a message arrives, opened or not, through relays that
# say this and nothing else: https://www.apple.com/legal/privacy/data/en/mail-privacy-protection/
_APPLE: Final = "mozilla/5.0"

# Fetch metadata and its forerunners: browsers name what nobody has asked for yet.
# https://wicg.github.io/nav-speculation/prefetch.html#sec-purpose-header; Firefox: X-Moz
_PREFETCH: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")


def judge(method: str, headers: dict[str, str], since: Millis) -> Judgement:
    """``headers`` by lower-case name; ``since``: how long after its acceptance the message was touched."""
    if method == "HEAD":
        return Judgement(True, "head")
    for name in _PREFETCH:
        value = headers.get(name, "").lower()
        if "prefetch" in value or "preview" in value or "prerender" in value:
            return Judgement(True, "prefetch")
    agent = headers.get("user-agent", "").strip().lower()
    if not agent:
        return Judgement(True, "no-user-agent")
    if agent == _APPLE:
        return Judgement(True, "apple-mail-privacy", hidden=True)
    if _SCANNERS.search(agent):
        return Judgement(True, "user-agent")
    hidden = _PROXIES.search(agent) is not None
    return Judgement(True, "too-soon", hidden) if since < SOON else Judgement(False, hidden=hidden)
