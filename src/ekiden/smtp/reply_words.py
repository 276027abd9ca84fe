"""The words of refusals, in the order in which they are looked for; all in lower case. See ``diagnose``.

No pattern may look far: what it repeats has a bound, so that a reply takes the same time whatever it says.
"""

from __future__ import annotations

import re
from typing import Final

from ekiden.core.diagnosis import Diagnosis

D = Diagnosis

# What some receivers put where a reply begins, or in its link. Looked for in all of the text.
MARKS: Final[tuple[tuple[re.Pattern[str], Diagnosis], ...]] = tuple(
    (re.compile(pattern), diagnosis)
    for diagnosis, pattern in (
        (D.TOO_BIG, r"\bresolver\.rst\.\w{0,20}sizelimit"),
        (D.POLICY, r"\bresolver\.rst|\btransport\.rules|[?&]p=(?:policy|customdomainpolic)"),
        (D.NO_MAILBOX, r"[?&]p=nosuchuser\b|resolver\.adr\.(?:ex)?recip(?:ient)?notfound|\brecipientnotfound\b"),
        (D.DISABLED, r"[?&]p=disableduser\b"),
        (D.FULL, r"[?&]p=overquota|storedrv\.deliver; .{0,40}mailbox is full|quotaexceeded"),
        (D.RATE_RECIPIENT, r"[?&]p=receivingrate"),
        (D.DOMAIN_BLOCKED, r"\bdbl\.spamhaus|spamhaus\.org/(?:query/)?(?:dbl|domain)|\bspamhaus dbl\b"),
        (D.DOMAIN_BLOCKED, r"\b(?:mail ?from|sender|sending|helo) domain is (?:black)?listed\b"),
        (D.DOMAIN_BLOCKED, r"\bsurbl\b|\buribl\b|\bivmuri\b|\brhsbl\b"),
        # Outlook.com
        (D.RATE_IP, r"\brp-001\b"),
        (D.CONNECTIONS, r"\brp-00[23]\b"),
        (D.IP_BLOCKED, r"\b(?:sc|dy|ou|nn)-\d{3}\b|\bs31[45]0\b"),
        # Yahoo
        (D.IP_BLOCKED, r"\[tss?\d\d\]|\btss\d\d\b|\[bl\d\d\]|\bvs\d{1,3}-ip\d?\b"),
        (D.SPAM, r"\[ph\d\d\]|\bvs\d{1,3}-(?:mf|md)\d?\b"),
        # iCloud
        (D.SPAM, r"\[cs\d\d\]"),
        (D.POLICY, r"\[hm\d\d\]"),
        # NetEase: 163, 126, yeah
        (D.SPAM, r"\bdt:sp[mb]\b"),
        (D.IP_BLOCKED, r"\bdt:rbl\b|\bhl:(?:rep|mep|ihu|ipb)\b|\bwm:bl[iu]\b|\bmi:spb\b"),
        (D.CONNECTIONS, r"\bhl:icc\b|\bmi:(?:dmc|cel|ccl)\b|\brp:(?:drc|cel|ccl)\b"),
        (D.RATE_IP, r"\bhl:ifc\b"),
        (D.RATE_DOMAIN, r"\bmi:s(?:fq|tc)\b|\brp:(?:qrc|trc)\b"),
        (D.SENDER_REFUSED, r"\bmi:imf\b|\bdt:sum\b"),
        (D.SPF, r"\bmi:spf\b"),
        (D.DMARC, r"\bmi:dma\b"),
        (D.RECIPIENTS, r"\brp:rcl\b"),
        # GMX and web.de, T-Online, Cox, Comcast, Spectrum, Orange
        (D.PTR, r"[?&]c=rdns\b|\bbad dns ptr\b"),
        (D.IP_BLOCKED, r"[?&]c=(?:bl|rbl)\b|\bip=[0-9a-f.:*]{1,45} - a problem occur|\btosa@"),
        (D.IP_BLOCKED, r"\bcxbl\b|\bcdrbl\b|\bipbl[01]{4}\b|\bbl0000\d\d\b|\bes0000\d\d\b|\baup#(?:bl|i|in|o)\b"),
        (D.RATE_IP, r"\brl0000\d\d\b|\baup#(?:i|in)-13\d\d\b"),
        (D.IP_BLOCKED, r"\b(?:ofr|lpn)_?\d{0,3}_(?:102|103|105|999|630)\b"),
        (D.SPAM, r"\b(?:ofr|lpn)_?\d{0,3}_506\b"),
        (D.GREYLISTED, r"mimecast\.com/docs/doc-1369#451|\bpostgrey\b"),
        # Proofpoint, Cloudmark, Talos, Trend Micro, Barracuda
        (D.IP_BLOCKED, r"ipcheck\.proofpoint\.com|csi\.cloudmark\.com|senderbase|talosintelligence|\bers-dul\b"),
        (D.IP_BLOCKED, r"sender\.office\.com|delist\.messaging\.microsoft|mail-abuse\.(?:org|com)|\brbl\+"),
        (
            D.IP_BLOCKED,
            r"spamhaus\.org|spamcop\.net|barracudacentral\.org|sorbs\.net|uceprotect\.net"
            r"|abuseat\.org|mailspike\.(?:net|org)"
            r"|invaluement\.com|manitu\.net|abusix\.|psbl\.org|senderscore\.",
        ),
    )
)

_MAILBOX: Final = r"(?:user|recipient|mailbox|mail box|account|address|addressee|alias|customer|subscriber|person)"
_GONE: Final = (
    r"(?:unknown|not (?:be )?found|doesn'?t exist|does ?not exist|not exist|no longer (?:exist|valid|available"
    r"|on server|here)|non-?existent|nonexistent|not (?:a )?(?:valid|known|registered|listed|recogni[sz]ed)"
    r"|not present in directory|not in (?:our )?directory|no such)"
)
# Whose mailbox it is must be said close by: many other things are closed, blocked, expired or invalid.
_CLOSED: Final = (
    r"(?:disabled|inactive|suspended|deactivated|discontinued|frozen|expired|closed|terminated|cancell?ed"
    r"|not active|no longer (?:active|accept)|dormant|hangup)"
)
_IS: Final = r"(?:is|was|are|been) (?:currently |now |marked |marked as |permanently ){0,2}"

# Looked for in what is left without addresses, links and host names, in this order.
WORDS: Final[tuple[tuple[re.Pattern[str], Diagnosis], ...]] = tuple(
    (re.compile("|".join(phrases)), diagnosis)
    for diagnosis, phrases in (
        (
            D.RELAY,
            (r"relay(?:ing)? (?:access )?denied|relay(?:ing)? (?:is )?not (?:permitted|allowed)|unable to relay",),
        ),
        (
            D.MALFORMED,
            (
                r"duplicate header|multiple (?:\w{1,20} )?(?:headers|addresses in from)",
                r"not rfc \d{3,4} compliant",
                r"missing (?:a )?(?:valid )?(?:message-?id|(?:from|date|subject) (?:header|field))",
            ),
        ),
        (D.GREYLISTED, (r"gr[ea]y-?\s?list", r"postgrey", r"\bcome back (?:later|in)\b")),
        (
            D.RATE_RECIPIENT,
            (
                r"(?:user|recipient|mailbox|account).{0,60}receiv(?:ing|ed) (?:mail|messages|email|too)",
                r"mailbox received too much",
                r"(?:recipient|mailbox|user)(?:'s)? .{0,40}(?:message|mail|receive|receiving|incoming"
                r"|inbound) rate",
                r"recipient (?:has )?exceeded .{0,40}(?:limit|messages)",
                r"messages to \S{1,80} deferred due to excessive volume",
                r"too (?:many|much) (?:messages|e?mails?) (?:for|to) (?:this|the) (?:user|recipient"
                r"|mailbox|address)",
            ),
        ),
        (
            D.CONNECTIONS,
            (
                r"too many (?:\w{1,20} ){0,3}(?:connections?|sessions|channels|concurrent)\b",
                r"too many (?:\w{1,20} ){0,3}(?:in|for|on|per|over) (?:this|the|a|one|each) (?:\w{1,20} )?"
                r"(?:session|connection)",
                r"\b(?:connection|concurrency|session) (?:\w{1,20} )?(?:frequency|rate|count)?\s?limit",
                r"connection frequency",
                r"max(?:imum)? (?:\w{1,20} ){0,4}(?:connections?|sessions)\b",
                r"max(?:imum)? messages? per connection",
                r"(?:concurrent|simultaneous|parallel) (?:\w{1,20} )?connections?",
                r"too many (?:smtp )?(?:errors|commands|bad commands|transactions)",
                r"#4\.x\.2",
                r"limits? (?:on |of )?(?:\w{1,20} ){0,3}connections",
            ),
        ),
        (
            D.RATE_DOMAIN,
            (
                r"originating from your (?:spf|dkim|url|sending|from)\b|one of your url",
                r"(?:sender|from domain|sending domain|sender domain|mail ?from)(?: \S{1,80})? (?:has |is )?"
                r"(?:exceeded|sending too|(?:frequency|rate)\b)",
                r"you(?:'ve| have)? (?:exceeded|reached) .{0,40}(?:limit|rate|quota)",
                r"(?:sender|domain) frequency limited",
                r"(?:sending|daily|hourly|outbound|submission) (?:\w{1,20} ){0,2}(?:quota|limit|rate)\b",
                r"(?:rate|quota|limit)\w{0,4} (?:is |was )?(?:exceeded|reached) (?:for|by) (?:\S{1,40} )?"
                r"(?:sender|domain|from)",
            ),
        ),
        # What mail systems say of themselves, in reports; more of it below, behind what is more likely of a reply.
        (D.DNS, (r"name server: .{0,80}lookup fail|lookup did not complete|lookup failed temporarily",)),
        (D.LOOP, (r"suspected mail loop|loops back to m(?:e|yself)|lowest numbered mx",)),
        (
            D.NO_ANSWER,
            (
                r"^connect to \S{1,120}:? connection (?:refused|timed out|reset)|deferred: connection (?:ref|tim)"
                r"|delivery temporarily suspended: connect to|no route to host|network is unreachable"
                r"|connection to mail exchanger failed",
            ),
        ),
        (D.LOST, (r"lost connection with|conversation with \S{1,120} timed out|but connection died",)),
        (
            D.SPAM,
            (
                r"\bspam classification"
                r"|(?:flagged|classified|detected|identified) (?:as |to be )?(?:\w{1,20} )?spam\b",
            ),
        ),
        (
            D.DMARC,
            (
                r"\bdmarc\b",
                r"authentication level",
                r"sender is unauthenticated|unauthenticated (?:e?-?mail|senders?|message)",
                r"lack of (?:email |sender )?authentication|(?:multiple|email"
                r"|sender) authentication (?:check|fail|req)",
                r"\bspf\b.{1,120}\bdkim\b|\bdkim\b.{1,120}\bspf\b",
            ),
        ),
        (
            D.SPF,
            (
                r"\bspf\d?\b",
                r"sender policy framework",
                r"sender id \(?pra",
                r"\bopenspf\b",
                r"domain \S{1,80} mismatches client ip",
            ),
        ),
        (D.DKIM, (r"\bdkim\b", r"\bdomainkeys\b")),
        (
            D.PTR,
            (
                r"\bptr\b",
                r"\brdns\b|\bfcrdns\b",
                r"(?:reverse|inverse)[- ](?:dns|lookup|host|hostname|name|resolution|address|ip|record|mapping)",
                r"no reverse\b",
                r"cannot (?:find|resolve) your (?:\w{1,20} )?(?:host ?name|address|ip)",
                r"(?:ip|host) (?:name|address) lookup fail|failure in dns look-?up",
                r"(?:ip|address|client|host) .{0,40}(?:does not|doesn't|cannot be|could not be|not) resolv",
                r"unverif[iy]able sending ip",
                r"dynamic(?:ally)? (?:ip|assigned|address|host)|generic (?:reverse|hostname|dns)",
                r"may not be mail exchanger",
            ),
        ),
        (
            D.TLS,
            (
                r"must issue a starttls|starttls (?:command )?(?:is )?(?:required|first|needed)",
                r"(?:encryption|tls|secure connection|encrypted connection)\b.{0,30}(?:required|needed|mandatory)",
                r"requires? (?:the use of )?(?:a )?(?:tls|encryption|secure|encrypted)",
                r"(?:wasn't|was not|not) sent (?:over|via|using) (?:a )?(?:tls|secure|encrypted)",
                r"must use (?:tls|starttls|encryption)|without (?:tls|encryption)|not encrypted|session encryption",
            ),
        ),
        (
            D.AUTHENTICATION,
            (
                r"(?:smtp )?auth(?:entication|orization)? (?:is )?(?:required|needed)",
                r"(?:must|please|need to|have to) (?:\w{1,20} ){0,3}(?:authenticate|log ?in|smtp auth)",
                r"client was not authenticated|not authenticated to send|smtp authentication|authenticate first",
            ),
        ),
        (D.TOO_BIG, (r"message (?:size|length) (?:exceed|too)",)),
        (
            D.FULL,
            (
                r"mail ?box (?:size |storage )?(?:limit|quota)",
                r"over ?-?quota|overquota",
                r"(?:quota|allowed storage|storage limit|mailbox limit|disk space)\w{0,2} (?:\w{1,20} ){0,2}"
                r"(?:exceed|is full|reached|used up|violation)",
                r"(?:exceed\w{0,3}|over|above|reached) (?:\w{1,20} ){0,4}(?:quota|storage)\b",
                r"(?:mail ?box|inbox|account|mail ?drop|mail folder|user"
                r"|maildir)\b.{0,60}?\b(?:full\b|exceed(?:s|ed) "
                r"(?:its |the |their )?(?:quota|limit|size|storage|space)|too (?:full|large)"
                r"|out of (?:storage|space))",
                r"(?:full|oversized) (?:mail ?box|inbox)",
                r"(?:insufficient|not enough|no|out of) (?:\w{1,20} ){0,2}(?:space|storage|room) (?:\w{1,20} ){0,2}"
                r"(?:in|for|on|of) (?:\w{1,20} ){0,2}(?:mail ?box|user|recipient|account|inbox)",
                r"insufficient mailbox|storage allocat|storage allocation",
                r"out of storage space",
                r"too much (?:mail data|storage) (?:\w{1,20} )?<?@",
                r"too much storage",
                r"quota (?:\w{1,20} )?(?:full|overrun)",
                r"(?:number of|too many) messages in (?:\S{1,40} ){0,2}mail ?box",
                "ボックスが一杯|ボックスがいっぱい|ボックスが満杯|容量が超|容量を超|容量オーバー",
            ),
        ),
        (
            D.NO_ANSWER,
            (
                r"(?:message|envelope|queue|delivery time|retry time)\W? ?(?:has |have |is |was )?expired",
                r"maximum (?:number of )?(?:delivery )?(?:attempts|retries)|retry time(?:out| not reached)",
            ),
        ),
        (
            D.TOO_BIG,
            (
                r"(?:message|mail|email|e-mail|data|content|body|attachment|header)s?\b.{0,40}?"
                r"(?:too (?:big|large|long|much)|(?:exceed|exceeds|exceeded|exceeding|larger than|over)\b.{0,40}?"
                r"(?:size|limit|max))",
                r"(?:size|length)\b.{0,30}?(?:exceed|limit|too (?:big|large)|over|larger|maximum)",
                r"(?:maximum|max|allowed|permitted) (?:\w{1,20} ){0,3}size",
                r"too (?:big|large)\b",
                r"too much mail data",
            ),
        ),
        (
            D.VIRUS,
            (
                r"virus|malware|phish|trojan|worm\b|infected|malicious|ransomware",
                r"potential security (?:issue|risk|threat)|presents a potential|security threat",
                r"(?:attachment|file)s?\b.{0,40}(?:type|forbidden|prohibited|not (?:allowed|permitted"
                r"|accepted)|blocked"
                r"|banned|denied)|(?:prohibited|banned|forbidden|illegal|executable) (?:attachment|file|extension)",
            ),
        ),
        (D.RECIPIENT_FILTER, (r"(?:recipient|user)'s (?:\w{1,20} )?(?:block|black|deny)-?\s?list",)),
        (
            D.SPAM,
            (
                r"(?:block|black)-?\s?listed (?:url|uri|link)",
                r"\b(?:url|uri|link)s? in (?:\w{1,20} )?(?:message|body)",
            ),
        ),
        (
            D.DOMAIN_BLOCKED,
            (
                r"(?:reputation of|reputation for) (?:the |your )?(?:\w{1,20} )?(?:domain|url|uri"
                r"|link|sender domain)",
                r"(?:domain|url|uri|link)s?(?:'s)? (?:\S{1,80} )?(?:reputation|(?:is |are |was |in "
                r"|on )?(?:a |the |our )?"
                r"(?:\w{1,20} )?(?:block|black|deny)-?\s?list|(?:is |are |was )(?:listed|blocked|banned))",
                r"(?:block|black|deny)-?\s?list(?:ed)? (?:\w{1,20} ){0,2}domain",
                r"(?:mail ?from|sender|from|sending|helo|your) domain (?:\S{1,80} )?is (?:listed"
                r"|blocked|banned|black)",
                r"domain .{0,40}listed (?:in|at|by|on)|domain present in the",
                r"domain\b.{0,30}(?:reputation|(?:black|block|deny)-?\s?list)",
            ),
        ),
        (
            D.IP_BLOCKED,
            (
                r"spamhaus|spamcop|\bsorbs\b|uceprotect|mailspike|invaluement|abusix|\bpsbl\b",
                r"barracuda|spamrats|trend micro|cloudmark|sender ?score|hostkarma|backscatterer|ivmsip|\b0spam\b",
                r"(?:black|block|deny|reject)-?\s?list",
                r"\b(?:dns|r)bls?\b|dnswl|\brbl\b",
                r"\breputation\b",
                r"\bbanned\b",
                r"(?<!not )\blisted (?:at|by|in|on)\b|is in spamhaus",
                r"(?:ip|ip address|address|client|host|server|network|connection"
                r"|netblock)\b.{0,60}?(?:is |are |was |has "
                r"been |temporarily |permanently )?(?:blocked|(?<!recipient address )(?<!sender address )"
                r"(?<!user )rejected due to|banned|black ?listed|refused due)",
                r"(?:blocked|rejected|refused|denied) (?:\w{1,20} ){0,3}(?:for|due to"
                r"|because of) (?:\w{1,20} ){0,2}"
                r"(?:abuse|complaints)",
                r"mail from \S{1,60} (?:is )?(?:not allowed|refused|blocked|denied)",
                r"(?:all )?(?:messages|mail|e?mails) from \S{1,60} (?:\w{1,20} ){0,3}(?:deferred|blocked|rejected)",
                r"weren't sent",
                r"blocked (?:using|by)\b.{0,40}(?:list\b|abuse\b|rbl|\*)|blocked for (?:abuse|spam)"
                r"|client host .{0,60}blocked",
                r"intrusion prevention|open (?:relay|proxy)|hijacked|botnet|compromised",
                r"invalid ip for sending|ip is (?:rejected|hangup)|invalid ip\b",
                r"use the smtp server of your isp|your isp's|ip not in whitelist|not (?:in"
                r"|on) (?:\w{1,20} )?white-?list",
                r"user complaints|unexpected volume",
            ),
        ),
        (
            D.RATE_IP,
            (
                r"rate[- ]?limit|rate exceeded|\brate control|message rate|mail rate",
                r"throttl",
                r"too (?:fast|quickly|frequent)",
                r"(?:exceed(?:ed|s)?|reached|over) .{0,40}(?:limit|rate|threshold)",
                r"unusual (?:rate|volume|traffic)|mail flood|slow(?:ing)? down|excessive (?:\w{1,20} )?"
                r"(?:volume|rate|traffic|messages|mails?)",
                r"too (?:many|much) (?:\w{1,20} ){0,2}(?:messages|e?-?mails?|traffic|attempts)\b",
                r"frequency (?:limit|exceed|of)|(?:ip )?frequency limited",
                r"\btemporarily (?:deferred|rate)\b",
                r"limits? for how many messages|peak smtp relay limit|sent too many",
            ),
        ),
        (
            D.SPAM,
            (
                r"\bspam\b|\bspam[- ](?:like|message|content|score|mail)|spamassassin|anti-?spam|antispam|\bspammy",
                r"unsolicited|\bbulk (?:e?-?mail|message)|as bulk\b|junk ?mail|\bjunk\b|\bube\b|\buce\b",
                r"(?:message|mail|content)\b.{0,30}(?:suspicious|objectionable)|likely suspicious",
                r"(?:message|mail) content (?:rejected|denied|refused|not acceptable)"
                r"|content (?:rejected|denied|filter)",
                r"reject(?:ed)? (?:by|due to|for|based on) (?:\w{1,20} )?content|content restriction",
                r"high probability of|looks like|scored as",
            ),
        ),
        (
            D.BAD_ADDRESS,
            (
                r"(?:bad|malformed|invalid|illegal) (?:\w{1,20} ){0,2}(?:address|mailbox"
                r"|recipient) (?:syntax|format)",
                rf"{_MAILBOX}\b.{{0,40}}(?:syntax|malformed|not a valid rfc|bad format|illegal)",
                r"mailbox name not allowed",
            ),
        ),
        (
            D.MALFORMED,
            (
                r"line (?:is )?(?:too long|length|limit)|lines? (?:too long|longer)",
                r"rfc ?-?(?:5322|2822|822|5321|2821)|not (?:rfc )?compliant",
                r"malformed|bare (?:cr|lf|line)|broken mime|invalid mime|mime (?:error|format)",
                r"(?:duplicate|missing|multiple|invalid|illegal|bad|without|no|too many|improper"
                r"|faulty) (?:\S{1,40} ){0,5}"
                r"headers?\b|headers? .{0,40}(?:missing|invalid|malformed|duplicate|not valid|syntax)",
                r"(?:missing|no|invalid|without) (?:a )?(?:valid )?(?:message-?id|date|from|subject|to:)",
                r"8-?bit (?:data|character)|non-?ascii|improper use of",
                r"message (?:format|syntax|contains (?:invalid|illegal))",
            ),
        ),
        (
            D.LOOP,
            (
                r"too many (?:hops|received)|hop count|\b(?:mail|routing|message|forwarding) loop"
                r"|loop(?:s|ing)? (?:back|det)",
                r"routing loop",
            ),
        ),
        (
            D.RELAY,
            (
                r"\brelay(?:ing)?\b.{0,40}(?:denied|not (?:permitted|allowed|accepted|authori[sz]ed)"
                r"|prohibit|forbidden"
                r"|rejected|refused|disabled|blocked)",
                r"(?:unable|not configured|not permitted|not allowed|denied|cannot|can't|won't|do not"
                r"|don't|no|not) "
                r"(?:to |authori[sz]ed to )?relay",
                r"rcpthosts|not (?:a )?local (?:domain|host|address)|non-?local|domain not (?:local"
                r"|hosted|handled)",
                r"not (?:hosted|handled|served) here|we do not (?:accept|handle|host) mail for",
                r"user not local|not (?:a|our) gateway|non-accepted domain|not our domain",
            ),
        ),
        (
            D.SENDER_REFUSED,
            (
                r"sender(?:'s)? (?:\S{1,60} )?(?:e?-?mail |address |domain )?(?:address "
                r"|domain )?(?:verif\w{1,8} )?(?:is )?"
                r"(?:rejected|refused|denied|blocked|fail|invalid|unknown|not (?:found|valid|exist"
                r"|accept|allow|verif)"
                r"|does ?n[o']t exist|could not|cannot|not)",
                r"domain of sender|sender domain|sender verif|sender callout|invalid sender"
                r"|unknown sender|fake sender",
                r"(?:bad|invalid|unresolvable|unroutable|unroutable) (?:sender|return[- ]?path|from|envelope)",
                r"(?:envelope (?:sender|from)|return[- ]?path|reverse-?path|mail ?from|from address"
                r"|bounce address)\b"
                r".{0,60}(?:reject|invalid|not |does|unknown|refus|den|must|fail|required|illegal)",
                r"^\* does not exist|callout|valid sender domain|null sender"
                r"|email address is not verified|mail from must",
                r"senders?\b.{0,30}(?:on|in) .{0,20}list",
            ),
        ),
        (
            D.RECIPIENT_FILTER,
            (
                r"(?:rejected|blocked|refused|denied) by (?:the |its )?(?:recipients?|users?|addressee|owner)\b",
                r"(?:recipient|user|addressee|mailbox owner)(?:'s)? (?:has |have |is "
                r"|does )?(?:not (?:want|accept|wish)"
                r"|blocked|reject|refuse|declin|filter|personal|safe)",
                r"message filtered|filtered by|user in blacklist|blocked senders",
                r"only accepts? (?:mail|messages) from|restricted (?:to|recipient)|recipprestrict"
                r"|not in .{0,20}address book|recipient preferences",
            ),
        ),
        (
            D.POLICY,
            (
                r"\bpolic(?:y|ies)\b",
                r"prohibit|administrative(?:ly)? (?:reject|den|refus|block|limit)|organizational",
                r"not authori[sz]ed\b.{0,40}(?:send|recipient|group)|security reasons",
                r"helo (?:command )?(?:rejected|invalid|not|refused)|bad helo|invalid helo",
                r"notauthorized|sendernotauthenticated|reciprestrict|not permitted to send",
                r"not (?:a |be )?mail exchanger",
                r"(?:permission|not allowed|not permitted) to post",
            ),
        ),
        (
            D.DNS,
            (r"name service error.{0,120}try again|host not found, try again|(?:host )?name lookup fail",),
        ),
        (
            D.NO_ANSWER,
            (
                r"did not accept our requests to connect|(?:socket|winsock) error"
                r"|no smtp connection got far enough",
                r"(?:wasn't|weren't|not) able to (?:establish|connect)|(?:unable|failed) to (?:connect|contact)\b",
                r"not reachable within",
            ),
        ),
        (
            D.RECIPIENT_REFUSED,
            (
                r"recipient (?:address )?(?:rejected|refused|denied):? access denied",
                r"unavailable or access denied",
                r"(?:temporar|try again|for now).{0,60}(?:unknown|no such|not found|exist|invalid"
                r"|\block|suspend|disabled|inactive)"
                r"|account is temporarily limited"
                r"|(?:unknown|no such|not found|exist|invalid|locked|suspended|disabled"
                r"|inactive)\b.{0,60}(?:temporar|try again|later|retry)",
            ),
        ),
        (
            D.DISABLED,
            (
                rf"(?<!your )\b{_MAILBOX}s?(?: \S{{1,80}})?:? {_CLOSED}",
                rf"(?<!your )\b{_MAILBOX}\b.{{0,60}}?\b{_IS}(?:or )?{_CLOSED}",
                rf"(?:disabled|inactive|suspended|deactivated|expired|closed|dormant"
                rf"|unused) (?:e-?mail )?{_MAILBOX}",
                r"account (?:is )?not available|service disabled",
            ),
        ),
        (
            D.MOVED,
            (
                r"(?:has|have|was) moved|mailbox moved|moved to|new address is|forwarding address"
                r"|no longer on server"
                r"|no longer (?:works|employed|with us|uses)",
            ),
        ),
        (D.NULL_MX, (r"\bnull ?mx\b|\brfc ?7505\b",)),
        (
            D.NO_ROUTE,
            (
                r"(?:host|domain|system|server|\*) (?:does not|doesn't) (?:accept"
                r"|receive) (?:any )?(?:e?-?mail|mess)",
                r"domain (?:is )?(?:not |un)reachable|indicated no smtp service",
                r"(?:host|domain) \S{1,120} (?:does not|doesn't) (?:accept|receive) (?:any )?(?:e?-?mail|mess)",
            ),
        ),
        (
            D.NO_DOMAIN,
            (
                r"mx records? points? to non-?existent|unrouteable mail domain|couldn't find a mail exchanger",
                r"(?:recipient(?:'s)? |destination |target )?(?:domain|host)\b.{0,60}?(?:unknown"
                r"|not found|doesn'?t exist"
                r"|does ?not exist|invalid|no such|nonexistent)|(?:unknown|no such|invalid"
                r"|nonexistent|unrouteable) "
                r"(?:domain|host)|\bnxdomain\b|no mx\b",
            ),
        ),
        (
            D.NO_MAILBOX,
            (
                rf"(?<!sender )(?<!your )\b{_MAILBOX}s?\b(?: \S{{1,80}})?.{{0,50}}?\b{_GONE}",
                rf"(?<!sender )(?<!your )\b{_MAILBOX}s?(?: \S{{1,80}})?:? "
                rf"(?:{_IS})?(?:invalid|undeliverable|not our)",
                rf"(?:unknown|no such|invalid|non-?existent|unrouteable|bad|undeliverable|not our|not a|not an) "
                rf"(?:\w{{1,20}} ){{0,2}}{_MAILBOX}",
                r"unknown local-?part",
                r"no mail ?box|not a valid (?:user|mailbox|recipient)|nobody (?:here )?by that name"
                r"|does not live here",
                r"(?:doesn'?t|does not) have an? .{0,40}account|no account (?:here|by|with)|no one (?:here|by)",
                r"(?:e-?mail )?address (?:\w{1,20} )?(?:couldn'?t|could not|wasn'?t|was not) (?:be )?found",
                "宛先不明|宛先が不明|ユーザー不明|ユーザが不明|ユーザーが不明|アドレスが不明|宛先が見つかりません|ユーザが見つかりません"
                "|ユーザーが見つかりません|アドレスが見つかりません|宛先が存在しま|ユーザが存在しま|ユーザーが存在しま|アドレスが存在しま"
                "|アカウントが存在しま|メールボックスが存在しま|ディレクトリのリストにありません|ディレクトリーのリストにありません",
                rf"(?:can'?t|cannot|couldn'?t|could not|unable to) (?:\w{{1,20}} )?(?:find|verify"
                rf"|locate) (?:\w{{1,20}} "
                rf"){{0,3}}{_MAILBOX}",
                r"destinataire (?:invalide|inconnu)|adresse inconnue|utilisateur inconnu|utente sconosciuto"
                r"|unbekannter? (?:empf|benutzer|nutzer)|empf\S{1,6}nger (?:ist )?(?:unbekannt|existiert)"
                r"|usuario desconocido|no existe|(?:пользовател|получател|адрес)\S{0,3} не (?:найден|существует)"
                r"|нет такого (?:пользователя|адреса)",
                "收件人不存在|收件人邮箱不存在|收件人邮件地址不存在|用户不存在|邮箱不存在|无此用户|使用者不存在"
                "|사용자를 찾을 수 없|존재하지 않는 사용자|존재하지 않는 메일",
            ),
        ),
        (
            D.RECIPIENT_REFUSED,
            (
                rf"{_MAILBOX}s?\b.{{0,30}}?(?:unavailable|not available|not accept|reject|refus|denied"
                rf"|restricted|verif)",
                r"(?:reject|refus|denied)\w{0,3} (?:\w{1,20} ){0,2}(?:recipient|user|address|mailbox)",
                r"no valid recipients|can'?t accept user|yourself|recipient error",
                r"check (?:if|that|whether) (?:the |your )?address is",
            ),
        ),
        (D.DNS, (r"\bdns\b.{0,30}(?:fail|error|time|tempor)|domain lookup fail|temporary (?:dns|resolution)",)),
        (
            D.PEER,
            (
                r"(?:server|service|system) temporarily",
                r"pipe to \||procmail|child (?:process|status)|mailer error|local delivery failed"
                r"|command (?:died|time limit)|alias data ?base|(?:local configuration|config) error"
                r"|file has been locked|smtp protocol error",
                r"temporar\w{1,4} (?:\w{1,20} )?(?:reject|error|fail|problem)",
            ),
        ),
        (
            D.POLICY,
            (
                r"access denied|client host rejected|not (?:allowed|authori[sz]ed|permitted|accepted)"
                r"|unauthori[sz]ed",
                r"(?:message|mail|email|connection)s?\b.{0,30}(?:rejected|refused|denied|blocked|not accept)",
                r"(?:rejected|denied|forbidden|blocked)\b.{0,30}(?:message|mail|email|access)|no access",
            ),
        ),
        (
            D.PEER,
            (
                r"(?:server|service|system|resources?|host|mta)\b.{0,30}\b(?:busy|(?:un"
                r"|not )available|down\b|overload"
                r"|error|fail|not accept|refuse|problem|trouble)",
                r"insufficient (?:system|disk|space|storage|resources)|(?:disk|queue|spool"
                r"|file ?system) .{0,20}full"
                r"|no space|out of (?:memory|disk)|not enough (?:disk )?space|\boverload",
                r"no smtp service|try (?:again )?later|try again|please retry|temporar|timed? ?out|timeout",
                r"connection (?:reset|refused|closed|dropped)|(?:internal|local|temporary|upstream|operating) "
                r"(?:system |server )?(?:error|problem|failure)|service refuse|mailer error",
            ),
        ),
    )
)

TOO_MANY: Final = re.compile(
    r"too many (?:\w{1,20} )?(?:recipients|rcpts?\b|addresses)"
    r"|recipients?(?:'s)? (?:count |number )?(?:limit|maximum)"
    r"|(?:maximum|max|limit on|exceed\w{0,5})\b[^.;]{0,30}\b(?:recipients|rcpts?)\b"
    r"|\b(?:recipients|rcpts?) (?:per|in one|in a|for this) (?:message|mail|e-?mail|transaction|session|envelope)"
    r"|try this recipient in a separate"
)
