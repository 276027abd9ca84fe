"""What RFC 7208 says, as data: zones, who sends, and the result."""

from __future__ import annotations

from typing import Any, NamedTuple

from spf_zone import TIMEOUT, Zone

# Appendix A: the zones that its examples are about. {spf} is the record under test.
EXAMPLE_ZONE: Zone = {
    "example.com": {
        "MX": [(10, "mail-a.example.com"), (20, "mail-b.example.com")],
        "A": ["192.0.2.10", "192.0.2.11"],
    },
    "amy.example.com": {"A": ["192.0.2.65"]},
    "bob.example.com": {"A": ["192.0.2.66"]},
    "mail-a.example.com": {"A": ["192.0.2.129"]},
    "mail-b.example.com": {"A": ["192.0.2.130"]},
    "www.example.com": {"CNAME": "example.com"},
    "example.org": {"MX": [(10, "mail-c.example.org")]},
    "mail-c.example.org": {"A": ["192.0.2.140"]},
    "10.2.0.192.in-addr.arpa": {"PTR": ["example.com."]},
    "11.2.0.192.in-addr.arpa": {"PTR": ["example.com."]},
    "65.2.0.192.in-addr.arpa": {"PTR": ["amy.example.com."]},
    "66.2.0.192.in-addr.arpa": {"PTR": ["bob.example.com."]},
    "129.2.0.192.in-addr.arpa": {"PTR": ["mail-a.example.com."]},
    "130.2.0.192.in-addr.arpa": {"PTR": ["mail-b.example.com."]},
    "140.2.0.192.in-addr.arpa": {"PTR": ["mail-c.example.org."]},
    "4.0.0.10.in-addr.arpa": {"PTR": ["bob.example.com."]},
}

# A.1: a record of example.com, and the last octets of the addresses in 192.0.2.0/24 that pass.
EXAMPLE_RECORDS: list[tuple[str, set[int]]] = [
    ("v=spf1 +all", {10, 11, 65, 66, 129, 130, 131, 140, 141, 143, 144}),
    ("v=spf1 a -all", {10, 11}),
    ("v=spf1 a:example.org -all", set()),
    ("v=spf1 mx -all", {129, 130}),
    ("v=spf1 mx:example.org -all", {140}),
    ("v=spf1 mx mx:example.org -all", {129, 130, 140}),
    ("v=spf1 mx/30 mx:example.org/30 -all", {129, 130, 131, 140, 141, 143}),
    ("v=spf1 ptr -all", {10, 11, 65, 66, 129, 130}),
    ("v=spf1 ip4:192.0.2.128/28 -all", {129, 130, 131, 140, 141, 143}),
    ("v=spf1 a:www.example.com -all", {10, 11}),
]
EXAMPLE_HOSTS = (10, 11, 65, 66, 129, 130, 131, 140, 141, 143, 144)


class Case(NamedTuple):
    """One check. ``zone`` maps names to records; a text stands for a TXT record."""

    id: str
    zone: dict[str, Any]
    word: str
    reason: str
    ip: str = "192.0.2.1"
    sender: str = "user@d.example"
    helo: str = "mail.d.example"
    explanation: str | None = None
    oracle: bool = True  # False where pyspf knowingly goes another way; the comment says which


def zone_of(case: Case) -> Zone:
    return {
        name: {"TXT": [records]} if isinstance(records, str | bytes) else records
        for name, records in case.zone.items()
    }


_NO_ADDRESS = {"TXT": ["v=spf1 -all"]}
_ELEVEN = [(10, f"mx{number}.d.example") for number in range(11)]
_HOSTS = {f"mx{number}.d.example": {"A": ["192.0.2.1"]} for number in range(11)}
_CHAIN = {f"i{number}.example": f"v=spf1 include:i{number + 1}.example" for number in range(12)}
_TEN_A = " ".join(f"a:mx{number}.d.example" for number in range(10))
_MISS = {f"mx{number}.d.example": {"A": ["198.51.100.1"]} for number in range(11)}

CASES = [
    # §4.3, §4.4: the domain and its lookup
    Case("no record", {"d.example": {"TXT": ["hello"]}}, "none", "no_record"),
    Case("no such domain", {}, "none", "no_record"),
    Case("one label", {}, "none", "bad_domain", sender="user@localhost"),
    Case("empty label", {}, "none", "bad_domain", sender="user@a..example"),
    Case("long label", {}, "none", "bad_domain", sender=f"user@{'a' * 64}.example"),
    Case(
        "label of 63", {f"{'a' * 63}.example": "v=spf1 +all"}, "pass", "mechanism", sender=f"u@{'a' * 63}.example"
    ),
    Case("address literal", {}, "none", "bad_domain", sender="user@[192.0.2.1]"),
    Case("null sender", {"mail.d.example": "v=spf1 +all"}, "pass", "mechanism", sender=""),
    Case("final dot", {"d.example": "v=spf1 +all"}, "pass", "mechanism", sender="user@d.example.", oracle=False),
    Case("no answer", {"d.example": {"TXT": TIMEOUT}}, "temperror", "dns"),
    # §4.5: selecting the record
    Case("version alone", {"d.example": "v=spf1"}, "neutral", "default"),
    Case("version in any case", {"d.example": "V=SpF1 -ALL"}, "fail", "mechanism"),
    Case("other version", {"d.example": "v=spf10 -all"}, "none", "no_record"),
    Case("strings are joined", {"d.example": {"TXT": [["v=spf1 ip4:192", ".0.2.1 -all"]]}}, "pass", "mechanism"),
    Case("joined without a blank", {"d.example": {"TXT": [["v=spf1", "-all"]]}}, "none", "no_record"),
    Case("two records", {"d.example": {"TXT": ["v=spf1 +all", "v=spf1 -all"]}}, "permerror", "several_records"),
    Case("twice the same", {"d.example": {"TXT": ["v=spf1 +all"] * 2}}, "permerror", "several_records"),
    Case("others beside it", {"d.example": {"TXT": [b"\xff", "v=spf1 +all", "x=1"]}}, "pass", "mechanism"),
    Case("blanks", {"d.example": "v=spf1   +all  "}, "pass", "mechanism"),
    # §4.6, §4.7: evaluation
    Case("fault after a match", {"d.example": "v=spf1 +all moo"}, "permerror", "syntax"),
    Case("nothing matches", {"d.example": "v=spf1 ip4:192.0.2.2"}, "neutral", "default"),
    Case("first match counts", {"d.example": "v=spf1 ~all -all"}, "softfail", "mechanism"),
    Case("neutral", {"d.example": "v=spf1 ?all"}, "neutral", "mechanism"),
    # Strange, but v= is a modifier that nobody knows.
    Case("two records in one", {"d.example": "v=spf1 -all v=spf1 +all"}, "fail", "mechanism"),
    Case("unknown modifier", {"d.example": "v=spf1 x-y_z.1=%{d} +all"}, "pass", "mechanism"),
    # §4.6.4: limits
    Case("ten terms", {"d.example": f"v=spf1 {_TEN_A} -all", **_MISS}, "fail", "mechanism"),
    Case("eleven terms", {"d.example": f"v=spf1 {_TEN_A} mx -all", **_MISS}, "permerror", "lookup_limit"),
    Case("addresses are free", {"d.example": "v=spf1 " + "ip4:198.51.100.1 " * 30 + "+all"}, "pass", "mechanism"),
    Case("a match before the limit", {"d.example": f"v=spf1 +all {_TEN_A} mx"}, "pass", "mechanism"),
    Case("includes without end", {"d.example": "v=spf1 include:i0.example", **_CHAIN}, "permerror", "lookup_limit"),
    Case("include of itself", {"d.example": "v=spf1 include:d.example -all"}, "permerror", "lookup_limit"),
    Case("redirect to itself", {"d.example": "v=spf1 redirect=d.example"}, "permerror", "lookup_limit"),
    # pyspf counts a redirect= even if it is not used.
    Case(
        "unused redirect is free",
        {"d.example": f"v=spf1 {_TEN_A} -all redirect=x.example", **_MISS},
        "fail",
        "mechanism",
        oracle=False,
    ),
    Case("two voids", {"d.example": "v=spf1 a:no.example a:nor.example -all"}, "fail", "mechanism"),
    Case("three voids", {"d.example": "v=spf1 a:no.example mx exists:%{d} -all"}, "permerror", "void_limit"),
    Case("the same void thrice", {"d.example": "v=spf1 a a a -all"}, "permerror", "void_limit"),
    Case(
        "no name is no void",
        {"d.example": "v=spf1 a:a..b.example a:c..d.example a:e..f.example -all"},
        "fail",
        "mechanism",
    ),
    Case("ten MX", {"d.example": {"TXT": ["v=spf1 mx -all"], "MX": _ELEVEN[:10]}, **_HOSTS}, "pass", "mechanism"),
    Case("eleven MX", {"d.example": {"TXT": ["v=spf1 mx -all"], "MX": _ELEVEN}, **_HOSTS}, "permerror", "mx_limit"),
    Case(
        "the eleventh PTR is not looked at",
        {
            "d.example": "v=spf1 ptr -all",
            "1.2.0.192.in-addr.arpa": {"PTR": [f"mx{number}.d.example" for number in range(11)]},
            **_MISS,
            "mx10.d.example": {"A": ["192.0.2.1"]},
        },
        "fail",
        "mechanism",
    ),
    # §5: what belongs to all mechanisms
    Case("DNS error", {"d.example": "v=spf1 a:t.example +all", "t.example": {"A": TIMEOUT}}, "temperror", "dns"),
    Case(
        "no error where nobody asks",
        {"d.example": "v=spf1 +all a:t.example", "t.example": {"A": TIMEOUT}},
        "pass",
        "mechanism",
    ),
    Case(
        "IPv4-mapped client", {"d.example": "v=spf1 ip4:192.0.2.1 -all"}, "pass", "mechanism", ip="::ffff:192.0.2.1"
    ),
    Case(
        "ip4 and an IPv6 client", {"d.example": "v=spf1 ip4:0.0.0.0/0 -all"}, "fail", "mechanism", ip="2001:db8::1"
    ),
    # §5.2: include
    Case(
        "include of a pass",
        {"d.example": "v=spf1 include:i.example -all", "i.example": "v=spf1 ip4:192.0.2.1 -all"},
        "pass",
        "mechanism",
    ),
    Case(
        "include with a qualifier",
        {"d.example": "v=spf1 ?include:i.example -all", "i.example": "v=spf1 all"},
        "neutral",
        "mechanism",
    ),
    Case(
        "include of a fail",
        {"d.example": "v=spf1 include:i.example ~all", "i.example": "v=spf1 -all"},
        "softfail",
        "mechanism",
    ),
    Case(
        "include of a softfail",
        {"d.example": "v=spf1 include:i.example +all", "i.example": "v=spf1 ~all"},
        "pass",
        "mechanism",
    ),
    Case(
        "include of a neutral",
        {"d.example": "v=spf1 include:i.example -all", "i.example": "v=spf1 ?all"},
        "fail",
        "mechanism",
    ),
    Case("include of no record", {"d.example": "v=spf1 include:i.example +all"}, "permerror", "include_none"),
    Case(
        "include of a fault",
        {"d.example": "v=spf1 include:i.example +all", "i.example": "v=spf1 moo"},
        "permerror",
        "syntax",
    ),
    Case(
        "include without an answer",
        {"d.example": "v=spf1 include:i.example +all", "i.example": {"TXT": TIMEOUT}},
        "temperror",
        "dns",
    ),
    # §5.3: a
    Case("a", {"d.example": {"TXT": ["v=spf1 a -all"], "A": ["198.51.100.1", "192.0.2.1"]}}, "pass", "mechanism"),
    Case(
        "a with a prefix", {"d.example": {"TXT": ["v=spf1 a/24 -all"], "A": ["192.0.2.200"]}}, "pass", "mechanism"
    ),
    Case("a/0", {"d.example": {"TXT": ["v=spf1 a/0 -all"], "A": ["198.51.100.1"]}}, "pass", "mechanism"),
    Case("a/0 without addresses", {"d.example": "v=spf1 a/0 -all"}, "fail", "mechanism"),
    Case(
        "a for IPv6",
        {"d.example": {"TXT": ["v=spf1 a//64 -all"], "AAAA": ["2001:db8::2"]}},
        "pass",
        "mechanism",
        ip="2001:db8::1",
    ),
    Case("a//64 of IPv4", {"d.example": {"TXT": ["v=spf1 a//64 -all"], "A": ["192.0.2.2"]}}, "fail", "mechanism"),
    Case(
        "a with odd characters",
        {"d.example": "v=spf1 a:x:y/z.d.example -all", "x:y/z.d.example": {"A": ["192.0.2.1"]}},
        "pass",
        "mechanism",
    ),
    # §5.4: mx
    Case(
        "mx",
        {"d.example": {"TXT": ["v=spf1 mx -all"], "MX": [(5, "m.example")]}, "m.example": {"A": ["192.0.2.1"]}},
        "pass",
        "mechanism",
    ),
    Case("no implicit MX", {"d.example": {"TXT": ["v=spf1 mx -all"], "A": ["192.0.2.1"]}}, "fail", "mechanism"),
    Case("null MX", {"d.example": {"TXT": ["v=spf1 mx -all"], "MX": [(0, "")]}}, "fail", "mechanism"),
    # §5.5: ptr
    Case(
        "ptr below the domain",
        {
            "d.example": "v=spf1 ptr -all",
            "1.2.0.192.in-addr.arpa": {"PTR": ["H.D.example."]},
            "h.d.example": {"A": ["192.0.2.1"]},
        },
        "pass",
        "mechanism",
    ),
    Case(
        "ptr beside the domain",
        {
            "d.example": "v=spf1 ptr -all",
            "1.2.0.192.in-addr.arpa": {"PTR": ["xd.example"]},
            "xd.example": {"A": ["192.0.2.1"]},
        },
        "fail",
        "mechanism",
    ),
    # pyspf ends with temperror here.
    Case(
        "ptr without an answer",
        {"d.example": "v=spf1 ptr -all", "1.2.0.192.in-addr.arpa": {"PTR": TIMEOUT}},
        "fail",
        "mechanism",
        oracle=False,
    ),
    Case(
        "ptr host without an answer",
        {
            "d.example": "v=spf1 ptr -all",
            "1.2.0.192.in-addr.arpa": {"PTR": ["t.d.example", "h.d.example"]},
            "t.d.example": {"A": TIMEOUT},
            "h.d.example": {"A": ["192.0.2.1"]},
        },
        "pass",
        "mechanism",
        oracle=False,
    ),
    # §5.6: ip4, ip6
    Case("ip4 ignores bits on the right", {"d.example": "v=spf1 ip4:192.0.2.77/24 -all"}, "pass", "mechanism"),
    Case("ip6", {"d.example": "v=spf1 ip6:2001:db8::/32 -all"}, "pass", "mechanism", ip="2001:db8:1::1"),
    # §5.7: exists
    Case(
        "exists asks for A",
        {"d.example": "v=spf1 exists:e.example -all", "e.example": {"A": ["127.0.0.2"]}},
        "pass",
        "mechanism",
        ip="2001:db8::1",
    ),
    Case(
        "exists with the client",
        {"d.example": "v=spf1 exists:%{ir}.%{l1r-}.%{d} -all", "1.2.0.192.user.d.example": {"A": ["127.0.0.2"]}},
        "pass",
        "mechanism",
        sender="user-tag@d.example",
    ),
    # RFC 8616 §4
    Case(
        "local part outside ASCII",
        {"d.example": "v=spf1 exists:%{l}.d.example -all"},
        "fail",
        "mechanism",
        sender="héé@d.example",
        oracle=False,
    ),
    Case(
        "domain outside ASCII",
        {"xn--hxajbheg2az3al.example": "v=spf1 +all"},
        "pass",
        "mechanism",
        sender="u@παράδειγμα.example",
        oracle=False,
    ),
    # §6.1: redirect
    Case("redirect", {"d.example": "v=spf1 redirect=r.example", "r.example": "v=spf1 -all"}, "fail", "mechanism"),
    Case(
        "redirect comes last",
        {"d.example": "v=spf1 redirect=r.example ?all", "r.example": "v=spf1 -all"},
        "neutral",
        "mechanism",
    ),
    Case("redirect of no record", {"d.example": "v=spf1 redirect=r.example"}, "permerror", "redirect_none"),
    Case(
        "redirect changes the domain",
        {"d.example": "v=spf1 redirect=r.example", "r.example": {"TXT": ["v=spf1 a -all"], "A": ["192.0.2.1"]}},
        "pass",
        "mechanism",
    ),
    # §6.2: exp
    Case(
        "explanation",
        {
            "d.example": "v=spf1 -all exp=e.%{d}",
            "e.d.example": {"TXT": [["%{i} may not send", " for %{o}; ask %{r}%_%% %{c}"]]},
        },
        "fail",
        "mechanism",
        explanation="192.0.2.1 may not send for d.example; ask unknown % 192.0.2.1",
    ),
    Case(
        "escaped explanation",
        {"d.example": "v=spf1 -all exp=e.d.example", "e.d.example": "http://d.example/?%{S}"},
        "fail",
        "mechanism",
        sender="a+b~c@d.example",
        explanation="http://d.example/?a%2Bb~c%40d.example",
    ),
    Case(
        "explanation with a fault",
        {"d.example": "v=spf1 -all exp=e.d.example", "e.d.example": "%{x}"},
        "fail",
        "mechanism",
    ),
    Case(
        "two explanations",
        {"d.example": "v=spf1 -all exp=e.d.example", "e.d.example": {"TXT": ["a", "b"]}},
        "fail",
        "mechanism",
    ),
    Case(
        "explanation without an answer",
        {"d.example": "v=spf1 -all exp=e.d.example", "e.d.example": {"TXT": TIMEOUT}},
        "fail",
        "mechanism",
    ),
    Case(
        "explanation outside ASCII",
        {"d.example": "v=spf1 -all exp=e.d.example", "e.d.example": "né"},
        "fail",
        "mechanism",
    ),
    Case(
        "an include has no explanation",
        {
            "d.example": "v=spf1 include:i.example -all",
            "i.example": "v=spf1 -all exp=e.d.example",
            "e.d.example": "no",
        },
        "fail",
        "mechanism",
    ),
    Case(
        "redirect has its own explanation",
        {
            "d.example": "v=spf1 redirect=r.example exp=e.d.example",
            "r.example": "v=spf1 -all exp=e.%{d}",
            "e.d.example": "d",
            "e.r.example": "r",
        },
        "fail",
        "mechanism",
        explanation="r",
    ),
    Case(
        "redirect without an explanation",
        {"d.example": "v=spf1 redirect=r.example exp=e.d.example", "r.example": "v=spf1 -all", "e.d.example": "d"},
        "fail",
        "mechanism",
    ),
]

# Faults of a record (§4.6, §12): the record, the code, the term, and the number of its first character.
FAULTS: list[tuple[bytes, str, str, int]] = [
    (b"v=spf2 -all", "not_spf", "", 0),
    (b"v=spf1 -all moo", "unknown_mechanism", "moo", 13),
    (b"v=spf1 -all.", "unknown_mechanism", "-all.", 8),
    (b"v=spf1 -all:x.example", "unexpected_argument", "-all:x.example", 8),
    (b"v=spf1 -all/8", "unexpected_argument", "-all/8", 8),
    (b"v=spf1 include", "missing_domain", "include", 8),
    (b"v=spf1 include:", "missing_domain", "include:", 8),
    (b"v=spf1 include:x.example/24", "bad_domain", "include:x.example/24", 8),
    (b"v=spf1 exists", "missing_domain", "exists", 8),
    (b"v=spf1 exists:x.example/24", "bad_domain", "exists:x.example/24", 8),
    (b"v=spf1 ptr/0", "unexpected_argument", "ptr/0", 8),
    (b"v=spf1 ptr:", "missing_domain", "ptr:", 8),
    (b"v=spf1 a:", "missing_domain", "a:", 8),
    (b"v=spf1 a:museum", "bad_domain", "a:museum", 8),
    (b"v=spf1 a:museum.", "bad_domain", "a:museum.", 8),
    (b"v=spf1 a:192.0.2.1", "bad_domain", "a:192.0.2.1", 8),
    (b"v=spf1 a:x.123", "bad_domain", "a:x.123", 8),
    (b"v=spf1 a:x.-com", "bad_domain", "a:x.-com", 8),
    (b"v=spf1 a:x.com-", "bad_domain", "a:x.com-", 8),
    (b"v=spf1 a:x.example:25", "bad_domain", "a:x.example:25", 8),
    (b"v=spf1 a:%{d}.", "bad_domain", "a:%{d}.", 8),
    (b"v=spf1 a:x%%_", "bad_domain", "a:x%%_", 8),
    (b"v=spf1 a/33", "bad_prefix", "a/33", 8),
    (b"v=spf1 a//129", "bad_prefix", "a//129", 8),
    (b"v=spf1 a/024", "bad_prefix", "a/024", 8),
    (b"v=spf1 a/24/64", "bad_prefix", "a/24/64", 8),
    (b"v=spf1 a/", "bad_prefix", "a/", 8),
    (b"v=spf1 mx/" + b"9" * 5000, "bad_prefix", "mx/" + "9" * 5000, 8),
    (b"v=spf1 ip4", "bad_address", "ip4", 8),
    (b"v=spf1 ip4:", "bad_address", "ip4:", 8),
    (b"v=spf1 ip4:192.0.2", "bad_address", "ip4:192.0.2", 8),
    (b"v=spf1 ip4:192.0.2.256", "bad_address", "ip4:192.0.2.256", 8),
    (b"v=spf1 ip4:192.0.02.1", "bad_address", "ip4:192.0.02.1", 8),
    (b"v=spf1 ip4:192.0.2.1/33", "bad_prefix", "ip4:192.0.2.1/33", 8),
    (b"v=spf1 ip4:192.0.2.1/", "bad_prefix", "ip4:192.0.2.1/", 8),
    (b"v=spf1 ip4:192.0.2.1//32", "bad_prefix", "ip4:192.0.2.1//32", 8),
    (b"v=spf1 ip4:192.0.2.1/24/8", "bad_prefix", "ip4:192.0.2.1/24/8", 8),
    (b"v=spf1 ip6:2001:db8::1::2", "bad_address", "ip6:2001:db8::1::2", 8),
    (b"v=spf1 ip6:fe80::1%eth0", "bad_address", "ip6:fe80::1%eth0", 8),
    (b"v=spf1 ip6:2001:db8::/129", "bad_prefix", "ip6:2001:db8::/129", 8),
    (b"v=spf1 192.0.2.1", "unknown_mechanism", "192.0.2.1", 8),
    (b"v=spf1 ip:192.0.2.1", "unknown_mechanism", "ip:192.0.2.1", 8),
    (b"v=spf1 a:x.example, -all", "bad_domain", "a:x.example,", 8),
    (b"v=spf1 a, mx", "unknown_mechanism", "a,", 8),
    (b"v=spf1 redirect:x.example", "unknown_mechanism", "redirect:x.example", 8),
    (b"v=spf1 -redirect=x.example", "unknown_mechanism", "-redirect=x.example", 8),
    (b"v=spf1 redirect=", "missing_domain", "redirect=", 8),
    (b"v=spf1 redirect=x", "bad_domain", "redirect=x", 8),
    (b"v=spf1 redirect=x.example redirect=y.example", "repeated_modifier", "redirect=y.example", 27),
    (b"v=spf1 exp=x.example -all EXP=y.example", "repeated_modifier", "EXP=y.example", 27),
    (b"v=spf1 exp=%{c}.example", "bad_macro", "exp=%{c}.example", 8),
    (b"v=spf1 x=%{z}", "bad_macro", "x=%{z}", 8),
    (b"v=spf1 x=%", "bad_macro", "x=%", 8),
    (b"v=spf1 x=%(d)", "bad_macro", "x=%(d)", 8),
    (b"v=spf1 exists:%{d0}.example", "bad_macro", "exists:%{d0}.example", 8),
    (b"v=spf1 exists:%{dx}.example", "bad_macro", "exists:%{dx}.example", 8),
    (b"v=spf1 a:x\x01.example", "bad_character", "a:x\\x01.example", 8),
    (b"v=spf1 ip4:192.0.2.1\n -all", "bad_address", "ip4:192.0.2.1\\n", 8),
    (b"v=spf1 a:d\xc3\xa9.example -all", "not_ascii", "a:d\\xc3\\xa9.example", 8),
    (b"v=spf1 +-all", "unknown_mechanism", "+-all", 8),
    (b"v=spf1 -", "unknown_mechanism", "-", 8),
    (b"v=spf1" + b" a" * 4_094, "too_long", "", 0),
]

# §7.4: macros of strong-bad@email.example.com from 192.0.2.3, whose name is mx.example.org.
EXPANSIONS = [
    ("%{s}", "strong-bad@email.example.com"),
    ("%{o}", "email.example.com"),
    ("%{d}", "email.example.com"),
    ("%{d4}", "email.example.com"),
    ("%{d3}", "email.example.com"),
    ("%{d2}", "example.com"),
    ("%{d1}", "com"),
    ("%{dr}", "com.example.email"),
    ("%{d2r}", "example.email"),
    ("%{l}", "strong-bad"),
    ("%{l-}", "strong.bad"),
    ("%{lr}", "strong-bad"),
    ("%{lr-}", "bad.strong"),
    ("%{l1r-}", "strong"),
    ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
    ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
    ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
    ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
    ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
    ("%{p}", "mx.example.org"),
    ("%{p2}.x", "example.org.x"),
    ("%{D}%%%_%-", "email.example.com% %20"),
    ("%{S}", "strong-bad%40email.example.com"),
    ("%{d" + "9" * 5000 + "}", "email.example.com"),
]
